"""Apply the network of a run to other images."""
