"""Simulated cells with exact truth: the built-in sample, and images to teach the network."""
