"""How fast the golden model is on one core, beside torch's float evaluation of the same networks and alkaid's interpreter.

    python benchmarks/golden_speed.py [--quick] [--json FILE]

Networks: the zoo's MLP and LeNet on MNIST shapes (random weights of the same shapes where the zoo lacks them; the values don't matter
here) and VGG-Small. Times are the process' CPU seconds, the best of several runs with the contenders in turn, so that other
work on the machine disturbs both alike; every library is held to one thread. Exit status 1 where golden isn't at least
5 times as fast as torch on each network or 10 times as fast as alkaid.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read once, when NumPy and torch are first imported

import argparse  # noqa: E402  # only after the threads are set
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from types import MappingProxyType  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from alkaid.cmvm import cmvm_solve  # noqa: E402

from bwnhw import golden, zoo  # noqa: E402
from bwnhw.files import write_text  # noqa: E402
from bwnhw.graph import Graph, Op, Value  # noqa: E402
from bwnhw.lower import lower  # noqa: E402
from bwnhw.network import Conv, Network, Pool, Threshold  # noqa: E402
from bwnhw.onnx_read import load  # noqa: E402
from bwnhw.summary import summary  # noqa: E402

TORCH_FLOOR, ALKAID_FLOOR = 5.0, 10.0
SEED = 1


@dataclass(frozen=True)
class Result:
    """Images per second and multiplications per second of golden and of a contender, on one core."""

    name: str
    images: int
    golden_images_per_second: float
    golden_gmacs: float
    other: str
    other_images_per_second: float
    ratio: float


def main() -> int:
    """Measure, print a table, write the JSON file; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    share, runs = (8, 2) if options.quick else (1, 5)
    results = [against_torch(name, network, images // share, runs) for name, network, images in networks()]
    results.append(against_alkaid(20_000, 4 * runs))
    print(f"{'network':28} {'images':>7} {'golden/s':>10} {'GMAC/s':>7} {'other/s':>10}  other    ratio")
    for r in results:
        print(f"{r.name:28} {r.images:7} {r.golden_images_per_second:10.0f} {r.golden_gmacs:7.1f} {r.other_images_per_second:10.0f}  "
              f"{r.other:7} {r.ratio:6.2f}")
    torch_ratio = min(r.ratio for r in results if r.other == "torch")
    alkaid_ratio = min(r.ratio for r in results if r.other == "alkaid")
    if options.json:
        write_text(options.json, json.dumps({"results": [asdict(r) for r in results], "torch_ratio": torch_ratio,
                                             "alkaid_ratio": alkaid_ratio}, indent=1) + "\n")
    print(f"golden is {torch_ratio:.2f} times as fast as torch (at least, floor {TORCH_FLOOR:g}) and {alkaid_ratio:.1f} times as fast as "
          f"alkaid (floor {ALKAID_FLOOR:g})")
    return int(torch_ratio < TORCH_FLOOR or alkaid_ratio < ALKAID_FLOOR)


def networks() -> list[tuple[str, Network, int]]:
    """Name, network and number of images."""
    rng = np.random.default_rng(SEED)
    shapes: list[tuple[str, tuple[int, int, int], tuple[int | str, ...], int]] = [
        ("mnist-sfc", (1, 28, 28), ("sign", "flat", 256, 256, 256), 40_000),
        ("mnist-lenet3x3-w1a1", (1, 28, 28), (32, "pool", 64, "pool", 64, "pool", "flat"), 4_000),
        ("vgg-small", (3, 32, 32), (128, 128, "pool", 256, 256, "pool", 512, 512, "pool", "flat"), 256)]
    found = []
    for name, shape, layers, images in shapes:
        graph = load(zoo.find(name)) if name in zoo.names() else random_graph(rng, shape, layers)
        found.append((name, lower(graph), images))
    return found


def random_graph(rng: np.random.Generator, shape: tuple[int, int, int], layers: tuple[int | str, ...]) -> Graph:
    """Layers of so many ±1 rows with batch norm and sign, 2×2 pools, on 8-bit pixels; ten classes."""
    ops: list[Op] = []
    constants: dict[str, np.ndarray[Any, Any]] = {}
    features, flat = [*shape], False

    def op(kind: str, *arrays: Any, **attrs: Any) -> None:
        names = [f"c{len(constants) + i}" for i in range(len(arrays))]
        constants.update((name, np.asarray(array, np.float32)) for name, array in zip(names, arrays, strict=True))
        top = ops[-1].outputs[0] if ops else "x"
        ops.append(Op(kind, f"n{len(ops)}", (top, *names), (f"t{len(ops)}",), MappingProxyType(attrs)))

    for layer in (*layers, 10):
        if layer == "sign":
            op("Sub", 127.5)
            op("BipolarQuant", 1.0)
        elif layer == "flat":
            op("Flatten", axis=1)
            features, flat = [features[0] * features[1] * features[2], 1, 1], True
        elif isinstance(layer, int):
            signs = rng.integers(0, 2, (layer, features[0], *(() if flat else (3, 3)))) * 2 - 1
            if flat:
                op("MatMul", signs.T)
            else:
                op("Conv", signs, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), group=1)
            features[0] = layer
            if layer != 10:
                op("BatchNormalization", *rng.normal(size=(3, layer)), rng.uniform(50, 500, layer), epsilon=1e-5)
                op("BipolarQuant", 1.0)
        else:
            op("MaxPool", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
            features[1], features[2] = features[1] // 2, features[2] // 2
    return Graph(tuple(ops), (Value("x", (0, *shape), "float32", "UINT8"),), (Value(ops[-1].outputs[0], (0, 10), "float32"),),
                 MappingProxyType(constants))


class Sign(torch.nn.Module):
    """+1 where x ≥ 0, else −1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Element by element."""
        return torch.where(x >= 0, 1.0, -1.0)


def torch_network(network: Network) -> torch.nn.Module:
    """The float network of the same layers: convolution or linear, batch norm and sign for a threshold, max pool."""
    nodes = network.topology.nodes
    modules: list[torch.nn.Module] = []
    for node in nodes[1:]:
        source = nodes[node.src[0]].out
        if isinstance(node, Conv) and node.out.pixels == 1:
            modules += [torch.nn.Flatten(), torch.nn.Linear(source.channels * source.pixels, node.out.channels, bias=False)]
        elif isinstance(node, Conv):
            modules.append(torch.nn.Conv2d(source.channels, node.out.channels, node.kernel, node.stride, node.pads[:2], bias=False))
        elif isinstance(node, Threshold):
            flat = source.pixels == 1 and any(isinstance(module, torch.nn.Flatten) for module in modules)
            modules += [torch.nn.BatchNorm1d(source.channels) if flat else torch.nn.BatchNorm2d(source.channels), Sign()]
        elif isinstance(node, Pool):
            modules.append(torch.nn.MaxPool2d(node.kernel, node.stride))
    return torch.nn.Sequential(*modules).eval()


def against_torch(name: str, network: Network, images: int, runs: int) -> Result:
    """Both on the same random images; torch in the best of several batch sizes."""
    source = network.topology.nodes[0].out
    codes = np.random.default_rng(SEED).integers(source.lo, source.hi + 1, (images, *source.shape)).astype(np.uint8)
    floats, model = torch.from_numpy(codes.astype(np.float32)), torch_network(network)

    def evaluate(batch: int) -> None:
        with torch.inference_mode():
            for start in range(0, images, batch):
                model(floats[start:start + batch])

    contenders: list[Callable[[], Any]] = [lambda: golden.outputs(network, codes)]
    contenders += [lambda batch=batch: evaluate(batch) for batch in (32, 128, 512) if batch <= images]  # type: ignore[misc]  # bound early
    times = best_times(contenders, runs)
    macs = sum(row.macs for row in summary(network))
    best = min(times[1:])
    return Result(name, images, images / times[0], images * macs / times[0] / 1e9, "torch", images / best, best / times[0])


def against_alkaid(vectors: int, runs: int) -> Result:
    """A dense ±1 layer of 64 inputs and 64 outputs, on vectors of ±1."""
    rng = np.random.default_rng(SEED)
    weights = (rng.integers(0, 2, (64, 64)) * 2 - 1).astype(np.float32)
    network = lower(Graph((Op("MatMul", "dense", ("x", "w"), ("y",)),), (Value("x", (0, 64), "float32", "BIPOLAR"),),
                          (Value("y", (0, 64), "float32"),), MappingProxyType({"w": weights})))
    first, second = cmvm_solve(weights)
    codes = rng.integers(0, 2, (vectors, 64, 1, 1)).astype(np.uint8)
    floats = codes.reshape(vectors, 64) * 2.0 - 1

    def interpret() -> np.ndarray[Any, Any]:
        return second.predict(first.predict(floats, n_threads=1), n_threads=1)

    if not np.array_equal(interpret(), golden.outputs(network, codes).reshape(vectors, 64)):
        raise RuntimeError("alkaid and golden don't compute the same layer: nothing to compare")
    times = best_times([lambda: golden.outputs(network, codes), interpret], runs)
    return Result("dense 64×64", vectors, vectors / times[0], vectors * 4096 / times[0] / 1e9, "alkaid", vectors / times[1],
                  times[1] / times[0])


def best_times(contenders: list[Callable[[], Any]], runs: int) -> list[float]:
    """CPU seconds of each, the best of `runs`, in turn."""
    times = [float("inf")] * len(contenders)
    for _ in range(runs):
        for index, contender in enumerate(contenders):
            start = time.process_time()
            contender()
            times[index] = min(times[index], time.process_time() - start)
    return times


if __name__ == "__main__":
    sys.exit(main())
