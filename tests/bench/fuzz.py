"""How the readers of files end on files that are odd, damaged or made to harm.

    python tests/bench/fuzz.py [--cases 20000] [--seed 0]

reads that many files, made from the seed, with `read_image`, `read_labels` and `read_markers`, in
child processes with a limit of memory (128 MiB above what they begin with, where 1 MiB of pixels
is allowed) and of time (20 s a file). It prints how many ended in a result, how many in a clear
line, and every one that ended otherwise, of which there should be none; then it exits with 1.
`tests/core/test_broken_files.py` reads the first few of the same files.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "core")]

from broken_files import campaign, make_case  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    size = 500
    parts = [(at, min(at + size, chosen.cases)) for at in range(0, chosen.cases, size)]
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda part: list(campaign(chosen.seed, *part)), parts)
        ends = [end for part in done for end in part]
    table: Counter[tuple[str, str]] = Counter()
    for number, ended, _ in ends:
        case = make_case(chosen.seed, number)
        table[case.kind, ended.split(":")[0]] += 1
        if ended.startswith("wrong"):
            print(
                f"case {number}, {case.kind} {case.name!r} as {case.reader} {case.plane}: {ended}"
            )
    print(f"{'kind':10} {'result':>8} {'refused':>8} {'wrong':>8}")
    for kind in dict.fromkeys(kind for kind, _ in table):
        print(
            f"{kind:10} "
            + " ".join(f"{table[kind, how]:8}" for how in ("result", "refused", "wrong"))
        )
    totals = [
        sum(n for (_, how), n in table.items() if how == end)
        for end in ("result", "refused", "wrong")
    ]
    print(f"{'all':10} " + " ".join(f"{total:8}" for total in totals))
    number, _, slowest = max(ends, key=lambda end: end[2])
    print(
        f"{len(ends)} cases in {time.perf_counter() - start:.0f} s, "
        f"slowest {slowest:.1f} s (case {number})"
    )
    sys.exit(bool(totals[2]))


if __name__ == "__main__":
    main()
