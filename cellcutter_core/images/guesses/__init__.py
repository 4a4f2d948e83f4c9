"""Guesses about an image from its pixels and from names. The app shows every guess."""
