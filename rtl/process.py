"""External tools run as processes of their own: their output followed, a time limit, and a clean stop."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

from bwnhw.errors import ToolError

NEVER = Event()
"""Never set: nobody will stop the tool."""
POLL_SECONDS = 0.2


def run_tool(name: str, command: Sequence[str], folder: str, timeout: float, see: Callable[[str], None], stop: Event = NEVER) -> None:
    """Run a tool in `folder`, `see` called with every line that it says.

    Its whole process group is ended at the time limit (seconds), where `stop` is set, and on an interrupt. Raises ToolError in the
    first two cases and for an exit status other than 0, with the errors that it named or its last line.
    """
    log: list[str] = []
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True) as process:
        late, ended = Event(), Event()
        watcher = Thread(target=_watch, args=(process, time.monotonic() + timeout, late, ended, stop), daemon=True)
        watcher.start()
        try:
            for line in process.stdout or ():
                log.append(line)
                see(line)
            status = process.wait()
        finally:
            ended.set()
            _end(process)
            watcher.join()
    if late.is_set():
        raise ToolError(f"synth: {name} was stopped at its time limit of {timeout:g} s")
    if stop.is_set():
        raise ToolError(f"synth: {name} was stopped")
    if status:
        errors = [line.strip() for line in log if line.startswith("ERROR") or "ERROR:" in line] or [line.strip() for line in log[-1:]]
        raise ToolError(f"synth: {name} ended with status {status}: {' '.join(errors)[:300]}")


def _watch(process: "subprocess.Popen[str]", deadline: float, late: Event, ended: Event, stop: Event) -> None:
    """End the process when its time is over or somebody says so."""
    while not ended.wait(POLL_SECONDS):
        if time.monotonic() > deadline:
            late.set()
        if late.is_set() or stop.is_set():
            _end(process)
            return


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
