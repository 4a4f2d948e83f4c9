"""Which files are one image, or several images alike."""
