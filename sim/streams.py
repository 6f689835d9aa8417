"""Source, sink and monitor of a valid/ready stream under cocotb. Transactions are frozen; pauses come from a seeded pattern.

A coroutine that has nothing to do sleeps on the signal it waits for, so that idle cycles cost no Python.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.utils import get_sim_time

PERIOD = 2  # clock period in simulation steps


@dataclass(frozen=True)
class Beat:
    """One handshake: the rising edge (number of clock periods) at which it happened, payload, tlast (False where there is none)."""

    cycle: int
    data: int
    last: bool


@dataclass(frozen=True)
class Pattern:
    """When a driver pauses: in each cycle with chance `pause`, then for 1..`longest` cycles. The default never does."""

    pause: float = 0.0
    longest: int = 1

    def pauses(self, seed: int) -> Iterator[int]:
        """Endless numbers of cycles to pause before each beat."""
        draw = random.Random(seed)
        while True:
            yield draw.randint(1, self.longest) if draw.random() < self.pause else 0


def cycle_now() -> int:
    """Number of clock periods since the simulation began."""
    return int(get_sim_time("step")) // PERIOD


class Source:
    """Sends beats; once valid, it stays so until the beat is taken. `taken` are the cycles of the handshakes."""

    def __init__(self, dut: Any, beats: Sequence[int], lasts: Sequence[bool], pattern: Pattern, seed: int):
        self._dut, self._beats, self._lasts = dut, beats, lasts
        self._pauses = pattern.pauses(seed)
        self.taken: list[int] = []

    async def run(self) -> None:
        """Drive s_axis until every beat is taken; call right after a rising edge."""
        dut = self._dut
        edge, valid, ready, payload, last = (dut.aclk.rising_edge, dut.s_axis_tvalid, dut.s_axis_tready, dut.s_axis_tdata,
                                             dut.s_axis_tlast)
        driven = False
        for beat, is_last, pause in zip(self._beats, self._lasts, self._pauses, strict=False):
            if pause:
                valid.value = 0
                driven = False
                for _ in range(pause):
                    await edge
            payload.value = beat
            last.value = is_last
            if not driven:
                valid.value = 1
                driven = True
            await edge
            while not ready.value:
                await ready.rising_edge
                await edge
            self.taken.append(cycle_now())
        valid.value = 0


async def run_sink(dut: Any, pattern: Pattern, seed: int) -> None:
    """Drive m_axis_tready for ever."""
    edge, ready = dut.aclk.rising_edge, dut.m_axis_tready
    ready.value = 1
    if not pattern.pause:
        return
    for pause in pattern.pauses(seed):
        if pause:
            ready.value = 0
            for _ in range(pause):
                await edge
            ready.value = 1
        await edge


class Monitor:
    """Collects the handshakes of one stream and holds it to the protocol: what is offered stays until it is taken.

    `errors` lists each violation as a sentence.
    """

    def __init__(self, clock: Any, name: str, valid: Any, ready: Any, payload: Any, last: Any = None):
        self._clock, self._name, self._valid, self._ready, self._payload, self._last = clock, name, valid, ready, payload, last
        self.beats: list[Beat] = []
        self.errors: list[str] = []

    async def run(self) -> None:
        """Watch for ever."""
        edge, valid, ready, payload, last = self._clock.rising_edge, self._valid, self._ready, self._payload, self._last
        offered: tuple[int, bool] | None = None
        await edge
        while True:
            if not valid.value:
                if offered:
                    self._complain("valid fell before ready rose")
                    offered = None
                await valid.rising_edge
                await edge
                continue
            now = (int(payload.value), last is not None and bool(last.value))
            if offered and now != offered:
                self._complain(f"payload or last changed while stalled, from {offered} to {now}")
            if ready.value:
                self.beats.append(Beat(cycle_now(), *now))
                offered = None
            else:
                offered = now
            await edge

    def _complain(self, what: str) -> None:
        self.errors.append(f"{self._name}: {what} in cycle {cycle_now()}, beat {len(self.beats)}")
