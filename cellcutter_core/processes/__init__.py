"""Work outside the process that asks for it: threads for waiting, child processes for computing."""
