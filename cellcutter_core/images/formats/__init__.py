"""Readers of files, one module for each format, and for lists of markers."""
