"""Export the results of a run: label images, ROIs, tables, pictures, recipes, records.

`FORMATS` lists the formats that a run can be exported to. `export` writes a file, `content` returns
its bytes and `file_name` its name. `IMAGE_FORMATS` are the formats for any image with its cells;
`image_content` returns their bytes. `write_labels` writes a label image.
"""

from cellcutter_core.export.exporting import content, export, file_name, image_content, image_format
from cellcutter_core.export.files import png_file
from cellcutter_core.export.formats.labels import label_file, write_labels
from cellcutter_core.export.registry import FORMATS, IMAGE_FORMATS
from cellcutter_core.export.result import Result
from cellcutter_core.export.segmented import Segmented

__all__ = [
    "FORMATS",
    "IMAGE_FORMATS",
    "Result",
    "Segmented",
    "content",
    "export",
    "file_name",
    "image_content",
    "image_format",
    "label_file",
    "png_file",
    "write_labels",
]
