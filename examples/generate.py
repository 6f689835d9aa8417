"""A network becomes Verilog: the folder, what is in it, and what its ports mean.

    python examples/generate.py [MODEL [DIR]]
"""

import sys

import bwnhw


def main() -> None:
    """Generate into DIR and print the ports."""
    model = sys.argv[1] if len(sys.argv) > 1 else "digits-conv"
    out = sys.argv[2] if len(sys.argv) > 2 else "bwnhw-out/example"
    plan = bwnhw.plan(bwnhw.lower(bwnhw.load(model)), interval=1000)
    made = bwnhw.generate(model, out, plan, name="example")
    for path in sorted(made.folder.iterdir()):
        print(f"{path}  {path.stat().st_size:,} bytes")
    for port in ("input", "output"):
        side = made.sidecar[port]
        print(f"{port}: {side['beats_per_image']} beats an image, {side['tdata_bits']} bits each, {side['lanes']} elements of "
              f"{side['element_bits']} bits in a beat")


if __name__ == "__main__":
    main()
