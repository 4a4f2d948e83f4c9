"""Large images, which are processed in blocks."""
