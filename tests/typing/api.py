"""Only type-checked, never run: what users of the facade may rely on (`mypy tests/typing`)."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import bwnhw
from bwnhw import Estimate, Graph, Network, Plan
from bwnhw.plan import Engine, from_json, to_json


def every_verb(images: NDArray[np.uint8]) -> None:
    graph = bwnhw.load("digits-conv")
    assert_type(graph, Graph)
    assert_type(bwnhw.load(Path("model.onnx")), Graph)
    network = bwnhw.lower(graph)
    assert_type(network, Network)
    plan = bwnhw.plan(network, interval=1000, clock_mhz=150.0)
    assert_type(plan, Plan)
    assert_type(bwnhw.plan(network.topology), Plan)
    estimate = bwnhw.estimate(network, plan, "ecp5")
    assert_type(estimate, Estimate)
    assert_type(estimate.latency, int)
    assert_type(estimate.images_per_second, float)
    assert_type(estimate.layers[0].luts, int)
    assert_type(estimate.to_json(), dict[str, Any])
    made = bwnhw.generate("digits-conv", "out", plan, name="digits")
    assert_type(made.verilog, Path)
    found = bwnhw.simulate(made.folder, images, layers=True, waves=Path("out.vcd"), seed=3, jobs=1)
    assert_type(found.passed, bool)
    assert_type(found.mismatches, int)
    assert_type(found.outputs, NDArray[np.int64])


def plans_are_values(plan: Plan) -> Plan:
    assert_type(plan.engine(1), Engine)
    assert_type(to_json(plan), str)
    return from_json(to_json(plan))


def wrong_uses_are_seen(network: Network) -> None:
    bwnhw.plan(network, interval="fast")  # type: ignore[arg-type]  # the ignore itself is checked: mypy warns of one that is not needed
    bwnhw.plan(network, 1000)  # type: ignore[call-arg]  # options are named
    bwnhw.generate(network, "out")  # type: ignore[arg-type]  # a model, since the folder keeps its file
