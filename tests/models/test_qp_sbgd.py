"""QP-SBGD on the dense digits network: as good as plain signs within two points, and exported as it was trained."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw import planner  # noqa: E402  # after importorskip
from bwnhw.compare import compare  # noqa: E402
from bwnhw.errors import InputError  # noqa: E402
from bwnhw.lower import lower  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.recipe import Part, find_recipe, load_recipe  # noqa: E402
from bwnhw.models.train import train  # noqa: E402
from bwnhw.onnx_write import save  # noqa: E402
from bwnhw.sim.loadable import LoadableBuild  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from oracle import qonnx_run  # noqa: E402  # stands with the core's tests

pytestmark = pytest.mark.train

DATA = load_digits()
PLAIN = replace(load_recipe(find_recipe("digits-conv")), architecture="digits-mlp", epochs=20)
QP = replace(PLAIN, optimizer=Part("qp-sbgd"))


def quiet(report):
    del report


@pytest.mark.slow
def test_it_trains_and_exports(tmp_path):
    """Torch, integers, qonnx and Verilator agree on all test images; the build is loaded with plain sign's network as well."""
    plain, qp = train(PLAIN, DATA, quiet), train(QP, DATA, quiet)
    assert qp.test_accuracy >= plain.test_accuracy - 0.02
    graph = to_graph(qp.network, ARCHITECTURES["digits-mlp"])
    with torch.no_grad():
        scores = qp.network(torch.from_numpy(DATA.x_test).float()).numpy()
    assert np.allclose(qonnx_run(graph, DATA.x_test)["scores"], scores, rtol=1e-5, atol=1e-5)
    assert compare(graph, lower(graph), DATA.x_test).equal
    save(graph, tmp_path / "qp.onnx")
    save(to_graph(plain.network, ARCHITECTURES["digits-mlp"]), tmp_path / "plain.onnx")
    plan = planner.plan(lower(graph).topology, interval=256)
    build = LoadableBuild.make(tmp_path / "qp.onnx", plan, tmp_path / "made", tmp_path / "cache")
    assert build.check(tmp_path / "qp.onnx", DATA.x_test) is None
    assert build.check(tmp_path / "plain.onnx", DATA.x_test) is None


def test_wide_dense_layers_are_refused_with_one_sentence():
    recipe = replace(QP, architecture="digits-conv")
    with pytest.raises(InputError, match="^recipe 'digits-conv': expected other options of .optimizer. qp-sbgd: it moves dense layers of "
                                         "at most 64 inputs, and the network has none or wider ones$"):
        train(recipe, DATA, quiet)
