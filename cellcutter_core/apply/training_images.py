"""The cells of the other images that a run was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.applying_to_files import outcome_of, write_formats
from cellcutter_core.apply.outcomes import USUAL_FORMATS, Outcome, outputs, write_summary
from cellcutter_core.export.files import files_in, zipped
from cellcutter_core.images.file_sets.given_files import names_for
from cellcutter_core.runs.other_images import Other
from cellcutter_core.runs.store import Run


def write_others(run: Run, *, stop: Callable[[], bool] = lambda: False) -> list[Outcome]:
    """Write the cells of the other images that a run was trained on into its folder `others`.

    The cells are those of the network after the last epoch. Earlier files are replaced. The outcome
    of each image is recorded in the run, see `found_in_others`.

    Parameters
    ----------
    run : Run
    stop : callable
        Called before every image. True stops the work.

    Returns
    -------
    list of Outcome
        One for each image, in their order; without those that are left after a stop.

    Raises
    ------
    ValueError
        As `Trained`, and if the folder cannot be written.
    """
    trained, folder = Trained(run), run.path / "others"
    others = run.others
    done = []
    names = names_for([Path(other.image.name) for other in others])
    for name, other in zip(names, others, strict=True):
        if stop():
            break
        targets = {
            format: folder / target for format, target in outputs(name, USUAL_FORMATS).items()
        }

        def find(other: Other = other, targets: Mapping[str, Path] = targets) -> Applied:
            applied = trained.draw(other.image, other.inputs)
            write_formats(applied, targets)
            return applied

        done.append(outcome_of(name, other.image.name, find))
        run.record("other", outcome=asdict(done[-1]))
        write_summary(folder, done)
    return done


def found_in_others(run: Run) -> list[Outcome]:
    """Return the outcomes of the other images with the network after the last epoch of a run.

    Returns
    -------
    list of Outcome
        In the order of the images; only those that `write_others` has done since that epoch.
    """
    found: dict[str, Outcome] = {}
    for event in run.events():
        if event["kind"] == "epoch":
            found = {}
        elif event["kind"] == "other":
            found[event["outcome"]["name"]] = Outcome(**event["outcome"])
    return list(found.values())


def zip_of_others(run: Run) -> bytes:
    """Return the content of a zip of all files that `write_others` wrote, with their outcomes."""
    given = [file.name for file in run.other_files]
    return zipped(files_in(run.path / "others", without=given))
