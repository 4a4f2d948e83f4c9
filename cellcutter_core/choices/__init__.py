"""The user's choices for the next run, stored on disk."""
