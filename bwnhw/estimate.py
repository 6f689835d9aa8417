"""What a network with a plan costs and how fast it is, layer by layer, before any tool runs.

Cycles are exact (`bwnhw.cycles`); LUT, flip-flops and block RAM are estimates (`bwnhw.resources`, error in docs/estimates.md).
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from bwnhw.blocks import Design, Stage, Unrolled
from bwnhw.clock import FAMILY as MODELLED
from bwnhw.clock import Clock, clock
from bwnhw.cycles import StageCycles, cycles, stage_beats
from bwnhw.design import design
from bwnhw.foldings import engine, pace
from bwnhw.network import Network, Topology, topology_of
from bwnhw.plan import Engine, Plan
from bwnhw.resources import StageResources, resources


@dataclass(frozen=True)
class Uncoded:
    """What a layer with a codebook would take without one: the same folding and memory, weights in place of indices."""

    luts: int
    brams: int
    weight_bits: int


@dataclass(frozen=True)
class LayerEstimate:
    """One stage of the design.

    `engine` is that of its conv, else None; `fold` the number of different weight words of a lane (0 without weights); `first` and
    `latency` the cycles of its first and last output of image 0; `interval` cycles from image to image, which is the design's as soon
    as all buffers in front of a slower layer are full; `busy` cycles per image that it works. `brams` are block RAMs of 18 kbit (ice40:
    4); `weight_bits` are stored ones, the folding's padding included. `uncoded`: what it would take without its codebook, where its
    engine makes use of one.
    """

    name: str
    nodes: tuple[int, ...]
    engine: Engine | None
    fold: int
    first: int
    latency: int
    interval: int
    busy: int
    luts: int
    ffs: int
    brams: int
    weight_bits: int
    uncoded: Uncoded | None = None

    @property
    def pe(self) -> int | None:
        """Output channels at once."""
        return self.engine.pe if self.engine else None

    @property
    def simd(self) -> int | None:
        """XNORs of a row at once and per activation plane: input channels × kernel taps."""
        return self.engine.simd * self.engine.taps if self.engine else None


@dataclass(frozen=True)
class Estimate:
    """A whole design: `latency` and `interval` in cycles (exact), resources on `family` (estimated), and its layers.

    `fastest`: the greatest clock and what limits it (estimated); None on families whose clock isn't modelled.
    """

    family: str
    clock_mhz: float
    latency: int
    interval: int
    luts: int
    ffs: int
    brams: int
    weight_bits: int
    layers: tuple[LayerEstimate, ...]
    fastest: Clock | None = None

    @property
    def images_per_second(self) -> float:
        """At `clock_mhz`, one image after the other."""
        return self.clock_mhz * 1e6 / self.interval

    def to_json(self) -> dict[str, Any]:
        """Under the names of `bwnhw run --json`; measured and synthesised numbers are None."""
        return {**_numbers(self, self.family), "images_per_second": {"value": self.images_per_second, "clock_mhz": self.clock_mhz},
                "fmax_mhz": self._fmax(),
                "layers": [{"name": layer.name, "nodes": list(layer.nodes), "pe": layer.pe, "simd": layer.simd, "fold": layer.fold,
                            "first_output_cycle": layer.first, "busy_cycles": layer.busy, **_numbers(layer, self.family),
                            "without_codebook": layer.uncoded and asdict(layer.uncoded)}
                           for layer in self.layers]}

    def _fmax(self) -> dict[str, Any]:
        fastest = self.fastest
        return {"estimated": fastest and fastest.fmax_mhz, "placed": None, "limited_by": fastest and [fastest.stage, fastest.block]}


def estimate(network: Network | Topology, plan: Plan, family: str = "xc7") -> Estimate:
    """Estimate a network with a plan on a family (`bwnhw.families`).

    Raises PlanError where the plan can't be honoured, InputError for another family.
    """
    topology = topology_of(network)
    laid = design(topology, plan)
    known = network if isinstance(network, Network) else None
    timed, sized = cycles(laid), resources(laid, family, known)
    layers = tuple(_layer(stage, plan, timing, timed.interval, size, beats)
                   for stage, timing, size, beats in zip(laid.stages, timed.stages, sized.stages, _beats_in(laid), strict=True))
    if any(stage.array and stage.array.codebook for stage in laid.stages):
        plain = resources(design(topology, _uncoded(plan)), family, known)
        layers = tuple(replace(layer, uncoded=Uncoded(size.luts, size.brams, size.weight_bits)) if stage.array and stage.array.codebook
                       else layer for stage, layer, size in zip(laid.stages, layers, plain.stages, strict=True))
    return Estimate(family, plan.clock_mhz, timed.latency, timed.interval, sized.luts, sized.ffs, sized.brams, sized.weight_bits, layers,
                    clock(laid) if family == MODELLED else None)


def _uncoded(plan: Plan) -> Plan:
    """The plan with weights wherever it has indices, spread over PEs as foldings without a codebook are."""
    return replace(plan, engines=tuple(
        (node, chosen if chosen.codebook == "none"
         else engine(chosen.pe, chosen.simd, chosen.taps, chosen.planes, chosen.memory, plan.family))
        for node, chosen in plan.engines))


def _layer(stage: Stage, plan: Plan, timing: StageCycles, interval: int, size: StageResources, beats: int) -> LayerEstimate:
    unrolled = isinstance(stage.cores[0], Unrolled)
    chosen = dict(plan.engines)[stage.nodes[0]] if stage.array or unrolled else None
    fold = stage.array.fold_depth if stage.array else int(unrolled)
    return LayerEstimate(stage.name, stage.nodes, chosen, fold, timing.first[0], timing.latency, interval,
                         pace(stage, beats), size.luts, size.ffs, size.brams, size.weight_bits)


def _beats_in(laid: Design) -> list[int]:
    """Beats per image into every stage, as its producer makes them."""
    return [laid.input.beats, *stage_beats(laid)[:-1]]


def _numbers(of: Estimate | LayerEstimate, family: str) -> dict[str, Any]:
    cycles_of = {"latency_cycles": of.latency, "interval_cycles": of.interval}
    sizes = {"luts": of.luts, "ffs": of.ffs, "brams": of.brams}
    return {**{name: {"estimated": value, "measured": None} for name, value in cycles_of.items()},
            **{name: {"estimated": value, "synthesised": None, "family": family} for name, value in sizes.items()},
            "weight_bits": of.weight_bits}
