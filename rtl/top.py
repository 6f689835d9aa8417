"""The whole accelerator: AXI4-Stream in, the chain of stages, AXI4-Stream out."""

import numpy as np
from amaranth import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Design
from bwnhw.design import design
from bwnhw.loading import WORD, load_tables, load_words, signature
from bwnhw.network import Network
from bwnhw.plan import Plan
from bwnhw.rtl.load_port import LoadPort
from bwnhw.rtl.shell import AxisInput, AxisOutput, input_bits, output_bits
from bwnhw.rtl.stage import StageUnit
from bwnhw.rtl.tidy import WATCH
from bwnhw.stage_tables import Tables, stage_tables

_LOAD_PORTS = {"s_axis_load_tdata": In(WORD), "s_axis_load_tvalid": In(1), "s_axis_load_tready": Out(1), "s_axis_load_tlast": In(1),
               "loaded": Out(1)}


class Top(wiring.Component):
    """Ports: `aclk`, `aresetn` (synchronous, active low, at least two cycles), `s_axis_*`, `m_axis_*`, `frame_error`.

    The stream that leaves a stage is visible here as `<stage name>_valid`, `_ready` and `_payload`, what its window does as `_busy` (a
    beat enters the stage's core) and `_fed` (the words for the next one are there). A loadable design has no tables, but ports
    `s_axis_load_*` and `loaded` (`LoadPort`); until it is loaded, s_axis isn't ready.
    """

    def __init__(self, blocks: Design, tables: tuple[tuple[Tables, ...] | None, ...]) -> None:
        self._design, self._tables = blocks, tables
        super().__init__({
            "aclk": In(1), "aresetn": In(1),
            "s_axis_tdata": In(input_bits(blocks.input)), "s_axis_tvalid": In(1), "s_axis_tready": Out(1), "s_axis_tlast": In(1),
            "m_axis_tdata": Out(output_bits(blocks.output)), "m_axis_tvalid": Out(1), "m_axis_tready": In(1), "m_axis_tlast": Out(1),
            "frame_error": Out(1),
        } | (_LOAD_PORTS if blocks.loadable else {}))

    @property
    def design(self) -> Design:
        """The bill of blocks that this is the hardware of."""
        return self._design

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._clocking(m)
        m.submodules.axis_input = source = AxisInput(self._design.input)
        m.submodules.axis_output = sink = AxisOutput(self._design.output)
        for port, name in ((source, "s_axis"), (sink, "m_axis")):
            for member in ("tdata", "tvalid", "tready", "tlast"):
                inside, outside = getattr(port, member), getattr(self, f"{name}_{member}")
                inward = port.signature.members[member].flow == In
                if self._design.loadable and name == "s_axis" and member in ("tvalid", "tready"):
                    inside, outside = (inside, outside & self.loaded) if inward else (inside & self.loaded, outside)
                m.d.comb += inside.eq(outside) if inward else outside.eq(inside)
        m.d.comb += self.frame_error.eq(source.frame_error)
        units = [StageUnit(stage, tables) for stage, tables in zip(self._design.stages, self._tables, strict=True)]
        wiring.connect(m, source.o, units[0].i)
        for stage, unit, taker in zip(self._design.stages, units, [*(unit.i for unit in units[1:]), sink.i], strict=True):
            m.submodules[stage.name] = unit
            _link(m, stage.name, unit.o, taker)
            if stage.window:
                m.d.comb += [_watched(stage.name, "busy").eq(unit.busy), _watched(stage.name, "fed").eq(unit.fed)]
        if self._design.loadable:
            self._loading(m, [unit for unit in units if "load_i" in unit.signature.members])
        return m

    def _loading(self, m: Module, units: list[StageUnit]) -> None:
        """The load chain, from its port through the stages and back."""
        m.submodules.load = port = LoadPort(len(load_tables(self._design)), signature(self._design))
        above = port.o
        for unit in units:
            wiring.connect(m, above, unit.load_i)
            above = unit.load_o
        wiring.connect(m, above, port.i)
        m.d.comb += [
            port.tdata.eq(self.s_axis_load_tdata), port.tvalid.eq(self.s_axis_load_tvalid), port.tlast.eq(self.s_axis_load_tlast),
            self.s_axis_load_tready.eq(port.tready), self.loaded.eq(port.loaded),
        ]

    def _clocking(self, m: Module) -> None:
        """Everything runs on `aclk`; the reset is registered once, and on from power-up."""
        unreset, main = ClockDomain("unreset", reset_less=True), ClockDomain("sync")
        reset = Signal(init=1)
        unreset.clk = main.clk = self.aclk
        main.rst = reset
        m.domains += [unreset, main]
        m.d.unreset += reset.eq(~self.aresetn)


def _link(m: Module, name: str, giver: wiring.PureInterface, taker: wiring.PureInterface) -> None:
    """Connect a stage to what follows it through signals of stable names, for benches to watch."""
    valid, ready, payload = _watched(name, "valid"), _watched(name, "ready"), _watched(name, "payload", len(giver.payload))
    m.d.comb += [valid.eq(giver.valid), payload.eq(giver.payload), giver.ready.eq(ready),
                 taker.valid.eq(valid), taker.payload.eq(payload), ready.eq(taker.ready)]


def _watched(name: str, part: str, width: int = 1) -> Signal:
    return Signal(width, name=f"{name}_{part}", attrs={WATCH: f"{name}_{part}"})


def build(network: Network, plan: Plan) -> Top:
    """The accelerator of a network. Raises PlanError where the plan can't be honoured or a node has no hardware."""
    blocks = design(network.topology, plan)
    return Top(blocks, tuple(None if plan.loadable else stage_tables(network, stage) for stage in blocks.stages))


def load(network: Network, plan: Plan) -> NDArray[np.uint32]:
    """The words that load a network into the loadable accelerator of a plan. Raises PlanError where some value doesn't fit."""
    blocks = design(network.topology, plan)
    return load_words(blocks, [stage_tables(network, stage) for stage in blocks.stages])
