"""The first steps that several commands share: model, plan and images, as the options name them."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bwnhw import lanes, lower, onnx_read, planner, zoo
from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import PlanError
from bwnhw.extras import needs
from bwnhw.graph import Graph
from bwnhw.network import Network, Topology
from bwnhw.plan import Plan, from_json

if TYPE_CHECKING:
    from bwnhw.rtl.generate import Generated


@dataclass(frozen=True, eq=False)
class Model:
    """A model file: its name without a folder, its bytes, and what they were read and lowered to."""

    name: str
    data: bytes
    graph: Graph
    network: Network


def read_model(model: str) -> Model:
    """Read and lower a file or a network of the zoo."""
    path = zoo.find(model)
    data = path.read_bytes()
    graph = onnx_read.from_bytes(data, str(model))
    return Model(path.stem, data, graph, lower(graph))


def choose_plan(options: argparse.Namespace, topology: Topology) -> Plan:
    """The plan of `--plan`, else the planner's for `--interval`; `--clock` wins over the plan's."""
    if options.plan is None:
        return planner.plan(topology, interval=options.interval, clock_mhz=options.clock or 200.0)
    if options.interval is not None:
        raise PlanError("--interval: expected either a plan or an interval for the planner, found both")
    if not options.plan.is_file():
        raise PlanError(f"--plan: expected a plan as `bwnhw generate` writes it, found no file {options.plan}")
    plan = from_json(options.plan.read_text(encoding="utf-8", errors="replace"))
    return replace(plan, clock_mhz=options.clock) if options.clock else plan


def read_images(path: Path, graph: Graph) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Images and labels of a file, as the graph takes them."""
    from bwnhw import images

    source = graph.inputs[0]
    return images.read_images(path, source.shape[1:], source.dtype)


def read_folder(folder: Path, extra: str) -> tuple["Generated", Model, Plan]:
    """A generated folder with the model and the plan in it, for a command that needs `extra`."""
    with needs(extra):
        from bwnhw.rtl.generate import read

    made = read(folder)
    return made, replace(read_model(str(made.model)), name=made.prefix), from_json(made.plan.read_text(encoding="utf-8"))


def valid_lanes(network: Network, plan: Plan) -> dict[str, float]:
    """The share of useful lanes of every array, by stage."""
    return lanes.valid_lanes(design(network.topology, plan), network.topology)


def expected_cycles(network: Network, plan: Plan, images: int) -> tuple[int, int | None]:
    """Latency, and the distance of the last outputs of the last two of `images` images (None for one), exactly."""
    last = cycles(design(network.topology, plan), images=images).last
    return last[0], last[images - 1] - last[images - 2] if images > 1 else None
