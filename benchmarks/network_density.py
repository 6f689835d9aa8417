"""Binary operations per LUT and cycle of whole networks: two per XNOR and accumulation, LUTs synthesised for xc7.

    python benchmarks/network_density.py [--quick] [--json FILE] [--limit-luts N] [--estimated]

The zoo's networks that reach 98.4 % on MNIST, each at several foldings of the planner's; the windows, pools, FIFOs and ports of the whole
design are in its LUTs, block RAMs are printed beside them. An activation of several bits counts as one operand, as published figures do.
`--quick` takes one folding each, `--estimated` runs no synthesis. Aimed at: 5.5. Exit status 0.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bwnhw import zoo
from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.files import write_text
from bwnhw.frontier import Chain
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load
from bwnhw.plan import Plan
from bwnhw.planner import plan, port_lanes
from bwnhw.resources import resources
from bwnhw.rtl.generate import generate
from bwnhw.rtl.synth import synth
from bwnhw.summary import summary

LEAST_ACCURACY = 0.984
PUBLISHED = (("FINN LFC-max", 0.55), ("FINN SFC-max", 0.45))  # derived from its paper, arXiv 1612.07119; Vivado's LUTs
AIM = 5.5
LARGEST = 60_000


def row(name: str, network: Network, chosen: Plan, estimated: bool) -> dict[str, Any]:
    """A design's operations per image and cycle, and its LUTs."""
    laid = design(network.topology, chosen)
    sized, interval = resources(laid, chosen.family, network), cycles(laid).interval
    operations = 2 * sum(layer.macs for layer in summary(network))
    luts, kind = sized.luts, "estimated"
    if not estimated:
        with tempfile.TemporaryDirectory(prefix="bwnhw-") as scratch:
            made = generate(network, chosen, b"", Path(scratch) / "net", "net")
            luts, kind = synth(made.verilog, chosen.family, "net").luts, "synthesised"
    return {"network": name, "interval": interval, "operations": operations, "luts": luts, "kind": kind, "brams": sized.brams,
            "density": round(operations / interval / luts, 3)}


def main() -> int:
    """Print the table, the best last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--estimated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit-luts", type=int, default=LARGEST)
    options = parser.parse_args()
    rows = []
    for name in zoo.names():
        if not name.startswith("mnist") or (zoo.card(name) or {}).get("accuracy_integer", 0) < LEAST_ACCURACY:
            continue
        network = lower(load(zoo.find(name)))
        fastest = max(Chain(network.topology, Plan((), port_lanes(network.topology)), {}).limits())[0]
        for times in (2,) if options.quick else (1, 2, 4, 8):
            chosen = plan(network.topology, interval=times * fastest)
            if resources(design(network.topology, chosen), "xc7", network).luts <= options.limit_luts:
                rows.append(row(name, network, chosen, options.estimated))
                print(rows[-1], flush=True)
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1) + "\n")
    for name, density in PUBLISHED:
        print(f"{name}: {density}")
    print(f"best: {max((one['density'] for one in rows), default=0.0)} binary operations per LUT and cycle; aimed at {AIM}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
