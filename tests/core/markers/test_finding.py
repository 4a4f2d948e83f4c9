"""Markers as the paper finds them, as the user gives them, and the two entries."""

import dataclasses
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from small_files import blank, hdf5

from cellcutter_core.config import MarkerSettings
from cellcutter_core.images.read_image import read_image, read_labels
from cellcutter_core.label_image import markers_from_points
from cellcutter_core.markers.finding import (
    Nuclei,
    blob_detection,
    find_cells,
    find_nuclei,
    marker_points,
)
from cellcutter_core.markers.given_markers import number_markers, read_markers

CENTRES = np.array([[20, 20], [20, 60], [55, 40], [66, 78], [66, 16]])


def blobs(*, shape: tuple[int, int] = (90, 100), sign: int = 1) -> np.ndarray:
    """Gaussian blobs of sigma 5 at CENTRES, on 100."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, 100.0)
    for row, col in CENTRES:
        image += sign * 50 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 50)
    return image


def test_blobs_are_found_where_they_are() -> None:
    markers = blob_detection(blobs())
    assert markers.dtype == np.int32
    assert markers.max() == len(CENTRES)
    at_centres = markers[tuple(CENTRES.T)]
    assert sorted(at_centres) == [1, 2, 3, 4, 5]
    # Discs of radius max_sigma - 2 = 8; these two do not meet any other.
    for centre in (CENTRES[0], CENTRES[2]):
        disc = np.argwhere(markers == markers[tuple(centre)])
        assert np.hypot(*(disc - centre).T).max() == pytest.approx(8, abs=1.5)


def test_dark_blobs_are_dropped() -> None:
    # The surroundings of dark blobs are bright, so some maxima may lie there, none in a blob.
    markers = blob_detection(blobs(sign=-1))
    assert not markers[tuple(CENTRES.T)].any()


def test_blobs_are_those_of_the_notebook(shared_data: Path) -> None:
    from skimage.feature import blob_doh
    from skimage.filters import gaussian

    with np.load(shared_data / "bbbc018_ht29" / "00733.npz") as archive:
        nucleus = archive["image"][..., 1]
    standard = (nucleus - nucleus.mean()) / nucleus.std()
    found = blob_doh(standard, max_sigma=10, min_sigma=5, threshold=0.1)
    rows, cols = found[:, :2].astype(int).T
    bright = gaussian(standard)[rows, cols] > 0
    markers = blob_detection(nucleus, 10, 5, 0.1)
    assert markers.max() == bright.sum()
    assert (markers[rows[bright], cols[bright]] == np.arange(1, bright.sum() + 1)).all()


def test_brightness_does_not_matter_to_blobs() -> None:
    image = blobs()
    # Blobs that are alike may change places.
    np.testing.assert_array_equal(blob_detection(image) > 0, blob_detection(3 * image + 500) > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blob_detection(blobs(), 3, 10), "max_sigma is 3, below min_sigma 10"),
        (lambda: blob_detection(blobs(), threshold=0), "threshold should be greater than 0"),
        (lambda: blob_detection(blobs()[..., None]), r"shape \(90, 100, 1\).*one channel"),
        (lambda: blob_detection(np.full((9, 9), np.nan)), "NaN or infinite"),
        (lambda: blob_detection(blobs().astype(complex)), "dtype complex128"),
        (lambda: find_nuclei(np.ones((40, 40))), "no markers found.*nucleus channel is the right"),
        (lambda: find_cells(np.ones((40, 40))), "no markers found.*choose a nucleus channel"),
        (lambda: find_cells(np.ones((40, 40, 2))), "no markers found"),
        (lambda: find_cells(np.ones(40)), r"shape \(40,\)"),
        (
            lambda: find_nuclei(np.ones((40, 40)), MarkerSettings(automatic=False)),
            "no markers found with threshold 0.01 and sigmas 3 to 10; lower the threshold",
        ),
        (
            lambda: find_nuclei(np.ones((40, 40)), MarkerSettings(diameter=30)),
            "nothing of about 30 pixels",
        ),
        (lambda: MarkerSettings(diameter=3), "diameter should be at least 6"),
        (lambda: number_markers(np.zeros((3, 3), int)), "holds only 0"),
        (lambda: number_markers(np.full((3, 3), 0.5)), "dtype float64"),
        (lambda: number_markers([[0.0, 1e30]]), "dtype float64"),
        (lambda: number_markers([[0, -1]]), "holds the value -1"),
        (lambda: markers_from_points([], (9, 9)), "points is empty"),
        (lambda: markers_from_points([(1, 2, 3)], (9, 9)), r"shape \(1, 3\).*\(row, col\)"),
        (lambda: markers_from_points([("a", "b")], (9, 9)), "has to be numbers"),
        (lambda: markers_from_points([(1, 2), (np.nan, 3)], (9, 9)), r"points\[1\] is \(nan, 3.0"),
        (
            lambda: markers_from_points([(1, 1), (9, 1), (1, -3)], (9, 9)),
            r"2 of 3 lie outside of the image of shape \(9, 9\), first points\[1\] = \(9, 1\)",
        ),
        (lambda: markers_from_points([(2, 15)], (20, 9)), r"give \(row, col\), not \(x, y\)"),
        (
            lambda: markers_from_points([(1, 1), (5, 5), (1.2, 0.9)], (9, 9)),
            r"1 in the same pixel as another, first at \(row, col\) \(1, 1\)",
        ),
        (lambda: markers_from_points([(1, 1)], (9, 9), radius=-1), "radius is -1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_markers_are_numbered_in_their_order() -> None:
    given = np.array([[0, 900, 900], [3, 0, 0], [3, 0, 12]])
    expected = [[0, 3, 3], [1, 0, 0], [1, 0, 2]]
    for dtype in (np.uint16, np.int64, np.float32):
        markers = number_markers(given.astype(dtype))
        assert markers.dtype == np.int32
        assert markers.tolist() == expected


def test_a_mask_of_markers_is_taken_apart() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    expected = [[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]]
    assert number_markers(255 * mask).tolist() == expected
    assert number_markers(mask.astype(bool)).tolist() == expected
    # Two values: these are ids, and a marker in two pieces stays one.
    mask[3, 0] = 2
    assert number_markers(mask).max() == 2


def test_discs_around_points() -> None:
    drawn = markers_from_points([(2, 2), (2.4, 5.6)], (5, 8), radius=1.5)
    assert drawn.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 2, 2, 2],
        [0, 1, 1, 1, 0, 2, 2, 2],
        [0, 1, 1, 1, 0, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    # The nearest point has the pixel, and radius 0 is the pixel alone.
    assert markers_from_points([(0, 0), (0, 3)], (1, 4), radius=9).tolist() == [[1, 1, 2, 2]]
    assert markers_from_points([(0, 0), (0, 3)], (1, 4), radius=0).tolist() == [[1, 0, 0, 2]]


def test_points_to_markers_and_back() -> None:
    rng = np.random.default_rng(0)
    # At least 10 apart, so that no disc is cut and the middle of each is its point.
    grid = np.stack(np.meshgrid(np.arange(6, 90, 11), np.arange(6, 70, 11), indexing="ij"), -1)
    points = grid.reshape(-1, 2)[rng.permutation(grid.size // 2)]
    markers = markers_from_points(points, (96, 76), radius=3)
    np.testing.assert_array_equal(marker_points(markers), points)


def test_a_marker_point_lies_in_its_marker_whatever_the_shape() -> None:
    # A ring has no pixel at its centre of mass; 7 touches 3; 3 is at the edge; 11 is one pixel.
    labels = np.zeros((12, 12), int)
    labels[1:10, 1:10] = 7
    labels[3:8, 3:8] = 0
    labels[5, 5] = 11
    labels[:, 10:] = 3
    points = marker_points(labels)
    assert points.dtype == np.int32
    assert labels[tuple(points.T)].tolist() == [3, 7, 11]
    assert points[2].tolist() == [5, 5]
    # All of 3 is equally near to its outline: its middle is.
    assert points[0, 0] in (5, 6)
    assert marker_points(np.zeros((4, 4), int)).shape == (0, 2)
    assert marker_points(np.full((1, 1), 4)).tolist() == [[0, 0]]


def test_the_deepest_pixel_is_the_point() -> None:
    labels = np.zeros((20, 30), int)
    labels[3:10, 2:9] = 1
    labels[3:14, 9:20] = 2
    assert marker_points(labels).tolist() == [[6, 5], [8, 14]]


POINTS = np.array([[3.0, 30.0], [12.5, 7.0], [18.0, 22.0]])
SHAPE = (20, 40)


@pytest.mark.parametrize(
    "text",
    [
        "3,30\n12.5,7\n18,22\n",
        "row,col\n3,30\n12.5,7\n18,22",
        "x,y\n30,3\n7,12.5\n22,18\n",
        "\ufeffX;Y;area\r\n30;3;5\r\n7;12,5;5\r\n22;18;5\r\n",
        "index,axis-0,axis-1\n0,3,30\n1,12.5,7\n2,18,22\n",
        " ,Area,Mean,X,Y\n1,0,9,30,3\n2,0,9,7,12.5\n3,0,9,22,18\n",
        "# from somewhere\nrow\tcol\n3\t30\n\n12.5\t7\n18\t22\n",
        "3 30\n 12.5   7\n18 22\n",
    ],
)
def test_lists_of_points_as_programs_write_them(tmp_path: Path, text: str) -> None:
    file = tmp_path / "points.csv"
    file.write_text(text, encoding="utf-8", newline="")
    expected = markers_from_points(POINTS, SHAPE)
    np.testing.assert_array_equal(read_markers(file, blank(SHAPE)), expected)


def test_of_a_table_of_imagej_it_is_said_that_its_numbers_are_pixels(tmp_path: Path) -> None:
    file, said = tmp_path / "points.csv", list[str]()
    for columns, size in (("Area,Mean,X,Y", 0.5), ("Area,Mean,X,Y", None), ("a,b,X,Y", 0.5)):
        file.write_text(f"{columns}\n0,9,30,3\n")
        read_markers(file, dataclasses.replace(blank(SHAPE), pixel_size=size), report=said.append)
    assert len(said) == 1
    assert "points.csv: X and Y are taken as pixels; if they are in µm, remove" in said[0]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_lists_of_points_in_the_encodings_of_programs(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "points.csv"
    file.write_text("Zelle;Fläche µm²;X;Y\nä;5,5;30;3\nß;5;7;12,5\né;5;22;18\n", encoding=encoding)
    expected = markers_from_points(POINTS, SHAPE)
    np.testing.assert_array_equal(read_markers(file, blank(SHAPE)), expected)


STACKED = "index,axis-0,axis-1,axis-2\n0,2,3,30\n1,2,12.5,7\n2,4,5,5\n3,2,18,22\n"


@pytest.mark.parametrize(
    "text",
    [
        STACKED,
        STACKED.replace("axis", "centroid"),
        "label,centroid-0,centroid-1,centroid-2\n9,2.2,3,30\n8,1.9,12.5,7\n7,4,5,5\n6,2,18,22\n",
        "index,axis-0,axis-1,axis-2,axis-3\n0,0,2,3,30\n1,0,2,12.5,7\n2,0,4,5,5\n3,0,2,18,22\n",
        "z,y,x\n2,3,30\n2,12.5,7\n4,5,5\n2,18,22\n",
        "x;y;Z\n30;3;2\n7;12,5;2\n5;5;4\n22;18;2\n",
        # ImageJ counts slices from 1.
        " ,X,Y,Slice\n1,30,3,3\n2,7,12.5,3\n3,5,5,5\n4,22,18,3\n",
    ],
)
def test_points_of_another_plane_are_left_out_and_told(tmp_path: Path, text: str) -> None:
    """The last two of numbered columns are row and col, those before them the plane."""
    (tmp_path / "a.csv").write_text(text)
    report: list[str] = []
    found = read_markers(tmp_path / "a.csv", blank(SHAPE, z=2), report=report.append)
    np.testing.assert_array_equal(found, markers_from_points(POINTS, SHAPE))
    line = "a.csv: 1 of 4 points are left out: they do not lie in the plane z = 2"
    assert report == [line]
    with pytest.warns(UserWarning, match=line):
        read_markers(tmp_path / "a.csv", blank(SHAPE, z=2))
    # A projection shows all of them.
    assert read_markers(tmp_path / "a.csv", blank(SHAPE, z="max")).max() == 4
    with pytest.raises(
        ValueError, match=r"^a\.csv: has no points in the plane z = 9 .* z = 2 to 4"
    ):
        read_markers(tmp_path / "a.csv", blank(SHAPE, z=9))
    # Which of them a single plane is, nobody knows.
    with pytest.raises(ValueError, match=r"^a\.csv: has points in several planes, z = 2 to 4, .*z"):
        read_markers(tmp_path / "a.csv", blank(SHAPE))


def test_points_that_all_lie_in_one_plane_need_no_choice(tmp_path: Path) -> None:
    text = "index,axis-0,axis-1,axis-2\n0,5,3,30\n1,5,12.5,7\n2,5,18,22\n"
    (tmp_path / "a.csv").write_text(text)
    found = read_markers(tmp_path / "a.csv", blank(SHAPE))
    np.testing.assert_array_equal(found, markers_from_points(POINTS, SHAPE))


def test_points_of_a_series_are_those_of_its_time_point(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(STACKED)
    (tmp_path / "b.csv").write_text("x,y,frame\n30,3,2\n7,12.5,2\n5,5,4\n22,18,2\n")
    array = np.column_stack([[2, 2, 4, 2], [*POINTS[:2], (5, 5), POINTS[2]]])
    np.save(tmp_path / "c.npy", array)
    for name in ("a.csv", "b.csv", "c.npy"):
        with pytest.warns(UserWarning, match=r"1 of 4 points .* the plane t = 2"):
            found = read_markers(tmp_path / name, blank(SHAPE, t=2))
        np.testing.assert_array_equal(found, markers_from_points(POINTS, SHAPE))
    with pytest.raises(
        ValueError, match=r"one coordinate beside row and column, which may be z or t"
    ):
        read_markers(tmp_path / "a.csv", blank(SHAPE, t=2, z=2))


def test_shapes_of_napari_are_no_points(tmp_path: Path) -> None:
    text = "index,shape-type,vertex-index,axis-0,axis-1\n0,polygon,0,1,2\n0,polygon,1,5,5\n"
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^a\.csv: is a list of napari's shapes"):
        read_markers(tmp_path / "a.csv", blank(SHAPE))


@pytest.mark.parametrize("ending", ["tif", "png", "npy", "npz", "bmp", "gif", "webp", "h5", "jp2"])
def test_label_images_in_every_format(tmp_path: Path, ending: str) -> None:
    small = ending in ("bmp", "gif", "webp")
    factor = 70 if small else 300
    labels = markers_from_points(POINTS, SHAPE, radius=3).astype(np.uint8 if small else np.uint16)
    labels *= factor
    file = tmp_path / f"markers.{ending}"
    {
        "tif": lambda: tifffile.imwrite(file, labels),
        "png": lambda: Picture.fromarray(labels).save(file),
        "npy": lambda: np.save(file, labels),
        "npz": lambda: np.savez(file, labels=labels),
        "bmp": lambda: Picture.fromarray(labels).save(file),
        "gif": lambda: Picture.fromarray(labels).save(file),
        "webp": lambda: Picture.fromarray(labels).save(file, lossless=True),
        "h5": lambda: file.write_bytes(hdf5(labels=labels, raw=labels * 0.5)),
        "jp2": lambda: file.write_bytes(imagecodecs.jpeg2k_encode(labels, reversible=True)),
    }[ending]()
    np.testing.assert_array_equal(read_markers(file, blank(SHAPE)), labels // factor)
    np.testing.assert_array_equal(read_labels(file), labels)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_what_changes_numbers_holds_no_labels(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    Picture.fromarray(markers_from_points(POINTS, SHAPE).astype(np.uint8)).save(file)
    for read in (lambda: read_markers(file, blank(SHAPE)), lambda: read_labels(file)):
        with pytest.raises(ValueError, match=rf"^a\.{ending}: .*changes numbers a little"):
            read()


def test_which_of_several_data_sets_holds_the_labels(tmp_path: Path) -> None:
    labels = markers_from_points(POINTS, SHAPE)
    (tmp_path / "a.h5").write_bytes(hdf5(cells=labels, nuclei=labels))
    message = (
        r"^a\.h5: holds 2 separate images \(cells, nuclei\), and it is not known which of them"
    )
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=message):
        read_markers(tmp_path / "a.h5", blank(SHAPE))


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "?", "i8"])
def test_labels_in_any_type_of_numbers(tmp_path: Path, dtype: str) -> None:
    """Floats that are whole numbers are labels as truth and as markers alike."""
    labels = markers_from_points(POINTS[:1], SHAPE, radius=3)
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype), photometric="minisblack")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    assert read_labels(tmp_path / "a.tif").dtype.kind in "iu"
    np.testing.assert_array_equal(read_markers(tmp_path / "a.tif", blank(SHAPE)), labels)
    if np.dtype(dtype).kind == "f":
        tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype) / 2)
        for read in (read_labels, lambda file: read_markers(file, blank(SHAPE))):
            with pytest.raises(ValueError, match=r"^a\.tif: .*whole|holds integers"):
                read(tmp_path / "a.tif")


def test_what_cellpose_pickles_is_said_how_to_save(tmp_path: Path) -> None:
    labels = markers_from_points(POINTS, SHAPE)
    found = {"outlines": labels, "colors": [], "masks": labels}
    for name in ("a_seg.npy", "renamed.npy"):
        np.save(tmp_path / name, found, allow_pickle=True)
        for read in (read_labels, read_image, lambda file: read_markers(file, blank(SHAPE))):
            with pytest.raises(ValueError, match=rf"^{name}: is Cellpose's own format: pickled"):
                read(tmp_path / name)
    # What it says to do does it.
    with pytest.raises(ValueError, match="in Python: ") as caught:
        read_labels(tmp_path / "a_seg.npy")
    command = str(caught.value).partition("in Python: ")[2]
    folder = f"{str(tmp_path)!r} + '/' + "
    command = command.replace("'masks.tif'", folder + "'masks.tif'")
    exec(
        command.replace("'a_seg.npy'", folder + "'a_seg.npy'"), {"numpy": np, "tifffile": tifffile}
    )
    np.testing.assert_array_equal(read_labels(tmp_path / "masks.tif"), labels)


def test_an_array_of_points(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", POINTS)
    found = read_markers(tmp_path / "points.npy", blank(SHAPE))
    np.testing.assert_array_equal(found, markers_from_points(POINTS, SHAPE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("row,col\n", "points is empty"),
        ("# nothing\n", "is empty"),
        ("3,30\n4,nowhere\n", "point 2 has row '4' and col 'nowhere'"),
        ("row,col\n3,30\n4\n", "point 2 has row '4' and col ''"),
        ("3,30,1\n4,5,2\n", "3 columns without names"),
        ("a,b\n3,30\n", "columns a, b, none of which is row"),
        ("row,b\n3,30\n", "none of which is col"),
        ("3,30\nnan,5\n", r"points\[1\] is \(nan, 5.0\)"),
        ("3,30\n300,5\n", "1 of 2 lie outside"),
        ("3,30\n3,30\n", "same pixel"),
        (b"\x00\x01binary", "neither an image nor text"),
        (b"\x89PNG\r\n\x1a\nbroken", "cannot be read"),
        (b"\x93NUMPYbroken", "save a plain array"),
    ],
)
def test_files_without_markers(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "given.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message) as caught:
        read_markers(file, blank(SHAPE))
    assert str(caught.value).startswith("given.csv")
    assert "\n" not in str(caught.value)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent.csv: cannot be opened, No such file"):
        read_markers(tmp_path / "absent.csv", blank(SHAPE))
    file = tmp_path / "markers.tif"
    tifffile.imwrite(file, np.ones((30, 40), np.uint8))
    with pytest.raises(ValueError, match=r"markers.tif: has shape \(30, 40, 1\).*\(20, 40\)"):
        read_markers(file, blank(SHAPE))
    tifffile.imwrite(file, np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError, match=r"markers.tif: .*holds only 0"):
        read_markers(file, blank(SHAPE))
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"pickled\.npy"):
        read_markers(tmp_path / "pickled.npy", blank(SHAPE))


@pytest.mark.parametrize("settings", [MarkerSettings(), MarkerSettings(automatic=False)])
def test_each_nucleus_has_a_region_and_a_point_in_it(settings: MarkerSettings) -> None:
    found = find_nuclei(blobs(), settings)
    assert isinstance(found, Nuclei)
    assert found.regions.dtype == found.points.dtype == np.int32
    assert sorted(found.regions[tuple(CENTRES.T)]) == [1, 2, 3, 4, 5]
    assert found.regions[tuple(found.points.T)].tolist() == [1, 2, 3, 4, 5]


def test_the_diameter_decides_what_is_one_nucleus() -> None:
    # Two lobes 14 apart: one nucleus of 26 pixels, or two of 13.
    rows, cols = np.mgrid[:60, :60]
    image = sum(np.exp(-((rows - 30) ** 2 + (cols - c) ** 2) / 40) for c in (23, 37))
    assert len(find_nuclei(image, MarkerSettings(diameter=36)).points) == 1
    assert len(find_nuclei(image, MarkerSettings(diameter=12)).points) == 2


def test_cells_of_several_channels_are_looked_at_together() -> None:
    # Each channel shows some of the cells, in units of its own.
    rows, cols = np.mgrid[:120, :160]
    centres = [(r, c) for r in (30, 90) for c in (30, 80, 130)]
    discs = [np.hypot(rows - r, cols - c) < 14 for r, c in centres]
    first, second = (np.any(discs[k::2], axis=0) for k in (0, 1))
    cell = np.stack([first * 10.0, second * 1e4 + 300], axis=-1)
    found = find_cells(cell, MarkerSettings(diameter=28))
    at_centres = [int(found.regions[centre]) for centre in centres]
    assert sorted(at_centres) == [1, 2, 3, 4, 5, 6]
    # Cores: well inside of the disc of 615 pixels.
    assert np.bincount(found.regions.ravel())[1:].max() < 350
