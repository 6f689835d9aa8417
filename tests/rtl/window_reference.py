"""A clocked reference of the window, written from the docstring of `bwnhw.blocks.Window` alone."""

from dataclasses import dataclass

import numpy as np

from bwnhw.array_block import Step
from bwnhw.blocks import Window
from bwnhw.geometry import Geometry


@dataclass(frozen=True)
class Beat:
    """One output beat; `data` as the hardware packs it."""

    data: int
    first: bool
    last: bool
    shift: int
    fold: int
    offset: int


def pixel_beats(window: Window, image: np.ndarray, pixel: int) -> list[list[Beat]]:
    """Beats of one output pixel, per group; `image` is (height, width, words, lanes)."""
    geometry = window.geometry
    row, col = divmod(pixel, geometry.out_width)
    top, left = row * geometry.stride[0] - geometry.pads[0], col * geometry.stride[1] - geometry.pads[1]
    kernel_class = int(geometry.class_of[pixel]) if window.classes > 1 else 0
    groups = []
    for group in range(window.groups):
        beats = []
        for step in window.steps:
            for tap_beat in range(window.tap_beats):
                for word in range(window.inner):
                    data, place = 0, 0
                    for copy in range(window.taps):
                        tap = tap_beat * window.taps + copy
                        y, x = top + tap // geometry.kernel[1], left + tap % geometry.kernel[1]
                        inside = tap < geometry.kernel[0] * geometry.kernel[1] and 0 <= y < geometry.height and 0 <= x < geometry.width
                        for lane in range(window.lanes):
                            code = int(image[y, x, group if window.depthwise else word, lane]) if inside else window.pad_code
                            data |= (code >> step.plane_group * window.planes) % (1 << window.planes) << place
                            place += window.planes
                    first = not beats
                    fold = ((group * window.weight_planes + step.weight_plane) * window.tap_beats + tap_beat) * window.inner + word
                    beats.append(Beat(data, first, False, step.shift if (tap_beat, word) == (0, 0) else 0, fold,
                                      kernel_class * window.groups + group))
        beats[-1] = Beat(**{**beats[-1].__dict__, "last": True})
        groups.append(beats)
    return groups


class Reference:
    """One call of `cycle` per clock; its answer is what the ports must show in that cycle."""

    def __init__(self, window: Window, images: np.ndarray) -> None:
        self.window, self.images = window, images
        self.written, self.pixel, self.group, self.beat = 0, 0, 0, 0
        self.pipeline: list[Beat | None] = [None, None]
        self.groups = self._groups()

    def _groups(self) -> list[list[Beat]]:
        image, pixel = divmod(self.pixel, self.window.geometry.out_height * self.window.geometry.out_width)
        return pixel_beats(self.window, self.images[image], pixel) if image < len(self.images) else []

    def _bound(self, values: np.ndarray) -> int:
        """`values` (need or keep) of the current pixel as a word number over all images."""
        image, pixel = divmod(self.pixel, len(values))
        size = self.window.geometry.height * self.window.geometry.width
        return (image * size + int(values[pixel])) * self.window.words

    def cycle(self, valid: bool, credit: bool) -> tuple[bool, bool, Beat | None]:
        """(i.ready, start, the beat on o) of this cycle, given i.valid and credit."""
        ready = self.written < self._bound(self.window.geometry.keep) + self.window.depth
        begins = self.beat == 0
        issue = bool(self.groups) and (not begins or (credit and self.written >= self._bound(self.window.geometry.need)))
        shown = self.pipeline.pop(0)
        self.pipeline.append(self.groups[self.group][self.beat] if issue else None)
        if issue:
            self.beat += 1
            if self.beat == self.window.group_beats:
                self.beat, self.group = 0, self.group + 1
            if self.group == self.window.groups:
                self.group, self.pixel = 0, self.pixel + 1
                self.groups = self._groups()
        self.written += valid and ready
        return ready, issue and begins, shown


def random_window(rng: np.random.Generator) -> Window:
    """A small window with everything drawn: map, kernel, stride, pads, folding, planes, depth."""
    while True:
        height, width = rng.integers(1, 7, 2).tolist()
        kernel, stride = tuple(rng.integers(1, 5, 2).tolist()), tuple(rng.integers(1, 4, 2).tolist())
        pads = tuple(int(rng.integers(0, kernel[side % 2])) for side in range(4))
        geometry = Geometry(height, width, kernel, stride, pads)  # type: ignore[arg-type]  # lengths are right
        if geometry.out_height < 1 or geometry.out_width < 1:
            continue
        words, lanes, depthwise = int(rng.integers(1, 4)), int(rng.integers(1, 4)), bool(rng.integers(2))
        bits = int(rng.choice([1, 2, 4]))
        planes = bits if depthwise else int(rng.choice([p for p in (1, 2, 4) if bits % p == 0]))
        weight_planes = 1 if depthwise else int(rng.integers(1, 3))
        steps = tuple(Step(plane, group, int(rng.integers(0, 3)) if plane or group else 0)
                      for plane in range(weight_planes) for group in range(bits // planes))
        least = max(2, int((geometry.need - geometry.keep).max()) * words)
        depth = 1 << (least - 1).bit_length() + int(rng.integers(0, 2))
        taps = 1 if depthwise else int(rng.integers(1, kernel[0] * kernel[1] + 1))
        classes = geometry.classes if rng.integers(2) else 1
        return Window(geometry, lanes, bits, words, taps, words if depthwise else int(rng.integers(1, 4)), depthwise, planes, steps,
                      weight_planes, int(rng.integers(1 << bits)), classes, depth)
