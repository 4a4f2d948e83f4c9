"""Sets of files: the channels of one image, or several images of the same kind."""
