"""Every plan worth having at one pace: the chain's foldings combined by a dynamic program over Pareto sets.

The chain is cut into segments, each a conv or dense layer with the pools and other stages behind it. What a segment takes depends on its
engine alone; the resizers between two segments depend on the stream behind the one and the words of the other. So a partial plan can be
continued in ways, and at costs, that depend on the stream behind it alone.

Proof that nothing is lost. A plan's measures are linear in LUTs, block RAMs and lag, and all three add up over segments and resizers. Let
two partial plans end in the same stream, the one nowhere worse than the other. Whatever continues the other continues the one, adds the
same, and so ends nowhere worse. Hence of the partial plans with one stream it is enough to keep the Pareto set, by induction over the
segments; and one that with the least that any continuation adds already exceeds a limit leads to no plan within it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bwnhw.blocks import Design, Port
from bwnhw.design import Flow
from bwnhw.errors import PlanError
from bwnhw.foldings import Segment, beats, engines, indexed, lay, resizing, shared, trail, unrolled, widest
from bwnhw.network import Conv, Ints, Network, Topology, topology_of
from bwnhw.pareto import pareto
from bwnhw.plan import Engine, Plan
from bwnhw.resources import resources
from bwnhw.unrolled import unrollable

Points = NDArray[np.int64]
Places = NDArray[np.intp]
NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Measures:
    """What plans are compared by: row k of `weights` gives measure k from (LUTs, block RAMs, lag); a plan may not exceed `limits`."""

    weights: tuple[tuple[int, int, int], ...]
    limits: tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """One plan of a front: its measures and its engines."""

    measures: tuple[int, ...]
    engines: tuple[tuple[int, Engine], ...]


@dataclass(frozen=True, eq=False)
class _Layer:
    """Partial plans up to one segment: measures (n, d), each one's last engine, and its predecessor's place in the layer before."""

    points: Points
    engines: Sequence[Engine]
    before: Places
    streams: Mapping[Flow, Places]


class Chain:
    """The segments of a topology, each laid out once per engine, and the dynamic program over them.

    `network`: with its values layers may be unrolled too, those that `bwnhw.unrolled.unrollable` allows, or store kernels as indices.
    `empty`: the plan without engines, whose family, port and clock all plans share.
    """

    def __init__(self, network: Network | Topology, empty: Plan, fixed: Mapping[int, Engine]) -> None:
        topology = topology_of(network)
        source = topology.nodes[0].out
        if source.channels % empty.input_lanes:
            raise PlanError(f"plan: input_lanes must divide the input's {source.channels} channels, not be {empty.input_lanes}")
        self.topology, self._network, self._empty, self._fixed, self._family = topology, network, empty, fixed, empty.family
        self._input = Port(empty.input_lanes, source.bits, source.pixels * source.channels // empty.input_lanes, source.signed)
        self._convs = [(index, node, topology.nodes[index - 1].out) for index, node in enumerate(topology.nodes) if isinstance(node, Conv)]
        self._head = trail(topology.nodes, 1, Flow(source, empty.input_lanes, source.channels // empty.input_lanes), empty.family)
        self._unrolled = {index: unrolled(conv, source) for index, conv, source in self._convs
                          if index not in fixed and isinstance(network, Network) and unrollable(network, index)}
        self._laid: dict[tuple[int, Engine], Segment] = {}

    @property
    def work(self) -> int:
        """Beats of one lane per image that arrays must do, whatever the plan: those of layers that may be unrolled aren't among them."""
        return sum(beats(conv, source, Engine(1, 1)) for index, conv, source in self._convs if index not in self._unrolled)

    @property
    def slowest(self) -> int:
        """An interval that a plan with one lane everywhere keeps."""
        return max([self._head.pace, *(self._segment(index, self._fixed.get(index, Engine(1, 1))).pace for index, _, _ in self._convs)])

    def limits(self) -> list[tuple[int, str]]:
        """The least pace of the input port and of every segment, with a name."""
        found = [(self._head.pace, "the input port or the first stage")]
        for index, conv, source in self._convs:
            fast = [self._fixed.get(index, widest(conv, source, self._family)), *self._also(index)]
            found.append((min(self._segment(index, chosen).pace for chosen in fast), f"node {index} with what follows it"))
        return found

    def paces(self, above: int, upto: int) -> list[int]:
        """Every pace of a segment in above+1..upto, in order: at no other does the set of plans change. Candidates as for `front`."""
        found = {segment.pace for index, conv, source in self._convs for _, segment in self._candidates(index, conv, source, upto, above)}
        return sorted(pace for pace in found | {self._head.pace} if above < pace <= upto)

    def front(self, pace: int, measures: Measures, fewest: int | None = None) -> list[Choice]:
        """The Pareto set, by the measures, of all plans within their limits whose stages keep the pace; in order of the measures.

        Candidates are those of `bwnhw.foldings.engines` for `pace` and `fewest`, and the unrolled engines of the layers that may have one.
        """
        if self._head.pace > pace:
            return []
        weights = np.array(measures.weights, np.int64).T
        options = [list(self._candidates(index, conv, source, pace, fewest)) for index, conv, source in self._convs]
        if not all(options):
            return []
        room = _room(options, weights, measures.limits)
        start = np.array([[self._head.luts, self._head.brams, self._head.lag]], np.int64) @ weights
        layers = [_Layer(start, [], np.zeros(1, np.intp), {self._head.flow: np.zeros(1, np.intp)})]
        for option, limit in zip(options, room, strict=True):
            layers.append(self._extended(layers[-1], option, weights, limit))
        return list(self._finished(layers, weights, measures.limits))

    def plan(self, choice: Choice) -> Plan:
        """The plan of a choice."""
        return replace(self._empty, engines=choice.engines)

    def _extended(self, before: _Layer, option: list[tuple[Engine, Segment]], weights: Points, limit: Points) -> _Layer:
        """The Pareto sets with one more segment, by the stream behind it."""
        grouped: dict[Flow, list[tuple[Engine, Segment]]] = {}
        for chosen, segment in option:
            grouped.setdefault(segment.flow, []).append((chosen, segment))
        entries = {simd: self._entered(before, simd, weights, limit) for simd in {chosen.simd for chosen, _ in option}}
        points: list[Points] = []
        engine_at: list[Engine] = []
        origin: list[Places] = []
        streams: dict[Flow, Places] = {}
        for flow, some in grouped.items():
            every = np.concatenate([entries[chosen.simd][0] + _measured(segment, weights) for chosen, segment in some])
            place = np.concatenate([entries[chosen.simd][1] for chosen, _ in some])
            number = np.repeat(np.arange(len(some)), [len(entries[chosen.simd][1]) for chosen, _ in some])
            kept = pareto(every, limit)
            streams[flow] = np.arange(len(engine_at), len(engine_at) + len(kept))
            points.append(every[kept])
            origin.append(place[kept])
            engine_at += [some[at][0] for at in number[kept]]
        return _Layer(np.concatenate(points), engine_at, np.concatenate(origin), streams)

    def _entered(self, before: _Layer, simd: int, weights: Points, limit: Points) -> tuple[Points, Places]:
        """The Pareto set behind the resizers to words of `simd`, and where in the layer each comes from."""
        found: list[Points] = []
        for flow, place in before.streams.items():
            luts, wait = resizing(flow, simd, self._family)
            found.append(before.points[place] + np.array([luts, 0, wait], np.int64) @ weights)
        every, origin = np.concatenate(found), np.concatenate(list(before.streams.values()))
        kept = pareto(every, limit)
        return every[kept], origin[kept]

    def _finished(self, layers: list[_Layer], weights: Points, limits: tuple[int, ...]) -> Iterator[Choice]:
        """The plans of the last layer with the shell around them, each traced back to its engines."""
        last = layers[-1]
        points = last.points.copy()
        for flow, place in last.streams.items():
            points[place] += np.array([self._shell(flow), 0, 0], np.int64) @ weights
        for at in pareto(points, np.array(limits)):
            chosen: list[tuple[int, Engine]] = []
            here = int(at)
            for (index, _, _), layer in zip(reversed(self._convs), reversed(layers[1:]), strict=True):
                chosen.append((index, layer.engines[here]))
                here = int(layer.before[here])
            yield Choice(tuple(map(int, points[at])), tuple(reversed(chosen)))

    def _shell(self, flow: Flow) -> int:
        """LUTs of what stands between the ports and the stages."""
        output = Port(flow.lanes, flow.ints.bits, flow.ints.pixels * flow.groups, flow.ints.signed)
        return resources(Design(self._input, (), output), self._family).shell.cells

    def _candidates(self, index: int, conv: Conv, source: Ints, pace: int, fewest: int | None) -> Iterator[tuple[Engine, Segment]]:
        """The engines to try for a conv, the fixed one or all, with their segments."""
        for chosen in [self._fixed[index]] if index in self._fixed else self._free(index, conv, source, pace, fewest):
            segment = self._segment(index, chosen)
            if segment.pace <= pace:
                yield chosen, segment

    def _free(self, index: int, conv: Conv, source: Ints, pace: int, fewest: int | None) -> list[Engine]:
        """All engines to try: of a network also those that know its weights or its codebook, which a topology's values may change."""
        folded = list(engines(conv, source, pace, fewest, self._family))
        ways = (partial(indexed, family=self._family), shared) if isinstance(self._network, Network) else ()
        indices = [way(conv, source, chosen) for way in ways for chosen in folded]
        return [*folded, *filter(None, indices), *self._also(index)]

    def _also(self, index: int) -> list[Engine]:
        """The unrolled engine of a conv, if it may have one."""
        return [self._unrolled[index]] if index in self._unrolled else []

    def _segment(self, index: int, chosen: Engine) -> Segment:
        key = index, chosen
        if key not in self._laid:
            self._laid[key] = lay(self._network, index, chosen, self._family)
        return self._laid[key]


def _room(options: list[list[tuple[Engine, Segment]]], weights: Points, limits: tuple[int, ...]) -> list[Points]:
    """For every segment what partial plans up to it may take at most, since each later one takes at least its least."""
    left = np.array(limits, np.int64)
    room = []
    for option in reversed(options):
        room.append(left)
        left = left - np.array([_measured(segment, weights) for _, segment in option]).min(axis=0)
    return room[::-1]


def _measured(segment: Segment, weights: Points) -> Points:
    """The measures of a segment."""
    return np.array([segment.luts, segment.brams, segment.lag], np.int64) @ weights
