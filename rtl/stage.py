"""One stage of the chain: resizers, an optional window, free-running cores, and the FIFO whose credits pace them.

Cycle rules: docstring of `bwnhw.blocks.Stage`.
"""

from collections.abc import Sequence

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from bwnhw.array_block import Array
from bwnhw.blocks import Stage, Unrolled, Upsize
from bwnhw.rtl.core import build_core, load_core
from bwnhw.rtl.fifo import CreditFifo, Credits
from bwnhw.rtl.resize import Downsizer, Upsizer
from bwnhw.rtl.signatures import StreamSignature
from bwnhw.rtl.store import LOAD_PORTS, chain
from bwnhw.rtl.window import SlidingWindow
from bwnhw.rtl.window_control import loop
from bwnhw.stage_tables import Tables


class StageUnit(wiring.Component):
    """The hardware of a stage, its tables None where they are loaded at run time.

    Ports: `i` and `o`, streams as its first and last block have them; `busy`, `fed` of its window if any; `load_i`, `load_o`, the load
    chain, if there is something to load.
    """

    def __init__(self, stage: Stage, tables: Sequence[Tables] | None) -> None:
        self._stage = stage
        if tables is None:
            self._cores = [load_core(core, stage.window) for core in stage.cores]
        else:
            self._cores = [build_core(core, values, stage.window) for core, values in zip(stage.cores, tables, strict=True)]
        self._loaded = [core for core in self._cores if "load_i" in core.signature.members]
        super().__init__({
            "i": In(_input_signature(stage)),
            "o": Out(StreamSignature(stage.fifo.lanes, stage.fifo.bits)),
        } | ({"busy": Out(1), "fed": Out(1)} if stage.window else {}) | (LOAD_PORTS if self._loaded else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stage = self._stage
        m.submodules.credits = credits = Credits(stage.fifo.depth)
        m.submodules.fifo = fifo = CreditFifo(stage.fifo)
        cores = self._cores
        for number, (core, unit) in enumerate(zip(stage.cores, cores, strict=True)):
            m.submodules[f"{type(core).__name__.lower()}_{number}"] = unit
        source = self._resized(m)
        if stage.window:
            m.submodules.window = window = SlidingWindow(stage.window)
            wiring.connect(m, source, window.i)
            wiring.connect(m, window.o, cores[0].i)
            m.d.comb += [window.credit.eq(credits.some), credits.take.eq(window.start), self.busy.eq(window.busy), self.fed.eq(window.fed)]
        else:
            self._paced(m, source, cores[0], credits)
        for before, after in zip(cores, [*cores[1:], fifo], strict=True):
            wiring.connect(m, before.o, after.i)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        m.d.comb += credits.give.eq(self.o.valid & self.o.ready)
        if self._loaded:
            chain(m, self, self._loaded)
        return m

    def _resized(self, m: Module) -> wiring.PureInterface:
        """The input stream behind the resizers."""
        source = wiring.flipped(self.i)
        for number, block in enumerate(self._stage.resizers):
            m.submodules[f"resize_{number}"] = unit = Upsizer(block) if isinstance(block, Upsize) else Downsizer(block)
            wiring.connect(m, source, unit.i)
            source = unit.o
        return source

    def _paced(self, m: Module, source: wiring.PureInterface, core: wiring.Component, credits: Credits) -> None:
        """Hand beats to the first core, those that begin a group only with a credit."""
        taken, begins = Signal(), Signal(init=1)
        _, last = loop(m, "member", self._stage.group, taken)
        with m.If(taken):
            m.d.sync += begins.eq(last)
        m.d.comb += [
            source.ready.eq(~begins | credits.some),
            taken.eq(source.valid & source.ready),
            credits.take.eq(taken & begins),
            core.i.valid.eq(taken),
            core.i.payload.eq(source.payload),
        ]


def _input_signature(stage: Stage) -> stream.Signature:
    """The stream that the stage's first block takes."""
    if stage.resizers:
        return StreamSignature(stage.resizers[0].lanes_in, stage.resizers[0].bits)
    entry = stage.window or stage.cores[0]
    if isinstance(entry, Array | Unrolled):
        raise TypeError(f"{stage.name}: a layer takes the beats of a window, and the stage has none")
    return StreamSignature(entry.lanes, entry.bits)
