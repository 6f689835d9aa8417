"""`bwnhw estimate`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family, add_folding, add_model, positive

if TYPE_CHECKING:
    from bwnhw.cycles import Cycles
    from bwnhw.network import Topology
    from bwnhw.plan import Plan

IMAGES = 4


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "estimate", _estimate, "say what a network costs and how fast it is, before any tool runs",
                         "bwnhw estimate digits-conv --interval 1000 --device ecp5-25")
    add_model(parser)
    add_folding(parser)
    add_family(parser)
    parser.add_argument("--trace", metavar="FILE", type=Path, help="when source and sink play along (JSON or .npz: docs/estimates.md): "
                        "cycles of every layer under back-pressure")
    parser.add_argument("--images", metavar="N", type=positive, help=f"images to follow under the trace (default: {IMAGES})")


def _estimate(options: argparse.Namespace) -> None:
    from bwnhw import devices, estimate
    from bwnhw.cli import chain, report
    from bwnhw.doctor import versions

    model = chain.read_model(options.model)
    device = devices.find(options.device) if options.device else None
    chosen = chain.choose_plan(options, model.network)
    found = estimate(model.network, chosen, chain.family(options, chosen))
    report.estimated(found)
    report.fit(device, found)
    result = {"model": model.name, **found.to_json(), **report.fit_json(device, found), "versions": versions("numpy", "onnx")}
    if options.trace:
        traced = _traced(model.network.topology, chosen, options)
        report.traced(traced)
        result |= report.traced_json(traced)
    console.write_json(options.json, result)
    if device:
        devices.judge(device, found)


def _traced(topology: "Topology", chosen: "Plan", options: argparse.Namespace) -> "Cycles":
    """The cycles of some images under the trace."""
    from bwnhw import trace
    from bwnhw.cycles import cycles
    from bwnhw.design import design
    from bwnhw.errors import InputError

    if not options.trace.is_file():
        raise InputError(f"--trace: expected a file as docs/estimates.md describes it, found none at {options.trace}")
    return cycles(design(topology, chosen), max(3, options.images or IMAGES), trace.read(options.trace))
