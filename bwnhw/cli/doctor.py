"""`bwnhw doctor`."""

import argparse
from dataclasses import asdict
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command


def add(commands: Any) -> None:
    """Declare the command."""
    add_command(commands, "doctor", _doctor, "say which tools are there, in which version, and how to get the rest", "bwnhw doctor")


def _doctor(options: argparse.Namespace) -> int:
    from bwnhw.doctor import examine, platform_note, ready

    findings = examine()
    console.table("", ("tool", "needed for", "state", "version", "how to get it"),
                  [(f.tool, f.purpose, f.state, f.version or "-", f.advice) for f in findings])
    console.line(platform_note())
    fit = ready(findings)
    console.line("`bwnhw run` has all that it needs." if fit else "`bwnhw run` lacks what is missing or unfit above.")
    console.write_json(options.json, {"ready": fit, "platform": platform_note(), "tools": [asdict(finding) for finding in findings]})
    return 0 if fit else 3
