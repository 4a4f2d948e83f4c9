"""Labels against truth."""
