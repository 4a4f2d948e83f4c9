"""Files of each format, and what their channels show."""
