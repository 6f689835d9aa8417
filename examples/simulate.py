"""The Verilog against the golden model, bit for bit, on the test images of the digits that ship.

    python examples/simulate.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import bwnhw
from bwnhw import zoo
from bwnhw.codes import accuracy
from bwnhw.images import read_images


def main() -> None:
    """Generate, simulate, compare."""
    path = zoo.test_images("digits-conv")
    assert path is not None  # these images ship
    images, labels = read_images(path, (1, 8, 8))
    plan = bwnhw.plan(bwnhw.lower(bwnhw.load("digits-conv")), interval=2000)
    with TemporaryDirectory() as folder:
        made = bwnhw.generate("digits-conv", Path(folder) / "digits", plan, name="digits")
        found = bwnhw.simulate(made.folder, images, layers=True)
    print(f"{found.images} images, {found.mismatches} mismatches, latency {found.latency} cycles, interval {found.interval} cycles")
    if labels is not None:
        print(f"{accuracy(found.outputs, labels):.2%} of the labels right")


if __name__ == "__main__":
    main()
