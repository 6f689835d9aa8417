"""`bwnhw explore`."""

import argparse
import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_budget, add_command, add_family, add_jobs, add_model, positive
from bwnhw.errors import ToolError
from bwnhw.extras import needs
from bwnhw.plan import Plan

POINTS = 12
CONNECT_SECONDS = 30


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "explore", _explore, "find the plans worth having: the Pareto front of rate, LUTs, block RAM, latency",
                         "bwnhw explore digits-conv -o front --device ecp5-25 --synth")
    add_model(parser)
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True,
                        help="a folder for the front (JSON, a drawing, a plan per point); what is in it already isn't worked out again")
    parser.add_argument("--points", metavar="N", type=positive, default=POINTS, help="rates to plan for (default: %(default)s)")
    parser.add_argument("--synth", action="store_true", help="also synthesise every plan of the front")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler whose workers do the work, such as tcp://host:8786")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the drawing (default: %(default)s)")
    add_budget(parser)
    add_family(parser)
    add_jobs(parser)


def _explore(options: argparse.Namespace) -> None:
    from bwnhw import __version__, explore
    from bwnhw.cli import chain
    from bwnhw.doctor import versions
    from bwnhw.files import write_text
    from bwnhw.plan import to_json

    model = chain.read_model(options.model)
    network, budget = model.network, chain.budget_of(options)
    options.out.mkdir(parents=True, exist_ok=True)
    log = explore.Log(options.out / "points.jsonl", f"{hashlib.sha256(model.data).hexdigest()} bwnhw {__version__}")
    wanted = explore.tasks(network, budget, options.clock or 200.0, options.points)
    with _executor(options) as executor:
        with console.progress("planning") as update:
            found = explore.front(explore.explored(network, wanted, executor, log, update))
        if options.synth:
            with console.progress("synthesising") as update:
                found = explore.confirmed(found, Synthesis(model.data, budget.family), executor, log, update)
    console.table(f"Pareto front of {model.name} on {budget.family} (cycles exact, LUT, FF and BRAM estimated)",
                  ("plan", "images/s", "interval", "latency", "LUT", "FF", "BRAM", "LUT synthesised", "BRAM synthesised"),
                  [(number, one.plan.clock_mhz * 1e6 / one.interval, one.interval, one.latency, one.luts, one.ffs, one.brams,
                    *(one.synthesised[::2] if one.synthesised else (None, None))) for number, one in enumerate(found)])
    for number, one in enumerate(found):
        write_text(options.out / f"plan-{number}.json", to_json(one.plan))
    result = {"model": model.name, "family": budget.family, "front": [one.to_json() for one in found],
              "versions": versions("numpy", "onnx")}
    console.write_json(options.out / "front.json", result)
    console.write_json(options.json, result)
    _draw(found, options.out / f"front.{options.format}")
    console.line(f"\n{len(found)} plans are in {options.out}/")


def _draw(found: list[Any], path: Path) -> None:
    """The drawing, where matplotlib is there; else how to get it."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        console.line("No drawing: matplotlib is not installed, get it with: pip install 'bwnhw[plot]'")
        return
    from bwnhw.front_plot import front_plot
    from bwnhw.plots import write

    write(front_plot(found), path)


@contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor]:
    """Who does the work: a cluster's workers, processes of this machine, or for one job this process."""
    if options.scheduler:
        with needs("cluster"):
            from distributed import Client
        try:
            client = Client(options.scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ToolError(f"--scheduler: expected a Dask scheduler at {options.scheduler}, found none: {str(error)[:100]}") from None
        with client:
            yield client.get_executor(pure=False)
    elif options.jobs == 1:
        with ThreadPoolExecutor(1) as thread:
            yield thread
    else:
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as processes:
            yield processes


@dataclass(frozen=True)
class Synthesis:
    """Generates and synthesises a plan of a model wherever it is called: LUTs, flip-flops, block RAMs."""

    model: bytes
    family: str

    def __call__(self, plan: Plan) -> tuple[int, int, int]:
        """Raises MissingError, ToolError as generation and synthesis do."""
        with needs("synth"):
            from bwnhw.rtl.generate import generate
            from bwnhw.rtl.synth import synth
        from bwnhw import lower, onnx_read

        with TemporaryDirectory(prefix="bwnhw-") as folder:
            made = generate(lower(onnx_read.from_bytes(self.model, "model")), plan, self.model, Path(folder) / "made", "net")
            counted = synth(made.verilog, self.family, "net")
        return counted.luts, counted.ffs, counted.brams
