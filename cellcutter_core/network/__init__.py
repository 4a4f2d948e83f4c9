"""How a step of training is computed on each backend."""
