"""Calls in child processes: answers, errors, joining, leaving, children that go."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from patience import LONGEST

from cellcutter_core.processes import calls as calls_module
from cellcutter_core.processes import child as child_module
from cellcutter_core.processes.calls import Calls
from cellcutter_core.processes.child import Child


@pytest.fixture
def calls() -> Iterator[Calls]:
    made = Calls(1)
    yield made
    for child in made._idle:
        child.close()


def _soon(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONGEST
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_a_call_gives_what_the_function_gives_in_another_process(calls: Calls) -> None:
    answer, seconds = calls.ask("sum", np.cumsum, np.arange(4)).result(LONGEST)
    np.testing.assert_array_equal(answer, [0, 1, 3, 6])
    assert 0 <= seconds < 60
    first = calls.ask("pid", os.getpid).result(LONGEST)[0]
    assert first != os.getpid()
    assert calls.ask("pid again", os.getpid).result(LONGEST)[0] == first


def test_what_the_function_raises_is_raised_here(calls: Calls) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        calls.ask("wrong", int, "no number").result(LONGEST)
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_what_a_function_prints_does_not_come_between(calls: Calls) -> None:
    calls.ask("print", print, "noise").result(LONGEST)
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_who_asks_for_the_same_joins_and_may_leave_alone(calls: Calls) -> None:
    one = calls.ask("sleep", time.sleep, 0.5)
    other = calls.ask("sleep", time.sleep, 0.5)
    assert one is other
    one.leave()
    assert other.result(LONGEST)[0] is None


def test_a_call_that_nobody_wants_is_ended_half_way(calls: Calls) -> None:
    calls.ask("warm", int, "1").result(LONGEST)
    endless = calls.ask("sleep", time.sleep, 1000)
    assert _soon(lambda: endless.child is not None)
    endless.leave()
    with pytest.raises(CancelledError):
        endless.result(LONGEST)
    # The only thread is free again.
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_a_call_that_waits_for_its_turn_can_be_left(calls: Calls) -> None:
    first = calls.ask("first", time.sleep, 0.5)
    second = calls.ask("second", time.sleep, 1000)
    second.leave()
    third = calls.ask("third", int, "7")
    assert third.result(LONGEST)[0] == 7
    assert first.result(LONGEST)[0] is None


def test_a_call_that_takes_too_long_is_ended_and_told() -> None:
    calls = Calls(1, longest=0.5)
    endless = calls.ask("sleep", time.sleep, 1000)
    waiting = calls.ask("right", abs, -7)
    with pytest.raises(ValueError, match=r"took more than 0\.5 s"):
        endless.result(60)
    # Its turn comes; on a busy machine even starting a child may take too long here.
    with suppress(ValueError):
        assert waiting.result(60)[0] == 7
    assert waiting.done()
    for child in calls._idle:
        child.close()


def test_a_child_that_went_down_is_said_and_the_next_one_is_another(calls: Calls) -> None:
    with pytest.raises(ValueError, match="choose a smaller region"):
        calls.ask("crash", os._exit, 1).result(LONGEST)
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_a_function_may_meet_the_end_of_a_file(calls: Calls) -> None:
    with pytest.raises(EOFError, match="Ran out of input"):
        calls.ask("cut", pickle.loads, b"").result(LONGEST)
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_a_child_that_cannot_be_started_is_said(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: int) -> Child:
        raise BlockingIOError("no more processes")

    with monkeypatch.context() as patched:
        patched.setattr(calls_module, "Child", no_more)
        with pytest.raises(ValueError, match=r"could not be started: no more processes"):
            calls.ask("right", int, "7").result(LONGEST)
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_a_child_that_left_while_idle_is_not_missed(calls: Calls) -> None:
    calls.ask("warm", int, "1").result(LONGEST)
    (idle,) = calls._idle
    idle.kill()
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7


def test_a_call_that_ends_its_child_is_not_tried_in_another(tmp_path: Path) -> None:
    calls = Calls(2)
    for child in (Child(), Child()):
        child.call(int, "1")
        calls._idle.append(child)
    # A second try would say that the folder exists.
    program = f"import os; os.mkdir({str(tmp_path / 'made')!r}); os._exit(1)"
    with pytest.raises(ValueError, match="ended without an answer"):
        calls.ask("crash", exec, program).result(LONGEST)
    assert (tmp_path / "made").is_dir()
    assert calls.ask("right", int, "7").result(LONGEST)[0] == 7
    for child in calls._idle:
        child.close()


def test_an_idle_child_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from cellcutter_core.processes import child; child.IDLE = 0.5; child._serve()"
    start = child_module.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return start([command[0], "-c", program], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(child_module.subprocess, "Popen", popen)
    child = Child()
    assert child.call(int, "7")[0] == 7
    assert child._process.wait(LONGEST) == 0
    with pytest.raises(EOFError):
        child.call(int, "7")
    child.close()


@pytest.fixture
def impatient() -> Iterator[Calls]:
    made = Calls(1, slow=0.2)
    yield made
    for child in made._idle:
        child.close()


def test_a_slow_call_makes_room_for_another(impatient: Calls) -> None:
    endless = impatient.ask("endless", time.sleep, 1000)
    assert impatient.ask("short", int, "7").result(LONGEST)[0] == 7
    # There is room for one slow call beside another one: the third is waited for.
    second = impatient.ask("second", time.sleep, 1000)
    assert _soon(lambda: second.has_made_room)
    third = impatient.ask("third", int, "8")
    assert third.child is None
    endless.leave()
    assert third.result(LONGEST)[0] == 8
    second.leave()


def test_a_slow_call_gives_its_place_back_only_once(impatient: Calls) -> None:
    for number in range(3):
        impatient.ask(f"slow {number}", time.sleep, 0.5).result(LONGEST)
    assert _soon(lambda: impatient._places._value == 1)


def test_many_are_more_than_may_run_at_once(calls: Calls) -> None:
    assert not calls.are_many
    first = calls.ask("first", time.sleep, 1000)
    assert not calls.are_many
    second = calls.ask("second", time.sleep, 1000)
    assert calls.are_many
    second.leave()
    assert not calls.are_many
    first.leave()


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system has no priorities like that")
def test_children_may_have_a_lower_priority() -> None:
    lower = Calls(1, nice=3)
    now = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        answer = lower.ask("nice", os.getpriority, os.PRIO_PROCESS, 0).result(LONGEST)[0]
    finally:
        for child in lower._idle:
            child.close()
    assert answer == min(now + 3, 19)
