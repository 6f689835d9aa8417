"""Accuracy against weight bits and against LUTs: LeNet-3x3 on MNIST with kernels of one bit per weight and with codebooks of 6 to 2 bits,
and with filters that were drawn to one another (`pull`).

    python benchmarks/codebook_front.py [--quick] [--json FILE] [--plot FILE]

Accuracy is that of the integer network over MNIST's test images, from the cards; bits are those that the file's weights and codebooks take;
LUTs and block RAMs (18 kbit) are estimated for xc7 at the planner's cheapest plan for each interval, no tool is run. `--plot` draws both
fronts (PNG or SVG; extra `plot`), dashed for networks with a pull; points that another on the same line is nowhere worse than are hollow.
`--quick` takes one interval. Exit status 0.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bwnhw
from bwnhw import zoo
from bwnhw.files import write_text
from bwnhw.summary import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "mnist-lenet3x3-w1a1"
PULLED = "-pull"
MODELS = ("", "-p6", "-p5", "-p4", "-p3", "-p2", f"-p4{PULLED}", f"-p3{PULLED}", f"-p2{PULLED}")
INTERVALS = (784, 6_272, 50_176)  # cycles per image: the input port's rate, an eighth and a sixty-fourth of it


@dataclass(frozen=True)
class Point:
    """One network, `NAME` with `model` behind it, at one interval."""

    model: str
    accuracy: float
    weight_bits: int
    interval: int
    luts: int
    brams: int

    @property
    def pulled(self) -> bool:
        """Whether filters were drawn to one another."""
        return self.model.endswith(PULLED)

    @property
    def label(self) -> str:
        """Index bits of a kernel, 9 without a codebook, and whether there was a pull."""
        return self.model.removeprefix("-p").replace("-", " ") or "9"


def points(intervals: Sequence[int]) -> list[Point]:
    """Every network at every interval."""
    made = []
    for model in MODELS:
        name = NAME + model
        network, card = bwnhw.lower(bwnhw.load(name)), zoo.card(name)
        assert card is not None  # networks of the zoo have one
        bits = sum(layer.weight_bits for layer in summary(network))
        for interval in intervals:
            found = bwnhw.estimate(network, bwnhw.plan(network, interval=interval))
            made.append(Point(model, card["accuracy_integer"], bits, interval, found.luts, found.brams))
    return made


def dominated(point: Point, others: Sequence[Point], cost: str) -> bool:
    """Whether another point is nowhere worse, and better somewhere."""
    mine = (-point.accuracy, getattr(point, cost))
    return any(all(a <= b for a, b in zip(theirs, mine, strict=True)) and theirs != mine
               for theirs in ((-other.accuracy, getattr(other, cost)) for other in others))


def drawing(found: Sequence[Point]) -> "Figure":
    """Accuracy over weight bits, and over LUTs with one line per interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    storage, logic = figure.subplots(1, 2, sharey=True)
    intervals = sorted({one.interval for one in found})
    _lines(storage, [one for one in found if one.interval == intervals[0]], "weight_bits", "")
    for interval in intervals:
        _lines(logic, [one for one in found if one.interval == interval], "luts", f"{interval:,} cycles per image")
    storage.set(xlabel="bits of all weights and codebooks", ylabel="test accuracy, %")
    logic.set(xlabel="LUTs, estimated (xc7)", xscale="log")
    logic.legend(fontsize=8)
    return figure


def _lines(axes: "Axes", found: Sequence[Point], cost: str, label: str) -> None:
    """A full line of networks without a pull, labelled, and a dashed one in the same colour of those with one."""
    colour = axes.plot([], [], linewidth=0.8, label=label)[0].get_color()
    for pulled in (False, True):
        line = [one for one in found if one.pulled is pulled]
        costs, accuracies = [getattr(one, cost) for one in line], [100 * one.accuracy for one in line]
        axes.plot(costs, accuracies, "--" if pulled else "-", linewidth=0.8, color=colour)
        for one, x, y in zip(line, costs, accuracies, strict=True):
            axes.plot(x, y, "o", color=colour, markerfacecolor="none" if dominated(one, line, cost) else colour)
            axes.annotate(one.label, (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.grid(linewidth=0.3)


def main() -> int:
    """Print the table; the headline last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found = points(INTERVALS[:1] if options.quick else INTERVALS)
    for one in found:
        print(f"p = {one.label}: {one.accuracy:.2%}, {one.weight_bits:,} bits; at {one.interval:,} cycles per image "
              f"{one.luts:,} LUTs, {one.brams} block RAMs")
    if options.json:
        write_text(options.json, json.dumps([asdict(one) for one in found], indent=1) + "\n")
    if options.plot:
        from bwnhw import plots

        plots.write(drawing(found), options.plot)
    best = min((one for one in found if one.accuracy >= found[0].accuracy - 0.003), key=lambda one: one.weight_bits)
    print(f"within 0.3 points of one bit per weight: p = {best.label}, {best.weight_bits / found[0].weight_bits:.2f} of the bits, "
          f"{best.luts / found[0].luts:.2f} of the LUTs at {found[0].interval:,} cycles per image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
