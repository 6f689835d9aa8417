"""LUT, flip-flops, block RAM and weight bits of a design, estimated: closed forms per block, no tool is run.

docs/estimates.md explains the formulas and states the measured error.
"""

import json
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from itertools import zip_longest

from bwnhw.array_block import Array
from bwnhw.bill import Bill
from bwnhw.blocks import Design, Stage, Unrolled, Window
from bwnhw.errors import InputError, PlanError
from bwnhw.fabric import Part
from bwnhw.families import FAMILIES
from bwnhw.network import Network
from bwnhw.seam_bill import seam, upsized
from bwnhw.stage_tables import stage_tables
from bwnhw.structure import Block, bill, credits, load_chain, shell, stage_blocks
from bwnhw.unrolled import UnrolledTables, unrolled_bill
from bwnhw.value_bill import spared


@dataclass(frozen=True)
class BlockResources:
    """One block: `kind` is its class in `bwnhw.blocks`, "Credits", "LoadChain" or "Shell"; `brams` are block RAMs of 18 kbit
    (ice40: 4); `cells` is what it takes of a device's LUTs (`Family.cells`); all numbers are estimates."""

    kind: str
    luts: int
    ffs: int
    brams: int
    weight_bits: int
    cells: int


@dataclass(frozen=True)
class StageResources:
    """One stage with its blocks in the order of the data."""

    name: str
    nodes: tuple[int, ...]
    blocks: tuple[BlockResources, ...]

    @property
    def luts(self) -> int:
        """LUT6 (xc7) or LUT4 (ecp5, ice40)."""
        return sum(block.luts for block in self.blocks)

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return sum(block.ffs for block in self.blocks)

    @property
    def brams(self) -> int:
        """Block RAMs of 18 kbit (ice40: 4)."""
        return sum(block.brams for block in self.blocks)

    @property
    def weight_bits(self) -> int:
        """Bits of weights that are stored, padding of the folding included."""
        return sum(block.weight_bits for block in self.blocks)

    @property
    def cells(self) -> int:
        """What it takes of a device's LUTs: on iCE40 logic cells."""
        return sum(block.cells for block in self.blocks)


@dataclass(frozen=True)
class Resources:
    """A whole design on one family: its stages, and `shell` for what stands between ports and stages."""

    family: str
    stages: tuple[StageResources, ...]
    shell: BlockResources

    @property
    def luts(self) -> int:
        """LUT6 (xc7) or LUT4 (ecp5, ice40)."""
        return sum(stage.luts for stage in self.stages) + self.shell.luts

    @property
    def ffs(self) -> int:
        """Flip-flops."""
        return sum(stage.ffs for stage in self.stages) + self.shell.ffs

    @property
    def brams(self) -> int:
        """Block RAMs of 18 kbit (ice40: 4)."""
        return sum(stage.brams for stage in self.stages)

    @property
    def weight_bits(self) -> int:
        """Bits of weights that are stored."""
        return sum(stage.weight_bits for stage in self.stages)


def resources(design: Design, family: str = "xc7", network: Network | None = None) -> Resources:
    """Estimate a design on a family (`bwnhw.families`). What an unrolled layer costs depends on its weights: `network` has them. With it
    arrays, too, are estimated by the values of their tables (`bwnhw.value_bill`), else as if those were random.

    A loadable design's memories are reckoned with their chain; what its other tables would cost as constants stays in the sum, so it is
    rather too high. Raises InputError for another family, PlanError where a block has no rule or an unrolled layer no network.
    """
    checked(family)
    stages = tuple(_joined(_valued(stage_resources(stage, family, network), stage, family, network), stage, behind, family)
                   for stage, behind in zip_longest(design.stages, design.stages[1:]))
    if design.loadable:
        stages = tuple(replace(counted, blocks=(*counted.blocks, _sized("LoadChain", load_chain(stage, family), family)))
                       for stage, counted in zip(design.stages, stages, strict=True))
    return Resources(family, stages, _sized("Shell", shell(design), family))


def checked(family: str) -> str:
    """The family itself, where it can be estimated. Raises InputError."""
    if family not in FAMILIES:
        raise InputError(f"resources: family must be one of {', '.join(FAMILIES)}, not {family!r}")
    return family


def _valued(counted: StageResources, stage: Stage, family: str, network: Network | None) -> StageResources:
    """A stage's estimate with what the values of its array's tables spare."""
    if network is None or not stage.array:
        return counted
    more = spared(network, stage, family)
    return _changed(counted, "Array", Part(_luts(more, family), more.part.ffs, more.part.brams), family)


def _joined(counted: StageResources, stage: Stage, behind: Stage | None, family: str) -> StageResources:
    """A stage's estimate with what its FIFO and the stage behind it have in common."""
    return _changed(counted, "Fifo", upsized(stage.fifo, behind, family), family) if behind else counted


def _changed(counted: StageResources, kind: str, more: Part, family: str) -> StageResources:
    """A stage's estimate with something added to its block of a kind."""
    if more == Part():
        return counted
    return replace(counted, blocks=tuple(
        replace(block, luts=block.luts + more.luts, ffs=block.ffs + more.ffs, brams=block.brams + more.brams,
                cells=FAMILIES[family].cells(block.luts + more.luts, block.ffs + more.ffs)) if block.kind == kind else block
        for block in counted.blocks))


def stage_resources(stage: Stage, family: str, network: Network | None = None) -> StageResources:
    """The estimate of one stage, an array's as if its tables were random: what the planner chooses by."""
    blocks = tuple(_in_stage(block, stage, family, network) for block in stage_blocks(stage))
    return StageResources(stage.name, stage.nodes, (*blocks, _sized("Credits", credits(stage.fifo), family)))


def _in_stage(block: Block, stage: Stage, family: str, network: Network | None) -> BlockResources:
    """The estimate of a block of a stage."""
    if isinstance(block, Unrolled):
        return unrolled_resources(network, stage, family)
    if isinstance(block, Array):
        return _array_resources(stage.window, block, family) if stage.window else block_resources(block, family)
    return _common_resources(block, family)


def unrolled_resources(network: Network | None, stage: Stage, family: str) -> BlockResources:
    """The estimate of a stage's unrolled layer. Raises PlanError without the network."""
    if network is None:
        raise PlanError(f"{stage.name}: an unrolled layer's estimate needs the network with its weights, but there is only its topology")
    block, tables = stage.cores[0], stage_tables(network, stage)[0]
    if not (isinstance(block, Unrolled) and isinstance(tables, UnrolledTables)):
        raise PlanError(f"{stage.name}: an unrolled layer was expected, found {type(block).__name__}")
    return _sized("Unrolled", unrolled_bill(tables, block, family), family)


def _array_resources(window: Window, array: Array, family: str) -> BlockResources:
    """The estimate of an array behind its window."""
    return _sized("Array", bill(array, family) + Bill(seam(window, array, family)), family)


@lru_cache(maxsize=4096)
def _common_resources(block: Block, family: str) -> BlockResources:
    """The estimate of a block that foldings of a layer may have in common. No array's: equal ones may differ in how full they are."""
    return block_resources(block, family)


def block_resources(block: Block, family: str) -> BlockResources:
    """The estimate of one block."""
    return _sized(type(block).__name__, bill(block, family), family)


def _sized(kind: str, found: Bill, family: str) -> BlockResources:
    """A bill with its features at their cost."""
    luts = _luts(found, family)
    return BlockResources(kind, luts, found.part.ffs, found.part.brams, found.weight_bits, FAMILIES[family].cells(luts, found.part.ffs))


def _luts(found: Bill, family: str) -> int:
    """The LUTs of a bill, its features at their cost. Raises PlanError for a feature that was never measured."""
    costs = _coefficients()[family]
    unknown = sorted(name for name, count in found.features.items() if count and name not in costs)
    if unknown:
        raise PlanError(f"resources: the cost of {unknown[0]} must be in coefficients.json, but it was never measured on {family}")
    return round(found.part.luts + sum(costs[name] * count for name, count in found.features.items() if count))


@cache
def _coefficients() -> dict[str, dict[str, float]]:
    """Family → feature → LUTs of one."""
    luts: dict[str, dict[str, float]] = json.loads(files("bwnhw").joinpath("coefficients.json").read_text(encoding="utf-8"))["luts"]
    return luts
