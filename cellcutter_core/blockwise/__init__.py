"""An image that is too large to be worked on at once, block by block.

Blocks lie side by side, and each is worked on with a margin around it, so that what is near its rim
has all of its surroundings. What holds for all of the image (what is dark and bright to the
network, how large nuclei and cells are, which of the nuclei are none) is judged by all of it, so
that an empty block gets no cells that a full one would not get. The automatic mask alone divides
cell from background in each block by itself.
"""
