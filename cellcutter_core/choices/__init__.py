"""What a person has chosen on the way to a run, kept on disk."""
