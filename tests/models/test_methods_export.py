"""The exported networks of the methods that deploy sign(latent), some steps into their training: torch in eval mode and integers agree."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw import golden  # noqa: E402  # after importorskip
from bwnhw.lower import lower  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.methods import binarizers_of, network_of  # noqa: E402
from bwnhw.models.recipe import Part, Recipe  # noqa: E402

pytestmark = pytest.mark.train

NAMES = ["group-power", "proxconnect", "proxquant", "reverse-proxconnect", "parq", "bnn", "bi-real", "bnn+", "bnn++", "poly++", "ovsw"]
SCALED = [("parq", "channel"), ("ovsw", "channel"), ("bnn+", "learned")]
DATA = load_digits()
IMAGES = DATA.x_test[:40]


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: on a busy machine threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(name, scale):
    """A network a few steps into its training, in the middle of its schedule: trained weights aren't deployed ones there."""
    torch.manual_seed(0)
    network = network_of(Recipe("r", "digits", "digits-conv", 1, 1, 64, 0.01, 1, binarizer=Part(name, {"scale": scale})))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, labels = torch.from_numpy(DATA.x_train).float(), torch.from_numpy(DATA.y_train)
    for step in range(6):
        for binarizer in binarizers_of(network):
            binarizer.advance(0.08 * step)
        index = torch.randint(len(labels), (64,))
        loss = torch.nn.functional.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        for binarizer in binarizers_of(network):
            binarizer.before_step()
        optimizer.step()
        for binarizer in binarizers_of(network):
            binarizer.after_step()
    return network.eval()


@pytest.mark.parametrize(("name", "scale"), [*((name, "none") for name in NAMES), *SCALED])
def test_the_exported_network_is_the_trained_one(name, scale):
    network = trained(name, scale)
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGES).float()).numpy().argmax(1)
    integers = lower(to_graph(network, ARCHITECTURES["digits-conv"]))
    assert np.array_equal(golden.outputs(integers, IMAGES).reshape(len(IMAGES), -1).argmax(1), expected)
    assert len(np.unique(expected)) > 2


def test_exporting_what_was_trained_instead_is_seen():
    network = trained("bnn++", "none")
    with torch.no_grad():
        scores = network(torch.from_numpy(IMAGES).float()).numpy()
        for binarizer in binarizers_of(network):
            binarizer.train()  # soft weights
        assert not np.array_equal(network(torch.from_numpy(IMAGES).float()).numpy().argmax(1), scores.argmax(1))
