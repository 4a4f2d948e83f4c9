"""Where runs execute: the queue, the worker process, the warm process."""
