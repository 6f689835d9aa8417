"""Building a generated design with Verilator: a harness in C++ around it, compiled into one file that is kept in a cache."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bwnhw.errors import ToolError
from bwnhw.sim.cache import cached
from bwnhw.sim.interface import Interface
from bwnhw.sim.tools import Tools

# Registers start random where asked for at run time. The Verilog is linted where it is generated, not here.
VERILATE = ("--cc", "--prefix", "Vtop", "-O3", "--x-initial", "unique", "--x-assign", "unique", "-Wno-lint",
            "--no-timing", "--output-split", "5000")
COMPILE = ("-std=c++17", "-fPIC", "-w", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVERILATOR=1")
SLOW = "slow"  # the unit with what Verilator itself calls slow: construction, initial values, symbols


@dataclass(frozen=True)
class Harness:
    """What drives the design: its C++ source, and what Verilator, the compiler and the linker must know for it.

    `runtime` are the sources of Verilator's library that it needs, `output` is the name of the file built.
    """

    source: Path
    verilate: tuple[str, ...]
    compile: tuple[str, ...]
    runtime: tuple[str, ...]
    link: tuple[str, ...]
    output: str


def build(harness: Harness, interface: Interface, cache: Path, tools: Tools, jobs: int = 1, level: int = 1) -> Path:
    """The design with its harness, built or taken from `cache`; `level` is the C++ compiler's -O (0..3).

    Raises ToolError where Verilator, the compiler or the linker refuses.
    """
    kit = (tools.version, tools.origin, str(tools.compiler), *COMPILE)
    with ThreadPoolExecutor(jobs) as pool:
        runtime = list(pool.map(lambda name: _runtime(name, cache, tools, kit), harness.runtime))
    inputs: list[str | bytes] = [interface.verilog.read_bytes(), harness.source.read_bytes(), interface.top, str(level), *kit, *VERILATE,
              *harness.verilate, *harness.compile, *harness.runtime, *harness.link, harness.output]
    return cached(cache, "build", inputs,
                  lambda folder: _build_design(folder, harness, interface, tools, runtime, jobs, level)) / harness.output


def run(command: list[str], environment: dict[str, str], what: str, folder: Path) -> None:
    """Run a tool in a folder; ToolError with the first lines it complained in where it fails."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][:3]
        raise ToolError(f"{what} failed with status {done.returncode}: {' | '.join(said)[:600]}")


def _runtime(name: str, cache: Path, tools: Tools, kit: tuple[str, ...]) -> str:
    """The object of one source of Verilator's own library, the same for every design."""
    folder = cached(cache, "runtime", [name, *kit], lambda folder: _compile_one(tools.include / name, folder / "o.o", ["-O1"], tools))
    return str(folder / "o.o")


def _build_design(folder: Path, harness: Harness, interface: Interface, tools: Tools, runtime: list[str], jobs: int, level: int) -> None:
    model = folder / "model"
    run([str(tools.verilator), *VERILATE, *harness.verilate, "--Mdir", str(model), "--top-module", interface.top,
         str(interface.verilog.resolve())], tools.environment(), "Verilator", folder)
    units = _units(harness.source, model, jobs)
    flags = [f"-I{model}", *harness.compile]
    objects = [unit.with_suffix(".o") for unit in units]
    with ThreadPoolExecutor(jobs) as pool:
        # What runs once, before the first cycle, isn't worth optimising.
        list(pool.map(lambda unit, target: _compile_one(unit, target, ["-O0" if unit.stem == SLOW else f"-O{level}", *flags], tools),
                      units, objects))
    run([str(tools.compiler), *map(str, objects), *runtime, "-o", str(folder / harness.output), *harness.link, "-pthread"],
        tools.environment(), "the linker", folder)
    shutil.rmtree(model)


def _compile_one(source: Path, target: Path, flags: list[str], tools: Tools) -> None:
    includes = [f"-I{tools.include}", f"-I{tools.include / 'vltstd'}"]
    run([*tools.launcher, str(tools.compiler), *COMPILE, *flags, *includes, "-c", str(source), "-o", str(target)],
        tools.environment(), "the C++ compiler", target.parent)


def _units(harness: Path, model: Path, jobs: int) -> list[Path]:
    """One file per job that includes its share of the sources, so that headers are read once per job, and one with the slow sources."""
    sources = sorted(model.glob("*.cpp"), key=lambda path: (-path.stat().st_size, path.name))
    slow = [source for source in sources if source.stem.endswith("Slow")]
    shares: list[list[Path]] = [[] for _ in range(jobs)]
    sizes = [0] * jobs
    for source in [harness, *(source for source in sources if source not in slow)]:
        least = sizes.index(min(sizes))
        shares[least].append(source)
        sizes[least] += source.stat().st_size
    named = {SLOW: slow} | {f"unit{number}": share for number, share in enumerate(shares)}
    units = []
    for name, share in named.items():
        if share:
            units.append(model / f"{name}.cc")
            units[-1].write_text("".join(f'#include "{path}"\n' for path in share), encoding="utf-8")
    return units
