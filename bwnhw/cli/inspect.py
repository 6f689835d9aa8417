"""`bwnhw inspect`."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_images, add_model
from bwnhw.errors import MismatchError

if TYPE_CHECKING:
    from bwnhw.compare import Comparison


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "inspect", _inspect, "show the integer network; with images, compare it with the float graph",
                         "bwnhw inspect model.onnx --images test.npz")
    add_model(parser)
    add_images(parser, "none, and nothing is compared")
    parser.add_argument("--kernels", action="store_true", help="also say how often each 3×3 kernel occurs")
    parser.add_argument("--plots", metavar="DIR", type=Path, help="draw that into a folder, and how signs settled where the card has it")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the drawings (default: %(default)s)")


def _inspect(options: argparse.Namespace) -> None:
    from bwnhw.cli import chain
    from bwnhw.compare import compare
    from bwnhw.doctor import versions
    from bwnhw.summary import summary

    model = chain.read_model(options.model)
    rows = summary(model.network)
    console.table(f"{model.name} in integers",
                  ("node", "kind", "tensor", "shape", "bits", "weights", "MAC/image", "kernels", "distinct", "detail"),
                  [(row.node, row.kind, row.tensor or "-", "×".join(map(str, row.shape)), row.bits, row.weights or None, row.macs or None,
                    row.kernels or None, row.distinct_kernels or None, row.detail) for row in rows])
    result = {"model": model.name, "layers": [asdict(row) for row in rows], "versions": versions("numpy", "onnx")}
    if options.kernels or options.plots:
        from bwnhw.cli import kernels

        counts = kernels.studied(model.network)
        result |= kernels.show(counts)
        if options.plots:
            kernels.draw(counts, options.model, options.plots, options.format)
    if options.images is None:
        console.write_json(options.json, result)
        return
    images, _ = chain.read_images(options.images, model.graph)
    with console.progress("comparing with the float graph"):
        found = compare(model.graph, model.network, images)
    console.write_json(options.json, {**result, "images": found.images, "equal": found.equal,
                                      "comparison": [asdict(row) for row in found.layers]})
    console.table("Float graph against integer network", ("node", "kind", "tensor", "values", "near a step", "different"),
                  [(row.node, row.kind, row.tensor, row.values, row.near_count, row.different_count) for row in found.layers])
    judge(found)


def judge(found: "Comparison") -> None:
    """Say that float graph and integer network agree; raise MismatchError that names the first value where they don't."""
    if found.first:
        layer, value = found.first
        raise MismatchError(f"node {layer.node} ({layer.tensor}), image {value.image}, pixel ({value.row}, {value.column}), channel "
                            f"{value.channel}: float graph {value.floating:g}, integer network {value.integer:g}")
    near = sum(layer.near_count for layer in found.layers)
    values = sum(layer.values for layer in found.layers)
    console.line(f"Float graph and integer network, {found.images} images, {values:,} values in {len(found.layers)} layers: "
                 + (f"equal, but for {near:,} that float32's own rounding decides" if near else "all equal"))
