"""The run folder: inputs, events, epochs, corrections and result."""
