"""`bwnhw compress` and `bwnhw inspect --kernels` from outside."""

import json
import sys

import numpy as np
import pytest

from bwnhw import cli, plots, zoo
from bwnhw.errors import InputError
from bwnhw.kernels import study
from bwnhw.lower import lower
from bwnhw.onnx_read import load

MODEL = "digits-conv"


def call(capsys, *arguments):
    """Run a command in this process: status, stdout, stderr."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        status = int(str(stop.code))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_compress_alone(tmp_path, capsys):
    status, out, err = call(capsys, "compress", MODEL, "--bits", "3", "--complement-closed", "-o", tmp_path / "small.onnx",
                            "--json", tmp_path / "r.json")
    assert status == 0, err
    written = json.loads((tmp_path / "r.json").read_text())
    before, after = lower(load(zoo.find(MODEL))), lower(load(tmp_path / "small.onnx"))
    assert [layer["codewords"] for layer in written["layers"]] == [8, 8]
    first = written["layers"][0]
    index = next(index for index, node in enumerate(after.topology.nodes) if getattr(node, "codebook", None))
    assert first["changed"] == (before.params[index].weights != after.params[index].weights).sum() > 0
    assert first["bits_after"] == 512 * 3 + 4 * 9 and first["bits_before"] == 512 * 9
    assert written["bits"] == {"before": 15248, "after": 15248 - 512 * 6 - 1024 * 6 + 2 * 36}
    assert "15,248 bits before, 6,104 after" in out
    assert "accuracy" not in written


def test_a_global_codebook_is_counted_once(tmp_path, capsys):
    status, out, err = call(capsys, "compress", MODEL, "--bits", "4", "--scope", "global", "-o", tmp_path / "small.onnx")
    assert status == 0, err
    assert f"{15248 - 5 * (512 + 1024) + 9 * 16:,} after" in out


def test_compress_with_images(tmp_path, capsys):
    images = zoo.test_images(MODEL)
    status, out, err = call(capsys, "compress", MODEL, "--bits", "6", "-o", tmp_path / "small.onnx", "--images", images,
                            "--json", tmp_path / "r.json")
    assert status == 0, err
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["images"] == 360 and written["accuracy"]["before"] == zoo.card(MODEL)["accuracy_integer"]
    assert 0.1 < written["accuracy"]["after"] < written["accuracy"]["before"] and written["agreement"] < 1
    with np.load(images, allow_pickle=False) as file:
        np.save(tmp_path / "x.npy", file["x"][:20])
    status, out, err = call(capsys, "compress", MODEL, "--bits", "6", "-o", tmp_path / "small.onnx", "--images", tmp_path / "x.npy")
    assert status == 0 and "20 images: " in out and "labels" not in out


def test_calibration_wins_accuracy_back(tmp_path, capsys):
    """On images that aren't those it is measured on."""
    with np.load(zoo.test_images(MODEL), allow_pickle=False) as file:
        np.savez(tmp_path / "a.npz", x=file["x"][:180])
        np.savez(tmp_path / "b.npz", x=file["x"][180:], y=file["y"][180:])
    accuracies = []
    for extra in ([], ["--calibrate", tmp_path / "a.npz"]):
        status, _, err = call(capsys, "compress", MODEL, "--bits", "5", "-o", tmp_path / "small.onnx", "--images", tmp_path / "b.npz",
                              *extra, "--json", tmp_path / "r.json")
        assert status == 0, err
        accuracies.append(json.loads((tmp_path / "r.json").read_text())["accuracy"]["after"])
    assert accuracies[1] > accuracies[0] + 0.05


@pytest.mark.train
def test_compress_and_train(tmp_path, capsys):
    out_file, images = tmp_path / "small.onnx", zoo.test_images(MODEL)
    accuracies = []
    for extra in ([], ["--train", MODEL, "--epochs", "4"]):
        status, _, err = call(capsys, "compress", MODEL, "--bits", "4", "-o", out_file, "--images", images, *extra,
                              "--json", tmp_path / "r.json")
        assert status == 0, err
        accuracies.append(json.loads((tmp_path / "r.json").read_text())["accuracy"])
    assert accuracies[1]["before"] == accuracies[0]["before"]
    assert accuracies[1]["after"] > max(0.85, accuracies[0]["after"])
    network = lower(load(out_file))
    assert [node.codebook.words for node in network.topology.nodes if getattr(node, "codebook", None)] == [16, 16]


def test_compress_for_arrays_and_for_unrolled_layers(tmp_path, capsys):
    """Codewords of one parity, whose index is some of their taps; and filters that differ in fewer kernels than without a pull."""
    def compressed(*options):
        status, _, err = call(capsys, "compress", MODEL, "--bits", "4", *options, "-o", tmp_path / "small.onnx")
        assert status == 0, err
        return [params.codebook for params in lower(load(tmp_path / "small.onnx")).params if getattr(params, "codebook", None)]

    assert all(book.shape.even and book.shape.direct >= 5 for book in compressed("--even", "--systematic"))  # the parity, too, is no table
    nearest = [[min((row != other).sum() for at, other in enumerate(book.index) if at != number) for number, row in enumerate(book.index)]
               for book in (*compressed(), *compressed("--pull", "0.6"))]
    assert np.mean(nearest[2]) < 0.8 * np.mean(nearest[0]) and np.mean(nearest[3]) < 0.8 * np.mean(nearest[1])


@pytest.mark.parametrize(("arguments", "message"), [
    (["--bits", "10"], "expected 1 to 9 bits, found 10"), (["--bits", "9"], "makes smaller, found none"),
    (["--bits", "4", "--hw-lambda", "-1"], "expected hw_lambda of at least 0, found -1"),
    (["--bits", "4", "--pull", "nan"], "expected pull of at least 0, found nan"),
    (["--bits", "4", "--even", "--complement-closed"], "expected complement_closed without systematic and even"),
    (["--bits", "4", "--epochs", "2"], "expected --train RECIPE with them, found none"),
    (["--bits", "3", "--unit", "row"], "makes smaller, found none"),
])
def test_mistakes(arguments, message, tmp_path, capsys):
    status, _, err = call(capsys, "compress", MODEL, *arguments, "-o", tmp_path / "small.onnx")
    assert status == 2 and message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_inspect_kernels(tmp_path, capsys):
    status, out, err = call(capsys, "inspect", MODEL, "--kernels", "--json", tmp_path / "r.json")
    assert status == 0, err
    rows = json.loads((tmp_path / "r.json").read_text())["kernels"]
    assert [row["kernels"] for row in rows] == [16, 512, 1024, 1552]
    assert np.array_equal(np.sum([row["counts"] for row in rows[:-1]], axis=0), rows[-1]["counts"])
    assert all(0 < row["entropy_bits"] < 9 and row["mass"]["256"] <= 1 for row in rows)
    assert "Kernels of 3×3" in out and f"{rows[-1]['entropy_bits']:.2f}" in out
    status, _, err = call(capsys, "inspect", "mnist-sfc", "--kernels")
    assert status == 2 and "a convolution of 3×3 kernels of ±1" in err


def test_inspect_draws(tmp_path, capsys):
    status, _, err = call(capsys, "inspect", MODEL, "--plots", tmp_path / "p")
    assert status == 0, err
    assert {path.name for path in (tmp_path / "p").iterdir()} == {f"{name}.png" for name in (
        "kernels-0", "kernels-1", "kernels-2", "kernels-whole", "mass")}


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_drawings_are_the_same_each_time(kind, magic, tmp_path):
    layers = study(lower(load(zoo.find(MODEL))))

    def drawn(figure):
        plots.write(figure, tmp_path / f"drawing.{kind}")
        return (tmp_path / f"drawing.{kind}").read_bytes()

    for figure in (lambda: plots.histogram(layers[1]), lambda: plots.masses(layers)):
        data = drawn(figure())
        assert data == drawn(figure()) and data.startswith(magic)
    assert drawn(plots.histogram(layers[1])) != drawn(plots.histogram(layers[2]))
    with pytest.raises(InputError, match="ends in png or svg"):
        plots.write(plots.masses(layers), tmp_path / "drawing.pdf")


def test_drawings_need_their_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = call(capsys, "inspect", MODEL, "--plots", tmp_path / "plots")
    assert status == 3 and "pip install 'bwnhw[plot]'" in err and not list(tmp_path.iterdir())


def test_settled_signs_are_drawn_from_a_card(tmp_path):
    row = {"never_flipped_by_epoch": 0.4, "fixed_at_50%": 0.9, "fixed_at_10%": 0.5, "flips_per_step": 0.1}
    assert plots.settled_points({"1": row}) == {"1": [(0.0, 0.4), (0.1, 0.5), (0.5, 0.9), (1.0, 1.0)]}
    plots.write(plots.settled(plots.settled_points({"1": row})), tmp_path / "s.svg")
    assert (tmp_path / "s.svg").stat().st_size > 1000
