"""Trained binary-weight networks become verified FPGA hardware.

    network = bwnhw.lower(bwnhw.load("digits-conv"))   # a file, or a network that ships; exact integers from here on
    plan = bwnhw.plan(network, interval=1000)          # how much hardware every layer gets
    print(bwnhw.estimate(network, plan).luts)          # no tool is run
    bwnhw.generate("digits-conv", "out", plan)         # Verilog and its side-car
    print(bwnhw.simulate("out").passed)                # the Verilog against the golden model, bit for bit

`load`, `lower`, `plan` and `estimate` need NumPy and ONNX; `generate` and `simulate` the extras of their names. What goes wrong is a
`bwnhw.errors.BwnhwError`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# `lower`, `plan` and `estimate` are modules too. Importing a module sets its name here, so the functions are bound after that.
from bwnhw import planner
from bwnhw.estimate import Estimate, estimate
from bwnhw.graph import Graph
from bwnhw.lower import lower
from bwnhw.network import Network, Topology
from bwnhw.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bwnhw.rtl.generate import Generated
    from bwnhw.sim.verify import SimResult

__all__ = ["Estimate", "Graph", "Network", "Plan", "__version__", "estimate", "generate", "load", "lower", "plan", "simulate"]


def load(model: str | Path) -> Graph:
    """Read an ONNX file, or a network of the zoo by name. Raises InputError, ModelError."""
    from bwnhw import onnx_read, zoo

    return onnx_read.load(zoo.find(model))


def plan(network: Network | Topology, *, interval: int | None = None, clock_mhz: float = 200.0) -> Plan:
    """The cheapest folding that takes an image every `interval` cycles, or the fastest that fits a mid-size FPGA. Raises PlanError."""
    return planner.plan(network, interval=interval, clock_mhz=clock_mhz)


def generate(model: str | Path, out: str | Path, plan: Plan | None = None, *, name: str = "bwnhw") -> "Generated":
    """Write Verilog, side-car, model and plan of a network into the folder `out`, whole or not at all.

    Every module's name begins with `name`; without a plan the planner's is taken. Raises InputError and its kinds, MissingError, OSError.
    """
    from bwnhw import onnx_read, zoo
    from bwnhw.extras import needs

    with needs("generate"):
        from bwnhw.rtl.generate import generate as write

    data = zoo.find(model).read_bytes()
    network = lower(onnx_read.from_bytes(data, str(model)))
    return write(network, plan or planner.plan(network), data, Path(out), name)


def simulate(folder: str | Path, images: "ArrayLike | None" = None, *, layers: bool = False, waves: Path | None = None, seed: int = 1,
             jobs: int = 2) -> "SimResult":
    """Simulate a generated folder and compare every output with the golden model of the model in it.

    `images` (N, ...) are raw uint8 or the graph input's float32; without them 32 images of random codes from `seed` are drawn. All go
    through the batch runner, the first 200 through cocotb; `layers` compares every layer's stream there, `waves` names a VCD file.
    A mismatch is in the result. Raises InputError and its kinds, MissingError, ToolError.
    """
    from bwnhw.extras import needs

    with needs("simulate"):
        from bwnhw.sim.verify import simulate as run

    return run(Path(folder), images, layers=layers, waves=waves, seed=seed, jobs=jobs)
