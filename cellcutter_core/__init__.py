"""Segment single cells in a microscope image without drawing a single label.

The method is that of Din & Yu, Sci. Rep. 11, 23995 (2021). Names are loaded when they are first
used: importing this package costs nothing, and no machine-learning framework is loaded before
something is trained or predicted. `__init__.pyi` lists the names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
