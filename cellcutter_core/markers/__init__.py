"""Markers: where each cell is, found, given by the user, or edited."""
