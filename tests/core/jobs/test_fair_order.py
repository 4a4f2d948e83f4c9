"""People, and the sweeps and single jobs of each, take turns."""

from itertools import pairwise

from cellcutter_core.jobs.fair_order import Turns, Waiting


def jobs(person, *, line="", n=1):
    return [Waiting(f"{person}-{line}-{number}", person=person, line=line) for number in range(n)]


def started(turns, waiting, n):
    """The first `n` jobs, one after the other."""
    left, found = list(waiting), []
    for _ in range(n):
        job = turns.next_of(left)
        turns.take(job)
        left.remove(job)
        found.append(job)
    return found, left


def test_one_line_starts_in_the_order_in_which_it_came():
    waiting = jobs("a", n=5)
    assert Turns().order(waiting) == waiting


def test_a_single_job_of_another_person_starts_after_one_job_of_a_sweep():
    turns = Turns()
    sweep = jobs("a", line="s", n=40)
    _, left = started(turns, sweep, 3)
    (single,) = jobs("b")
    assert turns.order([*left, single])[0] == single


def test_a_single_job_does_not_wait_for_ones_own_sweep():
    turns = Turns()
    _, left = started(turns, jobs("a", line="s", n=40), 3)
    (single,) = jobs("a")
    assert turns.order([*left, single])[0] == single


def test_two_sweeps_of_one_person_get_no_more_than_one_of_another():
    waiting = [*jobs("a", line="s", n=10), *jobs("a", line="t", n=10), *jobs("b", line="u", n=10)]
    first = Turns().order(waiting)[:8]
    assert [job.person for job in first] == ["a", "b"] * 4
    assert [job.line for job in first if job.person == "a"] == ["s", "t", "s", "t"]


def test_the_order_that_is_told_is_the_order_that_happens():
    turns = Turns()
    waiting = [*jobs("a", line="s", n=7), *jobs("b", n=3), *jobs("c", line="t", n=4)]
    _, left = started(turns, waiting, 2)
    told = turns.order(left)
    assert turns.order(left) == told  # Asking changes nothing.
    assert started(turns, left, len(left))[0] == told


def test_thirty_people_wait_for_one_job_of_each_other_at_most():
    people = [f"p{number}" for number in range(30)]
    waiting = [job for person in people for job in jobs(person, line="s", n=20)]
    order = Turns().order(waiting)
    for person in people:
        places = [place for place, job in enumerate(order) if job.person == person]
        assert {later - before for before, later in pairwise(places)} == {30}
