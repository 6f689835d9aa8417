"""`bwnhw plan`."""

import argparse
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family, add_folding, add_model

HOW = """\
What do you want?                          then say
  so many images per second, small         --fps 10000 --clock 100, or --interval 20000
  as fast as this chip can                 --device zynq7020
  as fast as so much of it can             --luts 8000 --brams 20
  an answer as soon as possible            --quickest --device ecp5-45
  exactly these foldings                   write the file by hand: docs/estimates.md says what the fields mean

The planner is exact: no folding that it may choose is better by its model. `--plan FILE` of the other commands takes the file.

example:
  bwnhw plan digits-conv --interval 1000 -o digits.plan.json"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "plan", _plan, "choose how much hardware every layer gets, for a wanted rate or for what there is",
                         "bwnhw plan digits-conv --interval 1000 -o digits.plan.json")
    parser.epilog = HOW
    add_model(parser)
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, help="write the folding plan (default: only show it)")
    add_folding(parser)
    add_family(parser)


def _plan(options: argparse.Namespace) -> None:
    from bwnhw import devices, estimate
    from bwnhw.cli import chain, report
    from bwnhw.doctor import versions
    from bwnhw.files import write_text
    from bwnhw.plan import to_json

    model = chain.read_model(options.model)
    with console.progress("planning"):
        chosen = chain.choose_plan(options, model.network)
    found = estimate(model.network, chosen, chain.family(options, chosen))
    report.foldings(model.network.topology, chosen)
    report.estimated(found)
    device = devices.find(options.device) if options.device else None
    report.fit(device, found)
    if options.out:
        write_text(options.out, to_json(chosen))
        console.line(f"\nThe folding plan is in {options.out}")
    console.write_json(options.json, {"model": model.name, **found.to_json(), **report.fit_json(device, found),
                                      "versions": versions("numpy", "onnx")})
