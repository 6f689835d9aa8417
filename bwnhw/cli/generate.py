"""`bwnhw generate`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_folding, add_model
from bwnhw.extras import needs


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "generate", _generate, "write a network as Verilog, with a side-car that says what everything means",
                         "bwnhw generate digits-conv -o digits --name digits")
    add_model(parser)
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="the folder to write; it can be moved afterwards")
    parser.add_argument("--name", metavar="PREFIX", default="bwnhw", help="begins the name of every module (default: %(default)s)")
    add_folding(parser)
    parser.add_argument("--loadable", action="store_true", help="weights come at run time, through a stream of their own: one design for "
                        "every network of this topology; this one's words are written beside it")


def _generate(options: argparse.Namespace) -> None:
    from bwnhw.cli import chain

    with needs("generate"):
        from bwnhw.rtl.generate import generate

    model = chain.read_model(options.model)
    plan = chain.choose_plan(options, model.network.topology if options.loadable else model.network)
    plan = replace(plan, loadable=plan.loadable or options.loadable)
    with console.progress(f"writing {options.out}"):
        made = generate(model.network, plan, model.data, options.out, options.name)
    source, sink = made.sidecar["input"], made.sidecar["output"]
    console.table("", ("file", "bytes"), [(str(path), path.stat().st_size) for path in sorted(made.folder.iterdir())])
    console.line(f"s_axis: {source['beats_per_image']} beats of {source['tdata_bits']} bits an image; "
                 f"m_axis: {sink['beats_per_image']} of {sink['tdata_bits']} bits ({sink['kind']})")
    console.write_json(options.json, {"model": model.name, "folder": str(made.folder), "verilog": made.verilog.name, "top": made.prefix,
                                      "versions": made.sidecar["versions"]})
