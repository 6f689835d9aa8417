"""One stage of the chain: resizers, an optional window, free-running cores, and the FIFO whose credits pace them.

Cycle rules: docstring of `bwnhw.blocks.Stage`.
"""

from collections.abc import Sequence

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Stage, Upsize
from bwnhw.network import Network
from bwnhw.rtl.core import Tables, build_core
from bwnhw.rtl.fifo import CreditFifo, Credits
from bwnhw.rtl.resize import Downsizer, Upsizer
from bwnhw.rtl.signatures import StreamSignature
from bwnhw.rtl.window import SlidingWindow
from bwnhw.rtl.window_control import loop
from bwnhw.tables import array_tables, reduce_flips, scale_tables, threshold_tables


def stage_tables(network: Network, stage: Stage) -> tuple[Tables, ...]:
    """What every core of a stage stores, in the order of `stage.cores`."""
    nodes, params = network.topology.nodes, network.params
    remaining = iter(stage.nodes)
    tables: list[Tables] = []
    for core in stage.cores:
        index = next(remaining)
        match type(core).__name__:
            case "Array":
                threshold = params[next(remaining)] if core.mode == "bits" else None
                source = nodes[nodes[index].src[0]].out
                tables.append(array_tables(nodes[index], params[index], threshold, source, stage.window, core))
            case "Reduce":
                tables.append(reduce_flips(params[index], core))
            case "Thresholds":
                tables.append(threshold_tables(params[index], core))
            case "Scaler":
                tables.append(scale_tables(params[index], core))
            case _:
                tables.append(None)
    return tuple(tables)


class StageUnit(wiring.Component):
    """The hardware of a stage. Ports: `i` and `o`, streams as its first and last block have them."""

    def __init__(self, stage: Stage, tables: Sequence[Tables]) -> None:
        self._stage, self._tables = stage, tables
        entry = (*stage.resizers, *([stage.window] if stage.window else []), *stage.cores)[0]
        lanes = entry.lanes_in if entry in stage.resizers else entry.lanes
        super().__init__({
            "i": In(StreamSignature(lanes, entry.bits)),
            "o": Out(StreamSignature(stage.fifo.lanes, stage.fifo.bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stage = self._stage
        m.submodules.credits = credits = Credits(stage.fifo.depth)
        m.submodules.fifo = fifo = CreditFifo(stage.fifo)
        cores = [build_core(core, tables, stage.window) for core, tables in zip(stage.cores, self._tables, strict=True)]
        for number, (core, unit) in enumerate(zip(stage.cores, cores, strict=True)):
            m.submodules[f"{type(core).__name__.lower()}_{number}"] = unit
        stream = self._resized(m)
        if stage.window:
            m.submodules.window = window = SlidingWindow(stage.window)
            wiring.connect(m, stream, window.i)
            wiring.connect(m, window.o, cores[0].i)
            m.d.comb += [window.credit.eq(credits.some), credits.take.eq(window.start)]
        else:
            self._paced(m, stream, cores[0], credits)
        for before, after in zip(cores, [*cores[1:], fifo], strict=True):
            wiring.connect(m, before.o, after.i)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        m.d.comb += credits.give.eq(self.o.valid & self.o.ready)
        return m

    def _resized(self, m: Module) -> wiring.PureInterface:
        """The input stream behind the resizers."""
        stream = wiring.flipped(self.i)
        for number, block in enumerate(self._stage.resizers):
            m.submodules[f"resize_{number}"] = unit = Upsizer(block) if isinstance(block, Upsize) else Downsizer(block)
            wiring.connect(m, stream, unit.i)
            stream = unit.o
        return stream

    def _paced(self, m: Module, stream: wiring.PureInterface, core: wiring.Component, credits: Credits) -> None:
        """Hand beats to the first core, those that begin a group only with a credit."""
        taken, begins = Signal(), Signal(init=1)
        _, last = loop(m, "member", self._stage.group, taken)
        with m.If(taken):
            m.d.sync += begins.eq(last)
        m.d.comb += [
            stream.ready.eq(~begins | credits.some),
            taken.eq(stream.valid & stream.ready),
            credits.take.eq(taken & begins),
            core.i.valid.eq(taken),
            core.i.payload.eq(stream.payload),
        ]
