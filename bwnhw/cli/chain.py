"""The first steps that several commands share: model, plan and images, as the options name them."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bwnhw import devices, lanes, lower, onnx_read, planner, zoo
from bwnhw.cycles import cycles
from bwnhw.depths import least_depths
from bwnhw.design import design
from bwnhw.errors import InputError, PlanError
from bwnhw.extras import needs
from bwnhw.graph import Graph
from bwnhw.network import Network, Topology, topology_of
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


def choose_plan(options: argparse.Namespace, network: Network | Topology) -> Plan:
    """The plan of `--plan`, depths that it leaves open at their least; else the planner's for what the options want and have.

    From a topology alone, as loadable designs need it, without unrolled layers.
    """
    wishes = [name for name in ("interval", "fps", "quickest", "luts", "brams") if getattr(options, name) not in (None, False)]
    if options.plan is not None:
        if wishes:
            raise PlanError(f"--{wishes[0]}: expected either a plan or wishes for the planner, found both")
        if not options.plan.is_file():
            raise PlanError(f"--plan: expected a plan as `bwnhw plan` writes it, found no file {options.plan}")
        plan = from_json(options.plan.read_text(encoding="utf-8", errors="replace"))
        return least_depths(topology_of(network), replace(plan, clock_mhz=options.clock) if options.clock else plan)
    budget, given = budget_of(options), planner.Given(clock_mhz=options.clock or 200.0)
    interval = _interval(options, given.clock_mhz)
    if options.quickest:
        if interval is not None:
            raise PlanError("--quickest: expected either the least latency or a wanted rate, found both")
        return planner.quickest(network, budget, given)
    if interval is not None:
        return planner.cheapest(network, interval, budget, given)
    if budget.luts is None and budget.brams is None:
        return planner.plan(network, clock_mhz=given.clock_mhz, family=budget.family)
    return planner.fastest(network, budget, given)


def budget_of(options: argparse.Namespace) -> planner.Budget:
    """What there is: `--luts` and `--brams`, else a device's LUTs as far as they can be routed and its block RAMs."""
    device = devices.find(options.device) if options.device else None
    luts = options.luts or (int(device.luts * devices.ROUTABLE) if device else None)
    brams = device.brams if device and options.brams is None else options.brams
    return planner.Budget(luts, brams, family(options))


def family(options: argparse.Namespace, plan: Plan | None = None) -> str:
    """The FPGA family of `--device`, else of `--family`, else that which the plan is for, else xc7."""
    chosen: str | None = getattr(options, "family", None)
    if options.device:
        device = devices.find(options.device)
        if chosen not in (None, device.family):
            raise InputError(f"--family: expected {device.family}, the family of {device.name}, found {chosen}")
        return device.family
    return chosen or (plan.family if plan else "xc7")


def _interval(options: argparse.Namespace, clock_mhz: float) -> int | None:
    """The wanted cycles from image to image, the stricter of `--interval` and `--fps`."""
    if options.fps is None:
        interval: int | None = options.interval
        return interval
    most = int(clock_mhz * 1e6 / options.fps)
    if most < 1:
        raise PlanError(f"--fps: expected at most {clock_mhz * 1e6:,.0f} images per second, one per cycle, found {options.fps:g}")
    return min(most, options.interval or most)


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
