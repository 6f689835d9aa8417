"""Drawings of kernel statistics: how often each kernel occurs, how few hold how much, when signs settle. They need the extra `plot`.

The same data give the same bytes with the same matplotlib: no date, no random identifiers.
"""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bwnhw.errors import InputError
from bwnhw.files import write_bytes
from bwnhw.kernels import KernelCounts, signs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_DRAWN = 32  # kernels in a histogram
_DPI = 150
_SETTINGS = {"svg.hashsalt": "bwnhw", "svg.fonttype": "path", "font.family": "DejaVu Sans"}


def histogram(counts: KernelCounts) -> "Figure":
    """The most frequent kernels as bars of their share, each with its kernel drawn below: dark taps are +1."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    shown = counts.ranking[:_DRAWN]
    figure = Figure(figsize=(10, 3))
    bars = figure.add_axes((0.06, 0.26, 0.93, 0.64))
    bars.bar(range(len(shown)), 100 * counts.counts[shown] / max(1, counts.total), color="#4c72b0")
    bars.axhline(100 / len(counts.counts), color="black", linewidth=0.8, linestyle=":")
    bars.set_xlim(-0.5, len(shown) - 0.5)
    bars.set_xticks([])
    bars.set_ylabel("share of kernels, %")
    bars.set_title(f"{counts.name}: {counts.total:,} kernels, {counts.distinct} of 512 occur, {counts.entropy:.2f} bits each "
                   "(dotted: all equally often)", fontsize=9)
    pictures = figure.add_axes((0.06, 0.1, 0.93, 0.14))
    strip = np.zeros((3, len(shown), 4))
    strip[:, :, :3] = signs(shown).reshape(-1, 3, 3).transpose(1, 0, 2)
    pictures.imshow(strip.reshape(3, -1), cmap=ListedColormap(["#d0d0d0", "#ffffff", "#303030"]), vmin=-1, vmax=1, aspect="auto",
                    extent=(-0.375, len(shown) - 0.375, 0, 3))
    pictures.set_xlim(-0.5, len(shown) - 0.5)
    pictures.set_xticks(range(len(shown)), map(str, shown.tolist()), fontsize=6)
    pictures.set_yticks([])
    pictures.tick_params(length=0)
    for spine in pictures.spines.values():
        spine.set_visible(False)
    return figure


def masses(layers: Sequence[KernelCounts]) -> "Figure":
    """Share of the kernels that are among the K most frequent, over K, one curve per layer."""
    figure, axes = _curves("codewords K", "share of kernels, %")
    for layer in layers:
        axes.plot(range(1, 513), 100 * layer.masses, label=layer.name)
    axes.plot(range(1, 513), [100 * k / 512 for k in range(1, 513)], color="black", linewidth=0.8, linestyle=":", label="all equally often")
    axes.set_xscale("log", base=2)
    axes.legend(fontsize=8)
    return figure


def settled(layers: Mapping[str, Sequence[tuple[float, float]]]) -> "Figure":
    """F(e): share of the signs that don't change any more, over the share of the training, one curve of points per layer."""
    figure, axes = _curves("share of the training, %", "signs settled, %")
    for name, points in layers.items():
        axes.plot([100 * at for at, _ in points], [100 * share for _, share in points], marker="o", markersize=3, label=name)
    axes.set_xlim(0, 100)
    axes.legend(fontsize=8)
    return figure


def settled_points(statistics: Mapping[str, Mapping[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """The points of F by layer from a card's `signs`, which `bwnhw train --stats` writes: (share of the training, share settled)."""
    return {layer: [(0.0, row["never_flipped_by_epoch"]), *sorted((_share(name), value) for name, value in row.items() if _is_share(name)),
                    (1.0, 1.0)]
            for layer, row in statistics.items()}


def _is_share(name: str) -> bool:
    return name.startswith("fixed_at_") and name.endswith("%") and math.isfinite(_share(name))


def _share(name: str) -> float:
    return float(name.removeprefix("fixed_at_").removesuffix("%")) / 100


def write(figure: "Figure", path: Path) -> None:
    """Write a drawing as PNG or SVG, as the path's ending says. Raises InputError for another one, OSError."""
    import matplotlib

    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}, found {path.name!r}")
    data = BytesIO()
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]  # plain names of settings
        figure.savefig(data, format=kind, dpi=_DPI, metadata={"Software": None} if kind == "png" else {"Date": None})
    write_bytes(path, data.getvalue())


def _curves(x: str, y: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="tight")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, 102)
    axes.grid(linewidth=0.3)
    return figure, axes
