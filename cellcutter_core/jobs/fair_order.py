"""The order of a queue in which nobody waits for another person's sweep.

People take turns. Among the jobs of one person, those of each sweep and the single ones take turns,
too. So a single training waits for at most one job of each other person.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Waiting:
    """A job that waits.

    Attributes
    ----------
    path : str
        Its folder.
    ticket : str
        Ticket of the event that queued it.
    person : str
        Whose it is; empty on a server for one person.
    line : str
        Id of the sweep that it belongs to; empty for a single job.
    """

    path: str
    ticket: str = ""
    person: str = ""
    line: str = ""


@dataclass
class Turns:
    """Who had a turn, and when: numbers that rise with each turn."""

    _last: dict[tuple[str, ...], int] = field(default_factory=dict)
    _number: int = 0

    def next_of(self, waiting: Sequence[Waiting]) -> Waiting:
        """Return the job that starts next: of the person, and line, whose last turn is oldest.

        Parameters
        ----------
        waiting : sequence of Waiting
            At least one, in the order in which they came.
        """
        # `min` takes the first of equals, which came first.
        return min(
            waiting,
            key=lambda job: (
                self._last.get((job.person,), -1),
                self._last.get((job.person, job.line), -1),
            ),
        )

    def take(self, job: Waiting) -> None:
        """Note that a job has its turn now."""
        self._number += 1
        for who in ((job.person,), (job.person, job.line)):
            self._last.pop(who, None)
            self._last[who] = self._number
        while len(self._last) > _MOST:
            del self._last[next(iter(self._last))]  # The oldest turn counts like none.

    def order(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Return the jobs in the order in which they start if no other one comes."""
        turns = Turns(dict(self._last), self._number)
        # A line starts in the order in which it came, so only its first job is to be looked at.
        lines: dict[tuple[str, str], deque[Waiting]] = {}
        for job in waiting:
            lines.setdefault((job.person, job.line), deque()).append(job)
        ordered = []
        while lines:
            job = turns.next_of([line[0] for line in lines.values()])
            turns.take(job)
            line = lines[job.person, job.line]
            ordered.append(line.popleft())
            if not line:
                del lines[job.person, job.line]
        return ordered


_MOST = 10_000
