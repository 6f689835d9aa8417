"""A row of the systolic array whose weights, offsets and flips are loaded at run time."""

from amaranth import Const, Module, Value, unsigned

from bwnhw.array_block import Array
from bwnhw.rtl.edge import Accumulator, is_late
from bwnhw.rtl.pe import Column, ProcessingElement
from bwnhw.rtl.pipeline import delay
from bwnhw.rtl.row import BareRow
from bwnhw.rtl.store import LOAD_PORTS, Loaded


class LoadedRow(BareRow):
    """A row with memories in place of constants, so that every row is the same hardware.

    Further ports: `load_i`, `load_o`, the load chain, which goes from the first PE to the accumulator, or `backwards`.
    """

    def __init__(self, array: Array, backwards: bool) -> None:
        self._backwards, self._store = backwards, Loaded()
        super().__init__(array, LOAD_PORTS)

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        self._store.link(m, self, backwards=self._backwards)
        return m

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        pe = ProcessingElement(column, fold)
        ahead = self._array.memory == "block" and fold > 0
        counter: Value = Const(0, 1)
        if fold:
            counter = self.fold_i[column.index * fold:(column.index + 1) * fold] if ahead else pe.fold_o
        entries, name = range(self._array.fold_depth), f"weights_c{column.index}"
        m.d.comb += pe.weights.eq(self._store.table(m, counter, entries, unsigned(column.lanes), name, ahead=ahead))
        return pe

    def _accumulator(self, m: Module) -> Accumulator:
        array = self._array
        accumulator = Accumulator(array, range(self._columns[-1].max_out + 1), 0 if is_late(array) else None)
        several = array.offsets > 1
        at = accumulator.at if several else Const(0, 1)
        entry = self._store.table(m, at, range(array.offsets), unsigned(array.acc_bits + array.flips), "edge")
        m.d.comb += accumulator.offset.eq(delay(m, entry[:array.acc_bits].as_signed(), several, "offset"))
        if array.flips:
            m.d.comb += accumulator.flip.eq(delay(m, entry[-1], 2 * several, "flip"))
        return accumulator
