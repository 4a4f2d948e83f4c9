"""Start the real server, and find a Chromium, for tests and for screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The links in the row at the top of every page.
LINKS = ".st-key-pipeline a"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Server:
    """A running `streamlit run`: where it answers, its process, its runs and its log."""

    url: str
    pid: int
    runs: Path
    log: Path


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(process: subprocess.Popen[bytes], *, url: str, log: Path) -> None:
    end = time.monotonic() + 1800  # Then it hangs.
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


def status_of(asked: urllib.request.Request, *, timeout: float) -> int:
    """Return the status with which a server answers."""
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@contextmanager
def serving(
    script: Path,
    *,
    folder: Path,
    streamlit: Sequence[str] = ("-m", "streamlit"),
    base: str = "",
) -> Iterator[Server]:
    """Run a script of Streamlit, or of what is called like it; under the path `base`, if given."""
    url = f"http://127.0.0.1:{(port := free_port())}" + (f"/{base}" if base else "")
    runs, log = folder / "runs", folder / "server.log"
    environment = os.environ | {"CELLCUTTER_RUNS": str(runs), "PYTHONPATH": str(ROOT)}
    command = [
        *(sys.executable, *streamlit, "run", str(script)),
        *("--server.headless", "true"),
        *("--server.address", "127.0.0.1"),
        *("--server.port", str(port)),
        *("--server.fileWatcherType", "none"),
        *(("--server.baseUrlPath", base) if base else ()),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_healthy(process, url=url, log=log)
            yield Server(url, process.pid, runs, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def chromium() -> str | None:
    """The browser that is installed on the machine, or None."""
    return shutil.which("chromium") or shutil.which("google-chrome")
