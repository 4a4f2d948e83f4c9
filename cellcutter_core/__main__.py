"""The command line: does what the app does, without a browser.

python -m cellcutter_core segment IMAGE --out DIR
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellcutter_core.config import (
    PRESETS,
    STARTS,
    Config,
    check_current,
    settings_help,
    starting,
)
from cellcutter_core.images.pixel_size import PixelSize, format_pixel_size, from_words, of_sides

if TYPE_CHECKING:
    from cellcutter_core.images.image import Image


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 0, 2 after a one-line error message, or 130 if interrupted."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        chosen.command(chosen)
    except ValueError as error:
        print(f"cellcutter_core: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cellcutter_core: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cellcutter_core",
        description="Segment single cells in a microscope image without drawing a single label.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    segment = commands.add_parser(
        "segment",
        help="find the cells of an image",
        description="Find the cells of an image: graph cut, markers, training on this very image, "
        "labels. Without IMAGE the built-in sample is used. The truth is used only for scores, "
        "never for training.",
    )
    _image_options(segment)
    segment.add_argument(
        "--with",
        action="append",
        default=[],
        dest="others",
        metavar="IMAGE",
        help="another image like IMAGE to train the same network on, or a folder of such images; "
        "may be given several times. Their cells are written to OUT/others. If an image fails, its "
        "error is printed and the exit code is 2",
    )
    segment.add_argument(
        "--out",
        type=Path,
        help="new folder for run and results (default: ./cellcutter-NAME)",
    )
    segment.set_defaults(command=_segment)

    sweep = commands.add_parser(
        "sweep",
        help="train on one image with many settings, and compare them",
        description="Train on one image with every combination of some values of up to three "
        "settings, one run each. OUT holds the runs and sweep.json, and sweep.csv with a line for "
        "each. The same command continues a sweep that was stopped. Without IMAGE the built-in "
        "sample is used.",
    )
    _image_options(sweep)
    sweep.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=VALUE,VALUE",
        help="a setting and its values, for example training.lam=0.5,1,2 or training.seed=0..4; "
        "may be given up to three times; see the command settings",
    )
    sweep.add_argument("--out", type=Path, required=True, help="folder for the runs")
    _scheduler_option(sweep, "train", "OUT must lie in a folder")
    sweep.set_defaults(command=_sweep)

    proceed = commands.add_parser(
        "continue",
        help="continue a run that was stopped or crashed, or train it for more epochs",
        description="Continue a run where it stopped, also within an epoch, and write its results "
        "again. After a crash it continues from what was saved last.",
    )
    proceed.add_argument("run", type=Path, help="the run's folder")
    proceed.add_argument("--epochs", type=int, help="train to this epoch (default: the run's)")
    proceed.set_defaults(command=_continue)

    apply = commands.add_parser(
        "apply",
        help="find the cells of other images with the network of a run",
        description="Find the cells of other images with the network of a run after its last "
        "epoch, without training. Mask and markers are found for each image with the run's "
        "settings; a large image is done in blocks. If the channels of the run's image were in "
        "several files, so must be those of the others; files that belong together are found by "
        "their names. If an image fails, its error is printed, the others are still done, and the "
        "exit code is 2.",
    )
    apply.add_argument("run", type=Path, help="the run's folder")
    apply.add_argument(
        "image", nargs="+", type=Path, help="image files, or folders for all images in them"
    )
    apply.add_argument("--out", type=Path, required=True, help="folder for the results")
    apply.add_argument(
        "--format",
        action="append",
        help="labels, rois, table ..., as in the command export; may be given several times "
        "(default: labels, table, overlay)",
    )
    _scheduler_option(
        apply,
        "find the cells of images and of blocks of large ones",
        "RUN, images and OUT must lie in folders",
    )
    _reading_options(apply)
    apply.set_defaults(command=_apply)

    home = commands.add_parser(
        "export",
        help="export a run: labels, ROIs, GeoJSON, table, pictures, film, recipe, model",
        description="Write the results of a run in a format that other programs open. Without "
        "--format, list the formats and the programs that open them.",
    )
    home.add_argument("run", type=Path, help="the run's folder")
    home.add_argument("--format", help="labels, rois, table ...; if left out, all are listed")
    home.add_argument(
        "--epoch", type=int, help="epoch to export; 0 is before training (default: the last)"
    )
    home.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="file or folder to write to (default: RUN-FILE in the current folder)",
    )
    _pixel_size_option(home, "what the run says")
    home.set_defaults(command=_export)

    sample = commands.add_parser(
        "sample",
        help="write the built-in sample to a file",
        description="Write the built-in sample as an .npz file that `segment` reads: a simulated "
        "image of crowded cells with its exact truth.",
    )
    sample.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    sample.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    sample.add_argument(
        "--seed", type=int, default=0, help="each seed gives another image (default: 0)"
    )
    sample.set_defaults(command=_sample)

    teach = commands.add_parser(
        "teach",
        help="teach the network on simulated cells, as for the weights in the package",
        description="Teach a network on simulated cells with exact truth and write its weights. "
        "With the defaults it gives the weights in the package, in about half an hour on two "
        "cores. No real image is used.",
    )
    teach.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    teach.add_argument("--steps", type=int, help="optimiser steps (default: the recipe's)")
    teach.add_argument("--seed", type=int, help="seed of all random numbers (default: 0)")
    teach.add_argument(
        "--workers", type=int, default=1, help="processes that simulate images (default: 1)"
    )
    teach.set_defaults(command=_teach)

    evaluate = commands.add_parser(
        "evaluate",
        help="score a label image against the truth",
        description="Score a label image against the truth and print the scores as JSON.",
    )
    evaluate.add_argument(
        "labels", type=Path, help="label image, or outlines as ImageJ ROIs or GeoJSON"
    )
    evaluate.add_argument(
        "truth", type=Path, help="the true cells in such a file, or an .npz file with truth"
    )
    evaluate.set_defaults(command=_evaluate)

    settings = commands.add_parser(
        "settings",
        help="list every setting",
        description="List every setting with its value in both presets, its bounds and meaning.",
    )
    settings.set_defaults(command=lambda chosen: print(settings_help()))

    info = commands.add_parser(
        "info",
        help="versions, backend, devices",
        description="Print versions, the machine-learning backend and the device it would use.",
    )
    info.set_defaults(command=_info)
    return parser


def _image_options(command: argparse.ArgumentParser) -> None:
    """The options that say which image is worked on, and with which settings."""
    command.add_argument(
        "image",
        nargs="?",
        help="TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, .npy, .npz or HDF5 file, or the folder "
        "or address of an OME-Zarr",
    )
    command.add_argument(
        "--truth",
        type=Path,
        metavar="LABELS",
        help="the true cells, used only for scores: a label image (TIFF, PNG, .npy …), or outlines "
        "as ImageJ ROIs or GeoJSON",
    )
    command.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="quick",
        help="network, crops, training and labels. quick: the best result for the time on a laptop "
        "(default); paper: as published. Mask and markers are automatic in both; "
        "--set mask.automatic=false and --set markers.automatic=false switch that off",
    )
    command.add_argument(
        "--start",
        choices=list(STARTS),
        help="what training begins with; it also sets network, crops and epochs. simulated: a "
        "network that was taught on simulated cells; nothing: random weights, as published "
        "(default: the preset's)",
    )
    command.add_argument("--epochs", type=int, help="epochs to train (default: the preset's)")
    command.add_argument("--seed", type=int, help="seed of all random numbers (default: 0)")
    command.add_argument(
        "--nucleus-file",
        metavar="FILE",
        help="file of the same size that shows the nuclei, if they are not in IMAGE",
    )
    command.add_argument(
        "--channel-file",
        action="append",
        default=[],
        metavar="FILE",
        help="file with another channel, which is named after the file; may be given several times",
    )
    _reading_options(command)
    command.add_argument(
        "--markers",
        type=Path,
        metavar="FILE",
        help="markers from a file: a CSV of points (row, col) in pixels, a label image, or points "
        "or areas as ImageJ ROIs (.roi or .zip) or GeoJSON. Positions are those in the whole "
        "IMAGE, also with --region; a label image may also cover only the region. Markers in other "
        "planes of a stack are left out, with a message",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set any setting, for example training.learning_rate=0.01; see the command settings",
    )


def _reading_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cell-channel",
        action="append",
        metavar="NAME",
        help="channel that shows the cells, by name or number from 0; may be given several times",
    )
    command.add_argument(
        "--nucleus-channel", metavar="NAME", help="channel that shows the nuclei, or 'none'"
    )
    command.add_argument(
        "--region",
        metavar="ROW,COL,HEIGHT,WIDTH",
        help="part of the image to work on: its first row and column, from 0, and its size in "
        "pixels. Only this part is read, except from pictures (PNG, JPEG ...) and .npz",
    )
    _pixel_size_option(command, "what the file says")
    command.add_argument("--z", help="plane of a stack: a number from 0, or 'max' for the maximum")
    command.add_argument("--t", type=int, help="time point of a series, from 0")
    command.add_argument(
        "--scene",
        help="image to take from a file that holds several: its number from 0, or its name, such "
        "as that of an HDF5 data set (default for apply: all of them)",
    )
    command.add_argument(
        "--inverted",
        action=argparse.BooleanOptionalAction,
        help="whether cells are dark on a bright background (default: detected)",
    )
    command.add_argument(
        "--stained",
        action=argparse.BooleanOptionalAction,
        help="whether the colours are those of stains (default: detected)",
    )


def _scheduler_option(command: argparse.ArgumentParser, what: str, shared: str) -> None:
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help=f"{what} on the workers of this Dask scheduler, for example tcp://host:8786; {shared} "
        "that they share (default: CELLCUTTER_SCHEDULER, or else here)",
    )


def _connected(scheduler: str | None) -> Any:
    """Return where tasks run; what is wrong with a scheduler is said before the work begins."""
    from cellcutter_core.jobs.executors import Cluster, chosen_executor

    executor = chosen_executor(scheduler)
    if isinstance(executor, Cluster):
        executor.connect()
    return executor


def _pixel_size_option(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--pixel-size",
        metavar="UM",
        help="micrometres per pixel, such as 0.325, or where pixels are not square x=0.2,y=0.4 "
        f"(default: {default})",
    )


def _pixel_size(chosen: argparse.Namespace) -> PixelSize | None:
    return None if chosen.pixel_size is None else from_words(chosen.pixel_size)


def _reading(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `_reading_options` as arguments of `read_image`."""
    return {
        "z": _number_or_word(chosen.z),
        "t": chosen.t,
        "scene": _number_or_word(chosen.scene),
        "inverted": chosen.inverted,
        "stained": chosen.stained,
        "pixel_size": _pixel_size(chosen),
    }


def _reading_others(chosen: argparse.Namespace, files: Sequence[str | Path]) -> dict[str, Any]:
    """Return how to read other images like one whose channels are in these files, if in several."""
    reading = _reading(chosen)
    if files and chosen.nucleus_file is not None:
        # It is the last, and each file of nuclei is judged by itself.
        for name in ("inverted", "stained"):
            if reading[name] is not None:
                reading[name] = [reading[name]] * (len(files) - 1) + [None]
    return reading


def _number_or_word(given: str | None) -> int | str | None:
    return int(given) if given and given.isascii() and given.isdecimal() else given


def _segment(chosen: argparse.Namespace) -> None:
    from cellcutter_core.arguments import naming
    from cellcutter_core.images.description import lines_of
    from cellcutter_core.pipeline import prepare
    from cellcutter_core.runs.other_images import find_others
    from cellcutter_core.runs.store import Run
    from cellcutter_core.training.datasets import make_dataset

    config = _config(chosen)
    image, files = _given_image(chosen)
    out = chosen.out or Path(f"cellcutter-{Path(image.name).stem}")
    if (out / "run.json").exists():
        raise ValueError(
            f"there is already a run in {out}; choose another folder with --out, or continue the "
            f"run: python -m cellcutter_core continue {out}"
        )
    print("\n".join(lines_of(image)))
    print(f"Finding mask and markers in {image.name} …", flush=True)
    _tell_remarks(image.name, image.remarks)
    with naming(image.name) if chosen.others else nullcontext():
        inputs, truth = prepare(image, config, markers=chosen.markers, report=_tell)
        # An error in the crops is raised here, before anything is written.
        make_dataset(inputs, config)
    more = _other_images(chosen, config, image, files)
    others = find_others(more, config, n_channels=inputs.image.shape[-1])
    if chosen.markers is not None:
        beside = "; markers outside the region are left out" if chosen.region else ""
        print(f"{len(inputs.points)} markers from {Path(chosen.markers).name}{beside}", flush=True)
    known = _known(chosen, files)
    run = Run.of_image(out, image, config, (inputs, truth), others=others, **known)
    _train(run, None)


# Options that say how files are read; the built-in sample is none.
_OF_FILES = ("nucleus_file", "channel_file", "z", "t", "scene", "inverted", "stained")


def _given_image(chosen: argparse.Namespace) -> tuple[Image, list[str | Path]]:
    """Read the image; return its files too, if its channels are in several."""
    from cellcutter_core.images.file_sets.channel_files import read_channel_files
    from cellcutter_core.images.read_image import read_image, read_truth
    from cellcutter_core.images.regions import cut_out, full_region
    from cellcutter_core.simulation.sample import sample

    region = _box(chosen.region)
    reading = _reading(chosen)
    files: list[str | Path] = []
    if chosen.image is None:
        if given := [name for name in _OF_FILES if getattr(chosen, name) not in (None, [])]:
            options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"{options} can only go with IMAGE; give its file first")
        image = sample().with_roles(cell=chosen.cell_channel, nucleus=chosen.nucleus_channel)
        image = dataclasses.replace(image, pixel_size=reading["pixel_size"])
        image = cut_out(image, region or full_region(image.shape))
    else:
        roles = {"cell": chosen.cell_channel, "nucleus": chosen.nucleus_channel}
        how = {**roles, **reading, "region": region}
        if chosen.nucleus_file is None and not chosen.channel_file:
            image = read_image(chosen.image, **how)
        else:
            files = [chosen.image, *chosen.channel_file]
            image = read_channel_files(files, nucleus_file=chosen.nucleus_file, **how)
            files += [] if chosen.nucleus_file is None else [chosen.nucleus_file]
    if chosen.truth is not None:
        image = image.with_truth(read_truth(chosen.truth, image, report=_tell))
    return image, files


def _known(chosen: argparse.Namespace, files: Sequence[str | Path]) -> dict[str, Any]:
    """Return what a run's description holds besides the image."""
    # Without the pixel size: other images may have another one.
    reading = _reading_others(chosen, files)
    said = {k: v for k, v in reading.items() if v is not None and k != "pixel_size"}
    return {
        "reading": said,
        "files": [Path(file).name for file in files] if len(files) > 1 else [],
        "markers": chosen.markers and Path(chosen.markers).name,
    }


def _sweep(chosen: argparse.Namespace) -> None:
    from cellcutter_core.files import write_whole
    from cellcutter_core.images.description import lines_of
    from cellcutter_core.jobs.queue import Jobs
    from cellcutter_core.pipeline import prepare
    from cellcutter_core.processes.ending import asked_to_end
    from cellcutter_core.sweeps.running import digest_of, execute, writer
    from cellcutter_core.sweeps.sweep import FILE, Row, Sweep
    from cellcutter_core.sweeps.variations import Variation

    config = _config(chosen)
    variations = [Variation.parse(given) for given in chosen.vary]
    executor = _connected(chosen.scheduler)
    image, files = _given_image(chosen)
    name, inputs = image.name, digest_of(image, chosen.markers)
    if (chosen.out / FILE).exists():
        sweep = Sweep(chosen.out)
        sweep.check_same(config, variations, image=name, inputs=inputs)
    else:
        sweep = Sweep.create(chosen.out, config, variations, image=name, inputs=inputs)
    print("\n".join(lines_of(image)))
    print(f"{len(sweep.about.members)} runs. Finding mask and markers …", flush=True)
    _tell_remarks(image.name, image.remarks)
    find = partial(prepare, image, markers=chosen.markers, report=_tell)
    write = writer(image, find=find, **_known(chosen, files))
    n_done = sum(row.is_done for row in sweep.rows())
    list(sweep.write_runs(write))

    def tell(row: Row) -> None:
        nonlocal n_done
        n_done += row.is_done
        print(f"{n_done}/{len(sweep.about.members)} {sweep.line_of(row)}", flush=True)

    for row in sweep.rows():
        if row.status == "refused":
            tell(row)
    with asked_to_end() as stop:
        execute(sweep, Jobs(executor), ended=tell, stop=stop)
        interrupted = stop()
    write_whole(chosen.out / "sweep.csv", sweep.as_csv())
    if best := sweep.best():
        print(f"Best by AP75: {sweep.line_of(best)}")
    print(f"Results in {chosen.out}/: sweep.csv and a folder for each run")
    if interrupted:
        print("Stopped. The same command continues it.")
        raise KeyboardInterrupt
    if failed := sum(row.has_failed for row in sweep.rows()):
        raise ValueError(f"{failed} of {len(sweep.about.members)} runs failed; see the lines above")


def _other_images(
    chosen: argparse.Namespace, config: Config, first: Image, files: Sequence[str | Path]
) -> Iterator[Image]:
    """Read the other images to train on, one at a time, with channel roles as in the first image.

    `files` are the files of the first image if its channels are in several.
    """
    from cellcutter_core.images.file_sets.alike import seen_instead
    from cellcutter_core.images.file_sets.channel_names import ChannelNames
    from cellcutter_core.images.file_sets.given_files import ImageFiles, image_files, scenes_of
    from cellcutter_core.images.formats.zarr_recognition import is_address
    from cellcutter_core.images.reading.parts import Plane
    from cellcutter_core.runs.other_images import read_other
    from cellcutter_core.training.image_inputs import seen_names

    # If each channel has its own file, the names of the files give the roles.
    channels = ChannelNames.of([Path(file).name for file in files])
    roles = {} if channels else {"cell": chosen.cell_channel, "nucleus": chosen.nucleus_channel}
    how = {**_reading_others(chosen, files), **roles}
    own = None if chosen.image is None else Path(chosen.image).resolve()
    places: list[tuple[str | ImageFiles, Plane]] = [
        (given, None) for given in chosen.others if is_address(given)
    ]
    found = image_files([given for given in chosen.others if not is_address(given)])
    for place in channels.images(found) if channels else found:
        # The folder or file may also hold the first image, which is left out.
        if isinstance(place, tuple):
            if place[0].resolve() != own:
                places.append((place, how["scene"]))
            continue
        scenes, is_own = scenes_of(place), place.resolve() == own
        if is_own and len(scenes) > 1 and isinstance(how["scene"], str):
            raise ValueError(
                f"--with takes all {len(scenes)} images of {place.name}, and the one that --scene "
                "names is IMAGE itself; give --scene as its number from 0, so that it is left out"
            )
        there = (None, how["scene"]) if is_own else ()
        places += [(place, scene) for scene in scenes if scene not in there]
    for where, scene in places:
        image = read_other(where, first.roles, channels=channels, **{**how, "scene": scene})
        instead = seen_instead(seen_names(image, config), seen_names(first, config), channels)
        remark = f"; the network {instead}" if instead else ""
        print(f"Finding mask and markers in {image.name}{remark} …", flush=True)
        _tell_remarks(image.name, [*image.remarks, *image.size_notes])
        yield image


def _tell_remarks(name: str, remarks: Sequence[str]) -> None:
    for remark in remarks:
        _tell(f"Look closely at {name}. {remark}")


def _box(given: str | None) -> tuple[int, int, int, int] | None:
    """Return (first row, first column, end row, end column) from ROW,COL,HEIGHT,WIDTH."""
    if given is None:
        return None
    try:
        row, col, height, width = map(int, given.split(","))
    except ValueError:
        raise ValueError(f"--region takes ROW,COL,HEIGHT,WIDTH in pixels, got {given!r}") from None
    return row, col, row + height, col + width


def _continue(chosen: argparse.Namespace) -> None:
    from cellcutter_core.runs.store import Run

    run = Run(chosen.run)
    check_current(run.config)
    if run.progress.status == "running":
        raise ValueError(f"the run in {chosen.run} is still running; stop it first, or wait")
    last = run.progress.epochs
    if chosen.epochs is not None:
        last = run.config.training.replace(epochs=chosen.epochs).epochs  # It checks the bounds.
    # One that was killed after its last epoch has its end or its results left to do; one that was
    # continued in the app has the results of an earlier epoch.
    complete = run.progress.status == "finished" and _written(run) == run.progress.epochs_done
    if run.progress.epochs_done >= last + (not complete):
        raise ValueError(
            f"the run in {chosen.run} already has {run.progress.epochs_done} epochs; "
            f"set --epochs to a larger number"
        )
    run.forget_stop()
    _train(run, chosen.epochs)


def _written(run: Any) -> int | None:
    """Return the epoch whose results are in the run's folder; None if not all were written."""
    try:
        # It is written last.
        epochs: int = json.loads((run.path / "result.json").read_text("utf-8"))["epochs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return epochs


def _train(run: Any, epochs: int | None) -> None:
    from cellcutter_core.jobs.progress_bar import progress_bar
    from cellcutter_core.jobs.training import work
    from cellcutter_core.processes.ending import asked_to_end

    with progress_bar(run, epochs) as show, asked_to_end() as stop:
        work(run, epochs=epochs, on_event=show, stop=stop)
    now, interrupted = run.progress, stop()
    if now.status == "stopped":
        why = f": {now.message}" if now.message else ""
        print(
            f"Stopped after {now.kept}{why}. To go on: "
            f"python -m cellcutter_core continue {run.path}",
            flush=True,
        )
    if now.epoch_events:
        _write_results(run)
    if now.status == "stopped" and interrupted:
        raise KeyboardInterrupt


def _write_results(run: Any) -> None:
    from cellcutter_core import results
    from cellcutter_core.runs.doubts import about_dropped, doubts

    summary = results.write(run)
    print(results.format_summary(summary))
    print(f"Results in {run.path}/: labels.tif, overlay.png, borders.png, result.json")
    if dropped := about_dropped(run):
        print(dropped)
    for doubt in doubts(run):
        print(f"Look closely. {doubt}")
    _tell_failed([other["error"] for other in summary.get("others", ())], "other images")


def _apply(chosen: argparse.Namespace) -> None:
    from cellcutter_core.apply.applying import Trained
    from cellcutter_core.apply.applying_to_files import apply_to_files
    from cellcutter_core.apply.outcomes import SUMMARY, USUAL_FORMATS, check_free
    from cellcutter_core.choices.sources import channel_names_of
    from cellcutter_core.images.file_sets.given_files import (
        describe_files,
        image_files,
        named_images,
    )
    from cellcutter_core.jobs.executors import Cluster
    from cellcutter_core.jobs.progress_bar import share_bar
    from cellcutter_core.network.backend import backend
    from cellcutter_core.runs.store import Run

    formats = list(dict.fromkeys(chosen.format or USUAL_FORMATS))
    run = Run(chosen.run)
    files, scenes = named_images(
        image_files(chosen.image),
        scene=_number_or_word(chosen.scene),
        channels=channel_names_of(run),
    )
    # Errors in the command are raised before anything is computed.
    check_free(chosen.out, files, formats)
    executor = _connected(chosen.scheduler)
    # Loaded in this way, TensorFlow does not print what it finds on the machine.
    backend()
    trained = Trained(run)
    roles = {"cell": chosen.cell_channel, "nucleus": chosen.nucleus_channel}
    reading = {**_reading(chosen), **roles, "region": _box(chosen.region)}
    errors = []
    with share_bar() as progress:
        found = apply_to_files(
            trained,
            files,
            chosen.out,
            scenes=scenes,
            formats=formats,
            progress=progress,
            executor=executor if isinstance(executor, Cluster) else None,
            **reading,
        )
        for number, outcome in enumerate(found, 1):
            size = format_pixel_size(of_sides(outcome.pixel_height_um, outcome.pixel_width_um))
            done = f"{outcome.cells_in_words}, {outcome.seconds:.1f} s, pixel size {size}"
            said = f"failed: {outcome.error}" if outcome.error else done
            remark = f"; the network {outcome.remark}" if outcome.remark else ""
            which = f" (scene {scenes[outcome.name]})" if outcome.name in scenes else ""
            place = files[outcome.name]
            folder = (place if isinstance(place, Path) else place[0]).parent
            file = f"{folder / describe_files(place)}{which}"
            print(f"{number}/{len(files)} {file}: {said}{remark}", flush=True)
            if outcome.notes:
                _tell_remarks(f"{describe_files(place)}{which}", [outcome.notes])
            errors.append(outcome.error)
    print(f"Results in {chosen.out}/: {SUMMARY} and the files of each image")
    _tell_failed(errors, "images")


def _tell_failed(errors: Sequence[str], what: str) -> None:
    """Raise an error if an image failed, so that the exit code tells scripts."""
    if failed := sum(map(bool, errors)):
        raise ValueError(f"{failed} of {len(errors)} {what} failed; see the errors above")


def _export(chosen: argparse.Namespace) -> None:
    from cellcutter_core.export import FORMATS, export, file_name
    from cellcutter_core.runs.store import Run

    run = Run(chosen.run)
    if chosen.format is None:
        width = max(map(len, FORMATS))
        for one in FORMATS.values():
            print(f"{one.name:<{width}}  {one.about} ({one.file})")
            print(f"{'':<{width}}  opens with: {one.opens_with}")
        return
    out = chosen.out or Path(file_name(run, chosen.format, chosen.epoch))
    size = _pixel_size(chosen)
    print(f"Wrote {export(run, chosen.format, out, chosen.epoch, pixel_size=size)}")


def _teach(chosen: argparse.Namespace) -> None:
    from cellcutter_core.network.backend import backend
    from cellcutter_core.training.teaching import Recipe, teach

    if chosen.out.suffix != ".npz":
        raise ValueError(f"--out is {chosen.out}; give a name that ends in .npz")
    if not chosen.out.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {chosen.out.parent}; make it first")
    changed = {"steps": chosen.steps, "seed": chosen.seed}
    recipe = Recipe().replace(**{k: v for k, v in changed.items() if v is not None})
    backend()
    teach(chosen.out, recipe, workers=max(chosen.workers, 1), report=_tell)
    print(f"Weights in {chosen.out}")


def _tell(line: str) -> None:
    print(line, flush=True)


def _sample(chosen: argparse.Namespace) -> None:
    from cellcutter_core.simulation.sample import sample, save

    image = sample((chosen.size, chosen.size), seed=chosen.seed)
    save(image, chosen.out)
    n_cells = 0 if image.truth is None else image.truth.max()
    print(f"Wrote {chosen.out}: {chosen.size}×{chosen.size} pixels, {n_cells} cells")


def _evaluate(chosen: argparse.Namespace) -> None:
    from cellcutter_core.evaluation.metrics import score
    from cellcutter_core.export.formats.labels import segmented_region
    from cellcutter_core.images.read_image import read_labels
    from cellcutter_core.images.reading.drawn_shapes import is_drawn
    from cellcutter_core.images.reading.readers import read_label_contents

    # Files of outlines do not hold the size of their image; the other file may.
    shapes: list[tuple[int, int] | None] = [
        None if is_drawn(file) else read_labels(file).shape
        for file in (chosen.truth, chosen.labels)
    ]
    labels, truth = (
        read_labels(file, shape=shape, report=lambda line: print(line, file=sys.stderr))
        for file, shape in zip((chosen.labels, chosen.truth), shapes, strict=True)
    )
    ignore = None
    if not is_drawn(chosen.truth):
        found = read_label_contents(chosen.truth).companions.get("ignore")
        ignore = None if found is None else found.astype(bool)
    region = segmented_region(chosen.labels)
    if region is not None and labels.shape == truth.shape:
        top, left, bottom, right = region
        print(
            f"Scored in rows {top} to {bottom - 1} and columns {left} to {right - 1}, the region "
            "that was segmented",
            file=sys.stderr,
        )
        part = slice(top, bottom), slice(left, right)
        labels, truth, ignore = labels[part], truth[part], None if ignore is None else ignore[part]
    scores = score(labels, truth, ignore=ignore)
    print(json.dumps(scores.as_dict(), indent=1))


def _info(chosen: argparse.Namespace) -> None:
    from cellcutter_core import __version__
    from cellcutter_core.jobs.training import versions
    from cellcutter_core.network.backend import backend

    del chosen
    where = backend()
    lines = {
        "cellcutter_core": __version__,
        **versions(),
        where.name: where.version,
        "backend": f"{where.name} (KERAS_BACKEND chooses tensorflow, jax or torch)",
        "device": where.device,
    }
    width = max(map(len, lines))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in lines.items()))


def _config(chosen: argparse.Namespace) -> Config:
    preset = PRESETS[chosen.preset]
    options = {"training.epochs": chosen.epochs, "training.seed": chosen.seed}
    given = {name: value for name, value in options.items() if value is not None}
    for item in chosen.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, got {item!r}; see the command settings")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    config = starting(preset, chosen.start) if chosen.start else preset
    config = config.with_values(given)
    return config.replace(preset="custom") if chosen.set else config


if __name__ == "__main__":
    sys.exit(main())
