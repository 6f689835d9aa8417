"""`bwnhw simulate`."""

import argparse
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_images, add_jobs, add_seed
from bwnhw.extras import needs

COCOTB_IMAGES = 200
WAVE_IMAGES = 2  # the benches run them several times over, and tens of megabytes each are enough to look at


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "simulate", _simulate, "simulate a generated folder and compare every value with the golden model",
                         "bwnhw simulate digits --layers --waves digits.vcd")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder written by `bwnhw generate`")
    add_images(parser, "32 images of random codes")
    parser.add_argument("--layers", action="store_true", help="compare the stream that leaves every layer too")
    parser.add_argument("--waves", metavar="FILE", type=Path, help=f"write the waveforms of the first {WAVE_IMAGES} images as VCD")
    add_seed(parser)
    add_jobs(parser)


def _simulate(options: argparse.Namespace) -> None:
    from bwnhw import estimate
    from bwnhw.cli import chain, report
    from bwnhw.codes import accuracy
    from bwnhw.doctor import versions

    made, model, plan = chain.read_folder(options.folder, "simulate")
    with needs("simulate"):
        from bwnhw.sim.verify import simulate

    images, labels = (None, None) if options.images is None else chain.read_images(options.images, model.graph)
    with console.progress(f"simulating {options.folder}") as update:
        found = simulate(made.folder, images, bench_images=WAVE_IMAGES if options.waves else COCOTB_IMAGES, layers=options.layers,
                         waves=options.waves, seed=options.seed, jobs=options.jobs, progress=update)
    right = None if labels is None else accuracy(found.outputs, labels)
    guess = estimate(model.network, plan)
    report.cycles(guess, found)
    lanes = chain.valid_lanes(model.network, plan)
    report.usage(found, lanes)
    report.images(found, right)
    result = report.with_simulation({"model": model.name, **guess.to_json()}, found, right, lanes)
    console.write_json(options.json, {**result, "versions": {**versions("numpy", "onnx"), **made.sidecar["versions"], **found.versions}})
    report.judge(found, chain.expected_cycles(model.network, plan, found.bench_images))
