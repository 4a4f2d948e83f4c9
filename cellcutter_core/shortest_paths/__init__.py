"""What needs no training: the cheapest paths to the markers, and the watershed."""
