"""Simulated cells with exact truth: the built-in sample, and what the network is taught on."""
