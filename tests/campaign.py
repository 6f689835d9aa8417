"""Random small networks with random foldings: float graph == reference == golden == Verilator, in exactly the estimated cycles.

    nice python tests/campaign.py --count 300 --seed 1 --jobs 2 --log campaign.jsonl

Every network is written as a model file, read back, lowered, generated and simulated by the batch runner: once without pauses, once
under a random trace of source gaps and sink stalls and with random registers before reset. Both times the cycle of every image's first
and last output must be the estimated one, at every stage. A line per network goes to the log; those there that are equal are not done
again. Exit status 1 where any network failed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from random_foldings import draw_plan, some_indexed, some_unrolled
from random_networks import Knobs, draw_graph, draw_images

from bwnhw import golden, reference
from bwnhw.codes import encode
from bwnhw.compare import compare
from bwnhw.cycles import Cycles, cycles
from bwnhw.design import design
from bwnhw.errors import MismatchError
from bwnhw.lower import lower
from bwnhw.network import Conv, Network
from bwnhw.onnx_read import from_bytes
from bwnhw.onnx_write import to_bytes
from bwnhw.plan import Plan
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import BatchResult, Traffic, run_batch
from bwnhw.sim.case import first_difference
from bwnhw.sim.interface import read_interface
from bwnhw.trace import STEADY, Trace

# Taken in turn, so that each kind is met often whatever the count.
KINDS = {
    "anything": Knobs(layers=(1, 4)),
    "deep": Knobs(layers=(3, 4), size=(2, 6), channels=(1, 6)),
    "padded bipolar": Knobs(activations=("bipolar",), inputs=("bipolar",), padded=1.0, layers=(2, 4), dense=0.0, kernels=(2, 3)),
    "multi-bit": Knobs(activations=("unsigned", "signed", "ternary"), layers=(2, 4), size=(1, 6)),
    "codebook": Knobs(activations=("bipolar",), inputs=("bipolar", "uint8"), weights=("codebook",), kernels=(3,), size=(4, 7), padded=0.8,
                      layers=(2, 3), dense=0.1),
    "average": Knobs(pool_after=1.0, average=0.7, layers=(2, 3), size=(3, 8), dense=0.2),
    "pool before a negative slope": Knobs(pool_before=1.0, norm=1.0, layers=(2, 4), size=(3, 8), dense=0.0, kernels=(1, 2)),
}
IMAGES = 6
COVERAGE: dict[str, Callable[[dict[str, Any]], bool]] = {
    "three layers or more": lambda row: row["layers"] >= 3,
    "padded bipolar maps": lambda row: row["padded_bipolar"],
    "multi-bit activations": lambda row: row["multi_bit"],
    "pool before the threshold, negative slope": lambda row: row["pool_before_negative"],
    "slope zero": lambda row: row["zero_slope"],
    "codebook": lambda row: row["codebook"],
    "average pool": lambda row: row["average"],
    "folding that doesn't divide": lambda row: row["uneven"],
    "several taps at once": lambda row: row["taps"],
    "several planes at once": lambda row: row["planes"],
    "weights in block RAM": lambda row: row["block"],
    "unrolled layers": lambda row: row["unrolled"],
    "kernels stored as indices": lambda row: row["indexed"],
    "codewords counted once": lambda row: row["shared"],
    "FIFOs too small for full speed": lambda row: row["fifos"],
}


def check_network(seed: int, index: int, cache: Path, folder: Path) -> dict[str, Any]:
    """Draw network `index` of `seed`, hold everything against everything; what it was, for the log. Raises whatever goes wrong."""
    rng = np.random.default_rng([seed, index])
    kind = list(KINDS)[index % len(KINDS)]
    drawn = draw_graph(rng, KINDS[kind])
    images = draw_images(rng, drawn.graph, IMAGES)
    model = to_bytes(drawn.graph)
    graph = from_bytes(model, "drawn")
    network = lower(graph)
    folded = some_indexed(rng, network.topology, draw_plan(rng, network.topology))
    plan = some_unrolled(rng, network.topology, folded)
    codes = encode(network, images)
    expected = golden.run(network, codes)
    for node, (slow, fast) in enumerate(zip(reference.run(network, codes), expected, strict=True)):
        _equal("golden, against reference", first_difference(slow, fast, node))
    compared = compare(graph, network, images)
    _equal("float graph", compared.first)
    latency, interval = check_hardware(network, plan, codes, expected[-1], model, cache, folder, seed + index)
    return {"kind": kind, "latency": latency, "interval": interval, "near_ties": sum(layer.near_count for layer in compared.layers),
            "values": sum(map(np.size, expected)), **asdict(drawn.features), **_foldings(network, plan)}


def check_hardware(network: Network, plan: Plan, codes: Any, expected: Any, model: bytes, cache: Path, folder: Path, seed: int
                   ) -> tuple[int, int]:
    """Generate and simulate; latency and interval, measured and estimated alike."""
    generate(network, plan, model, folder, "dut", force=True)
    interface, laid = read_interface(folder), design(network.topology, plan)
    steady = cycles(laid, len(codes))
    for traffic, trace in ((Traffic(), STEADY), (Traffic(seed | 1), draw_trace(np.random.default_rng(seed)))):
        estimated = cycles(laid, len(codes), trace)
        found = run_batch(interface, codes, cache=cache, level=0, idle_limit=2 * estimated.latency + 1000, traffic=traffic, trace=trace,
                          stages=True)
        _equal(f"Verilator, {trace}", first_difference(expected, found.outputs, len(network.topology.nodes) - 1))
        _same_cycles(estimated, found, trace)
    return steady.latency, steady.interval


def draw_trace(rng: np.random.Generator) -> Trace:
    """Patterns of up to 400 cycles in bursts of up to 40 on both sides; the source offers in cycle 0, the sink sometimes is ready."""
    source, sink = ((rng.random(int(rng.integers(1, 11))) < 0.6).repeat(int(rng.integers(1, 41))) for _ in range(2))
    source[0] = sink[-1] = True
    return Trace(tuple(source.tolist()), tuple(sink.tolist()))


def _same_cycles(estimated: Cycles, found: BatchResult, trace: Trace) -> None:
    """Every first and last output, of the design and of every stage, in the estimated cycle."""
    pairs = [("the design", estimated.first, estimated.last, found.first_output, found.last_output)]
    pairs += [(stage.name, stage.first, stage.last, first, last)
              for stage, first, last in zip(estimated.stages, found.stage_first, found.stage_last, strict=True)]
    for name, first, last, found_first, found_last in pairs:
        for what, guess, measured in (("first", first, found_first), ("last", last, found_last)):
            if list(guess) != measured.tolist():
                raise MismatchError(f"{name}: cycles of the {what} outputs under {trace}: estimated {list(guess)}, "
                                    f"measured {measured.tolist()}")


def _equal(what: str, difference: object) -> None:
    if difference:
        raise MismatchError(f"{what}: {difference}")


def _foldings(network: Network, plan: Plan) -> dict[str, bool]:
    """What the plan exercises."""
    nodes = network.topology.nodes
    engines = [(nodes[index], nodes[nodes[index].src[0]].out, engine) for index, engine in plan.engines]
    return {"uneven": any(isinstance(conv, Conv) and (conv.out.channels % engine.pe or source.channels % engine.simd
                                                      or conv.kernel[0] * conv.kernel[1] % engine.taps)
                          for conv, source, engine in engines),
            "taps": any(engine.taps > 1 for _, _, engine in engines), "planes": any(engine.planes > 1 for _, _, engine in engines),
            "block": any(engine.memory == "block" for _, _, engine in engines), "fifos": bool(plan.fifos),
            "unrolled": any(engine.engine == "unrolled" for _, _, engine in engines),
            "indexed": any(engine.codebook == "index" for _, _, engine in engines),
            "shared": any(engine.codebook == "shared" for _, _, engine in engines)}


def one(index: int, seed: int, cache: Path) -> dict[str, Any]:
    """A line of the log."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as scratch:
        try:
            row: dict[str, Any] = {"error": None, **check_network(seed, index, cache, Path(scratch) / "dut")}
        except Exception as error:  # whatever goes wrong with one network is a finding, and the others go on
            row = {"error": f"{type(error).__name__}: {error}"}
    return {"seed": seed, "index": index, "seconds": round(time.monotonic() - start, 1), **row}


def coverage(rows: list[dict[str, Any]]) -> str:
    """The table of what the networks exercised."""
    good = [row for row in rows if not row["error"]]
    lines = [f"{'networks equal everywhere':45}{len(good):6}", f"{'networks that failed':45}{len(rows) - len(good):6}"]
    lines += [f"{name:45}{sum(map(bool, map(test, good))):6}" for name, test in COVERAGE.items()]
    lines.append(f"{'values compared':45}{sum(row['values'] for row in good):6}")
    lines.append(f"{'of them near ties, decided exactly':45}{sum(row['near_ties'] for row in good):6}")
    return "\n".join(lines)


def main() -> int:
    """Run what the log doesn't hold yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    options.log.touch()
    rows = [json.loads(line) for line in options.log.read_text().splitlines()]
    rows = [row for row in rows if row["seed"] == options.seed and row["index"] < options.count and not row["error"]]
    missing = sorted(set(range(options.count)) - {row["index"] for row in rows})
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as cache, ProcessPoolExecutor(options.jobs) as pool, options.log.open("a") as log:
        if missing:  # alone, so that Verilator's library is compiled once
            first = one(missing[0], options.seed, Path(cache))
            for row in chain([first], pool.map(partial(one, seed=options.seed, cache=Path(cache)), missing[1:])):
                rows.append(row)
                log.write(json.dumps(row) + "\n")
                log.flush()
                trouble = row["error"] and f"  network {row['index']}: {row['error']}\n"
                print(f"\r{len(rows)} of {options.count}", end=trouble or "", file=sys.stderr, flush=True)
    print(coverage(rows))
    return int(any(row["error"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
