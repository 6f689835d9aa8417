"""The drawing of a Pareto front: rate against LUTs, with block RAM as colour and latency beside it. Needs the extra `plot`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bwnhw.explore import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def front_plot(points: Sequence[Point]) -> "Figure":
    """Images per second and latency over LUTs, both estimated; crosses where synthesis counted the LUTs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    rate, latency = figure.subplots(1, 2, sharex=True)
    luts, brams = [one.luts for one in points], [one.brams for one in points]
    rates = [one.plan.clock_mhz * 1e6 / one.interval for one in points]
    for axes, values, name in ((rate, rates, "images/s"), (latency, [one.latency for one in points], "latency, cycles")):
        dots = axes.scatter(luts, values, c=brams, cmap="viridis", zorder=2)
        counted = [(one.synthesised[0], value) for one, value in zip(points, values, strict=True) if one.synthesised]
        axes.plot([at for at, _ in counted], [value for _, value in counted], "x", color="black", label="synthesised")
        axes.set(xscale="log", yscale="log", xlabel="LUTs", ylabel=name)
        axes.grid(which="both", alpha=0.3)
        if counted:
            axes.legend()
    figure.colorbar(dots, label="block RAMs")
    return figure
