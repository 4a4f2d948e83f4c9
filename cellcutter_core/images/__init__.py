"""Images: from files to an `Image` whose channels have names and roles."""
