"""How long tests wait.

A test waits for what it needs to happen, not for a time: a busy machine makes it slow, never wrong.
Only what hangs is given up.
"""

LONGEST = 1800.0
"""Seconds after which something is taken to hang; on no machine does anything take so long."""

ANSWERED = 300.0
"""The same for a page in the browser, but for a training. A test that fails there runs again."""
