"""A large image at once and in blocks, from a file: the same cells, in which time and memory?

    python tests/bench/in_blocks.py [--side 4096] [--run FOLDER]

A run is trained on the built-in sample (or taken from --run), then applied to a generated image of
that side in both ways, each in a process of its own. For the way in blocks the limit of memory for
an image is half of what it takes, so that regions are read from the file. Time is that of the
processor, memory the peak of what the process holds that is no file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--run", type=Path, help="a run, instead of one on the built-in sample")
    parser.add_argument("--way", choices=["make", "at once", "in blocks"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way == "make":
        _make(chosen.folder, chosen.side)
        return
    if chosen.way:
        print(json.dumps(_apply(chosen.way, chosen.run, chosen.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = chosen.run or Path(folder, "run")
        if chosen.run is None:
            segment = [sys.executable, "-m", "cellcutter_core", "segment", "--out", str(run)]
            subprocess.run(segment, check=True, cwd=ROOT, stdout=sys.stderr)
        common = [sys.executable, __file__, "--side", str(chosen.side), "--folder", folder]
        subprocess.run([*common, "--way", "make"], check=True)
        measured = {}
        for way in ("at once", "in blocks"):
            done = subprocess.run(
                [*common, "--way", way, "--run", str(run)], check=True, stdout=subprocess.PIPE
            )
            measured[way] = json.loads(done.stdout.splitlines()[-1])
            print(f"{way}: {measured[way]}", flush=True)
        one, other = measured["at once"], measured["in blocks"]
        print(
            f"in blocks: {other['seconds'] / one['seconds']:.2f} of the time, "
            f"{other['GB'] / one['GB']:.2f} of the memory"
        )
        print(_agreement(Path(folder)))


def _make(folder: Path, side: int) -> None:
    import numpy as np
    import tifffile

    from cellcutter_core.simulation.sample import sample

    image = sample((side, side), seed=1)
    names = {"axes": "CYX", "Channel": {"Name": list(image.channels)}}
    pixels = np.moveaxis(image.pixels, -1, 0)
    tifffile.imwrite(folder / "image.ome.tif", pixels, ome=True, tile=(256, 256), metadata=names)
    np.save(folder / "truth.npy", image.truth)


def _apply(way: str, path: Path, folder: Path) -> dict[str, float]:
    from cellcutter_core.apply.applying import Trained
    from cellcutter_core.apply.in_blocks import apply_in_blocks
    from cellcutter_core.export.formats.labels import write_labels
    from cellcutter_core.images.reading.contents import LIMIT_NAME
    from cellcutter_core.large.large_image import LargeImage
    from cellcutter_core.runs.store import Run

    file, out = folder / "image.ome.tif", folder / f"{way}.tif"
    trained = Trained(Run(path))
    peak = _Peak()
    start = sum(os.times()[:2])
    if way == "at once":
        write_labels(out, trained.apply(trained.read(file)).labels)
    else:
        os.environ[LIMIT_NAME] = str(file.stat().st_size // 2)
        large = trained.open(file)
        assert isinstance(large, LargeImage)
        apply_in_blocks(trained, large, {"labels": out})
    return {"seconds": round(sum(os.times()[:2]) - start, 1), "GB": round(peak.end(), 2)}


class _Peak:
    """The most that this process held, looked at ten times a second. Pages of files do not count:
    the system takes them back when it needs them.
    """

    def __init__(self) -> None:
        self._highest, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            lines = Path("/proc/self/status").read_text().splitlines()
            (anonymous,) = (line.split()[1] for line in lines if line.startswith("RssAnon"))
            self._highest = max(self._highest, float(anonymous) / 1e6)
            time.sleep(0.1)

    def end(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._highest


def _agreement(folder: Path) -> str:
    import numpy as np
    import tifffile

    from cellcutter_core.evaluation.metrics import score

    truth = np.load(folder / "truth.npy")
    at_once, in_blocks = (tifffile.imread(folder / f"{w}.tif") for w in ("at once", "in blocks"))
    lines = []
    for name, labels, true in (
        ("at once, against the truth", at_once, truth),
        ("in blocks, against the truth", in_blocks, truth),
        ("in blocks, against at once", in_blocks, at_once),
    ):
        scores = score(labels.astype(np.int32), true.astype(np.int32))
        lines.append(
            f"{name}: {scores.n_cells} cells, AP50 {scores.ap50:.3f}, AP75 {scores.ap75:.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
