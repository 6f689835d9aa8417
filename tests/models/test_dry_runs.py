"""Every shipped recipe takes a few steps on synthetic images of its shape, and its network is exported or refused by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import bwnhw.models  # noqa: E402  # after importorskip
from bwnhw.errors import ModelError  # noqa: E402
from bwnhw.models import methods  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.distort import distort  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.recipe import load_recipe  # noqa: E402
from bwnhw.models.state import make_step, start  # noqa: E402
from bwnhw.models.workers import ALONE  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]

RECIPES = sorted((Path(bwnhw.models.__file__).parent / "recipes").glob("*.toml"))
IMAGES = 2  # a batch: enough for a batch norm
CHAINS = ("digits-conv", "digits-mlp", "sfc", "lenet3x3", "lenet5", "vgg-small")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_few_steps(path):
    recipe = replace(load_recipe(path), precision="float32")  # bfloat16 is slow where the processor has none
    methods.check(recipe)
    architecture = ARCHITECTURES[recipe.architecture]
    torch.manual_seed(0)
    state = start(recipe, 16 * recipe.batch, ALONE)
    state.network.train()
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(2):
        images = torch.from_numpy(rng.integers(0, 2**architecture.pixel_bits, (IMAGES, *architecture.image))).float()
        labels = torch.from_numpy(rng.integers(0, architecture.classes, IMAGES))
        losses.append(make_step(state, torch.arange(IMAGES), distort(images, recipe), labels))
    assert np.isfinite(losses).all() and losses[0] != losses[1]
    state.network.eval()
    if recipe.architecture in CHAINS:
        assert to_graph(state.network, architecture).outputs[0].shape == (1, architecture.classes)
    else:
        with pytest.raises(ModelError, match="Residual, a sum of two branches|a max pool without padding"):
            to_graph(state.network, architecture)
