"""Nuclei, or cell bodies where there are none: their regions and outlines."""
