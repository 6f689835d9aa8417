"""The networks of the zoo on every test image: qonnx equals golden equals hardware, and the cycles equal the estimate.

    python tests/zoo_check.py [NAME ...] [--data mnist.npz] [--plans FOLDER] [--images N] [--bench N] [--no-hardware]
                              [--json FILE]

For each network: accuracy of golden; every layer as qonnx computes it against golden's integers, fed with qonnx's own codes, on every
test image, values so near a step that float32's rounding decides counted apart (`bwnhw.compare`); then for each folding in
tests/data/plans/NAME-*.json: N images (200 by default) through cocotb and the batch runner, the fastest folding's batch runner every test
image, estimated against measured latency and interval, and no idle cycle in an array whose beats make the interval.
`--images` takes only the first N test images.
MNIST's networks need `--data`: an .npz with x_test (N, 28, 28) and y_test. Exit status 1 when anything differs. Needs the `test` extra;
takes minutes per folding.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent / "core"))
from oracle import qonnx_execute

from bwnhw import golden, zoo
from bwnhw.array_block import Array
from bwnhw.blocks import Design
from bwnhw.codes import accuracy, encode
from bwnhw.compare import Comparison, compare
from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.graph import Graph
from bwnhw.images import read_images
from bwnhw.lanes import valid_lanes
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load
from bwnhw.plan import from_json
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import Usage
from bwnhw.sim.verify import simulate


def test_set(name: str, data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """All test images and labels of a network."""
    file = zoo.test_images(name) or data
    if file is None:
        raise SystemExit(f"{name}: its test images don't ship with the package: give --data FILE.npz")
    images, labels = read_images(file, load(zoo.find(name)).inputs[0].shape[1:])
    if labels is None:
        raise SystemExit(f"{file}: expected labels, found none")
    return images, labels


def check_qonnx(name: str, network: Network, images: np.ndarray) -> Comparison:
    """Every layer as qonnx computes it from the file, held against golden's integers."""
    def executor(graph: Graph, batch: np.ndarray) -> Mapping[str, np.ndarray]:
        del graph  # the file itself is executed
        proto = onnx.load(zoo.find(name))
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = len(batch)
        return qonnx_execute(proto, proto.graph.input[0].name, batch.astype(np.float32))

    return compare(load(zoo.find(name)), network, images, executor)


def check_hardware(name: str, plan_file: Path, network: Network, images: np.ndarray, labels: np.ndarray, bench: int) -> dict[str, Any]:
    """One folding: values through cocotb and batch, cycles against the estimate."""
    plan = from_json(plan_file.read_text())
    laid = design(network.topology, plan)
    expected = cycles(laid)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generated"
        generate(network, plan, zoo.find(name).read_bytes(), folder, "bwnhw_zoo")
        found = simulate(folder, images, bench_images=bench, jobs=2)
    idle = idle_bottlenecks(laid, found.usage, expected.interval)
    shares = valid_lanes(laid, network.topology)
    lanes = sum(core.pe * core.lanes * core.planes for stage in laid.stages for core in stage.cores if isinstance(core, Array))
    return {
        "plan": plan_file.stem, "lanes": lanes, "port_beats": laid.input.beats, "images": found.images,
        "bench_images": found.bench_images, "mismatches": found.mismatches, "failure": found.failure,
        "accuracy": accuracy(found.outputs, labels), "tests": len(found.tests),
        "latency_cycles": {"estimated": expected.latency, "measured": found.latency},
        "interval_cycles": {"estimated": expected.interval, "measured": found.interval},
        "arrays": {array.name: {**asdict(array), "utilisation": array.utilisation, "valid_lanes": shares[array.name]}
                   for array in found.usage},
        "idle_bottlenecks": idle, "seconds": round(time.monotonic() - begin, 1), "versions": found.versions,
        "ok": found.passed and not idle and (expected.latency, expected.interval) == (found.latency, found.interval),
    }


def idle_bottlenecks(laid: Design, usage: tuple[Usage, ...], interval: int) -> list[str]:
    """Arrays whose beats take the whole interval, longer than the port's, and that still idle between their first and last beat."""
    beats = {stage.name: len(stage.window.geometry.need) * stage.window.groups * stage.window.group_beats
             for stage in laid.stages if stage.array and stage.window}
    return [array.name for array in usage
            if beats[array.name] == interval > laid.input.beats and (array.starved or array.blocked)]


def _interval(network: Network, plan_file: Path) -> int:
    return cycles(design(network.topology, from_json(plan_file.read_text()))).interval


def check(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one network."""
    network = lower(load(zoo.find(name)))
    images, labels = (every[:options.images] for every in test_set(name, options.data))
    result: dict[str, Any] = {"model": name, "images": len(images),
                              "accuracy": accuracy(golden.outputs(network, encode(network, images)), labels)}
    print(f"{name}: {len(images)} test images, golden {100 * result['accuracy']:.2f} %", flush=True)
    found = check_qonnx(name, network, images)
    result["qonnx"] = [asdict(layer) for layer in found.layers]
    for layer in found.layers:
        print(f"  qonnx, {layer.kind} {layer.node}: {layer.values:,} values, {layer.different_count} differ, {layer.near_count} near ties",
              flush=True)
    result["foldings"] = []
    own = [file for file in options.plans.glob(f"{name}-*.json") if file.stem.rsplit("-", 1)[0] == name]  # not of a name that goes on
    plans = sorted(own, key=lambda file: _interval(network, file)) if options.hardware else []
    for number, plan_file in enumerate(plans):
        count = options.bench if number else len(images)
        row = check_hardware(name, plan_file, network, images[:count], labels[:count], options.bench)
        result["foldings"].append(row)
        print(f"  {row['plan']}: {'equal' if row['ok'] else 'DIFFERS: ' + str(row['failure'])}; {row['images']} images batch, "
              f"{row['bench_images']} cocotb, {row['mismatches']} mismatches; latency {row['latency_cycles']}, interval "
              f"{row['interval_cycles']}, port {row['port_beats']} beats, {row['lanes']} lanes, {row['seconds']} s", flush=True)
    result["ok"] = found.equal and all(row["ok"] for row in result["foldings"])
    return result


def main() -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks of the zoo (default: all)")
    parser.add_argument("--data", type=Path, help="MNIST as .npz")
    parser.add_argument("--plans", type=Path, default=Path(__file__).parent / "data" / "plans")
    parser.add_argument("--images", type=int, help="only the first of the test images")
    parser.add_argument("--bench", type=int, default=200, help="images through cocotb")
    parser.add_argument("--no-hardware", dest="hardware", action="store_false")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [check(name, options) for name in options.names or zoo.names()]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    good = all(result["ok"] for result in results)
    print("all equal" if good else "SOMETHING DIFFERS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
