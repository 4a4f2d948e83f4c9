"""Thirty visitors at once: how long they wait, what they need, and whether anything is mixed up.

    python tests/bench/load.py [--sessions 30] [--minutes 2] [--seed 0] [--quick]

A real server for many people with two places for trainings, and visitors over its own protocol,
without browsers (`tests/browser/visitor.py`); files that a browser fetches once are not counted.
Two visitors start a training each and watch it. Half of the others look at the sample, half at an
image of their own (512²). At a human pace, one action in about five seconds, they move a slider of
the page Mask by up to a quarter of its length, and now and then go to another page and back.

    alone     one visitor moves sliders
    all       they all do
    training  the same actions, and two trainings
    noise     the same actions and trainings, and one more visitor cuts an image of noise (2048²)

`--minutes` is the length of each but the first. A move is answered when the page shows a mask of
the new settings, which may be the preview; the cut itself may come later and is counted as well.
Nothing is mixed up if every answer shows the settings that were asked for, the draft on disk holds
them, sampled masks are to the pixel those that the core computes for them, and nobody is sent the
id of a draft or run, or the file name, of somebody else.

It prints a Markdown table and exits with 1 if something was mixed up or failed; bars that do not
hold are said in the table. The machine should be idle: this process takes a part of it, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import io
import os
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

import numpy as np  # noqa: E402
from PIL import Image as Picture  # noqa: E402
from serving import Server, serving  # noqa: E402
from visitor import Visitor, visiting  # noqa: E402

from cellcutter_core.choices.choices import Choices, Source  # noqa: E402
from cellcutter_core.choices.draft import Draft  # noqa: E402
from cellcutter_core.choices.sources import open_source  # noqa: E402
from cellcutter_core.choices.uploads import store_upload  # noqa: E402
from cellcutter_core.config import QUICK, MaskSettings  # noqa: E402
from cellcutter_core.images.regions import cut_out, interesting_region  # noqa: E402
from cellcutter_core.mask.mask_of_settings import mask_channels  # noqa: E402
from cellcutter_core.mask.preview import preview_mask  # noqa: E402
from cellcutter_core.runs.folder import find_run  # noqa: E402
from cellcutter_core.simulation.sample import sample, save  # noqa: E402

ANSWERED, LONGER, MEGABYTES = 1.5, 0.5, 60.0
"""The bars: seconds for 95 % of slider moves, seconds more beside noise, memory of a session."""
PACE = 5.0
"""Seconds from one action to the next, on average."""
LOOK = 1.0
"""Seconds from an answer to the next action, at least."""
SWITCHES = 0.15
"""The share of actions that go to another page and back."""
ARRIVE = 10.0
"""Seconds within which all visitors arrive, and within which all of them go to the page Mask."""
LOADING = 15.0
"""Seconds until the process that waits for a training has been loaded, after the first visitor."""
SETTLE = 20.0
"""Seconds from leaving until memory is handed back (five) with some to spare."""
FORGOTTEN = 130.0
"""Seconds until Streamlit forgets a visitor who left, and idle children have ended (120)."""
LIMIT = 300.0
"""Seconds that anybody waits for anything."""
CHECKED = 200
"""How many different masks are computed again to compare."""
SLIDERS = {"Prior": "prior", "Max weight": "max_weight", "Sigma": "sigma"}
OTHER_PAGES = ("Overview", "Data", "Cells")
NOISE_SIDE = 2048
IDS = re.compile(rb"\b\d{8}-\d{6}-[a-z0-9]{13}\b|own-\d+\.npz")


# What is measured ---------------------------------------------------------------------------------


@dataclass
class Waited:
    """How long one visitor waited for one thing."""

    what: str
    phase: str
    who: int
    seconds: float


@dataclass(frozen=True)
class Answer:
    """A mask that a visitor was shown."""

    who: int
    settings: MaskSettings
    is_preview: bool
    picture: bytes
    area: str


@dataclass
class Record:
    """All that is found out."""

    waited: list[Waited] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    processor: dict[str, dict[str, float]] = field(default_factory=dict)
    loads: dict[str, float] = field(default_factory=dict)
    n_late: int = 0

    def of(self, what: str, phase: str) -> list[float]:
        return [one.seconds for one in self.waited if (one.what, one.phase) == (what, phase)]


# Visitors -----------------------------------------------------------------------------------------


class Person:
    """Somebody with a visitor, an image, and habits that the seed decides.

    Parameters
    ----------
    number : int
    choices : Choices
        What the draft holds that they come with.
    """

    def __init__(self, number: int, choices: Choices, record: Record, *, seed: int) -> None:
        self.number, self.record, self.seed = number, record, seed
        self.choices = choices
        self.draft = Draft()
        self.draft.save(choices)
        self.came_with = ""
        self.seen: set[bytes] = set()
        self.visitor: Visitor
        self._open = contextlib.AsyncExitStack()

    @property
    def own(self) -> set[bytes]:
        """The ids and names that this person may be sent."""
        ids = {one.encode() for one in self.visitor.query.values()} | {self.draft.id.encode()}
        return ids | {self.came_with.encode(), self.choices.source.name.encode()}

    async def arrive(self, url: str) -> None:
        query = f"draft={self.draft.id}"
        self.visitor = await self._open.enter_async_context(visiting(url, query=query))
        self.visitor.on_message = lambda data: self.seen.update(IDS.findall(data))
        await self.visitor.open()
        await self.visitor.settled(limit=LIMIT)
        # The draft that they came with belongs to nobody; the app has made theirs of it.
        self.came_with, self.draft = self.draft.id, Draft(self.visitor.query["draft"])

    async def leave(self) -> None:
        await self._open.aclose()

    async def timed(self, what: str, phase: str, action: Awaitable[None]) -> float:
        """Do something, wait until the page has settled, and keep how long it took."""
        start = time.perf_counter()
        await action
        await self.visitor.settled(limit=LIMIT)
        self.record.waited.append(Waited(what, phase, self.number, time.perf_counter() - start))
        for trouble in self.visitor.troubles():
            # A mask of everything or nothing is said to be unfit for training, which is right.
            if "the mask covers" not in trouble:
                self.record.wrong.append(f"{self.number} after {what}: {trouble}")
        return start

    async def go(self, page: str, phase: str) -> None:
        await self.timed("page switch", phase, self.visitor.go(page))
        (title,) = [one.body for one in self.visitor.all("heading") if one.tag == "h1"]
        if title != page:
            self.record.wrong.append(f"{self.number} went to {page} and sees {title!r}")

    async def move(self, rng: random.Random, phase: str) -> None:
        """Move a slider, and keep what was shown, and when."""
        label = rng.choice(list(SLIDERS))
        options = list(self.visitor.one("slider", label).options)
        here = options.index(self.visitor.stop_of(label))
        reach = max(len(options) // 4, 1)
        near = range(max(here - reach, 0), min(here + reach + 1, len(options)))
        stop = options[rng.choice([one for one in near if one != here])]
        start = await self.timed("settled", phase, self.visitor.slide(label, stop))
        self._keep_answers(start, phase)
        self._check_choices(label, stop)

    def _keep_answers(self, start: float, phase: str) -> None:
        first, picture, area = True, b"", ""
        settings = self.draft.load().config.mask
        for one in self.visitor.came:
            if one.kind == "bidi_component" and one.what.id.endswith("mask_panes-pixels-1"):
                picture = one.what.bytes
            if one.kind == "metric" and one.what.label == "Mask area":
                area = one.what.body
            if one.kind != "metric" or one.what.label != "Time":
                continue
            is_preview = one.what.body == "preview"
            answer = Answer(self.number, settings, is_preview, picture, area)
            self.record.answers.append(answer)
            seconds = one.at - start
            if first:
                self.record.waited.append(Waited("answered", phase, self.number, seconds))
            first = False
            if not is_preview:
                self.record.waited.append(Waited("cut", phase, self.number, seconds))
                return
        self.record.wrong.append(f"{self.number} moved a slider and saw no mask")

    def _check_choices(self, label: str, stop: str) -> None:
        """The page and the draft on disk hold what was asked for, and what had been there."""
        held = self.draft.load()
        if f"{getattr(held.config.mask, SLIDERS[label]):g}" != stop:
            self.record.wrong.append(f"{self.number} asked for {label} {stop}, the draft has not")
        for name, field_ in SLIDERS.items():
            shown = self.visitor.stop_of(name)
            if shown != f"{getattr(held.config.mask, field_):g}":
                self.record.wrong.append(f"{self.number} sees {name} {shown}, the draft differs")
        if held.source != self.choices.source:
            self.record.wrong.append(f"{self.number} has the image {held.source.title}")
        if foreign := self.seen - self.own:
            self.record.wrong.append(f"{self.number} was sent {sorted(foreign)}")
            self.seen &= self.own

    async def act(self, phase: str, seconds: float, *, pace: float = PACE) -> None:
        """Act for some time, as the seed decides, the same in every phase."""
        rng = random.Random(f"{self.seed} {self.number}")
        begin = time.monotonic()
        due = pace * rng.random()
        while max(due, time.monotonic() - begin) < seconds:
            # Also after a late answer, somebody looks at it first.
            early = due - (time.monotonic() - begin)
            self.record.n_late += early < 0
            await asyncio.sleep(max(early, LOOK))
            if rng.random() < SWITCHES:
                await self.go(rng.choice(OTHER_PAGES), phase)
                await asyncio.sleep(LOOK)
                await self.go("Mask", phase)
            else:
                await self.move(rng, phase)
            due += pace * rng.uniform(0.4, 1.6)

    async def to_mask(self) -> None:
        """Go to the page Mask, and switch to the cut by hand with values that suit."""
        await self.timed("to the page Mask", "", self.visitor.go("Mask"))
        await self.timed("Automatic off", "", self.visitor.switch("Automatic", False))
        # Every session of a class has the same values now; from here on each has its own.

    async def start_training(self) -> None:
        await self.timed("page switch", "start", self.visitor.go("Train"))
        await self.timed("start of a training", "", self.visitor.click("Start training"))
        await self.visitor.until(lambda: "run" in self.visitor.query, limit=LIMIT)

    def run(self) -> Any:
        return find_run(self.visitor.query["run"])

    async def stop_training(self) -> None:
        if self.visitor.has("button", "Stop"):
            await self.visitor.click("Stop")
        await _until(lambda: self.run().progress.status not in ("queued", "running"))


class Noisy(Person):
    """Somebody who cuts a large image of noise, again and again."""

    def __init__(self, record: Record, *, seed: int) -> None:
        pixels = np.random.default_rng(seed).normal(1000, 200, (NOISE_SIDE, NOISE_SIDE, 1))
        buffer = io.BytesIO()
        np.save(buffer, pixels.clip(0).astype(np.uint16))
        mask = MaskSettings(automatic=False, prior=0.5, max_weight=10, sigma=0.1)
        source = store_upload("noise.npy", buffer.getvalue())
        region = (0, 0, NOISE_SIDE, NOISE_SIDE)
        config = QUICK.replace(mask=mask.model_dump())
        choices = Choices(source=source, region=region, config=config)
        super().__init__(-1, choices, record, seed=seed)

    async def arrive(self, url: str) -> None:
        await super().arrive(url)
        await self.visitor.go("Mask")
        await self.visitor.settled(limit=LIMIT)

    async def cut_on(self) -> None:
        """Ask for one cut after the other, until cancelled."""
        rng = random.Random(self.seed)
        while True:
            options = list(self.visitor.one("slider", "Prior").options)
            others = [one for one in options if one != self.visitor.stop_of("Prior")]
            middle = others[len(others) // 4 : -len(others) // 4]
            await self.visitor.slide("Prior", rng.choice(middle))
            await self.visitor.settled(limit=LIMIT)
            await self.timed("cut of noise", "noise", self.visitor.click("Compute"))


def people(n: int, record: Record, *, seed: int) -> tuple[list[Person], list[Person]]:
    """Return those who move sliders and those who train, `n` together."""
    n_trainers = min(2, n - 1)
    training = QUICK.training.replace(epochs=10_000)
    config = QUICK.replace(training=training.model_dump())
    trainers = [
        Person(number, Choices(config=config), record, seed=seed) for number in range(n_trainers)
    ]
    movers = []
    for number in range(n_trainers, n):
        choices = Choices(config=QUICK)
        if number % 2:
            choices = choices.replace(source=_own_image(number))
        movers.append(Person(number, choices, record, seed=seed))
    return movers, trainers


def _own_image(number: int) -> Source:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"own-{number}.npz"
        save(sample(seed=100 + number), file)
        return store_upload(file.name, file.read_bytes())


# The server ---------------------------------------------------------------------------------------


def processes_of(pid: int) -> list[int]:
    """Return a process and all that it and its children have started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def kind_of(one: int, server: int) -> str:
    """Return "server", "children" that compute for pages, or "trainings" and what waits for one."""
    if one == server:
        return "server"
    command = Path(f"/proc/{one}/cmdline").read_bytes()
    return "children" if b"cellcutter_core.processes.child" in command else "trainings"


def memory(pid: int) -> dict[str, float]:
    """Return what the server, its computing children and all its others hold, in 10⁶ bytes.

    Pages that processes share are counted once (proportional set size).
    """
    found = {"server": 0.0, "children": 0.0, "trainings": 0.0}
    for one in processes_of(pid):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            size = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
            found[kind_of(one, pid)] += size * 1.024e-3
    return found


def processor(pid: int) -> dict[str, float]:
    """Return the processor seconds that the server and its computing children have taken."""
    found = {"server": 0.0, "children": 0.0, "trainings": 0.0}
    tick = os.sysconf("SC_CLK_TCK")
    for one in processes_of(pid):
        with contextlib.suppress(OSError):
            # What stands after the name, which is in brackets.
            numbers = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            user, system, *ended = (int(number) / tick for number in numbers[11:15])
            found[kind_of(one, pid)] += user + system
            if one == pid:  # Of children that have ended; no training ends while it is measured.
                found["children"] += sum(ended)
    return found


@contextlib.contextmanager
def nothing_left(server: Server) -> Iterator[None]:
    """End at last what the server has started and what goes on without it."""
    started: list[int] = []
    try:
        yield
    finally:
        started += processes_of(server.pid)[1:]
        for one in started:
            with contextlib.suppress(OSError):
                os.kill(one, signal.SIGKILL)


async def _until(condition: Callable[[], object], *, limit: float = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"a training did not get there in {limit:g} s")
        await asyncio.sleep(0.5)


# The day ------------------------------------------------------------------------------------------


async def day(server: Server, chosen: argparse.Namespace, record: Record) -> list[Person]:
    """Let everybody come, act and leave; return those who came."""
    seconds = 60 * chosen.minutes
    rng = random.Random(chosen.seed)

    def look(when: str) -> None:
        record.memory[when] = memory(server.pid)

    async def scattered(actions: Sequence[Awaitable[Any]], within: float) -> None:
        """Do all of these, each begun at a random time."""

        async def later(action: Awaitable[Any], delay: float) -> None:
            await asyncio.sleep(delay)
            await action

        await asyncio.gather(*(later(one, within * rng.random()) for one in actions))

    async def phase(name: str, acting: Sequence[Person], seconds: float) -> None:
        say(f"{name}: {len(acting)} visitors for {seconds:.0f} s")
        before, begin = processor(server.pid), time.monotonic()
        await asyncio.gather(*(one.act(name, seconds) for one in acting))
        taken = {kind: used - before[kind] for kind, used in processor(server.pid).items()}
        record.processor[name] = taken | {"seconds": time.monotonic() - begin}
        record.loads[name] = os.getloadavg()[0]

    # What is loaded once for all visitors is not what one of them waits for, or needs.
    first = Person(999, Choices(config=QUICK), record, seed=chosen.seed)
    await first.arrive(server.url)
    await first.to_mask()
    for page in (*OTHER_PAGES, "Train", "Mask"):
        await first.go(page, "warming up")
    await asyncio.sleep(LOADING)
    await phase("alone", [first], max(seconds / 2, 15))
    await first.leave()
    await asyncio.sleep(SETTLE)
    look("before")

    movers, trainers = people(chosen.sessions, record, seed=chosen.seed)
    everybody = movers + trainers
    say(f"{len(everybody)} visitors arrive")
    await scattered([_arrive(one, server.url) for one in everybody], ARRIVE)
    look("all are there")
    await scattered([one.to_mask() for one in movers], ARRIVE)
    look("all on the page Mask")
    await phase("all", movers, seconds)
    look("after the moves")
    await asyncio.gather(*(one.start_training() for one in trainers))
    await _until(lambda: all(one.run().progress.epoch_events for one in trainers))
    await phase("training", movers, seconds)
    for one in trainers:
        if (status := one.run().progress.status) != "running":
            record.wrong.append(f"the training of {one.number} is {status}")
    look("after the moves beside trainings")
    noisy = Noisy(record, seed=chosen.seed)
    await noisy.arrive(server.url)
    cutting = asyncio.create_task(noisy.cut_on())
    await phase("noise", movers, seconds)
    look("beside the cut of noise")
    if cutting.done():
        cutting.result()
    cutting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cutting
    await asyncio.gather(*(one.stop_training() for one in trainers))
    for one in (*everybody, noisy):
        await one.leave()
    await asyncio.sleep(SETTLE)
    look("after they left")
    if chosen.quick:
        return movers
    say(f"waiting {FORGOTTEN:.0f} s until the server has forgotten them")
    await asyncio.sleep(FORGOTTEN)
    # Streamlit forgets those who left long ago when the next one comes.
    last = Person(998, Choices(config=QUICK), record, seed=chosen.seed)
    await last.arrive(server.url)
    await last.leave()
    await asyncio.sleep(SETTLE)
    look("forgotten")
    return movers


async def _arrive(person: Person, url: str) -> None:
    start = time.perf_counter()
    await person.arrive(url)
    seconds = time.perf_counter() - start
    person.record.waited.append(Waited("opening the app", "", person.number, seconds))


# Checks and the table -----------------------------------------------------------------------------


def check_masks(movers: Sequence[Person], record: Record, *, seed: int) -> tuple[int, int]:
    """Compare masks that were shown with those of the core; return how many, of how many."""
    sources = {one.number: one.choices.source for one in movers}
    shown: dict[Any, set[bytes]] = defaultdict(set)
    for one in record.answers:
        if one.who in sources:
            key = sources[one.who].model_dump_json(), one.settings, one.is_preview
            shown[key].add(one.picture)
    cells: dict[str, Any] = {}
    keys = sorted(shown, key=repr)
    for key in random.Random(seed).sample(keys, min(CHECKED, len(keys))):
        source, settings, is_preview = key
        if source not in cells:
            whole = open_source(Source.model_validate_json(source))
            image = cut_out(whole, interesting_region(whole))
            cells[source] = image.pixels[..., list(image.cell)]
        find = partial(preview_mask, rough=True) if is_preview else mask_channels
        mask = find(cells[source], settings)
        for picture in shown[key]:
            rgb = np.asarray(Picture.open(io.BytesIO(picture[32:])))
            white = hashlib.blake2b(
                np.ascontiguousarray(rgb),
                digest_size=16,
                key=np.array([*rgb.shape, True]).tobytes(),
            )
            if picture[:32] != white.hexdigest().encode():
                record.wrong.append(f"a picture is not the one of its digest: {settings}")
            if rgb.shape[:2] != mask.shape or not np.array_equal(rgb[..., 0] > 127, mask):
                record.wrong.append(f"a mask is not that of {settings}, preview: {is_preview}")
    return min(CHECKED, len(keys)), len(keys)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def row(*cells: Any) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def high(seconds: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return float(np.percentile(seconds, 95))


def times(name: str, seconds: Sequence[float], bar: str = "") -> None:
    if seconds:
        found = (statistics.median(seconds), high(seconds), max(seconds))
        row(name, len(seconds), *(f"{one:.2f}" for one in found), bar)


def verdict(holds: bool) -> str:
    return "holds" if holds else "**missed**"


def print_table(record: Record, n: int) -> None:
    row("seconds until", "n", "median", "95 %", "longest", "bar")
    row(*["---"] * 6)
    for what in ("opening the app", "to the page Mask", "Automatic off", "start of a training"):
        times(what, record.of(what, ""))
    for name in ("alone", "all", "training", "noise"):
        answered = record.of("answered", name)
        bar = ""
        if name == "training" and answered:
            share = sum(one <= ANSWERED for one in answered) / len(answered)
            bar = f"95 % in {ANSWERED} s: {share:.0%}, {verdict(share >= 0.95)}"
        times(f"{name}: slider, a mask is shown", answered, bar)
        times(f"{name}: slider, the cut is shown", record.of("cut", name))
        times(f"{name}: page switch", record.of("page switch", name))
    times("noise: the cut of the noise", record.of("cut of noise", "noise"))
    print()
    row(
        "beside the cut of noise others wait longer by, s", "median", "95 %", "worst visitor", "bar"
    )
    row(*["---"] * 5)
    for what in ("answered", "cut", "page switch"):
        before, beside = record.of(what, "training"), record.of(what, "noise")
        if not before or not beside:
            continue
        more = [
            statistics.median(_of_one(record, what, "noise", who))
            - statistics.median(_of_one(record, what, "training", who))
            for who in {one.who for one in record.waited if one.who >= 0}
            if _of_one(record, what, "noise", who) and _of_one(record, what, "training", who)
        ]
        longer = high(beside) - high(before)
        row(
            what,
            f"{statistics.median(beside) - statistics.median(before):.2f}",
            f"{longer:.2f}",
            f"{max(more):.2f}",
            f"{LONGER} s: {verdict(max(longer, *more) <= LONGER)}",
        )
    print()
    row("processor seconds of an action", "server", "computing children", "cores all took together")
    row(*["---"] * 4)
    for name, taken in record.processor.items():
        n_actions = len(record.of("answered", name)) + len(record.of("page switch", name))
        each = (f"{taken[kind] / max(n_actions, 1):.2f}" for kind in ("server", "children"))
        cores = sum(taken[kind] for kind in ("server", "children", "trainings"))
        row(name, *each, f"{cores / taken['seconds']:.2f}")
    print()
    row("memory, MB", "server", "computing children", "trainings and spare", "a session", "bar")
    row(*["---"] * 6)
    base = record.memory["before"]
    for when, found in record.memory.items():
        grown = sum(found[kind] - base[kind] for kind in ("server", "children"))
        bar = ""
        if when.startswith("after the moves"):
            bar = f"{MEGABYTES:.0f}: {verdict(grown / n <= MEGABYTES)}"
        if when == list(record.memory)[-1]:
            bar = f"back: {verdict(grown <= 0.1 * n * MEGABYTES)}"
        row(when, *(f"{one:.0f}" for one in found.values()), f"{grown / n:.1f}", bar)


def _of_one(record: Record, what: str, phase: str, who: int) -> list[float]:
    return [
        one.seconds for one in record.waited if (one.what, one.phase, one.who) == (what, phase, who)
    ]


def main() -> int:
    """Measure, check, and print the tables."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--sessions", type=int, default=30, help="visitors at once, at least 2")
    parser.add_argument("--minutes", type=float, default=2.0, help="length of each phase")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="4 visitors, phases of 20 s, no wait until they are forgotten",
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.sessions, chosen.minutes = 4, 1 / 3
    if chosen.sessions < 2:
        parser.error(f"--sessions is {chosen.sessions}; give at least 2")
    record = Record()
    os.environ |= {"CELLCUTTER_WORKERS": "2", "CELLCUTTER_PEOPLE": "many"}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CELLCUTTER_RUNS"] = str(Path(folder) / "runs")
        begin, used = time.monotonic(), time.process_time()
        with serving(ROOT / "app.py", folder=Path(folder)) as server, nothing_left(server):
            movers = asyncio.run(day(server, chosen, record))
        own = (time.process_time() - used) / (time.monotonic() - begin)
        if "Traceback" in (log := server.log.read_text("utf-8", "replace")):
            record.wrong.append(f"the server's log has a traceback: {log[-1500:]}")
        say("comparing masks with those of the core")
        checked, different = check_masks(movers, record, seed=chosen.seed)
    print_table(record, chosen.sessions)
    loads = ", ".join(f"{name} {one:.1f}" for name, one in record.loads.items())
    print(
        f"\nLoad of {os.cpu_count()} cores: {load:.1f} before; at the end of each phase: {loads}."
    )
    print(f"The visitors themselves took {own:.0%} of a core; {record.n_late} actions were late.")
    print(f"{len(record.answers)} masks shown, {checked} of {different} different ones compared.")
    print("\n".join(f"WRONG: {one}" for one in record.wrong) or "Nothing was mixed up.")
    return 1 if record.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
