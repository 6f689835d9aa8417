"""The sliding window: line buffer, sequencer, padding and plane selection. Cycle rules: docstring of `bwnhw.blocks.Window`."""

import numpy as np
from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Window
from bwnhw.rtl.piecewise import by_index
from bwnhw.rtl.signatures import BeatSignature, StreamSignature, index_shape
from bwnhw.rtl.window_control import Occupancy, Sequencer, Walk
from bwnhw.walk import walk_tables


class SlidingWindow(wiring.Component):
    """Writes a map's beats into a line buffer and hands out every output pixel's taps, once per group and step.

    Ports: `i` stream of `lanes` elements, `credit` (the FIFO behind has room for one more group), `start` (a group takes a
    credit now), `o` the beats, two cycles behind their issue: one for the memories, one for padding and planes. For observers:
    `busy` (a beat issues now), `fed` (all words of the current pixel are there).
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._tables = walk_tables(window)
        super().__init__({
            "i": In(StreamSignature(window.lanes, window.bits)),
            "credit": In(1),
            "start": Out(1),
            "busy": Out(1),
            "fed": Out(1),
            "o": Out(BeatSignature(window)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._window)
        m.submodules.walk = walk = Walk(self._window)
        m.submodules.occupancy = occupancy = Occupancy(self._window)
        write = Signal()
        advance = Signal()
        m.d.comb += [
            write.eq(self.i.valid & self.i.ready), self.i.ready.eq(occupancy.room),
            advance.eq(sequencer.issue & sequencer.pixel_last),
            occupancy.write.eq(write), occupancy.advance.eq(advance), walk.advance.eq(advance),
            occupancy.freed.eq(walk.freed), occupancy.demand.eq(walk.demand),
            sequencer.go.eq(occupancy.ready & self.credit),
            self.start.eq(sequencer.issue & sequencer.first),
            self.busy.eq(sequencer.issue), self.fed.eq(occupancy.ready),
        ]
        cursor = self._cursor(m, sequencer, walk, advance)
        words = self._buffer(m, write, cursor, sequencer)
        self._data(m, words, sequencer, walk)
        self._marks(m, sequencer, walk)
        return m

    def _cursor(self, m: Module, sequencer: Sequencer, walk: Walk, advance: Value) -> Value:
        """Address of the current word of the tap in the kernel's corner."""
        window = self._window
        geometry = window.geometry
        corner = (-geometry.pads[0] * geometry.width - geometry.pads[1]) * window.words % window.depth
        base = Signal(range(window.depth), init=corner)
        cursor = Signal(range(window.depth), init=corner)
        following = Signal(range(window.depth))
        m.d.comb += following.eq(base + walk.move)
        with m.If(advance):
            m.d.sync += [base.eq(following), cursor.eq(following)]
        with m.Elif(sequencer.issue):
            if window.depthwise:
                m.d.sync += cursor.eq(cursor + sequencer.group_last)
            else:
                m.d.sync += cursor.eq(Mux(sequencer.word_last, base, cursor + 1))
        return cursor

    def _buffer(self, m: Module, write: Value, cursor: Value, sequencer: Sequencer) -> list[Value]:
        """The line buffer's copies; the word that each one read, a cycle after the issue."""
        window = self._window
        kernel_width = window.geometry.kernel[1]
        write_at = Signal(range(window.depth))
        with m.If(write):
            m.d.sync += write_at.eq(write_at + 1)
        words: list[Value] = []
        for copy in range(window.taps):
            distances = [(tap // kernel_width * window.geometry.width + tap % kernel_width) * window.words % window.depth
                         if tap < window.geometry.kernel[0] * kernel_width else 0
                         for tap in range(copy, window.tap_beats * window.taps, window.taps)]
            store = memory.Memory(shape=window.lanes * window.bits, depth=window.depth, init=())
            m.submodules[f"copy_{copy}"] = store
            write_port = store.write_port()
            read_port = store.read_port()
            address = Signal(range(window.depth), name=f"address_{copy}")
            m.d.comb += [
                write_port.addr.eq(write_at), write_port.data.eq(self.i.payload), write_port.en.eq(write),
                address.eq(cursor + by_index(distances, sequencer.tap_beat)), read_port.addr.eq(address),
            ]
            words.append(read_port.data)
        return words

    def _data(self, m: Module, words: list[Value], sequencer: Sequencer, walk: Walk) -> None:
        """Second cycle: padding comes in, and the step's planes are taken from every element."""
        window = self._window
        plane_groups = [step.plane_group for step in window.steps]
        plane_group = Signal(index_shape(max(plane_groups) + 1))
        m.d.sync += plane_group.eq(by_index(plane_groups, sequencer.step))
        padding = Cat(Const(window.pad_code, window.bits) for _ in range(window.lanes))
        elements: list[Value] = []
        for copy, word in enumerate(words):
            inside = self._inside(copy, walk)
            shown = Signal(window.lanes * window.bits, name=f"word_{copy}")
            if len(inside) == 1 and isinstance(inside[0], Const):
                m.d.comb += shown.eq(word if inside[0].value else padding)
            else:
                valid_tap = Signal(name=f"inside_{copy}")
                m.d.sync += valid_tap.eq(Array(inside)[sequencer.tap_beat] if len(inside) > 1 else inside[0])
                m.d.comb += shown.eq(Mux(valid_tap, word, padding))
            elements += [shown.word_select(lane, window.bits) for lane in range(window.lanes)]
        if window.planes == window.bits:
            taken = elements
        else:
            taken = [Array(element.word_select(group, window.planes) for group in range(max(plane_groups) + 1))[plane_group]
                     for element in elements]
        data = Signal(window.taps * window.lanes * window.planes, reset_less=True)
        m.d.sync += data.eq(Cat(taken))
        m.d.comb += self.o.data.eq(data)

    def _inside(self, copy: int, walk: Walk) -> list[Value]:
        """For every tap beat, whether the copy's tap lies in the map; one entry where that is always the same constant."""
        window = self._window
        height, width = window.geometry.kernel
        rows = [_bit(self._tables["rows"], walk.rows, row) for row in range(height)]
        columns = [_bit(self._tables["columns"], walk.columns, column) for column in range(width)]
        inside: list[Value] = []
        for tap in range(copy, window.tap_beats * window.taps, window.taps):
            factors = [rows[tap // width], columns[tap % width]] if tap < height * width else [Const(0, 1)]
            variable = [factor for factor in factors if not isinstance(factor, Const)]
            if any(isinstance(factor, Const) and factor.value == 0 for factor in factors):
                inside.append(Const(0, 1))
            else:
                inside.append(Cat(variable).all() if variable else Const(1, 1))
        constants = {value.value if isinstance(value, Const) else None for value in inside}
        return inside[:1] if constants in ({0}, {1}) else inside

    def _marks(self, m: Module, sequencer: Sequencer, walk: Walk) -> None:
        """What goes along with the data, delayed by the same two cycles."""
        window = self._window
        fold_of_step = [step.weight_plane * window.tap_beats * window.inner for step in window.steps]
        fold_of_group = Signal(index_shape((window.groups - 1) * window.weight_planes * window.tap_beats * window.inner + 1))
        with m.If(sequencer.issue & sequencer.group_last):
            per_group = window.weight_planes * window.tap_beats * window.inner
            m.d.sync += fold_of_group.eq(Mux(sequencer.pixel_last, 0, fold_of_group + per_group))
        shift = Mux(sequencer.step_first, by_index([step.shift for step in window.steps], sequencer.step), 0)
        early = {"valid": sequencer.issue, "first": sequencer.first, "last": sequencer.group_last, "shift": shift,
                 "offset": walk.class_offset + sequencer.group}
        for name, value in early.items():
            port = getattr(self.o, name)
            before, after = (Signal.like(port, name=f"{name}_{cycle}", reset_less=name != "valid") for cycle in (1, 2))
            m.d.sync += [before.eq(value), after.eq(before)]
            m.d.comb += port.eq(after)
        fold_base = Signal.like(self.o.fold, name="fold_base", reset_less=True)
        position = Signal.like(sequencer.position, name="fold_position", reset_less=True)
        fold = Signal.like(self.o.fold, name="fold", reset_less=True)
        m.d.sync += [
            fold_base.eq(fold_of_group + by_index(fold_of_step, sequencer.step)),
            position.eq(sequencer.position),
            fold.eq(fold_base + position),
        ]
        m.d.comb += self.o.fold.eq(fold)


def _bit(table: NDArray[np.int64], port: Signal, bit: int) -> Value:
    """One bit of a port of the `Walk`, as a constant where its table says that it always is the same."""
    values = {int(value) for value in ((table >> bit) & 1).reshape(-1)}
    return port[bit] if len(values) > 1 else Const(values.pop(), 1)
