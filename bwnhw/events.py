"""The timing rules of the blocks as small processes that pass token times to each other.

Every handshake channel holds two growing lists: `offers[n]`, the first cycle in which the producer could hand over token n, and
`takes[n]`, the cycle in which it is handed over. A producer appends offers, the consumer appends takes, at most one per cycle. A process
is a generator that runs as far as the lists let it; where it needs a time that isn't known yet it yields whom it waits for, the process
`BEFORE` it in the chain or the one `BEHIND` it. A time depends only on earlier tokens (in the sense of the rules in `bwnhw.blocks`), so
any order of running the processes gives the same, least times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bwnhw.blocks import Stage, Window

Process = Iterator[int]
BEFORE, BEHIND = -1, 1


@dataclass(frozen=True)
class Channel:
    """Times, in cycles, of the tokens of one handshake channel."""

    offers: list[int] = field(default_factory=list)
    takes: list[int] = field(default_factory=list)


def source(channel: Channel, pattern: Sequence[bool]) -> Process:
    """A source that may begin to offer in cycle t only where pattern[t mod length], and holds an offer until it is taken."""
    begins = _next_true(pattern)
    ready = 0
    while True:
        channel.offers.append(ready + begins[ready % len(begins)])
        while len(channel.takes) < len(channel.offers):
            yield BEHIND
        ready = channel.takes[-1] + 1


def sink(channel: Channel, pattern: Sequence[bool]) -> Process:
    """A sink that is ready in cycle t exactly where pattern[t mod length]."""
    opens = _next_true(pattern)
    offers, takes = channel.offers, channel.takes
    ready = 0
    while True:
        while len(offers) <= len(takes):
            yield BEFORE
        time = max(offers[len(takes)], ready)
        time += opens[time % len(opens)]
        takes.append(time)
        ready = time + 1


def upsize(ratio: int, inputs: Channel, outputs: Channel) -> Process:
    """`blocks.Upsize`: its register is free again in the cycle in which its word leaves."""
    offers, takes = inputs.offers, inputs.takes
    ready = 0
    while True:
        for _ in range(ratio):
            while len(offers) <= len(takes):
                yield BEFORE
            time = max(offers[len(takes)], ready)
            takes.append(time)
            ready = time + 1
        outputs.offers.append(ready)
        while len(outputs.takes) < len(outputs.offers):
            yield BEHIND
        ready = outputs.takes[-1]


def downsize(ratio: int, inputs: Channel, outputs: Channel) -> Process:
    """`blocks.Downsize`: its register is free again in the cycle in which its last part leaves."""
    offers, takes = inputs.offers, inputs.takes
    ready = 0
    while True:
        while len(offers) <= len(takes):
            yield BEFORE
        time = max(offers[len(takes)], ready)
        takes.append(time)
        outputs.offers.extend([time + 1] * ratio)
        while len(outputs.takes) < len(outputs.offers):
            yield BEHIND
        ready = outputs.takes[-1]


def write(window: Window, inputs: Channel, releases: list[int]) -> Process:
    """The writing side of `blocks.Window`; `releases[p]` is the cycle from which output pixel p no longer holds its words."""
    offers, takes = inputs.offers, inputs.takes
    keeps = window.geometry.keep.tolist()
    image_words = window.geometry.height * window.geometry.width * window.words
    ready, pixel = 0, 0
    while True:
        image, place = divmod(pixel, len(keeps))
        limit = image * image_words + keeps[place] * window.words + window.depth
        while len(takes) < limit:
            while len(offers) <= len(takes):
                yield BEFORE
            time = max(offers[len(takes)], ready)
            takes.append(time)
            ready = time + 1
        while len(releases) <= pixel:
            yield BEHIND
        ready = max(ready, releases[pixel])
        pixel += 1


def sequence(stage: Stage, window: Window, inputs: Channel, releases: list[int], outputs: Channel) -> Process:
    """The reading side of `blocks.Window`, the cores behind it and the FIFO: one output token per group."""
    writes, reads = inputs.takes, outputs.takes
    needs = (window.geometry.need * window.words - 1).tolist()
    image_words = window.geometry.height * window.geometry.width * window.words
    beats, depth = window.group_beats, stage.fifo.depth
    to_offer = beats - 1 + stage.latency + 1
    ready, group, base = 0, 0, 0
    while True:
        for need in needs:
            while len(writes) <= base + need:
                yield BEFORE
            ready = max(ready, writes[base + need] + 1)
            for _ in range(window.groups):
                if group >= depth:
                    while len(reads) <= group - depth:
                        yield BEHIND
                    ready = max(ready, reads[group - depth] + 1)
                outputs.offers.append(ready + to_offer)
                ready += beats
                group += 1
            releases.append(ready)
        base += image_words


def pass_on(stage: Stage, inputs: Channel, outputs: Channel) -> Process:
    """A stage without a window: `stage.group` input beats per output token, the first of them only with a credit."""
    offers, takes, reads = inputs.offers, inputs.takes, outputs.takes
    depth, to_offer = stage.fifo.depth, stage.latency + 1
    ready, group = 0, 0
    while True:
        if group >= depth:
            while len(reads) <= group - depth:
                yield BEHIND
            ready = max(ready, reads[group - depth] + 1)
        for _ in range(stage.group):
            while len(offers) <= len(takes):
                yield BEFORE
            time = max(offers[len(takes)], ready)
            takes.append(time)
            ready = time + 1
        outputs.offers.append(time + to_offer)
        group += 1


def _next_true(pattern: Sequence[bool]) -> list[int]:
    """For every position of a repeated pattern, how many cycles later it is next true."""
    length = len(pattern)
    waits = [0] * length
    wait = next(i for i, value in enumerate(pattern) if value)
    for position in range(length - 1, -1, -1):
        wait = 0 if pattern[position] else wait + 1
        waits[position] = wait
    return waits
