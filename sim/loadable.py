"""One build for many networks: a loadable design, and every network of its topology loaded into it in turn."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bwnhw import golden
from bwnhw.blocks import Design
from bwnhw.codes import encode
from bwnhw.design import design
from bwnhw.errors import InputError
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load as read_model
from bwnhw.plan import Plan, from_json
from bwnhw.rtl.generate import generate, read
from bwnhw.rtl.top import load
from bwnhw.sim.batch import BatchResult, run_batch
from bwnhw.sim.case import Difference, first_difference
from bwnhw.sim.interface import Interface, read_interface


@dataclass(frozen=True, eq=False)
class LoadableBuild:
    """A generated folder whose plan is loadable; Verilator builds it once, at the first run, and `cache` keeps the build."""

    interface: Interface
    plan: Plan
    design: Design
    cache: Path | None = None

    @staticmethod
    def of(folder: Path, cache: Path | None = None) -> "LoadableBuild":
        """The build of a folder that `bwnhw generate --loadable` wrote. Raises InputError."""
        generated = read(folder)
        plan = from_json(generated.plan.read_text(encoding="utf-8"))
        if not plan.loadable:
            raise InputError(f"{folder}: expected a loadable design, found one with its weights in the Verilog")
        return LoadableBuild(read_interface(folder), plan, design(lower(read_model(generated.model)).topology, plan), cache)

    @staticmethod
    def make(model: Path, plan: Plan, folder: Path, cache: Path | None = None) -> "LoadableBuild":
        """Generate a loadable design for a model's topology into `folder`, whatever `plan.loadable` says. Raises as `generate`."""
        data = model.read_bytes()
        generate(lower(read_model(model)), replace(plan, loadable=True), data, folder, "common")
        return LoadableBuild.of(folder, cache)

    def words(self, network: Network) -> NDArray[np.uint32]:
        """What loads a network. Raises InputError where its topology isn't the build's, PlanError where a scaled score doesn't fit."""
        found = design(network.topology, self.plan)
        if found != self.design:
            pairs = zip(self.design.stages, found.stages, strict=False)
            where = next((mine.name for mine, theirs in pairs if mine != theirs), "a port or the number of stages")
            raise InputError(f"network: expected the topology that the loadable design was made for, found another: {where} differs")
        return load(network, self.plan)

    def run(self, network: Network, codes: NDArray[np.integer], **options: Any) -> BatchResult:
        """Load a network and push codes (N, C, H, W) through; options and errors as `run_batch`, and as `words`."""
        return run_batch(self.interface, codes, cache=self.cache, load=self.words(network), **options)

    def check(self, model: Path, images: ArrayLike, **options: Any) -> Difference | None:
        """Load a model file, run its images, and hold every output against the golden model: the first difference, or None."""
        network = lower(read_model(model))
        codes = encode(network, images)
        return first_difference(golden.outputs(network, codes), self.run(network, codes, **options).outputs,
                                len(network.topology.nodes) - 1)
