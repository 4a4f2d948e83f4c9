"""Files of microscopes' own programs, whose packages need not be there."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from cellcutter_core.images.read_image import read_image

STARTS = {
    "nd2": ("nd2", b"\xda\xce\xbe\n" + bytes(60)),
    "czi": ("czifile", b"ZISRAWFILE" + bytes(60)),
    "lif": ("liffile", b"p\0\0\0" + bytes(60)),
}


@pytest.mark.parametrize("version", [(3, 11, 9), (3, 12, 1)])
@pytest.mark.parametrize("kind", STARTS)
def test_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, version: tuple[int, ...]
) -> None:
    """Not what pip has none of: of czifile one that can read is only for Python 3.12 and later."""
    package, start = STARTS[kind]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys, "version_info", version)
    (tmp_path / f"a.{kind}").write_bytes(start)
    install = rf"install it with 'pip install -U {package}', or export the file as OME-TIFF$"
    if kind == "czi" and version < (3, 12):
        install = "export the file as OME-TIFF, or install Python 3.12 or later"
    with pytest.raises(ValueError, match=rf"^a\.{kind}: is a {kind.upper()} file, .*; {install}"):
        read_image(tmp_path / f"a.{kind}")


@pytest.mark.parametrize("kind", STARTS)
def test_a_broken_file_gives_one_line(tmp_path: Path, kind: str) -> None:
    package, start = STARTS[kind]
    pytest.importorskip(package)
    (tmp_path / f"a.{kind}").write_bytes(start)
    with pytest.raises(ValueError, match=rf"^a\.{kind}: [^\n]*$"):
        read_image(tmp_path / f"a.{kind}")


class Opened(SimpleNamespace):
    """Something that is opened with `with`."""

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: Any) -> None:
        return None


PIXELS = np.arange(3 * 2 * 20 * 30, dtype=np.uint16).reshape(3, 2, 20, 30)


# Where a scene of a CZI file begins, in planes and pixels of the file.
FIRST = {"T": 5, "Z": 7, "Y": -30, "X": 1000}


class Image(Opened):
    """What all three packages say of an image, and how each of them gives a part of it."""

    def __call__(self, *, roi: tuple[int, int, int, int], **planes: int) -> Opened:
        """As czifile: a region from its left and top, and the planes that are to go."""
        left, top, width, height = roi
        at: dict[str, Any] = {axis: index - self.first(axis) for axis, index in planes.items()}
        assert not set(planes) & set("CYX")
        at |= {"Y": slice(top - self.first("Y"), None), "X": slice(left - self.first("X"), None)}
        part = self.pixels[tuple(at.get(axis, slice(None)) for axis in self.sizes)]
        return Opened(asarray=lambda: part[..., :height, :width])

    def first(self, axis: str) -> int:
        return FIRST.get(axis, 0)


def found(axes: str, pixels: np.ndarray = PIXELS, **more: Any) -> dict[str, Any]:
    sizes = dict(zip(axes, pixels.shape, strict=True))
    start = tuple(FIRST.get(axis, 0) for axis in axes)
    return {
        "pixels": pixels,
        "sizes": sizes,
        "start": start,
        "bbox": (start[-1], start[-2], pixels.shape[-1], pixels.shape[-2]),
        "shape": pixels.shape,
        "dtype": pixels.dtype,
        "nbytes": pixels.nbytes,
        "asarray": lambda out=None: pixels,
        "read_frame": lambda number: pixels.reshape(-1, *pixels.shape[-3:])[number],
        **more,
    }


def stand_in(kind: str, axes: str, sides: tuple[float, float] = (0.325, 0.325)) -> Any:
    """A module that answers as the package does, as far as it is asked."""
    image = Image(
        **found(
            axes,
            name="field",
            coords={
                axis: np.arange(30) * side * 1e-6 for axis, side in zip("YX", sides, strict=True)
            },
            channels={"GFP": {}, "DAPI": {}},
            metadata=Opened(channels=[Opened(channel=Opened(name=n)) for n in ("GFP", "DAPI")]),
            voxel_size=lambda: Opened(x=sides[1], y=sides[0]),
        )
    )
    return {
        "nd2": SimpleNamespace(ND2File=lambda path: image),
        "czi": SimpleNamespace(CziFile=lambda path: Opened(scenes={0: image})),
        "lif": SimpleNamespace(LifFile=lambda path: Opened(images=[image])),
    }[kind]


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module: Any) -> Path:
    """A file of that kind, and in place of its package a module that stands in for it."""
    package, start = STARTS[kind]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(start)
    monkeypatch.setitem(sys.modules, package, module)
    return path


@pytest.mark.parametrize("kind", STARTS)
def test_pixels_that_are_not_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = installed(tmp_path, monkeypatch, kind, stand_in(kind, "ZCYX", (0.4, 0.2)))
    assert read_image(path, z=1).pixel_size == pytest.approx((0.4, 0.2))


@pytest.mark.parametrize("kind", STARTS)
def test_planes_channels_and_pixel_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = installed(tmp_path, monkeypatch, kind, stand_in(kind, "ZCYX"))
    image = read_image(path, z=1)
    np.testing.assert_array_equal(image.pixels, np.moveaxis(PIXELS[1], 0, 2))
    assert image.pixel_size == pytest.approx(0.325)
    assert (image.cell, image.nucleus) == ((0,), 1)
    assert (image.channels == ("GFP", "DAPI")) is (kind != "lif")
    np.testing.assert_array_equal(read_image(path, z="max").pixels[..., 1], PIXELS[:, 1].max(0))
    with pytest.raises(ValueError, match=rf"^a\.{kind}: is a stack .*give z=0 to 2"):
        read_image(path)
    with pytest.raises(ValueError, match=rf"^a\.{kind}: needs .* more than the limit"):
        read_image(path, z=0, max_bytes=1000)
    image = read_image(path, z=2, region=(3, 4, 18, 29))
    np.testing.assert_array_equal(image.pixels, np.moveaxis(PIXELS[2, :, 3:18, 4:29], 0, 2))
    installed(tmp_path, monkeypatch, kind, stand_in(kind, "PCYX"))
    message = (
        "holds 3 separate images, .*give scene=0 to 2" if kind == "nd2" else "has an axis P of"
    )
    with pytest.raises(ValueError, match=rf"^a\.{kind}: {message}"):
        read_image(path)


def test_of_nd2_only_the_frames_that_are_needed_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 999, (2, 3, 2, 20, 30)).astype(np.uint16)
    asked: list[int] = []

    def frame(number: int) -> np.ndarray:
        asked.append(number)
        return pixels.reshape(-1, *pixels.shape[-3:])[number]

    def whole() -> np.ndarray:
        raise AssertionError("the whole stack was asked for")

    opened = Opened(**found("TZCYX", pixels) | {"read_frame": frame, "asarray": whole})
    module = SimpleNamespace(ND2File=lambda path: opened)
    path = installed(tmp_path, monkeypatch, "nd2", module)
    # One plane of two channels, and two planes at once for a projection.
    read = read_image(path, t=1, z=2, max_bytes=2400)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[1, 2], 0, 2))
    assert asked == [5]
    read = read_image(path, t=0, z="max", max_bytes=4800)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[0].max(0), 0, 2))
    assert asked == [5, 0, 1, 2]


def test_of_nd2_one_position_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 999, (2, 3, 4, 2, 20, 30)).astype(np.uint16)
    asked: list[int] = []

    def frame(number: int) -> np.ndarray:
        asked.append(number)
        return pixels.reshape(-1, *pixels.shape[-3:])[number]

    points = [Opened(name=name) for name in ("centre", "edge", "corner")]
    loops = [Opened(type="XYPosLoop", parameters=Opened(points=points)), Opened(type="ZStackLoop")]
    opened = Opened(**found("TPZCYX", pixels) | {"read_frame": frame, "experiment": loops})
    module = SimpleNamespace(ND2File=lambda path: opened)
    path = installed(tmp_path, monkeypatch, "nd2", module)
    read = read_image(path, t=1, scene=2, z=3, region=(2, 3, 18, 29))
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[1, 2, 3, :, 2:18, 3:29], 0, 2))
    assert asked == [23]
    read = read_image(path, t=0, scene=1, z="max")
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[0, 1].max(0), 0, 2))
    assert asked[1:] == [4, 5, 6, 7]
    for how, message in (
        ({}, r"holds 3 separate images \(centre, edge, corner\), .*; give scene=0 to 2$"),
        ({"scene": 3}, r"scene is 3, but the file holds 3 image\(s\); allowed is 0 to 2$"),
        ({"scene": 0}, "is a stack with axes TZCYX of lengths .* and t=0 to 1$"),
    ):
        with pytest.raises(ValueError, match=rf"^a\.nd2: {message}"):
            read_image(path, **how)


def test_of_nd2_with_positions_in_another_order_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(**found("CPYX"))
    module = SimpleNamespace(ND2File=lambda path: opened)
    path = installed(tmp_path, monkeypatch, "nd2", module)
    read = read_image(path, scene=1)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(PIXELS[:, 1], 0, 2))


@pytest.mark.parametrize("kind", ["czi", "lif"])
def test_of_a_stack_over_the_limit_a_plane_and_a_region_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 999, (2, 3, 2, 20, 30)).astype(np.uint16)

    def whole(out: str | None = None) -> np.ndarray:
        assert (kind, out) == ("lif", "memmap"), "the whole stack was asked for"
        return pixels

    image = Image(**found("TZCYX", pixels, name="field", asarray=whole))
    opened = Opened(scenes={0: image}, images=[image])
    module = SimpleNamespace(CziFile=lambda path: opened, LifFile=lambda path: opened)
    path = installed(tmp_path, monkeypatch, kind, module)
    read = read_image(path, t=1, z=2, max_bytes=2400)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[1, 2], 0, 2))
    read = read_image(path, t=0, z="max", region=(3, 4, 18, 29), max_bytes=4800)
    expected = pixels[0].max(0)[:, 3:18, 4:29]
    np.testing.assert_array_equal(read.pixels, np.moveaxis(expected, 0, 2))
    read = read_image(path, t=0, z=1, reduced_to=10, max_bytes=1200)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[0, 1, :, ::3, ::3], 0, 2))
    assert read.full_shape == (20, 30)


def test_between_the_tiles_of_a_czi_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiles(Image):
        def __call__(self, *, roi: tuple[int, int, int, int], **planes: int) -> Opened:
            if roi[1] == self.first("Y") + 8:
                raise ValueError("roi matches no subblocks")
            return super().__call__(roi=roi, **planes)

    pixels = np.random.default_rng(0).integers(1, 999, (2, 20, 30)).astype(np.uint16)
    pixels[:, 8:12] = 0
    image = Tiles(**found("CYX", pixels, name="field"))
    module = SimpleNamespace(CziFile=lambda path: Opened(scenes={0: image}))
    path = installed(tmp_path, monkeypatch, "czi", module)
    read = read_image(path, reduced_to=8, max_bytes=1200)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(pixels[:, ::4, ::4], 0, 2))
    with pytest.raises(ValueError, match="is constant"):
        read_image(path, region=(8, 0, 12, 30))


def test_a_lif_in_colours_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)

    def asarray(out: str | None = None) -> np.ndarray:
        if out == "memmap":
            raise ValueError("assignment destination is read-only")
        return pixels

    image = Image(**found("YXS", pixels, name="field", asarray=asarray))
    module = SimpleNamespace(LifFile=lambda path: Opened(images=[image]))
    path = installed(tmp_path, monkeypatch, "lif", module)
    np.testing.assert_array_equal(read_image(path, stained=False).pixels, pixels)
    with pytest.raises(ValueError, match="more than the limit"):
        read_image(path, region=(0, 0, 10, 10), max_bytes=1700)


@pytest.mark.parametrize("kind", ["czi", "lif"])
def test_one_of_several_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """They may have other sizes; what is much smaller than the largest is a thumbnail."""
    sizes = ((20, 30), (4, 6), (12, 20), (20, 31), (20, 30), (20, 30))
    arrays = [np.random.default_rng(n).integers(0, 99, size) for n, size in enumerate(sizes)]
    images = [Image(**found("YX", array, name=f"field {n}")) for n, array in enumerate(arrays)]
    described = "".join(f'<Scene Index="{n}" Name="field {n}"/>' for n in range(len(sizes)))
    xml = ElementTree.fromstring(f"<Image><Scenes>{described}</Scenes></Image>")
    opened = Opened(scenes=dict(enumerate(images)), images=images, xml_element=xml)
    module = SimpleNamespace(CziFile=lambda path: opened, LifFile=lambda path: opened)
    path = installed(tmp_path, monkeypatch, kind, module)
    # The thumbnail is counted after them.
    scenes = [*(array for array in arrays if array.shape != (4, 6)), arrays[1]]
    for scene, expected in enumerate(scenes):
        shown = read_image(path, scene=scene, inverted=False).pixels[..., 0]
        np.testing.assert_array_equal(shown, expected)
    named = r"\(field 0 20 × 30, field 2 12 × 20, field 3 20 × 31, field 4 20 × 30, …\)"
    for how, message in (
        ({}, rf"holds 5 separate images {named}, .*; give scene=0 to 4$"),
        ({"scene": 6}, r"scene is 6, but the file holds 6 image\(s\); allowed is 0 to 5$"),
    ):
        with pytest.raises(ValueError, match=rf"^a\.{kind}: {message}"):
            read_image(path, **how)


@pytest.mark.parametrize("kind", ["czi", "lif"])
def test_a_picture_beside_a_stack_is_an_image_and_a_curve_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    stack = np.random.default_rng(0).integers(0, 99, (40, 20, 30))
    images = [
        Image(**found(axes, pixels, name="field"))
        for axes, pixels in (("TX", stack[0]), ("ZYX", stack), ("YX", stack[0]))
    ]
    opened = Opened(scenes=dict(enumerate(images)), images=images)
    module = SimpleNamespace(CziFile=lambda path: opened, LifFile=lambda path: opened)
    path = installed(tmp_path, monkeypatch, kind, module)
    with pytest.raises(ValueError, match=r"holds 2 separate images"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, scene=1).pixels[..., 0], stack[0])
    del images[1:]
    for number in (1, 2):
        del opened.scenes[number]
    with pytest.raises(ValueError, match="holds no image with rows and columns"):
        read_image(path)


@pytest.mark.parametrize("kind", STARTS)
def test_the_only_image_is_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = installed(tmp_path, monkeypatch, kind, stand_in(kind, "ZCYX"))
    expected = read_image(path, z=1).pixels
    np.testing.assert_array_equal(read_image(path, z=1, scene=0).pixels, expected)
    with pytest.raises(ValueError, match=r"scene is 1, .*holds 1 image\(s\); allowed is 0 to 0$"):
        read_image(path, z=1, scene=1)


def test_an_old_czifile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(CziFile=lambda path: Opened())
    path = installed(tmp_path, monkeypatch, "czi", module)
    with pytest.raises(ValueError, match=r"^a\.czi: .*czifile here is too old"):
        read_image(path)
