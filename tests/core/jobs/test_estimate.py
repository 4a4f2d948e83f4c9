import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from cellcutter_core.config import PAPER, QUICK, NetworkSettings
from cellcutter_core.jobs import estimate
from cellcutter_core.jobs.estimate import (
    crops_per_step,
    estimate_seconds,
    forward_cost,
    speed_of,
)
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs

HERE = socket.gethostname()
CPU = "CPU (x86_64, 2 cores)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def inputs(n_cells=100, side=1280):
    points = np.stack([np.linspace(0, side - 1, n_cells)] * 2, axis=1)
    mask = np.zeros((side, side), bool)
    mask[: side // 2] = True
    return Inputs(np.zeros((side, side, 1), np.uint8), mask, points)


def past_run(folder, name, config, *, per_crop, host=HERE, device=CPU, epoch_0=False):
    """A run of 2 epochs of 3 steps of 10 crops, 50 cells: 7 s to the first step, 5 s a drawing.

    Epoch 0 comes 9 s before the first step, where there is one.
    """
    clock = [1000.0]
    times = pytest.MonkeyPatch()
    times.setattr(time, "time", lambda: clock[0])
    run = Run.create(folder / name, inputs(50), config, description={"image": name})
    run.record("started", pid=os.getpid(), host=host, epochs=2)
    run.record("device", name="tensorflow", device=device, n_cells=50)
    if epoch_0:
        clock[0] += 9
        run.record("epoch", epoch=0)
    for epoch in (1, 2):
        for step in (1, 2, 3):
            first = epoch == step == 1
            seconds = 7.0 if first else 10 * per_crop
            clock[0] += seconds
            run.record("step", epoch=epoch, step=step, seconds=seconds, n_crops=10)
        clock[0] += 5
        run.record("epoch", epoch=epoch, seconds=1.0)
    run.record("finished")
    times.undo()
    return run


def test_what_the_time_of_a_run_was_made_of(folder):
    run = past_run(folder, "a", QUICK, per_crop=0.25)
    # The first step, 0.7 s a crop, is start-up and not speed.
    assert speed_of(run) == pytest.approx((7.0, 0.25, 0.1))


def test_the_drawing_of_epoch_0_is_no_start_up(folder):
    run = past_run(folder, "a", QUICK, per_crop=0.25, epoch_0=True)
    # Of the 9 s before the first step 5 were a drawing, like those after the epochs.
    assert speed_of(run) == pytest.approx((7.0 + 9.0 - 5.0, 0.25, 0.1))


def test_a_run_that_tells_nothing_yet(folder):
    run = Run.create(folder / "a", inputs(), QUICK)
    assert speed_of(run) is None
    run.record("started", pid=1, host=HERE)
    run.record("device", device=CPU, n_cells=50)
    run.record("step", epoch=1, step=1, seconds=1.0, n_crops=10)
    assert speed_of(run) is None


def test_from_an_earlier_run(folder):
    past_run(folder, "a", QUICK, per_crop=0.25)
    # Another seed, number of epochs and learning rate change nothing of the speed.
    config = QUICK.replace(
        training=QUICK.training.replace(epochs=3, steps=4, crops=20, seed=7, learning_rate=0.1)
    )
    seconds, basis = estimate_seconds(inputs(200), config, device=CPU)
    # Epoch 0 is drawn as well.
    assert seconds == pytest.approx(7 + 3 * 4 * 20 * 0.25 + (3 + 1) * 200 * 0.1)
    assert basis == (
        "from an earlier run on this machine, which trained 4 crops a second with the same network"
    )
    assert estimate_seconds(inputs(200), config, device=None) == (seconds, basis)


@pytest.mark.parametrize(
    ("other", "device", "host"),
    [
        ({"network": QUICK.network.replace(start="nothing", channels=32)}, CPU, HERE),
        ({"network": QUICK.network.replace(start="nothing")}, CPU, HERE),
        ({"crops": QUICK.crops.replace(size=128)}, CPU, HERE),
        ({}, "a graphics card", HERE),
        ({}, CPU, "another machine"),
    ],
)
def test_what_is_not_the_same_says_nothing(folder, other, device, host):
    past_run(folder, "a", QUICK.replace(**other), per_crop=0.25, device=device, host=host)
    _, basis = estimate_seconds(inputs(), QUICK, device=CPU)
    assert "rough guess" in basis


def test_the_newest_run_counts(folder):
    old = past_run(folder, "a", QUICK, per_crop=0.25)
    new = past_run(folder, "b", QUICK, per_crop=0.5)
    text = (old.path / "run.json").read_text()
    (new.path / "run.json").write_text(text.replace("1000.0", "2000.0"))
    # It names no id: whoever knows the id of another person's run may look at it.
    assert "which trained 2 crops a second" in estimate_seconds(inputs(), QUICK, device=CPU)[1]


def test_crops_per_step():
    assert crops_per_step(inputs(100), QUICK) == 32
    assert crops_per_step(inputs(20), QUICK) == 20
    # A square of 640 is a quarter of an image of 1280, and all of one of 512.
    assert crops_per_step(inputs(100, side=1280), PAPER) == 25
    assert crops_per_step(inputs(100, side=512), PAPER) == 100
    # In the size that the network sees: half as wide, so that the square is all of it.
    few = inputs(100, side=1280)
    half = PAPER.replace(crops=PAPER.crops.replace(cell_size=few.cell_diameter / 2))
    assert crops_per_step(few, half) == 100


def test_rough_guess_grows_with_the_work(monkeypatch):
    monkeypatch.setattr(estimate, "cores", lambda: 2)
    quick, basis = estimate_seconds(inputs(), QUICK, device=CPU)
    assert "rough guess" in basis
    assert "measured on another machine of 2 cores" in basis
    paper, _ = estimate_seconds(inputs(), PAPER, device=CPU)
    assert paper > 5 * quick
    twice = QUICK.replace(training=QUICK.training.replace(epochs=2 * QUICK.training.epochs))
    # Once more as much, but for the start and epoch 0.
    four = QUICK.replace(training=QUICK.training.replace(epochs=4 * QUICK.training.epochs))
    n, (double, quadruple) = QUICK.training.epochs, (
        estimate_seconds(inputs(), one, device=CPU)[0] for one in (twice, four)
    )  # fmt: skip
    each = (double - quick) / n
    assert quadruple - double == pytest.approx(2 * n * each)
    # All of it: the start, the epochs, and of epoch 0 the drawing alone.
    assert estimate.START_UP < quick - n * each < estimate.START_UP + each
    assert estimate_seconds(inputs(), QUICK, device=None)[0] == quick
    seconds, basis = estimate_seconds(inputs(), PAPER, device="a graphics card")
    assert seconds < paper / 5
    assert "guessed for a GPU" in basis
    monkeypatch.setattr(estimate, "cores", lambda: 8)
    assert estimate_seconds(inputs(), PAPER, device=CPU)[0] < paper / 2


def test_cost_of_a_network_by_hand():
    # Depth 3, 4 channels, crops of 16 with 2 channels: widths 4, 8, 16, 16 at 16, 8, 4, 2 pixels.
    down = [(16, 2, 4), (16, 4, 4), (8, 4, 8), (8, 8, 8), (4, 8, 16), (4, 16, 16)]
    bottom = [(2, 16, 16), (2, 16, 16)]
    up = [(4, 32, 16), (4, 16, 16), (8, 24, 8), (8, 8, 8), (16, 12, 4), (16, 4, 4)]
    flop = sum(2 * 9 * side**2 * a * b for side, a, b in down + bottom + up) + 2 * 16**2 * 4
    written = sum(side**2 * b for side, _, b in down + bottom + up) + 16**2
    network = NetworkSettings(depth=3, channels=4, normalisation="none")
    gflop, megapixels = forward_cost(network, 16, 2)
    assert gflop == pytest.approx(flop / 1e9)
    assert megapixels == pytest.approx(written / 1e6)
    # With a stem of 2 the same at half the side; the two outer convolutions come on top.
    half_gflop, _ = forward_cost(network.replace(stem=2), 32, 2)
    outer = 2 * 16**2 * 16 * 2 * 4 + 2 * 32**2 * 4 * 4 - 2 * 16**2 * 4 + 2 * 9 * 16**2 * (4 - 2) * 4
    assert half_gflop == pytest.approx((flop + outer) / 1e9)


def test_the_published_network_needs_5_gflop_a_crop_and_step():
    gflop, _ = forward_cost(PAPER.network, 64, 2)
    assert 3 * gflop == pytest.approx(5, rel=0.1)


def test_the_server_loads_no_framework():
    program = (
        "import sys\n"
        "import cellcutter_core.jobs.estimate, cellcutter_core.jobs.queue\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
