"""The planner: for a wanted interval, the folding of every layer that takes the least estimated logic.

The chain is cut into segments, each a conv or dense layer with the pools and other stages behind it. What a segment costs depends on its
engine alone; the resizers between two segments depend on the stream behind the one and the words of the other. A dynamic program
over the segments with that stream as its state is therefore exactly optimal over the candidates: partial plans with the same stream can
be continued in the same ways at the same cost, so only the cheapest is kept.
"""

from dataclasses import dataclass, replace

from bwnhw.cycles import cycles
from bwnhw.design import Flow, design
from bwnhw.errors import PlanError
from bwnhw.foldings import BLOCK_DEPTH, Segment, beats, engines, lay, resizing, trail, widest
from bwnhw.network import Conv, Ints, Topology
from bwnhw.plan import Engine, Plan
from bwnhw.resources import resources

PORT_BITS = 64  # the input port takes as many channels at once as fit into this
LANES_PER_LUT = 1.5  # more than any array reaches: a plan that needs more lanes needn't be tried
DEFAULT_LUTS = 37_000  # without a wanted interval: the fastest plan within 70 % of a Zynq-7020's LUTs


@dataclass(frozen=True)
class _Partial:
    """The cheapest engines so far that lead to one stream."""

    cost: int
    engines: tuple[tuple[int, Engine], ...]


def plan(topology: Topology, *, interval: int | None = None, clock_mhz: float = 200.0, input_lanes: int | None = None,
         fixed: tuple[tuple[int, Engine], ...] = ()) -> Plan:
    """The cheapest plan whose interval, by the exact cycle model, is at most `interval` cycles per image.

    Without `interval`: the fastest that input port and layers allow, slowed down by factors of two until its estimate fits
    `DEFAULT_LUTS`. Without `input_lanes`: as many channels as divide evenly and fit into `PORT_BITS`. `fixed` gives the engines of some
    nodes. Raises PlanError where the interval can't be reached, naming the limiting layer and the nearest interval that can.
    """
    chain = Chain(topology, Plan((), input_lanes or port_lanes(topology), clock_mhz=clock_mhz), dict(fixed))
    if interval is None:
        return _default(chain)
    target, limit = interval, max(chain.limits())[0]
    while target >= limit:
        found = chain.cheapest(target)
        reached = cycles(design(topology, found)).interval
        if reached <= interval:
            return found
        target = min(target - 1, target * interval // reached)
    nearest = cycles(design(topology, chain.cheapest(limit))).interval
    raise PlanError(f"plan: {max(chain.limits())[1]} can't keep an interval of {interval} cycles; "
                    f"the nearest that can be reached is {nearest}")


def parallel(topology: Topology, *, clock_mhz: float = 200.0, input_lanes: int | None = None) -> Plan:
    """The plan with every conv fully parallel: one output pixel per cycle (and weight plane)."""
    chosen = tuple((index, widest(node, topology.nodes[index - 1].out))
                   for index, node in enumerate(topology.nodes) if isinstance(node, Conv))
    return Plan(chosen, input_lanes or port_lanes(topology), clock_mhz=clock_mhz)


def port_lanes(topology: Topology) -> int:
    """The most channels that divide the input's evenly and fit into `PORT_BITS`; at least one."""
    source = topology.nodes[0].out
    return max(n for n in range(1, source.channels + 1) if source.channels % n == 0 and (n == 1 or n * source.bits <= PORT_BITS))


def _default(chain: "Chain") -> Plan:
    """The fastest plan within `DEFAULT_LUTS`, or the smallest one where none fits."""
    target = max(chain.limits())[0]
    while chain.work > target * DEFAULT_LUTS * LANES_PER_LUT:
        target *= 2
    while True:
        found = chain.cheapest(target)
        if target >= chain.slowest or resources(design(chain.topology, found)).luts <= DEFAULT_LUTS:
            return found
        target *= 2


class Chain:
    """The segments of a topology, laid out once per engine, and the dynamic program over them."""

    def __init__(self, topology: Topology, empty: Plan, fixed: dict[int, Engine]) -> None:
        source = topology.nodes[0].out
        if source.channels % empty.input_lanes:
            raise PlanError(f"plan: input_lanes must divide the input's {source.channels} channels, not be {empty.input_lanes}")
        self.topology, self._empty, self._fixed = topology, empty, fixed
        self._convs = [(index, node, topology.nodes[index - 1].out) for index, node in enumerate(topology.nodes) if isinstance(node, Conv)]
        self._head = trail(topology.nodes, 1, Flow(source, empty.input_lanes, source.channels // empty.input_lanes))
        self.work = sum(beats(conv, source, Engine(1, 1)) for _, conv, source in self._convs)
        self._laid: dict[tuple[int, Engine], Segment] = {}

    @property
    def slowest(self) -> int:
        """An interval that a plan with one lane everywhere keeps."""
        return max([self._head.pace, *(self._segment(index, Engine(1, 1)).pace for index, _, _ in self._convs)])

    def limits(self) -> list[tuple[int, str]]:
        """The least pace of the input port and of every segment, with a name."""
        found = [(self._head.pace, "the input port or the first stage")]
        for index, conv, source in self._convs:
            chosen = self._fixed.get(index, widest(conv, source))
            found.append((self._segment(index, chosen).pace, f"node {index} with what follows it"))
        return found

    def cheapest(self, target: int) -> Plan:
        """The cheapest plan whose stages all keep the pace `target`, which is none of the `limits`' violation."""
        states = {self._head.flow: _Partial(0, ())}
        for index, conv, source in self._convs:
            states = self._extended(states, index, conv, source, target)
        return replace(self._empty, engines=min(states.values(), key=lambda partial: (partial.cost, str(partial.engines))).engines)

    def _extended(self, states: dict[Flow, _Partial], index: int, conv: Conv, source: Ints, target: int) -> dict[Flow, _Partial]:
        """The cheapest partial plans with one more segment, by the stream behind it."""
        entries: dict[int, _Partial] = {}
        extended: dict[Flow, _Partial] = {}
        for chosen in self._choices(index, conv, source, target):
            segment = self._segment(index, chosen)
            if segment.pace > target:
                continue
            if chosen.simd not in entries:
                entries[chosen.simd] = min((_Partial(partial.cost + resizing(flow, chosen.simd), partial.engines)
                                            for flow, partial in states.items()), key=lambda partial: partial.cost)
            entry = entries[chosen.simd]
            total = entry.cost + segment.cost
            if segment.flow not in extended or total < extended[segment.flow].cost:
                extended[segment.flow] = _Partial(total, (*entry.engines, (index, chosen)))
        return extended

    def _choices(self, index: int, conv: Conv, source: Ints, target: int) -> list[Engine]:
        """The engines to try for a conv: the fixed one, or all, the deep ones also with their weights in block RAM."""
        if index in self._fixed:
            return [self._fixed[index]]
        found = list(engines(conv, source, target))
        return found + [replace(chosen, memory="block") for chosen in found if self._depth(conv, source, chosen) >= BLOCK_DEPTH]

    @staticmethod
    def _depth(conv: Conv, source: Ints, chosen: Engine) -> int:
        """Depth of the weight memory."""
        parts = -(-conv.out.channels // chosen.pe), -(-source.channels // chosen.simd), -(-conv.kernel[0] * conv.kernel[1] // chosen.taps)
        return parts[0] * parts[1] * parts[2] * len(conv.weights.plane_shifts)

    def _segment(self, index: int, chosen: Engine) -> Segment:
        key = index, chosen
        if key not in self._laid:
            self._laid[key] = lay(self.topology, index, chosen)
        return self._laid[key]
