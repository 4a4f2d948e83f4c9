"""The folder of a run: what it was given, its events, epochs, corrections and result."""
