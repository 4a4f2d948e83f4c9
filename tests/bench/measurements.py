"""What `speed` measures, each in a process of its own.

Each measurement takes the file of fields that `_make_fields` wrote, and gives seconds and a note.
The published way and ours get the same image, markers, background and area.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Only what costs no memory is imported here; each measurement imports what it needs.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellcutter_core.network.unet import UNet
    from cellcutter_core.training.crops import Dataset

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# The size of the paper's own image: its crops, and those of one of its steps.
SIDE, N_MARKERS, N_IN_AREA = 1750, 2272, 325
GRAPH_CUTS = {
    "as in the notebook": {"prior": 0.985, "max_weight": 10.0, "sigma": 0.03},
    # With the notebook's everything here is cell; with these the mask has IoU 0.95 with the truth.
    "as suits the image": {"prior": 0.96, "max_weight": 1.0, "sigma": 0.03},
}


Seconds = tuple[float, float]
"""Time on the clock, and of all processor cores together: the latter stays nearly the same when the
machine is busy with other things."""
Measurement = tuple[Seconds, str]


def _now() -> Seconds:
    times = os.times()
    # Processes that were started and have ended count too.
    return time.perf_counter(), sum(times[:4])


def _since(start: Seconds) -> Seconds:
    wall, processor = _now()
    return wall - start[0], processor - start[1]


def _median(all_of_it: list[Seconds]) -> Seconds:
    wall, processor = (statistics.median(kind) for kind in zip(*all_of_it, strict=True))
    return wall, processor


def _make_fields(file: Path) -> Measurement:
    import numpy as np
    from published import AREA, CROP
    from scipy.ndimage import center_of_mass

    from cellcutter_core.simulation.sample import sample

    image = sample((SIDE, SIDE))
    assert image.truth is not None
    assert image.truth_nuclei is not None
    nuclei = image.truth_nuclei
    points = np.round(center_of_mass(nuclei > 0, nuclei, range(1, nuclei.max() + 1))).astype(int)
    # The published way loses cells whose crop leaves the image; neither side gets them here.
    last = SIDE - CROP // 2 - 1
    points = points[np.all((points >= CROP // 2) & (points <= last), axis=1)]
    n_true = len(points)
    rng = np.random.default_rng(0)
    more = rng.choice(points, N_MARKERS - n_true) + rng.integers(-8, 9, (N_MARKERS - n_true, 2))
    points = np.concatenate([points, np.clip(more, CROP // 2, last)])
    corners = points - CROP // 2
    places = np.stack(np.meshgrid(*[np.arange(0, SIDE - AREA - CROP, 5)] * 2), -1).reshape(-1, 2)
    inside = [np.all((corners >= at) & (corners < at + AREA), axis=1).sum() for at in places]
    corner = places[np.argmin(np.abs(np.array(inside) - N_IN_AREA))]
    np.savez(
        file,
        cell=image.pixels[..., image.cell[0]],
        background=image.truth == 0,
        points=points,
        corner=corner,
    )
    return (0.0, 0.0), (
        f"{SIDE} × {SIDE} pixels, {len(points)} markers (of {n_true} true nuclei and more beside "
        f"them), {min(inside, key=lambda n: abs(n - N_IN_AREA))} crops in a step"
    )


def _fields(file: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    with np.load(file) as stored:
        return dict(stored)


def _graph_cut_published(file: Path, *, parameters: dict[str, float]) -> Measurement:
    from published import graph_cut

    return _cut(graph_cut, file, parameters)


def _graph_cut_ours(file: Path, *, parameters: dict[str, float]) -> Measurement:
    from cellcutter_core.mask.graph_cut import graph_cut

    return _cut(graph_cut, file, parameters)


def _cut(graph_cut: Callable[..., Any], file: Path, parameters: dict[str, float]) -> Measurement:
    cell = _fields(file)["cell"]
    start = _now()
    mask = graph_cut(cell, **parameters)
    seconds = _since(start)
    return seconds, f"{mask.mean():.1%} cell"


def _step_published(file: Path) -> Measurement:
    import keras
    import published

    fields = _fields(file)
    keras.utils.set_random_seed(0)
    data = published.Dataset(fields["cell"], fields["points"], fields["background"])
    model, optimizer = published.UNet4(), keras.optimizers.Adam()
    return _middle_step(
        lambda flips: published.training_step(model, optimizer, data, fields["corner"], flips=flips)
    )


def _step_ours(file: Path, *, precision: str = "auto") -> Measurement:
    import keras
    import numpy as np

    from cellcutter_core.config import PAPER
    from cellcutter_core.network.backend import backend
    from cellcutter_core.training.optimiser import Optimiser

    fields = _fields(file)
    keras.utils.set_random_seed(0)
    data = _dataset(fields)
    network = _network(precision)
    optimiser = Optimiser(network.model(data.n_channels), PAPER.training, backend())
    cells = _inside(data, fields["corner"])

    def step(flips: int) -> float:
        record = optimiser.step(
            data,
            cells,
            np.full(len(cells), flips),
            learning_rate=PAPER.training.learning_rate,
            target_weight=0.0,
        )
        return record["loss"]

    seconds, note = _middle_step(step)
    return seconds, f"{network.precision}, {len(cells)} crops, {note}"


def _middle_step(step: Callable[[int], float]) -> Measurement:
    """Median of three steps after one that warms up, and the losses of all four."""
    seconds, losses = [], []
    for flips in range(4):
        start = _now()
        losses.append(step(flips))
        seconds.append(_since(start))
    return _median(seconds[1:]), f"loss {losses[0]:.4g} to {losses[-1]:.4g}"


def _draw_published(file: Path) -> Measurement:
    import keras
    import published

    fields = _fields(file)
    keras.utils.set_random_seed(0)
    data = published.Dataset(fields["cell"], fields["points"], fields["background"])
    model = published.UNet4()
    start = _now()
    labels = published.draw_label(model, data)
    labelled = _since(start)
    borders = published.draw_border(model, data)
    seconds = _since(start)
    assert labels.any()
    assert borders.any()
    return seconds, f"labels alone {labelled[0]:.3g} s"


def _draw_ours(file: Path, *, precision: str = "auto") -> Measurement:
    import keras

    from cellcutter_core.training.predicted_labels import draw

    fields = _fields(file)
    keras.utils.set_random_seed(0)
    data = _dataset(fields)
    network = _network(precision)
    start = _now()
    drawing = draw(network, data)
    seconds = _since(start)
    assert drawing.labels.any()
    assert drawing.borders.any()
    return seconds, f"{network.precision}, {len(data)} crops"


def _dataset(fields: dict[str, NDArray[Any]]) -> Dataset:
    from cellcutter_core.config import PAPER
    from cellcutter_core.training.crops import Dataset

    return Dataset(
        fields["cell"],
        fields["points"],
        fields["background"],
        crop_size=PAPER.crops.size,
        sigma=PAPER.crops.sigma,
    )


def _network(precision: Any) -> UNet:
    """The network as the worker of a run makes it."""
    from cellcutter_core.config import PAPER
    from cellcutter_core.network.backend import backend, fastest_precision
    from cellcutter_core.network.unet import UNet

    if precision == "auto":
        precision = fastest_precision(
            backend(), channels=PAPER.network.channels, crop_size=PAPER.crops.size
        )
    return UNet(PAPER.network, precision=precision)


def _inside(data: Dataset, corner: NDArray[np.intp]) -> NDArray[np.intp]:
    import numpy as np
    from published import AREA

    return np.flatnonzero(np.all((data.origins >= corner) & (data.origins < corner + AREA), axis=1))


def _same(file: Path) -> Measurement:
    """With the same weights both ways give the same loss, labels and borders, but for rounding."""
    import keras
    import numpy as np
    import published

    from cellcutter_core.config import PAPER
    from cellcutter_core.network.backend import backend
    from cellcutter_core.training.optimiser import Optimiser
    from cellcutter_core.training.predicted_labels import draw

    fields = _fields(file)
    keras.utils.set_random_seed(0)
    side = published.AREA + published.CROP
    near = np.all(fields["points"] < side - published.CROP // 2, axis=1)
    # So many as ours passes through the network together: its batches have their own statistics.
    points = fields["points"][near][: PAPER.training.crops_at_once]
    cell, background = fields["cell"][:side, :side], fields["background"][:side, :side]
    theirs = published.Dataset(cell, points, background)
    data = _dataset({"cell": cell, "points": points, "background": background})
    model, network = published.UNet4(), _network("float32")
    model(theirs.patches[:1])
    network.set_weights(model.weights, data.n_channels)
    drawing = draw(network, data)
    equal = [
        float(np.mean(published.draw_label(model, theirs) == drawing.labels)),
        float(np.mean(published.draw_border(model, theirs) == drawing.borders)),
    ]
    optimiser = Optimiser(network.model(data.n_channels), PAPER.training, backend())
    losses = [
        published.training_step(model, keras.optimizers.Adam(), theirs, np.zeros(2, int), flips=1),
        optimiser.step(
            data,
            np.arange(len(points)),
            np.ones(len(points), int),
            learning_rate=1e-3,
            target_weight=0.0,
        )["loss"],
    ]
    assert min(equal) > 0.999
    assert abs(losses[0] - losses[1]) < 1e-3 * abs(losses[0])
    return (0.0, 0.0), (
        f"loss {losses[0]:.6g} and {losses[1]:.6g}, labels equal on {equal[0]:.3%}, "
        f"borders on {equal[1]:.3%} of pixels"
    )


def _import(file: Path, *, modules: str, times: int) -> Measurement:
    """Median time of a fresh interpreter that imports something; its start is part of it."""
    del file
    seconds = []
    code = f"import sys, {modules}; print(*{{'tensorflow', 'keras'}} & set(sys.modules))"
    for _ in range(times):
        start = _now()
        child = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        seconds.append(_since(start))
    loaded = child.stdout.strip() or "no TensorFlow"
    return _median(seconds), loaded


def _segment(file: Path) -> Measurement:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        out = Path(folder) / "run"
        start = _now()
        subprocess.run(
            [sys.executable, "-m", "cellcutter_core", "segment", "--out", str(out)],
            check=True,
            cwd=ROOT,
            stdout=sys.stderr,
        )
        seconds = _since(start)
        result = json.loads((out / "result.json").read_text())
    ours, watershed = result["scores"], result["scores_of_baselines"]["watershed"]
    beats = all(ours[name] > watershed[name] for name in ("ap50", "ap75"))
    return seconds, (
        f"AP50 {ours['ap50']:.3f}, AP75 {ours['ap75']:.3f}: "
        f"{'beats' if beats else 'does not reach'} the watershed's "
        f"{watershed['ap50']:.3f}, {watershed['ap75']:.3f}"
    )


MEASUREMENTS: dict[str, Callable[[Path], Measurement]] = {
    "fields": _make_fields,
    "same": _same,
    **{
        f"graph cut published {name}": partial(_graph_cut_published, parameters=parameters)
        for name, parameters in GRAPH_CUTS.items()
    },
    **{
        f"graph cut {name}": partial(_graph_cut_ours, parameters=parameters)
        for name, parameters in GRAPH_CUTS.items()
    },
    "step published": _step_published,
    "step": _step_ours,
    "step float32": partial(_step_ours, precision="float32"),
    "draw published": _draw_published,
    "draw": _draw_ours,
    "draw float32": partial(_draw_ours, precision="float32"),
    # The published package imports TensorFlow when it is imported.
    "import published": partial(_import, modules="tensorflow", times=3),
    "import": partial(_import, modules="cellcutter_core", times=5),
    "segment": _segment,
}
