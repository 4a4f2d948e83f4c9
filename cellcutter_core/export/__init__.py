"""Everything a user takes home: label images, pictures, records."""

from cellcutter_core.export.labels import label_file, write_labels
from cellcutter_core.export.picture import write_png
from cellcutter_core.export.record import write_json

__all__ = ["label_file", "write_json", "write_labels", "write_png"]
