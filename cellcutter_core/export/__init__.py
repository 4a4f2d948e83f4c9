"""Export the results of a run: label images, ROIs, tables, pictures, recipes, records.

`FORMATS` lists the formats that a run can be exported to. `export` writes a file, `content` returns
its bytes and `file_name` its name. `IMAGE_FORMATS` are the formats for any image with its cells;
`image_content` returns their bytes. The other functions write single kinds of files.
"""

from cellcutter_core.export.exporting import content, export, file_name, image_content, image_format
from cellcutter_core.export.format import Format
from cellcutter_core.export.formats.figures import figures, figures_file
from cellcutter_core.export.formats.film import film
from cellcutter_core.export.formats.geojson import geojson, geojson_file
from cellcutter_core.export.formats.labels import label_file, write_labels
from cellcutter_core.export.formats.ome_zarr import ome_zarr
from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.export.formats.table import cell_table, table_file
from cellcutter_core.export.outlines import cell_outlines
from cellcutter_core.export.picture import png_file, write_png
from cellcutter_core.export.record import json_file, write_json
from cellcutter_core.export.registry import FORMATS, IMAGE_FORMATS
from cellcutter_core.export.result import Result
from cellcutter_core.export.segmented import Segmented

__all__ = [
    "FORMATS",
    "IMAGE_FORMATS",
    "Format",
    "Result",
    "Segmented",
    "cell_outlines",
    "cell_table",
    "content",
    "export",
    "figures",
    "figures_file",
    "file_name",
    "film",
    "geojson",
    "geojson_file",
    "image_content",
    "image_format",
    "json_file",
    "label_file",
    "ome_zarr",
    "png_file",
    "roi_set",
    "table_file",
    "write_json",
    "write_labels",
    "write_png",
]
