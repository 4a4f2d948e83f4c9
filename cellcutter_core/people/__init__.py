"""Who may see and change what on a server for many people, and how much each may have."""
