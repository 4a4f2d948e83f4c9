"""What is taken home: one module for each format."""
