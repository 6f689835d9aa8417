"""How long `estimate` and `plan` take on a network of VGG-Small's size with weights, in seconds of one core.

    python benchmarks/planner_speed.py [--quick] [--json FILE]

Six 3×3 convolutions of 128 to 512 channels on 32×32 pixels, then two dense layers. `--quick` leaves out the plans for a budget. Exit status
1 where an estimate takes 2 s or more, or a plan 20 s or more.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from bwnhw.estimate import estimate
from bwnhw.files import write_text
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    Conv,
    ConvParams,
    Input,
    Ints,
    Network,
    Node,
    NodeParams,
    Pool,
    PoolParams,
    Threshold,
    ThresholdParams,
    Topology,
)
from bwnhw.plan import Plan
from bwnhw.planner import Budget, cheapest, fastest, plan

SLOWEST_ESTIMATE, SLOWEST_PLAN = 2.0, 20.0


def vgg_small() -> Topology:
    """The shapes of VGG-Small, with activations of one bit."""
    nodes: list[Node] = [Input(Ints(3, 32, 32, 0, 255), Fraction(1), Fraction(0), None)]

    def conv(channels: int, size: int, kernel: int, pad: int) -> None:
        source = nodes[-1].out
        top = kernel * kernel * source.channels * source.hi
        nodes.append(Conv((len(nodes) - 1,), Ints(channels, size, size, -top, top), (kernel, kernel), (1, 1), (pad,) * 4, BIPOLAR_WEIGHTS,
                          (2, -1) if source.hi == 1 else (1, 0)))

    def threshold() -> None:
        nodes.append(Threshold((len(nodes) - 1,), Ints(*nodes[-1].out.shape, 0, 1), False))

    for channels, size in ((128, 32), (256, 16), (512, 8)):
        for _ in range(2):
            conv(channels, size, 3, 1)
            threshold()
        nodes.append(Pool((len(nodes) - 1,), Ints(channels, size // 2, size // 2, 0, 1), "max", (2, 2), (2, 2), (0, 0, 0, 0)))
    conv(1024, 1, 4, 0)
    threshold()
    conv(10, 1, 1, 0)
    return Topology(tuple(nodes))


def with_values(topology: Topology) -> Network:
    """Random weights and thresholds, so that layers may be unrolled."""
    rng = np.random.default_rng(1)
    params: list[NodeParams] = []
    for node in topology.nodes:
        rows = node.out.channels
        if isinstance(node, Conv):
            shape = (rows, topology.nodes[node.src[0]].out.channels, *node.kernel)
            params.append(ConvParams(rng.choice([-1, 1], shape).astype(np.int8)))
        elif isinstance(node, Threshold):
            params.append(ThresholdParams(rng.integers(-9, 10, (rows, 1)), np.zeros(rows, bool)))
        else:
            params.append(PoolParams(np.zeros(rows, bool)) if isinstance(node, Pool) else None)
    return Network(topology, tuple(params), (None,) * len(params))


def main() -> int:
    """Measure and compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    network = with_values(vgg_small())
    wishes: dict[str, Callable[[], Plan]] = {"least LUTs for 129,024 cycles": lambda: cheapest(network, 129_024)}
    if not options.quick:
        wishes |= {"the same with 500 block RAMs": lambda: cheapest(network, 129_024, Budget(brams=500)),
                   "default": lambda: plan(network),
                   "greatest rate for 80,000 LUTs, 800 block RAMs": lambda: fastest(network, Budget(80_000, 800)),
                   "least LUTs for a million cycles": lambda: cheapest(network, 1_000_000)}
    rows = []
    for name, wish in wishes.items():
        times = [time.process_time()]
        chosen = wish()
        times.append(time.process_time())
        found = estimate(network, chosen)
        times.append(time.process_time())
        rows.append({"wish": name, "plan_s": round(times[1] - times[0], 2), "estimate_s": round(times[2] - times[1], 2),
                     "interval": found.interval, "latency": found.latency, "luts": found.luts, "brams": found.brams})
        print(rows[-1], flush=True)
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1) + "\n")
    slowest = max(row["plan_s"] for row in rows), max(row["estimate_s"] for row in rows)
    print(f"slowest plan {slowest[0]} s, slowest estimate {slowest[1]} s of one core")
    return int(slowest[0] >= SLOWEST_PLAN or slowest[1] >= SLOWEST_ESTIMATE)


if __name__ == "__main__":
    sys.exit(main())
