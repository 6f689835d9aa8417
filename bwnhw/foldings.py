"""The foldings that a planner may choose from, each with its size and speed, by the same bill of blocks as everything else."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from bwnhw.blocks import Stage, Upsize
from bwnhw.design import Flow, indexable, lay_stage, resize
from bwnhw.families import FAMILIES
from bwnhw.network import Conv, Ints, Network, Node, Topology, topology_of
from bwnhw.plan import Engine, Plan
from bwnhw.resources import block_resources, stage_resources

PE_LANES = {6: 72, 4: 36}
"""By inputs of a LUT: XNORs of one PE at most, whole kernels of nine. Of LUT6 wide PEs are cheaper, since counters take a partial sum's
place (7 % at 144 lanes and more), and a row of one column may leave its last counters to the accumulator; of LUT4 they are slower."""
SHARED_KERNELS = 8  # kernels of one PE at most, where it adds up popcounts: three rounds
BLOCK_DEPTH = 256  # weight memories from this depth on may be block RAM
ROOM = 2  # foldings with more than this many times the lanes that the interval needs are left out


@dataclass(frozen=True)
class Segment:
    """A stretch of the chain that one engine shapes, without the resizers in front: `luts` (iCE40: logic cells) and `brams` of its stages.

    `pace`: cycles per image of its slowest stage; `lag`: cycles from its last input word to its last output beat at full speed, summed
    over its stages; `flow`: the stream behind it.
    """

    luts: int
    brams: int
    pace: int
    lag: int
    flow: Flow


def engine(pe: int, simd: int, taps: int, planes: int, memory: str = "lut", family: str = "xc7") -> Engine:
    """An engine whose lanes are spread evenly over as few PEs as `PE_LANES` allows, in groups of three."""
    lanes = taps * simd
    columns = -(-lanes // most_lanes(family))
    return Engine(pe, simd, taps, planes, min(lanes, 3 * -(-lanes // (3 * columns))), memory)


def most_lanes(family: str) -> int:
    """XNORs of one PE at most."""
    return PE_LANES[FAMILIES[family].lut_inputs]


def widest(conv: Conv, source: Ints, family: str = "xc7") -> Engine:
    """The fully parallel engine: one output pixel per cycle, one cycle per weight plane."""
    return engine(conv.out.channels, source.channels, conv.kernel[0] * conv.kernel[1], source.bits, family=family)


def unrolled(conv: Conv, source: Ints) -> Engine:
    """The engine that is made of its weights: one output pixel per cycle, whatever the planes."""
    return replace(widest(conv, source), engine="unrolled")


def indexed(conv: Conv, source: Ints, chosen: Engine, family: str = "xc7") -> Engine | None:
    """The same folding with kernels stored as indices, as many whole kernels in one PE as `PE_LANES` allows; None where it can't be."""
    taps = conv.kernel[0] * conv.kernel[1]
    together = chosen.taps == taps and (chosen.simd == source.channels or conv.codebook is not None and conv.codebook.books == 1)
    if not (indexable(conv) and together and chosen.engine == "folded"):
        return None
    columns = -(-chosen.simd // max(1, most_lanes(family) // taps))
    return replace(chosen, lanes=taps * -(-chosen.simd // columns), codebook="index")


def shared(conv: Conv, source: Ints, chosen: Engine) -> Engine | None:
    """The same folding with codewords counted once, up to `SHARED_KERNELS` in one PE; None where kernels can't be indices."""
    found = indexed(conv, source, chosen)
    if found is None:
        return None
    columns = -(-chosen.simd // SHARED_KERNELS)
    return replace(found, lanes=chosen.taps * -(-chosen.simd // columns), codebook="shared")


def beats(conv: Conv, source: Ints, chosen: Engine) -> int:
    """Cycles per image of a conv's array."""
    return conv.out.pixels * (source.bits // chosen.planes) * depth(conv, source, chosen)


def depth(conv: Conv, source: Ints, chosen: Engine) -> int:
    """Depth of the weight memory."""
    taps = conv.kernel[0] * conv.kernel[1]
    return (-(-conv.out.channels // chosen.pe) * -(-source.channels // chosen.simd) * -(-taps // chosen.taps)
            * len(conv.weights.plane_shifts))


def engines(conv: Conv, source: Ints, interval: int, fewest: int | None = None, family: str = "xc7") -> Iterator[Engine]:
    """Engines of a conv that finish an image within `interval` cycles: every pe, simd, taps that is the least with as many parts.

    Left out, all but the widest, are those with more than `ROOM` times the lanes that `fewest` cycles (else `interval`) need. Where the
    weight memory is deep, each comes with its weights in LUTs and in block RAM.
    """
    taps = conv.kernel[0] * conv.kernel[1]
    whole = widest(conv, source, family)
    full = whole.pe * whole.simd * whole.taps * whole.planes
    work = beats(conv, source, Engine(1, 1))
    most = max(64, ROOM * work // (fewest or interval))
    for planes in (n for n in range(1, whole.planes + 1) if whole.planes % n == 0):
        for together in _sizes(taps):
            for simd in _sizes(source.channels):
                passes = conv.out.pixels * (whole.planes // planes) * depth(conv, source, Engine(whole.pe, simd, together))
                for pe in _sizes(conv.out.channels):
                    if most < pe * simd * together * planes < full:
                        break
                    if passes * -(-whole.pe // pe) > interval:
                        continue
                    chosen = engine(pe, simd, together, planes, family=family)
                    yield chosen
                    if depth(conv, source, chosen) >= BLOCK_DEPTH:
                        yield replace(chosen, memory="block")


def lay(network: Network | Topology, index: int, chosen: Engine, family: str) -> Segment:
    """The segment that begins with conv `index`, fed as the engine wants it. Raises PlanError for an unrolled one without its weights."""
    topology = topology_of(network)
    source = topology.nodes[index - 1].out
    fed = Flow(source, chosen.simd, -(-source.channels // chosen.simd))
    stage, flow = lay_stage(topology.nodes, index, fed, Plan(((index, chosen),), family=family), 0)
    behind = trail(topology.nodes, stage.nodes[-1] + 1, flow, family)
    size = stage_resources(stage, family, network if isinstance(network, Network) else None)
    return Segment(size.cells + behind.luts, size.brams + behind.brams, max(pace(stage, 0), behind.pace), lag(stage) + behind.lag,
                   behind.flow)


@cache
def trail(nodes: tuple[Node, ...], index: int, flow: Flow, family: str) -> Segment:
    """The stages from node `index` up to the next conv or the end."""
    found = Segment(0, 0, flow.ints.pixels * flow.groups, 0, flow)
    while index < len(nodes) and not isinstance(nodes[index], Conv):
        stage, after = lay_stage(nodes, index, flow, Plan((), family=family), 0)
        size = stage_resources(stage, family)
        found = Segment(found.luts + size.cells, found.brams + size.brams, max(found.pace, pace(stage, flow.ints.pixels * flow.groups)),
                        found.lag + lag(stage), after)
        index, flow = stage.nodes[-1] + 1, after
    return found


def pace(stage: Stage, beats_in: int) -> int:
    """Cycles per image that a stage takes at least when `beats_in` come in: the busier of its reading and its writing side."""
    if stage.window is None:
        return beats_in
    geometry = stage.window.geometry
    return max(geometry.out_height * geometry.out_width * stage.window.groups * stage.window.group_beats,
               geometry.height * geometry.width * stage.window.words)


def lag(stage: Stage) -> int:
    """Cycles from a stage's last input word to its last output beat: the output pixels that wait for that word, and the way through."""
    if stage.window is None:
        return stage.latency + 1
    geometry = stage.window.geometry
    waiting = int((geometry.need == geometry.height * geometry.width).sum())
    return max(1, waiting) * stage.window.groups * stage.window.group_beats + stage.latency + 1


@cache
def resizing(flow: Flow, simd: int, family: str) -> tuple[int, int]:
    """Estimated LUTs of the resizers between a flow and an engine, and the cycles that a last word needs through them."""
    blocks = resize(flow.lanes, flow.groups, simd, -(-flow.ints.channels // simd), flow.ints.bits)
    return (sum(block_resources(block, family).cells for block in blocks),
            sum(1 if isinstance(block, Upsize) else block.ratio for block in blocks))


@cache
def _sizes(total: int) -> tuple[int, ...]:
    """Every size worth trying of a dimension that is worked off in equal parts: the least of those with as many parts."""
    return tuple(sorted({-(-total // parts) for parts in range(1, total + 1)}))
