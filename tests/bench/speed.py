"""Ours beside the published way: time and peak memory of the same work, as a Markdown table.

    python tests/bench/speed.py [--rounds N] [WORK ...]

WORK is one or more of: same graph-cut step draw import segment (default: all). Everything is
measured on one generated image of 1750 × 1750 pixels with 2,272 markers, each measurement in a
process of its own, so that its peak memory is its own, ours and the published way in turns.
The published way of `draw` takes 16 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# These import nothing heavy: on Linux a process starts with the peak memory of its parent.
from measurements import GRAPH_CUTS, MEASUREMENTS, ROOT


@dataclass(frozen=True)
class Measured:
    """What a process took.

    Attributes
    ----------
    seconds, processor_seconds : float
        Time on the clock, and of all cores together.
    gigabytes : float
        Peak memory in 10⁹ bytes.
    note : str
        What else there is to say.
    """

    seconds: float
    processor_seconds: float
    gigabytes: float
    note: str


@dataclass(frozen=True)
class Row:
    """A line of the table: two measurements and what they must reach.

    Attributes
    ----------
    work : str
        What is done.
    published, ours : str
        Keys of `MEASUREMENTS`.
    time_ratio, seconds, gigabytes : float, optional
        Bars: our time over the published one's, our time, our memory.
    must : str
        What must stand in the note of ours.
    """

    work: str
    published: str
    ours: str
    time_ratio: float | None = None
    seconds: float | None = None
    gigabytes: float | None = None
    must: str = ""

    @property
    def bar(self) -> str:
        """The bars in words."""
        bars = [
            (self.time_ratio, "{:g} of the time"),
            (self.seconds, "{:g} s"),
            (self.gigabytes, "{:g} GB"),
        ]
        words = [text.format(value) for value, text in bars if value is not None]
        return ", ".join(filter(None, [*words, self.must]))

    def reached(self, published: Measured | None, ours: Measured) -> bool | None:
        """Whether ours reaches every bar; None where the published side is missing."""
        if self.time_ratio is not None and published is None:
            return None
        ratio = ours.seconds / published.seconds if published else 0.0
        return (
            (self.time_ratio is None or ratio <= self.time_ratio)
            and (self.seconds is None or ours.seconds <= self.seconds)
            and (self.gigabytes is None or ours.gigabytes <= self.gigabytes)
            and self.must in ours.note
        )


ROWS = {
    "graph-cut": [
        Row(f"graph cut, {name}", f"graph cut published {name}", f"graph cut {name}", 0.5)
        for name in GRAPH_CUTS
    ],
    "step": [
        Row("training step, paper preset", "step published", "step", 1.0, gigabytes=2.5),
        Row("the same in float32", "step published", "step float32", 1.0, gigabytes=2.5),
    ],
    "draw": [
        Row("label and border image", "draw published", "draw", 0.25, gigabytes=2.0),
        Row("the same in float32", "draw published", "draw float32", 0.25, gigabytes=2.0),
    ],
    "import": [
        Row("import", "import published", "import", seconds=0.5, must="no TensorFlow"),
    ],
    "segment": [
        Row("`segment`, built-in sample", "", "segment", seconds=120, must="beats"),
    ],
}
ROUNDS = {"graph-cut": 3}
# Free memory in GB without which these would bring the machine down.
NEEDS = {"draw published": 17.0, "step published": 9.0}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, help="how often (default: graph-cut 3, others 1)")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        print(json.dumps(_measure(*chosen.measure)))
        return 0
    works = chosen.works or ["same", *ROWS]
    if unknown := [work for work in works if work not in ("same", *ROWS)]:
        parser.error(f"no such work: {', '.join(unknown)}; choose from same, {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory() as folder:
        fields = Path(folder) / "fields.npz"
        print(_in_child("fields", fields).note)
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        if "same" in works:
            print(f"Both do the same: {_in_child('same', fields).note}\n")
        _head()
        for work in works:
            _table(ROWS.get(work, []), fields, chosen.rounds or ROUNDS.get(work, 1))
    return 0


def _table(rows: list[Row], fields: Path, rounds: int) -> None:
    """Measure all that some rows need, in turns, and print them."""
    names = dict.fromkeys(name for row in rows for name in (row.published, row.ours) if name)
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            if (free := _free_memory()) < NEEDS.get(name, 0):
                reason = f"left out: {name} needs {NEEDS[name]:g} GB, {free:.0f} GB are free"
                print(reason, file=sys.stderr)
                continue
            found[name].append(_in_child(name, fields))
            print(f"{name}: {found[name][-1]}", file=sys.stderr)
    middle = {
        name: Measured(
            statistics.median(m.seconds for m in all_of_it),
            statistics.median(m.processor_seconds for m in all_of_it),
            max(m.gigabytes for m in all_of_it),
            all_of_it[-1].note,
        )
        for name, all_of_it in found.items()
        if all_of_it
    }
    for row in rows:
        _line(row, middle.get(row.published), middle[row.ours])


def _head() -> None:
    columns = (
        "work", "published", "ours", "time", "processor time", "memory", "bar", "reached"
    )  # fmt: skip
    print("Seconds (of all cores together), GB; then ours as a share of the published.\n")
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}", flush=True)


def _line(row: Row, published: Measured | None, ours: Measured) -> None:
    ratios = ["", "", ""]
    if published:
        ratios = [
            f"{ours.seconds / published.seconds:.2f}",
            f"{ours.processor_seconds / published.processor_seconds:.2f}",
            f"{ours.gigabytes / published.gigabytes:.2f}",
        ]
    cells = [
        f"{row.work}: {ours.note}",
        _figures(published) if published else "",
        _figures(ours),
        *ratios,
        row.bar,
        {True: "yes", False: "no", None: "?"}[row.reached(published, ours)],
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def _figures(m: Measured) -> str:
    return f"{m.seconds:.3g} ({m.processor_seconds:.3g}), {m.gigabytes:.2f}"


def _in_child(name: str, fields: Path) -> Measured:
    """Measure one thing in a fresh process."""
    child = subprocess.run(
        [sys.executable, __file__, "--measure", name, str(fields)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
        cwd=ROOT,
    )
    if child.returncode:
        raise SystemExit(f"{name} failed with {child.returncode}:\n{child.stderr[-2000:]}")
    return Measured(*json.loads(child.stdout.splitlines()[-1]))


def _measure(name: str, file: str) -> tuple[float, float, float, str]:
    (seconds, processor_seconds), note = MEASUREMENTS[name](Path(file))
    return seconds, processor_seconds, _peak(), note


def _peak() -> float:
    """Peak memory in GB of this process, or of the largest that it started."""
    unit = 1 if sys.platform == "darwin" else 1024
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in both) * unit / 1e9


def _free_memory() -> float:
    """GB that can be had; without limit where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1e-6


if __name__ == "__main__":
    sys.exit(main())
