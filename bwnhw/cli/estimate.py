"""`bwnhw estimate`."""

import argparse
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family, add_folding, add_model


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "estimate", _estimate, "say what a network costs and how fast it is, before any tool runs",
                         "bwnhw estimate digits-conv --interval 1000 --family ecp5")
    add_model(parser)
    add_folding(parser)
    add_family(parser)


def _estimate(options: argparse.Namespace) -> None:
    from bwnhw import estimate
    from bwnhw.cli import chain, report
    from bwnhw.doctor import versions

    model = chain.read_model(options.model)
    found = estimate(model.network, chain.choose_plan(options, model.network.topology), options.family)
    report.estimated(found)
    console.write_json(options.json, {"model": model.name, **found.to_json(), "versions": versions("numpy", "onnx")})
