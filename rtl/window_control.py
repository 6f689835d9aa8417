"""What steers a window: the sequencer's loops, the walk over the map, and who may write or read which words when.

Only what `bwnhw.geometry` says enters here, as constants; nothing is looked up per pixel.
"""

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Window
from bwnhw.rtl.piecewise import by_row_and_column, shape_of
from bwnhw.rtl.signatures import index_shape
from bwnhw.walk import occupancy_ranges, walk_tables


def loop(m: Module, name: str, size: int, enable: Value) -> tuple[Value, Value]:
    """A counter 0..size−1 that steps where `enable`, and whether it is at its last value."""
    if size == 1:
        return Const(0, 1), Const(1, 1)
    count, last = Signal(range(size), name=name), Signal(name=f"{name}_last")
    m.d.comb += last.eq(count == size - 1)
    with m.If(enable):
        m.d.sync += count.eq(Mux(last, 0, count + 1))
    return count, last


class Sequencer(wiring.Component):
    """The loops of a window: group, step, tap beat, word; one beat per cycle, never interrupted inside a group.

    Ports: `go` (a group may start: function of registers), `issue` (a beat is issued now), the loop counters of that beat,
    `position` = tap_beat·inner + word, and `first`, `step_first`, `word_last`, `group_last`, `pixel_last`: the beat is the first of its
    group, step, the last of its tap beat, group, pixel. The counters mean nothing where `issue` is low, but hold.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        super().__init__({
            "go": In(1),
            "issue": Out(1),
            "tap_beat": Out(index_shape(window.tap_beats)),
            "step": Out(index_shape(len(window.steps))),
            "group": Out(index_shape(window.groups)),
            "position": Out(index_shape(window.tap_beats * window.inner)),
            "first": Out(1),
            "step_first": Out(1),
            "word_last": Out(1),
            "group_last": Out(1),
            "pixel_last": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        window = self._window
        running = Signal()  # the group has begun: go on whatever happens
        step_begins = Signal(init=1)
        m.d.comb += [self.issue.eq(running | self.go), self.first.eq(~running)]
        _, word_last = loop(m, "word", window.inner, self.issue)
        tap_beat, tap_last = loop(m, "tap_beat_count", window.tap_beats, self.issue & word_last)
        step, step_last = loop(m, "step_count", len(window.steps), self.issue & word_last & tap_last)
        group, groups_last = loop(m, "group_count", window.groups, self.issue & self.group_last)
        position, _ = loop(m, "position_count", window.tap_beats * window.inner, self.issue)
        m.d.comb += [
            self.tap_beat.eq(tap_beat), self.step.eq(step), self.group.eq(group), self.position.eq(position),
            self.word_last.eq(word_last), self.step_first.eq(step_begins),
            self.group_last.eq(word_last & tap_last & step_last),
            self.pixel_last.eq(self.group_last & groups_last),
        ]
        with m.If(self.issue):
            m.d.sync += [running.eq(~self.group_last), step_begins.eq(word_last & tap_last)]
        return m


class Walk(wiring.Component):
    """Goes over the output pixels in raster order and holds, in registers, what depends on the current one.

    Ports: `advance` (this is the pixel's last beat); of the current pixel: `rows`, `columns` (kernel rows and columns inside the map,
    one bit each), `class_offset` = class·groups, and how much must be added for the next one: `move` (address of the first tap,
    modulo depth), `freed` (first word that must be kept), `demand` (number of words that must have come).
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._tables = walk_tables(window)
        super().__init__({"advance": In(1)} | {
            name: Out(shape_of(table.reshape(-1).tolist())) for name, table in self._tables.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self._window.geometry
        height, width = geometry.out_height, geometry.out_width
        # The counters stand at the next pixel, so that everything about the current one comes from a register.
        column = Signal(index_shape(width), init=1 % width)
        row = Signal(index_shape(height), init=(1 // width) % height)
        with m.If(self.advance):
            with m.If(column == width - 1):
                m.d.sync += [column.eq(0), row.eq(Mux(row == height - 1, 0, row + 1))]
            with m.Else():
                m.d.sync += column.eq(column + 1)
        for name, table in self._tables.items():
            port = getattr(self, name)
            if (table == table[0, 0]).all():
                m.d.comb += port.eq(int(table[0, 0]))
                continue
            current = Signal.like(port, name=f"{name}_now", init=int(table[0, 0]))
            m.d.comb += port.eq(current)
            with m.If(self.advance):
                m.d.sync += current.eq(by_row_and_column(table, row, column))
        return m


class Occupancy(wiring.Component):
    """Which words the writer may write, and whether those that the current pixel needs are there.

    Ports: `write` (a word is written now), `advance`, `freed`, `demand` as in `Walk`; `room` (the next word may be written),
    `ready` (the current pixel may start): both sign bits of registers.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        tables = walk_tables(window)
        super().__init__({"write": In(1), "advance": In(1), "room": Out(1), "ready": Out(1)} | {
            name: In(shape_of(tables[name].reshape(-1).tolist())) for name in ("freed", "demand")})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free_values, missing_values = occupancy_ranges(self._window)
        geometry, words = self._window.geometry, self._window.words
        free = Signal(free_values, init=self._window.depth + int(geometry.keep[0]) * words - 1)
        missing = Signal(missing_values, init=int(geometry.need[0]) * words - 1)
        m.d.comb += [self.room.eq(~free[-1]), self.ready.eq(missing[-1])]
        m.d.sync += [
            free.eq(free - self.write + Mux(self.advance, self.freed, 0)),
            missing.eq(missing - self.write + Mux(self.advance, self.demand, 0)),
        ]
        return m
