"""The parts of the built-in sample: shapes, nuclei, tissue, optics."""
