"""`bwnhw inspect`."""

import argparse
from typing import TYPE_CHECKING, Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_images, add_model
from bwnhw.errors import MismatchError

if TYPE_CHECKING:
    from bwnhw.cli.chain import Model
    from bwnhw.compare import Comparison


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "inspect", _inspect, "show the integer network, and with images compare it with the float graph layer by layer",
                         "bwnhw inspect model.onnx --images test.npz")
    add_model(parser)
    add_images(parser, "none, and nothing is compared")


def _inspect(options: argparse.Namespace) -> None:
    from bwnhw.cli import chain

    model = chain.read_model(options.model)
    images = None if options.images is None else chain.read_images(options.images, model.graph)[0]
    print(model, images)


def compared(model: "Model", images: Any) -> "Comparison":
    """Compare the float graph with the integer network and say what came out; MismatchError names the first value that differs."""
    from bwnhw.compare import compare

    with console.progress("comparing with the float graph"):
        found = compare(model.graph, model.network, images)
    if found.first:
        layer, value = found.first
        raise MismatchError(f"node {layer.node} ({layer.tensor}), image {value.image}, pixel ({value.row}, {value.column}), channel "
                            f"{value.channel}: float graph {value.floating:g}, integer network {value.integer:g}")
    near = sum(layer.near_count for layer in found.layers)
    values = sum(layer.values for layer in found.layers)
    console.line(f"{found.images} images through float graph and integer network, {values:,} values in {len(found.layers)} layers: all equal"
                 + (f" but {near:,} that float32's own rounding decides" if near else ""))
    return found
