"""The study of a network's binary kernels, as `bwnhw inspect --kernels` prints, writes and draws it."""

from pathlib import Path
from typing import Any

from bwnhw import zoo
from bwnhw.cli import console
from bwnhw.errors import ModelError
from bwnhw.extras import needs
from bwnhw.kernels import TAPS, KernelCounts, study, whole
from bwnhw.network import Network

_TOP = (2, 4, 8, 16, 32, 64, 128, 256)


def studied(network: Network) -> list[KernelCounts]:
    """The counts of every layer of 3×3 kernels of ±1, and of all together last. ModelError where there is none."""
    layers = study(network)
    if not layers:
        raise ModelError("the model: expected a convolution of 3×3 kernels of ±1 for a study of kernels, found none")
    return [*layers, whole(layers)]


def show(rows: list[KernelCounts]) -> dict[str, Any]:
    """Print the table; returns the same for JSON, with all 512 counts."""
    console.table("Kernels of 3×3 (entropy in bits per kernel: no lossless code takes fewer; share of the K most frequent in %)",
                  ("layer", "kernels", "distinct", "entropy", "bits/weight", *(f"K={top}" for top in _TOP)),
                  [(row.name, row.total, row.distinct, f"{row.entropy:.2f}", f"{row.entropy / TAPS:.3f}",
                    *(f"{100 * row.masses[top - 1]:.1f}" for top in _TOP)) for row in rows])
    return {"kernels": [{"layer": row.name, "kernels": row.total, "distinct": row.distinct, "entropy_bits": row.entropy,
                         "mass": {str(top): float(row.masses[top - 1]) for top in _TOP}, "counts": row.counts.tolist()} for row in rows]}


def draw(rows: list[KernelCounts], model: str, folder: Path, kind: str) -> None:
    """Write a histogram per row, the mass curves, and for a network of the zoo whose card has them the curves of settled signs."""
    with needs("plot"):
        import matplotlib  # noqa: F401  # what the drawings need, asked for before any is made
    from bwnhw import plots

    folder.mkdir(parents=True, exist_ok=True)
    figures = {f"kernels-{number}": plots.histogram(row) for number, row in enumerate(rows[:-1])}
    figures |= {"kernels-whole": plots.histogram(rows[-1]), "mass": plots.masses(rows)}
    statistics = (zoo.card(model) or {}).get("signs")
    if statistics:
        figures["settled"] = plots.settled(plots.settled_points(statistics))
    for name, figure in figures.items():
        plots.write(figure, folder / f"{name}.{kind}")
    console.line(f"{len(figures)} drawings are in {folder}/")
