"""Runs the cocotb bench: the only file that touches `cocotb_tools`.

The runner's API is experimental and reads the process's environment, so it works in a child process with an environment of
our own; all the parent sees is the JUnit file. Run as a program: `python -I -m bwnhw.sim.runner JOB.json`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from bwnhw.errors import MismatchError, MissingError, ToolError
from bwnhw.sim.case import Case, Report, read_report, write_case
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.sim.tools import Tools
from bwnhw.sim.verilator import Harness, build
from bwnhw.sim.watch import control_file

BENCH, LOAD_BENCH = "bwnhw.sim.bench_stream", "bwnhw.sim.bench_load"
Progress = Callable[[int, int], None]


def run_bench(case: Case, tools: Tools, cache: Path, *, waves: Path | None = None, jobs: int = 1, tests: str | None = None,
              progress: Progress | None = None) -> tuple[tuple[str, ...], Report]:
    """Build the case's design for cocotb and run the bench on it; names of the tests, all of which passed, and what was measured.

    `report` and `progress` of the case are set here. `tests` is a pattern that picks some tests; `waves` names a VCD file to write;
    `progress(done, 0)` counts images of the run without pauses. Raises MismatchError with the first failed test's message,
    ToolError where the simulator broke down or no test ran, MissingError without cocotb.
    """
    interface = read_interface(Path(case.directory))
    executable = build(harness(cache, interface, case.layers, waves is not None), interface, cache, tools, jobs)
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as scratch:
        folder = Path(scratch)
        case = replace(case, directory=str(Path(case.directory).resolve()), report=str(folder / "report.json"),
                       progress=str(folder / "progress"))
        write_case(case, folder / "case.json")
        job = {"build": str(executable.parent), "folder": scratch, "top": interface.top, "seed": case.seed, "waves": waves is not None,
               "tests": tests, "benches": [BENCH, LOAD_BENCH] if interface.tables else [BENCH]}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        status = _run_child(folder, tools, progress)
        if waves and (folder / "dump.vcd").exists():
            partial = waves.with_name(f".{waves.name}.part")
            shutil.move(folder / "dump.vcd", partial)  # perhaps to another file system, and too large to hold
            partial.replace(waves)
        passed = read_results(folder / "results.xml", folder / "log", status)
        report = read_report(Path(case.report)) if Path(case.report).exists() else Report((), (), {})
    return passed, report


def _run_child(folder: Path, tools: Tools, progress: Progress | None) -> int:
    """Run `_child` in a process of its own, its output in `log`; the exit status. Interrupted, the simulator ends with us."""
    done, command = folder / "progress", [sys.executable, "-I", "-m", "bwnhw.sim.runner", str(folder / "job.json")]
    with (folder / "log").open("w", encoding="utf-8") as log, subprocess.Popen(
            command, env=tools.environment(), cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as child:
        try:
            while True:
                try:
                    return child.wait(0.2)
                except subprocess.TimeoutExpired:
                    if progress and done.exists():
                        progress(done.stat().st_size, 0)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)


def harness(cache: Path, interface: Interface, layers: bool, waves: bool) -> Harness:
    """cocotb's own main program; with `layers` the stages' streams can be seen, with `waves` everything is traced."""
    try:
        from cocotb_tools.config import libs_dir, share_dir
    except ImportError:
        raise MissingError("cocotb: the benches need it; pip install 'bwnhw[simulate]'") from None
    # Public signals hold up optimisation: the stages' are opened by a control file, and only where asked for.
    verilate = ["--vpi", "--public-depth", "1"]
    if layers:
        names = [name for stage in interface.stages for name in (stage.valid, stage.ready, stage.payload)]
        verilate.append(str(control_file(cache, interface.top, names)))
    compile_flags = [f"-DVM_TRACE={int(waves)}"]
    runtime = ["verilated.cpp", "verilated_threads.cpp", "verilated_vpi.cpp", "verilated_dpi.cpp"]
    if waves:
        verilate.append("--trace-vcd")
        compile_flags += ["-DVM_TRACE_VCD=1", "-DVM_TRACE_FST=0"]
        runtime.append("verilated_vcd_c.cpp")
    link = (f"-Wl,-rpath,{libs_dir}", f"-L{libs_dir}", "-lcocotbvpi_verilator")
    return Harness(share_dir / "lib" / "verilator" / "verilator.cpp", tuple(verilate), tuple(compile_flags), tuple(runtime), link,
                   interface.top)


def read_results(path: Path, log: Path, status: int) -> tuple[str, ...]:
    """Names of the tests in a JUnit file; it must be there, hold one test or more, and every one must have passed."""
    tail = " | ".join(line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
    if not path.is_file():
        raise ToolError(f"the simulator ended with status {status} and left no results: {tail[-600:]}")
    cases = list(ElementTree.parse(path).iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    if not ran:
        raise ToolError("the simulator ran no test: expected at least one")
    for case in ran:
        for kind in ("failure", "error"):
            found = case.find(kind)
            if found is not None:
                message = (found.get("error_msg") or found.get("message") or "").strip().splitlines()
                raise MismatchError(f"{case.get('name')}: {message[0] if message else 'failed without a message'}")
    if status:
        raise ToolError(f"the simulator ended with status {status} though every test passed: {tail[-600:]}")
    return tuple(str(case.get("name")) for case in ran)


def _child(job_file: Path) -> None:
    """In the child: let cocotb's runner start the executable."""
    from cocotb_tools.runner import get_runner

    job = json.loads(job_file.read_text(encoding="utf-8"))
    seed = job["seed"] & 0x7fffffff or 1
    get_runner("verilator").test(
        test_module=job["benches"], hdl_toplevel=job["top"], hdl_toplevel_lang="verilog", build_dir=job["build"], test_dir=job["folder"],
        results_xml=str(Path(job["folder"]) / "results.xml"), seed=seed, waves=job["waves"], test_filter=job["tests"],
        plusargs=[f"+case={Path(job['folder']) / 'case.json'}", "+verilator+rand+reset+2", f"+verilator+seed+{seed}"])


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
