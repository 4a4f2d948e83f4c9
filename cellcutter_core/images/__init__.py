"""Images: from files to an `Image` with named channels in roles."""
