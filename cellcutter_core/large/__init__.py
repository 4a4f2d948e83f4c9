"""Images that are too large to be worked on at once: they are worked on in blocks."""
