"""The built-in sample, drawn once for all tests of pages."""

from functools import lru_cache

from cellcutter_core.simulation.sample import sample as draw

sample = lru_cache(draw)
