"""Random folding plans for a network: any legal engine for every conv, narrow or wide input, FIFOs too small for full speed."""

from dataclasses import replace

import numpy as np

from bwnhw.cycles import cycles, least_interval
from bwnhw.design import design
from bwnhw.foldings import indexed, shared, unrolled
from bwnhw.network import Conv, Topology
from bwnhw.plan import Engine, Plan

SLOWEST = 4000  # cycles from image to image: what a test is ready to wait for
TRIES = 30


def draw_plan(rng: np.random.Generator, topology: Topology, slowest: int = SLOWEST) -> Plan:
    """A random plan whose interval is at most `slowest` cycles; after `TRIES` that aren't, the widest foldings possible."""
    for _ in range(TRIES):
        plan = _draw(rng, topology)
        laid = design(topology, plan)
        if least_interval(laid) <= slowest and cycles(laid).interval <= slowest:  # the first is cheap to know
            return plan
    engines = tuple((index, Engine(node.out.channels, topology.nodes[node.src[0]].out.channels, node.kernel[0] * node.kernel[1]))
                    for index, node in enumerate(topology.nodes) if isinstance(node, Conv))
    return Plan(engines, topology.nodes[0].out.channels)


def some_unrolled(rng: np.random.Generator, topology: Topology, plan: Plan) -> Plan:
    """The plan with one conv in four unrolled."""
    return replace(plan, engines=tuple((index, _whole(topology, index) if rng.random() < 0.25 else engine)
                                       for index, engine in plan.engines))


def some_indexed(rng: np.random.Generator, topology: Topology, plan: Plan) -> Plan:
    """The plan with every second layer that has a codebook storing its kernels as indices, one to three of them in a PE, or counting its
    codewords once, one to nine."""
    return replace(plan, engines=tuple((index, _indexed(rng, topology, index, engine) if rng.random() < 0.5 else engine)
                                       for index, engine in plan.engines))


def _indexed(rng: np.random.Generator, topology: Topology, index: int, engine: Engine) -> Engine:
    node, source = topology.nodes[index], topology.nodes[index - 1].out
    assert isinstance(node, Conv)
    taps = node.kernel[0] * node.kernel[1]
    simd = source.channels if node.codebook and node.codebook.books > 1 else engine.simd
    way, most = (indexed, 3) if rng.random() < 0.5 else (shared, 9)
    found = way(node, source, replace(engine, taps=taps, simd=simd))
    return replace(found, lanes=taps * int(rng.integers(1, most + 1))) if found else engine


def _whole(topology: Topology, index: int) -> Engine:
    node = topology.nodes[index]
    assert isinstance(node, Conv)
    return unrolled(node, topology.nodes[index - 1].out)


def _draw(rng: np.random.Generator, topology: Topology) -> Plan:
    engines = []
    for index, node in enumerate(topology.nodes):
        if isinstance(node, Conv):
            source = topology.nodes[node.src[0]].out
            planes = [count for count in range(1, source.bits + 1) if source.bits % count == 0]
            engines.append((index, Engine(int(rng.integers(1, node.out.channels + 1)), int(rng.integers(1, source.channels + 1)),
                                          int(rng.integers(1, node.kernel[0] * node.kernel[1] + 1)), int(rng.choice(planes)),
                                          int(rng.integers(1, 13)), str(rng.choice(["lut", "lut", "block"])))))
    channels = topology.nodes[0].out.channels
    lanes = int(rng.choice([count for count in range(1, channels + 1) if channels % count == 0]))
    fifos = ()
    if rng.random() < 0.2:
        stages = design(topology, Plan(tuple(engines), lanes)).stages
        fifos = tuple((stage.nodes[-1], int(rng.integers(1, 4))) for stage in stages)
    return Plan(tuple(engines), lanes, fifos)
