"""The mask: where there are cells, found by a graph cut."""
