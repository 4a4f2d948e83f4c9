"""The network of a run on other images."""
