"""How fast and how large: the same network from small to fast, before any tool runs.

    python examples/estimate.py [MODEL]
"""

import sys

import bwnhw


def main() -> None:
    """Print a row per interval asked for."""
    network = bwnhw.lower(bwnhw.load(sys.argv[1] if len(sys.argv) > 1 else "digits-conv"))
    fastest = bwnhw.estimate(network, bwnhw.plan(network)).interval
    print(f"{'interval':>10} {'latency':>10} {'images/s':>12} {'LUT6':>8} {'FF':>8} {'BRAM':>6}")
    for factor in (64, 16, 4, 1):
        found = bwnhw.estimate(network, bwnhw.plan(network, interval=factor * fastest, clock_mhz=200.0))
        print(f"{found.interval:10,} {found.latency:10,} {found.images_per_second:12,.0f} {found.luts:8,} {found.ffs:8,} {found.brams:6,}")


if __name__ == "__main__":
    main()
