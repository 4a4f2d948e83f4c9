"""The process that works on a job: ``python -m cellcutter_core.jobs.worker FOLDER``.

With ``--wait`` in place of the folder it loads everything and waits to be told, see
`jobs.warm_process`.

It reads the folder of the job and writes what happens into it. Nobody else writes there but to ask
it to stop, and a second one on the same folder is refused.
"""

from __future__ import annotations

import sys

from cellcutter_core.jobs.kinds import job_at
from cellcutter_core.people.person import is_for_many
from cellcutter_core.processes.ending import asked_to_end, lower_priority

# A job lasts for minutes, and people wait for the answers of the server and its child processes.
# With many of them these need nearly all of the processor; with one person both have to go on.
PRIORITY, PRIORITY_AMONG_MANY = 10, 15


def main(arguments: list[str]) -> int:
    """Return exit code 0 if the job finished or was stopped, 2 if it could not."""
    lower_priority(PRIORITY_AMONG_MANY if is_for_many() else PRIORITY)
    if arguments == ["--wait"]:
        from cellcutter_core.jobs.warm_process import wait_for_work

        arguments = wait_for_work(_load) or []
        if not arguments:
            return 0
    if len(arguments) != 1 or not arguments[0]:
        print("usage: python -m cellcutter_core.jobs.worker FOLDER", file=sys.stderr)
        return 2
    try:
        with asked_to_end() as stop:
            job_at(arguments[0]).work(stop=stop)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _load() -> str:
    """Load the framework, and name the device."""
    from cellcutter_core.jobs import training
    from cellcutter_core.network.backend import backend

    del training
    return backend().device


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
