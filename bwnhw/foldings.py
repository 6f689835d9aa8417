"""The foldings that a planner may choose from, each with its cost and pace, by the same bill of blocks as everything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from bwnhw.blocks import Stage
from bwnhw.design import Flow, lay_stage, resize
from bwnhw.network import Conv, Ints, Node, Topology
from bwnhw.plan import Engine, Plan
from bwnhw.resources import block_resources, stage_resources

FAMILY = "xc7"  # the family whose logic is minimised; the order of foldings is nearly the same on ecp5
BRAM_LUTS = 200  # what an 18-kbit block RAM counts: LUTs per block RAM of a mid-size device (Zynq-7020: 53200 / 280)
PE_LANES = 36  # XNORs of one PE at most: twelve groups of three
BLOCK_DEPTH = 256  # weight memories from this depth on may be block RAM
ROOM = 4  # foldings with more than this many times the lanes that the interval needs are left out


@dataclass(frozen=True)
class Segment:
    """A stretch of the chain that one engine shapes: `cost` in LUTs (block RAMs as `BRAM_LUTS`), without the resizers in front.

    `pace`: cycles per image of its slowest stage; `flow`: the stream behind it.
    """

    cost: int
    pace: int
    flow: Flow


def engine(pe: int, simd: int, taps: int, planes: int, memory: str = "lut") -> Engine:
    """An engine whose lanes are spread evenly over as few PEs as `PE_LANES` allows, in groups of three."""
    lanes = taps * simd
    columns = -(-lanes // PE_LANES)
    return Engine(pe, simd, taps, planes, min(lanes, 3 * -(-lanes // (3 * columns))), memory)


def widest(conv: Conv, source: Ints) -> Engine:
    """The fully parallel engine: one output pixel per cycle, one cycle per weight plane."""
    return engine(conv.out.channels, source.channels, conv.kernel[0] * conv.kernel[1], source.bits)


def beats(conv: Conv, source: Ints, chosen: Engine) -> int:
    """Cycles per image of a conv's array."""
    taps = conv.kernel[0] * conv.kernel[1]
    return (conv.out.pixels * -(-conv.out.channels // chosen.pe) * -(-source.channels // chosen.simd) * -(-taps // chosen.taps)
            * (source.bits // chosen.planes) * len(conv.weights.plane_shifts))


def engines(conv: Conv, source: Ints, interval: int) -> Iterator[Engine]:
    """Engines of a conv that finish an image within `interval` cycles: every pe, simd, taps that is the least with as many parts.

    Those with more than `ROOM` times the lanes of the widest need are left out, all but the widest.
    """
    taps = conv.kernel[0] * conv.kernel[1]
    whole = widest(conv, source)
    full = whole.pe * whole.simd * whole.taps * whole.planes
    work = beats(conv, source, Engine(1, 1))
    most = max(64, ROOM * work // interval)
    for planes in (n for n in range(1, source.bits + 1) if source.bits % n == 0):
        for together in _sizes(taps):
            for simd in _sizes(source.channels):
                for pe in _sizes(conv.out.channels):
                    if most < pe * simd * together * planes < full:
                        break
                    chosen = engine(pe, simd, together, planes)
                    if beats(conv, source, chosen) <= interval:
                        yield chosen


def lay(topology: Topology, index: int, chosen: Engine) -> Segment:
    """The segment that begins with conv `index`, fed as the engine wants it."""
    source = topology.nodes[index - 1].out
    fed = Flow(source, chosen.simd, -(-source.channels // chosen.simd))
    stage, flow = lay_stage(topology.nodes, index, fed, Plan(((index, chosen),)), 0)
    behind = trail(topology.nodes, stage.nodes[-1] + 1, flow)
    return Segment(cost(stage) + behind.cost, max(pace(stage, 0), behind.pace), behind.flow)


@cache
def trail(nodes: tuple[Node, ...], index: int, flow: Flow) -> Segment:
    """The stages from node `index` up to the next conv or the end."""
    total, slowest = 0, flow.ints.pixels * flow.groups
    while index < len(nodes) and not isinstance(nodes[index], Conv):
        stage, after = lay_stage(nodes, index, flow, Plan(()), 0)
        total, slowest = total + cost(stage), max(slowest, pace(stage, flow.ints.pixels * flow.groups))
        index, flow = stage.nodes[-1] + 1, after
    return Segment(total, slowest, flow)


def pace(stage: Stage, beats_in: int) -> int:
    """Cycles per image that a stage takes at least when `beats_in` come in: the busier of its reading and its writing side."""
    if stage.window is None:
        return beats_in
    geometry = stage.window.geometry
    return max(geometry.out_height * geometry.out_width * stage.window.groups * stage.window.group_beats,
               geometry.height * geometry.width * stage.window.words)


def cost(stage: Stage) -> int:
    """Estimated LUTs of a stage, each block RAM counted as `BRAM_LUTS`."""
    found = stage_resources(stage, FAMILY)
    return found.luts + BRAM_LUTS * found.brams


@cache
def resizing(flow: Flow, simd: int) -> int:
    """Estimated LUTs of the resizers between a flow and an engine."""
    blocks = resize(flow.lanes, flow.groups, simd, -(-flow.ints.channels // simd), flow.ints.bits)
    return sum(block_resources(block, FAMILY).luts for block in blocks)


def _sizes(total: int) -> list[int]:
    """Every size worth trying of a dimension that is worked off in equal parts: the least of those with as many parts."""
    return sorted({-(-total // parts) for parts in range(1, total + 1)})
