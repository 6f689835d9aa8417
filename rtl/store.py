"""Where a component's tables come from: constants, or memories on the load chain that are filled at run time.

The chain: a word per cycle in which `valid` is high; `begin` with the first word that a memory sees of a load. A memory takes its own
words and hands the rest on, through one register. Nobody can stall it.
"""

from collections.abc import Sequence
from typing import Protocol

from amaranth import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bwnhw.loading import WORD
from bwnhw.rtl.pipeline import lookup
from bwnhw.rtl.signatures import index_shape


class LoadSignature(wiring.Signature):
    """The load chain between two memories: `valid`, `begin`, `data` (one word)."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "begin": Out(1), "data": Out(WORD)})


LOAD_PORTS = {"load_i": In(LoadSignature()), "load_o": Out(LoadSignature())}


class Store(Protocol):
    """How a component gets at its tables; one store per component."""

    ports: dict[str, object]

    def table(self, m: Module, index: Value, entries: Sequence[int], shape: Shape, name: str) -> Value:
        """entries[index], in the same cycle."""

    def link(self, m: Module, component: wiring.Component) -> None:
        """Put the tables, in the order in which they were asked for, on the component's load chain."""


class Baked:
    """Tables of constants."""

    ports: dict[str, object] = {}

    def table(self, m: Module, index: Value, entries: Sequence[int], shape: Shape, name: str) -> Value:
        """entries[index], in the same cycle."""
        return lookup(m, index, entries, shape, name)

    def link(self, m: Module, component: wiring.Component) -> None:
        """Nothing to load."""


class Loaded:
    """Tables that are loaded: of the entries only their number matters."""

    def __init__(self) -> None:
        self.ports: dict[str, object] = dict(LOAD_PORTS)
        self._tables: list[list[Holder]] = []  # of each table the memories that hold its entries, the low bits first

    def table(self, m: Module, index: Value, entries: Sequence[int], shape: Shape, name: str, *, ahead: bool = False) -> Value:
        """The entry at `index`, in the same cycle, or one cycle later where `ahead`; entries wider than a word in several memories."""
        holders = []
        for at in range(0, shape.width, WORD):
            holder = Holder(len(entries), min(WORD, shape.width - at), ahead)
            m.submodules[f"{name}_{at}" if shape.width > WORD else name] = holder
            m.d.comb += holder.index.eq(index)
            holders.append(holder)
        self._tables.append(holders)
        whole: Value = Cat(*(holder.entry for holder in holders))
        return whole.as_signed() if shape.signed else whole

    def link(self, m: Module, component: wiring.Component, *, backwards: bool = False) -> None:
        """Put the tables, in the order in which they were asked for or backwards, on the component's load chain."""
        tables = self._tables[::-1] if backwards else self._tables
        chain(m, component, [holder for holders in tables for holder in holders])


BAKED = Baked()


def chain(m: Module, outer: wiring.Component, inner: Sequence[wiring.Component]) -> None:
    """Lead the load chain of a component through others that it consists of."""
    above = wiring.flipped(outer.load_i)
    for component in inner:
        wiring.connect(m, above, component.load_i)
        above = component.load_o
    wiring.connect(m, above, wiring.flipped(outer.load_o))


class Holder(wiring.Component):
    """One memory of the load chain: `depth` entries of `bits` ≤ WORD.

    Ports: `load_i`, `load_o` one cycle later, without the words taken; `index`, `entry`: read in the same cycle, or with `ahead` one
    cycle later. Words come back with `begin` at entry 0, so nothing here needs a reset but the words on their way.
    """

    def __init__(self, depth: int, bits: int, ahead: bool) -> None:
        self._depth, self._bits, self._ahead = depth, bits, ahead
        super().__init__({**LOAD_PORTS, "index": In(index_shape(depth)), "entry": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, after = self.load_i, self.load_o
        full = Signal(reset_less=True)
        passed = Signal(reset_less=True)  # a word of this load has been handed on
        take = Signal()
        m.d.comb += take.eq(word.valid & (word.begin | ~full))
        valid, begin = Signal(name="valid"), Signal(name="begin", reset_less=True)
        data = Signal(WORD, name="data", reset_less=True)
        m.d.sync += [valid.eq(word.valid & ~take), begin.eq(~passed), data.eq(word.data)]
        m.d.comb += [after.valid.eq(valid), after.begin.eq(begin), after.data.eq(data)]
        with m.If(word.valid):
            m.d.sync += passed.eq(~take)
        if self._depth == 1:
            with m.If(word.valid):
                m.d.sync += full.eq(1)
            entry = Signal(self._bits, name="held", reset_less=True)
            with m.If(take):
                m.d.sync += entry.eq(word.data)
            m.d.comb += self.entry.eq(entry)
            return m
        count = Signal(index_shape(self._depth), reset_less=True)
        place = Signal.like(count, name="place")
        m.d.comb += place.eq(Mux(word.begin, 0, count))
        with m.If(take):
            m.d.sync += [count.eq(place + 1), full.eq(place == self._depth - 1)]
        m.submodules.store = store = memory.Memory(shape=unsigned(self._bits), depth=self._depth, init=())
        write, read = store.write_port(), store.read_port(domain="sync" if self._ahead else "comb")
        m.d.comb += [write.addr.eq(place), write.data.eq(word.data), write.en.eq(take), read.addr.eq(self.index), self.entry.eq(read.data)]
        return m
