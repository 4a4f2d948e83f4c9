"""Finds the images in the files and folders that a user gives, and a name for each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.formats.zarr_recognition import is_zarr_folder
from cellcutter_core.images.reading.known_formats import endings
from cellcutter_core.images.reading.parts import Plane
from cellcutter_core.images.reading.readers import is_image_file, n_images

ImageFiles = Path | tuple[Path, ...]
"""The file of an image, or the files of its channels."""


def image_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The given files, and the images in the given folders in the order of their names.

    In a folder, a file with the ending of an image counts as one, so that a message appears if it
    cannot be read. An OME-Zarr counts as an image, as a folder or as a zip archive.

    Raises
    ------
    ValueError
        If a folder has no image file or cannot be read.
    """
    return list(dict.fromkeys(file for path in paths for file in _images_of(Path(path))))


def names_for(files: Sequence[Path]) -> list[str]:
    """A unique name for each image, with which the names of its results begin.

    It is the file's name without its ending (without all endings for an OME-Zarr). If several files
    have the same name, the folder is put in front, and if that does not help, a number at the end.

    Examples
    --------
    >>> names_for([Path(file) for file in ("a.tif", "day1/b.tif", "day2/b.tif", "day2/b.png")])
    ['a', 'day1-b', 'day2-b', 'day2-b-2']
    """
    # Some file systems do not distinguish upper and lower case.
    plain = [_without_ending(file) for file in files]
    stems = [name.casefold() for name in plain]
    taken = {stem for stem in stems if stems.count(stem) == 1}
    names = []
    for file, name, stem in zip(files, plain, stems, strict=True):
        if stems.count(stem) > 1:
            place = file.parent.name.replace("..", "")
            first = name = f"{place}-{name}" if place else name
            number = 1
            while name.casefold() in taken:
                number += 1
                name = f"{first}-{number}"
            taken.add(name.casefold())
        names.append(name)
    return names


def named_images(
    files: Sequence[Path],
    *,
    scene: Plane = None,
    with_folders: bool = True,
    channels: ChannelNames | None = None,
) -> tuple[dict[str, ImageFiles], dict[str, int]]:
    """The images in files, including all images of a file that holds several.

    Parameters
    ----------
    files : sequence of Path
    scene : int or str, optional
        Take only this image of each file.
    with_folders : bool
        Whether the folder counts: it distinguishes files of the same name, and the files of one
        image are in the same folder.
    channels : ChannelNames, optional
        How the files of the channels of one image are named.

    Returns
    -------
    files : dict of str to Path or tuple of Path
        The file of each image, or the files of its channels, by the name of the image, see
        `names_for`. Images with a missing or repeated channel are included; reading them raises.
    scenes : dict of str to int
        For images that are not alone in their file: which image of the file it is.
    """
    places: Sequence[ImageFiles] = files
    if channels is not None:
        places = channels.images(files, with_folders=with_folders)
    images: list[tuple[ImageFiles, int | None]] = []
    called = []
    for place in places:
        if isinstance(place, tuple):
            assert channels is not None
            images.append((place, None))
            # `names_for` drops an ending, so one is added.
            called.append(place[0].with_name(f"{channels.name_of(place)}.tif"))
            continue
        for one in scenes_of(place, scene=scene):
            images.append((place, one))
            called.append(place if one is None else of_scene(place, one))
    names = names_for(called if with_folders else [Path(file.name) for file in called])
    return (
        {name: place for name, (place, _) in zip(names, images, strict=True)},
        {name: one for name, (_, one) in zip(names, images, strict=True) if one is not None},
    )


def describe_files(place: ImageFiles) -> str:
    """The file of an image, or the files of its channels, as text for the user.

    Examples
    --------
    >>> describe_files(Path("day1/a.tif"))
    'a.tif'
    >>> describe_files((Path("day1/a_ch0.tif"), Path("day1/a_ch1.tif")))
    'a_ch0.tif with a_ch1.tif'
    """
    if isinstance(place, Path):
        return place.name
    first, *more = (file.name for file in place)
    return f"{first} with {', '.join(more)}" if more else first


def scenes_of(file: Path, *, scene: Plane = None) -> list[int | None]:
    """The numbers of the images of a file; only None if it holds one, or `scene` is given."""
    n = 1 if scene is not None else n_images(file)
    return [None] if n == 1 else list(range(n))


def of_scene(file: Path, scene: int | str) -> Path:
    """A file name for one of several images in a file.

    Examples
    --------
    >>> of_scene(Path("day1/plate.lif"), 2).name
    'plate-scene2.lif'
    """
    called = re.sub(r"[^\w.-]+", "-", str(scene)).strip("-")
    return file.with_name(f"{_without_ending(file)}-scene{called}{file.suffix}")


def _without_ending(file: Path) -> str:
    zarr = re.fullmatch(r"(.+?)(\.ome)?\.zarr(\.zip)?", file.name, re.IGNORECASE)
    return zarr[1] if zarr else file.stem


def _is_called_so(file: Path) -> bool:
    if file.name.startswith(".") or not file.is_file():
        return False
    return file.suffix.lower() in endings(always_images=True)


def _images_of(path: Path) -> list[Path]:
    if not path.is_dir() or is_zarr_folder(path):
        return [path]
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise ValueError(f"cannot read the folder {path}: {error.strerror}") from error
    found = [file for file in inside if is_image_file(file) or _is_called_so(file)]
    if not found:
        raise ValueError(f"there is no image file in the folder {path}; give another one")
    return found
