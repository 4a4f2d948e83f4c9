"""Where there are cells: the evidence of each pixel, and the cheapest cut through it."""
