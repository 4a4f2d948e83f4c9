"""What reads a file of any format: its part, axes, units, contents, and what is drawn on it."""
