"""`bwnhw compress`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_images, add_model, positive
from bwnhw.errors import InputError
from bwnhw.extras import needs

if TYPE_CHECKING:
    from bwnhw.cli.chain import Model
    from bwnhw.codebooks import Selection
    from bwnhw.compress import LayerChange
    from bwnhw.graph import Graph
    from bwnhw.network import Network


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "compress", _compress, "replace kernels by indices into a small codebook (QBN), and say what changed",
                         "bwnhw compress digits-conv --bits 4 -o digits-4.onnx")
    add_model(parser)
    parser.add_argument("--bits", metavar="P", type=positive, required=True, help="bits of an index, 1 to 8: 2**P codewords")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--scope", choices=("global", "layer", "input-channel"), default="layer",
                        help="what one codebook serves (default: %(default)s)")
    parser.add_argument("--complement-closed", action="store_true", help="codewords in pairs of a kernel and its negative")
    parser.add_argument("--hw-lambda", metavar="X", type=float, default=0.0,
                        help="weight of the distance between codewords against their frequency (default: %(default)s)")
    parser.add_argument("--systematic", action="store_true", help="codewords whose index is some of their taps: arrays decode less")
    parser.add_argument("--even", action="store_true", help="codewords of one parity: fewer LUTs in arrays of indices of few bits")
    parser.add_argument("--pull", metavar="X", type=float, default=0.0,
                        help="how strongly filters are drawn to one another, which makes unrolled layers smaller (default: %(default)s)")
    parser.add_argument("--unit", choices=("kernel", "row"), default="kernel", help="what a codeword is (default: %(default)s)")
    parser.add_argument("--calibrate", metavar="FILE", type=Path, help="images on which batch norms measure their inputs anew; no labels")
    add_images(parser, "none, and accuracy isn't measured")
    parser.add_argument("--train", metavar="RECIPE", help="fine-tune on a recipe's data, of the model's own architecture")
    parser.add_argument("--data", metavar="FILE", type=Path, help="of the recipe, where its data set is a file (as for train)")
    parser.add_argument("--epochs", metavar="N", type=positive, help="instead of the recipe's own number")


def _compress(options: argparse.Namespace) -> None:
    import numpy as np

    from bwnhw import compress
    from bwnhw.calibrate import recalibrated
    from bwnhw.cli import chain
    from bwnhw.codebooks import Scope, Selection, Unit
    from bwnhw.doctor import versions
    from bwnhw.lower import lower
    from bwnhw.onnx_write import save
    from bwnhw.summary import summary

    selection = Selection(options.bits, Scope(options.scope), options.complement_closed, options.hw_lambda, Unit(options.unit),
                          options.systematic, options.even, options.pull)
    if options.train is None and (options.data or options.epochs):
        raise InputError("--data and --epochs: expected --train RECIPE with them, found none")
    model = chain.read_model(options.model)
    images = chain.read_images(options.images, model.graph) if options.images else None
    graph = compress.compress(model.graph, selection) if options.train is None else _fine_tuned(options, model, selection)
    if options.calibrate:
        graph = recalibrated(graph, chain.read_images(options.calibrate, model.graph)[0].astype(np.float32))
    network = lower(graph)
    changes = compress.changes(model.network, network)
    _show(changes)
    before = sum(row.weight_bits for row in summary(model.network))
    sizes = before, before - sum(change.bits_before - change.bits_after for change in changes)
    console.line(f"All weights of the network: {sizes[0]:,} bits before, {sizes[1]:,} after")
    result: dict[str, Any] = {"model": model.name, "bits": {"before": sizes[0], "after": sizes[1]},
                              "layers": [{**vars(change), "distance": change.distance} for change in changes]}
    if images is not None:
        result |= _accuracies(model.network, network, *images)
    save(graph, options.out)
    console.line(f"The model is in {options.out}")
    console.write_json(options.json, {**result, "versions": versions("numpy", "onnx")})


def _fine_tuned(options: argparse.Namespace, model: "Model", selection: "Selection") -> "Graph":
    """The model with codebooks, trained further as a recipe says."""
    from bwnhw.models.recipe import find_recipe

    recipe = find_recipe(options.train)
    with needs("train"):
        from bwnhw.models.fine_tune import fine_tune

    with console.progress(f"fine-tuning {model.name}") as update:
        return fine_tune(options.model, recipe, selection, options.data, options.epochs, lambda report: update(report.epoch, report.epochs))


def _show(changes: "tuple[LayerChange, ...]") -> None:
    rows = [(change.name, change.kernels, change.codewords, change.exact, change.changed, f"{100 * change.changed / change.weights:.1f}",
             f"{change.distance:.2f}", change.adders, change.bits_before, change.bits_after) for change in changes]
    console.table("Codebooks (distance: taps in which a kernel differs from its codeword, on average)",
                  ("layer", "kernels", "codewords", "kept", "weights changed", "%", "distance", "adders", "bits before", "bits after"),
                  rows)


def _accuracies(before: "Network", after: "Network", images: Any, labels: Any) -> dict[str, Any]:
    """Print and return how many images both put into one class, and where there are labels how many are right."""
    from bwnhw import golden
    from bwnhw.codes import accuracy, encode

    with console.progress("running both networks"):
        outputs = [golden.outputs(network, encode(network, images)) for network in (before, after)]
    classes = [output.reshape(len(output), -1) for output in outputs]
    picked = [rows[:, 0] if rows.shape[1] == 1 else rows.argmax(axis=1) for rows in classes]
    agreement = float((picked[0] == picked[1]).mean())
    right = None if labels is None else [accuracy(output, labels) for output in outputs]
    console.line(f"{len(images):,} images: {agreement:.2%} of them in the same class as before"
                 + ("" if right is None else f"; {right[0]:.2%} of the labels right before, {right[1]:.2%} after"))
    return {"images": len(images), "agreement": agreement,
            "accuracy": None if right is None else {"before": right[0], "after": right[1]}}
