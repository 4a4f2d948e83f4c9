"""Sweeps: one image trained on with many settings."""
