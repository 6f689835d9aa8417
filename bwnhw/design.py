"""From topology and plan to the bill of blocks (`bwnhw.blocks.Design`)."""

from dataclasses import dataclass, replace
from functools import cache
from math import prod

from bwnhw.adders import enough_levels
from bwnhw.array_block import Array, Step
from bwnhw.blocks import Best, Core, Design, Downsize, Fifo, Port, Reduce, Scaler, Stage, Thresholds, Unrolled, Upsize, Window
from bwnhw.errors import PlanError
from bwnhw.geometry import Geometry
from bwnhw.network import BIPOLAR_WEIGHTS, Add, ArgMax, Conv, Ints, Node, Pool, Scale, Threshold, Topology, WeightCode
from bwnhw.plan import Engine, Plan
from bwnhw.worst_case import worst_case


@dataclass(frozen=True)
class Flow:
    """The stream between two stages: `groups` beats of `lanes` elements per pixel of the map `ints`."""

    ints: Ints
    lanes: int
    groups: int


def design(topology: Topology, plan: Plan) -> Design:
    """Lay out the chain of blocks.

    Raises PlanError where the plan can't be honoured (a folding larger than the layer, planes that don't divide, no engine for
    a conv) or where the topology forks or joins, for which there is no hardware yet.
    """
    nodes = (worst_case(topology) if plan.loadable else topology).nodes
    for index, node in enumerate(nodes):
        if index and node.src != (index - 1,) or isinstance(node, Add):
            raise PlanError(f"node {index} ({type(node).__name__}): hardware needs a chain of layers, but it forks or joins")
    source = nodes[0].out
    if source.channels % plan.input_lanes:
        raise PlanError(f"plan: input_lanes must divide the input's {source.channels} channels, not be {plan.input_lanes}")
    flow = Flow(source, plan.input_lanes, source.channels // plan.input_lanes)
    stages: list[Stage] = []
    index = 1
    while index < len(nodes):
        stage, flow = lay_stage(nodes, index, flow, plan, len(stages))
        stages.append(stage)
        index = stage.nodes[-1] + 1
    if not stages:
        raise PlanError("the network has no layer: nothing to build")
    return Design(Port(plan.input_lanes, source.bits, source.pixels * source.channels // plan.input_lanes, source.signed),
                  tuple(stages), Port(flow.lanes, flow.ints.bits, flow.ints.pixels * flow.groups, flow.ints.signed), plan.loadable)


def lay_stage(nodes: tuple[Node, ...], index: int, flow: Flow, plan: Plan, number: int) -> tuple[Stage, Flow]:
    """The stage that starts with node `index`, as many following nodes fused as can be, and the stream behind it."""
    node = nodes[index]
    resizers: tuple[Upsize | Downsize, ...] = ()
    window: Window | None = None
    cores: list[Core] = []
    used = [index]
    if isinstance(node, Conv):
        engine = plan.engine(index)
        _check_engine(node, flow.ints, engine, index)
        resizers = resize(flow.lanes, flow.groups, engine.simd, -(-flow.ints.channels // engine.simd), flow.ints.bits)
        window = _conv_window(node, flow.ints, engine)
        behind = nodes[index + 1] if index + 1 < len(nodes) else None
        fused = behind if isinstance(behind, Threshold) and behind.out.hi == 1 else None
        if fused:
            used.append(index + 1)
        lay_core = _unrolled if engine.engine == "unrolled" else _array
        cores.append(lay_core(node, fused, flow.ints, engine, window, plan))
        flow = Flow(nodes[used[-1]].out, engine.pe, window.groups)
        kind = "dense" if node.out.pixels == 1 else "conv"
    elif isinstance(node, Pool):
        window = _pool_window(node, flow)
        cores.append(Reduce(node.kind, flow.lanes, flow.groups, flow.ints.bits, flow.ints.signed, node.out.bits, node.flips, flow.ints.hi))
        flow = Flow(node.out, flow.lanes, flow.groups)
        kind = "pool"
    else:
        flow, kind = _map_core(node, flow, cores)
    while used[-1] + 1 < len(nodes) and isinstance(nodes[used[-1] + 1], Threshold | Scale):
        used.append(used[-1] + 1)
        flow, _ = _map_core(nodes[used[-1]], flow, cores)
    buffers = dict(plan.buffers)
    if window and used[0] in buffers:
        window = _with_depth(window, buffers[used[0]], used[0])
    latency = sum(core.latency for core in cores) + (window.latency if window else 0)
    pace = window.group_beats if window else (cores[0].groups if isinstance(cores[0], Best) else 1)
    # A credit comes back group + latency + 1 cycles after its group started: enough of them keep the stage busy.
    depth = dict(plan.fifos).get(used[-1], max(2, 1 + -(-(latency + 1) // pace)))
    fifo = Fifo(flow.lanes, flow.ints.bits, depth)
    return Stage(f"s{number}_{kind}", tuple(used), resizers, window, tuple(cores), fifo), flow


def _map_core(node: Node, flow: Flow, cores: list[Core]) -> tuple[Flow, str]:
    """Append the core of a node that works beat by beat; the stream behind it and the stage's kind."""
    ints = flow.ints
    if isinstance(node, Threshold):
        cores.append(Thresholds(flow.lanes, flow.groups, ints.bits, ints.signed, node.out.hi, node.out.bits, node.flips))
        return Flow(node.out, flow.lanes, flow.groups), "threshold"
    if isinstance(node, Scale):
        # The ends of the source's range lie |mult|·(hi − lo) apart behind the scale, and both in its range; one more bit for the sign.
        mult_bits = max(2, ((node.out.hi - node.out.lo) // max(1, ints.hi - ints.lo)).bit_length() + 1)
        cores.append(Scaler(flow.lanes, flow.groups, ints.bits, ints.signed, mult_bits, node.out.bits))
        return Flow(node.out, flow.lanes, flow.groups), "scale"
    if isinstance(node, ArgMax):
        cores.append(Best(flow.lanes, flow.groups, ints.channels, ints.bits, ints.signed, node.out.bits))
        return Flow(node.out, 1, 1), "argmax"
    raise PlanError(f"{type(node).__name__}: no hardware block computes this node")


def resize(lanes: int, beats: int, lanes_out: int, beats_out: int, bits: int) -> tuple[Upsize | Downsize, ...]:
    """Blocks that turn pixels of `beats` beats of `lanes` into pixels of `beats_out` beats of `lanes_out`."""
    if (lanes, beats) == (lanes_out, beats_out):
        return ()
    if lanes * beats == lanes_out * beats_out:
        if lanes_out % lanes == 0:
            return (Upsize(lanes, lanes_out // lanes, lanes_out, bits),)
        if lanes % lanes_out == 0:
            return (Downsize(lanes, lanes // lanes_out, lanes_out, bits),)
    if beats_out == 1:
        return (Upsize(lanes, beats, lanes_out, bits),)
    if beats == 1:
        return (Downsize(lanes, beats_out, lanes_out, bits),)
    return Upsize(lanes, beats, lanes * beats, bits), Downsize(lanes * beats, beats_out, lanes_out, bits)


def steps(weights: WeightCode, groups: int, planes: int) -> tuple[Step, ...]:
    """Passes over weight planes × `groups` activation plane groups of `planes` bits, greatest power of two first."""
    order = sorted((-(shift + planes * group), plane, group)
                   for plane, shift in enumerate(weights.plane_shifts) for group in range(groups))
    powers = [-negative for negative, _, _ in order]
    return tuple(Step(plane, group, before - power)
                 for (_, plane, group), before, power in zip(order, powers[:1] + powers[:-1], powers, strict=True))


def accumulator_max(conv: Conv, source: Ints) -> int:
    """Greatest ACC = Σ_j Σ_b 2**(shift_j + b)·matches: every lane of every plane matches."""
    taps = conv.kernel[0] * conv.kernel[1] * source.channels
    return taps * ((1 << source.bits) - 1) * sum(1 << shift for shift in conv.weights.plane_shifts)


def _check_engine(conv: Conv, source: Ints, engine: Engine, index: int) -> None:
    limits = {"pe": conv.out.channels, "simd": source.channels, "taps": conv.kernel[0] * conv.kernel[1]}
    for name, limit in limits.items():
        if not 1 <= getattr(engine, name) <= limit:
            raise PlanError(f"node {index}: {name} must be in 1..{limit}, not {getattr(engine, name)}")
    if source.bits % engine.planes:
        raise PlanError(f"node {index}: planes must divide the {source.bits} activation bits, not be {engine.planes}")
    if engine.lanes < 1:
        raise PlanError(f"node {index}: lanes must be at least 1, not {engine.lanes}")
    if engine.engine == "unrolled" and any(getattr(engine, name) != limit for name, limit in (limits | {"planes": source.bits}).items()):
        whole = ", ".join(f"{name} {limit}" for name, limit in (limits | {"planes": source.bits}).items())
        raise PlanError(f"node {index}: an unrolled engine has {whole}, not {engine.pe}, {engine.simd}, {engine.taps}, {engine.planes}")
    if engine.codebook != "none":
        _check_codebook(conv, source, engine, index)
    if conv.value[0] not in (1, 2) or source.signed:
        raise PlanError(f"node {index}: the array takes unsigned codes with value a or 2a + c, not {conv.value[0]}a in {source.lo}..")


def indexable(conv: Conv) -> bool:
    """Whether an array can store the conv's kernels as indices: a choice of two or more whole kernels of ±1, of two taps or more."""
    shape = conv.codebook
    return shape is not None and shape.taps == conv.kernel and min(shape.words, prod(shape.taps)) > 1 and conv.weights == BIPOLAR_WEIGHTS


def _check_codebook(conv: Conv, source: Ints, engine: Engine, index: int) -> None:
    """What an array that stores indices asks of the layer and of its folding."""
    shape, where = conv.codebook, f"node {index}: codebook {engine.codebook!r}"
    if engine.engine != "folded":
        raise PlanError(f"{where} needs a folded engine, not an {engine.engine} one")
    if shape is None:
        raise PlanError(f"{where} needs a layer whose weights are constants from a codebook, but it has none or is loadable")
    if not indexable(conv):
        raise PlanError(f"{where} needs two or more codewords of whole kernels {conv.kernel} of ±1, not {shape.words} of {shape.taps}")
    taps = prod(shape.taps)
    if engine.taps != taps or engine.lanes % taps:
        raise PlanError(f"{where} needs taps {taps} and lanes that are a multiple of it, not taps {engine.taps} and lanes {engine.lanes}")
    if shape.books > 1 and engine.simd != source.channels:
        raise PlanError(f"{where} of each channel needs simd {source.channels}, all channels, not {engine.simd}")


def _conv_window(conv: Conv, source: Ints, engine: Engine) -> Window:
    geometry = _geometry(source.height, source.width, conv.kernel, conv.stride, conv.pads)
    words = -(-source.channels // engine.simd)
    classes = geometry.classes if conv.value[1] else 1  # code 0 is an exact zero where c = 0: one class
    if engine.engine == "unrolled":  # takes weights as they are, not plane by plane
        passes: tuple[Step, ...] = (Step(0, 0, 0),)
        weight_planes = 1
    else:
        passes = steps(conv.weights, source.bits // engine.planes, engine.planes)
        weight_planes = len(conv.weights.plane_shifts)
    return Window(geometry, engine.simd, source.bits, words, engine.taps, -(-conv.out.channels // engine.pe), False, engine.planes,
                  passes, weight_planes, 0, classes, _depth(geometry, words))


_geometry = cache(Geometry)  # its tables are worked out once, however many foldings of a layer are looked at


def _pool_window(pool: Pool, flow: Flow) -> Window:
    ints = flow.ints
    geometry = _geometry(ints.height, ints.width, pool.kernel, pool.stride, pool.pads)
    pad = ints.lo % (1 << ints.bits) if pool.kind == "max" else 0
    return Window(geometry, flow.lanes, ints.bits, flow.groups, 1, flow.groups, True, ints.bits, (Step(0, 0, 0),), 1, pad, 1,
                  _depth(geometry, flow.groups))


def _depth(geometry: Geometry, words: int) -> int:
    """Least power of two of words that lets the writer prepare the next pixel while one is being read."""
    return max(2, 1 << (_reach(geometry) * words - 1).bit_length())


@cache
def _reach(geometry: Geometry) -> int:
    """Pixels from the first that an output pixel reads to the last that the next one needs, at most."""
    need = [*geometry.need[1:].tolist(), geometry.height * geometry.width + int(geometry.need[0])]
    return int(max(after - keep for after, keep in zip(need, geometry.keep.tolist(), strict=True)))


def least_depth(window: Window) -> int:
    """Words with which the writer can prepare the next pixel while one is being read: `depth` is the next power of two."""
    return max(2, _reach(window.geometry) * window.words)


def least_buffer(window: Window) -> int:
    """Words that the buffer must hold for the output pixel that needs most."""
    return int((window.geometry.need - window.geometry.keep).max()) * window.words


def _with_depth(window: Window, depth: int, index: int) -> Window:
    least = least_buffer(window)
    if depth < least or depth & (depth - 1):
        raise PlanError(f"node {index}: buffer must be a power of two of at least {least} words, not {depth}")
    return replace(window, depth=depth)


def _array(conv: Conv, threshold: Threshold | None, source: Ints, engine: Engine, window: Window, plan: Plan) -> Array:
    up, down = int(conv.value[0] > conv.weights.divisor), int(conv.value[0] < conv.weights.divisor)
    if threshold:
        acc_bits = (accumulator_max(conv, source) + 1).bit_length() + 1
        mode, out_bits, flips = "bits", 1, threshold.flips
    else:
        acc_bits, mode, out_bits, flips = conv.out.bits + down, "sums", conv.out.bits, False
    return Array(engine.pe, window.groups, engine.taps * engine.simd, engine.lanes, engine.planes, window.steps,
                 window.fold_depth, window.group_beats, window.classes * window.groups, mode, up, down, acc_bits, out_bits, flips,
                 engine.memory, plan.family, plan.loadable,
                 conv.codebook if engine.codebook != "none" else None, engine.codebook == "shared", channels=conv.out.channels,
                 weights=conv.out.channels * conv.kernel[0] * conv.kernel[1] * source.channels * len(conv.weights.plane_shifts),
                 constant=window.tap_beats * window.inner if conv.weights.constant else 0)


def _unrolled(conv: Conv, threshold: Threshold | None, source: Ints, engine: Engine, window: Window, plan: Plan) -> Unrolled:
    inputs = engine.taps * engine.simd
    return Unrolled(engine.pe, inputs, source.bits, enough_levels(inputs, conv.weights.lo, conv.weights.hi), window.classes,
                    "bits" if threshold else "sums", 1 if threshold else conv.out.bits, plan.family)
