"""Sign statistics against values worked out by hand, and their laws on random records (METHODS 2.2)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.binarizers.ste import Ste  # noqa: E402  # after importorskip
from bwnhw.models.statistics import HeldSigns, SignRecords, SignWatch, primary  # noqa: E402

pytestmark = pytest.mark.train

# Rows are epochs 0..3, columns five weights: never flips; flips once, early; flips once, late; there and back; flips at every epoch.
SIGNS = np.array([
    [1, 0, 0, 1, 0],
    [1, 1, 0, 0, 1],
    [1, 1, 0, 1, 0],
    [1, 1, 1, 1, 1],
], dtype=bool)


def records(signs):
    return SignRecords(np.packbits(signs, axis=1), signs.shape[1])


def test_by_hand():
    by_hand = records(SIGNS)
    assert by_hand.epochs == 3
    assert by_hand.at(2).tolist() == SIGNS[2].tolist()
    assert by_hand.settled().tolist() == [0, 1, 3, 2, 3]
    assert by_hand.early_fixed().tolist() == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert by_hand.agreement().tolist() == pytest.approx([0.4, 0.6, 0.6, 1.0])
    assert by_hand.flip_ratios().tolist() == pytest.approx([0.6, 0.4, 0.4])
    assert by_hand.never_flipped() == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(10))
def test_laws(seed):
    rng = np.random.default_rng(seed)
    start = rng.random(77) < 0.5
    flips = rng.random((12, 77)) < 0.5 ** np.arange(1, 13)[:, None]
    random = records(np.logical_xor.accumulate(np.vstack([start, flips])))
    fixed, agreement = random.early_fixed(), random.agreement()
    assert (np.diff(fixed) >= 0).all() and fixed[-1] == 1
    assert (fixed <= agreement).all()
    assert fixed[0] == random.never_flipped()


def test_primary_sub_network():
    settled = np.array([3, 0, 1, 1, 0])
    magnitude = np.array([9.0, 0.1, 0.5, 0.7, 0.2])
    assert np.flatnonzero(primary(settled, magnitude, 0.4)).tolist() == [1, 4]
    assert np.flatnonzero(primary(settled, magnitude, 0.6)).tolist() == [1, 3, 4]
    assert np.flatnonzero(primary(np.zeros(5, dtype=np.int64), magnitude, 0.4)).tolist() == [0, 3]
    assert primary(settled, magnitude, 1.0).all() and not primary(settled, magnitude, 0.0).any()


def put(method, latent):
    method.latent.data.copy_(torch.tensor(latent))


def test_watch_counts_every_flip():
    method = Ste((1, 3))
    put(method, [[1.0, -1.0, 1.0]])
    watch = SignWatch({"conv": method})
    watch.record()
    for latent in ([[1.0, 1.0, 1.0]], [[1.0, -1.0, -1.0]]):
        put(method, latent)
        watch.step()
    watch.record()
    assert watch.flips["conv"].tolist() == [[0, 2, 1]]
    assert watch.last["conv"].tolist() == [[0, 2, 2]]
    row = watch.summary()["conv"]
    assert row["flips_per_step"] == pytest.approx(0.5)
    assert (row["never_flipped"], row["never_flipped_by_epoch"]) == pytest.approx((1 / 3, 2 / 3))
    assert row["fixed_at_10%"] == row["never_flipped_by_epoch"]


def test_watch_goes_on_from_its_state():
    method = Ste((2, 5))
    first = SignWatch({"fc": method})
    first.record()
    put(method, (-method.latent.detach()).tolist())
    first.step()
    second = SignWatch({"fc": method})
    second.load_state_dict(first.state_dict())
    for watch in (first, second):
        watch.record()
    assert first.summary() == second.summary()
    assert second.steps == 1 and (second.flips["fc"] == 1).all()


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_held_signs_stay_and_the_others_move(optimizer):
    torch.manual_seed(0)
    method = Ste((6, 10))
    rng = np.random.default_rng(0)
    mask, wanted = rng.random(60) < 0.5, rng.random(60) < 0.5
    hook = HeldSigns([method], [mask], [wanted])
    before = (method.bits() > 0).flatten().numpy()
    assert np.array_equal(before[mask], wanted[mask])
    moving = optimizer(method.parameters(), lr=0.1, weight_decay=1e-2)
    for _ in range(40):
        moving.zero_grad()
        (torch.randn(8, 10) @ method().T).square().mean().backward()
        hook.apply()
        moving.step()
        method.after_step()
    after = (method.bits() > 0).flatten().numpy()
    assert np.array_equal(after[mask], wanted[mask])
    assert not np.array_equal(after[~mask], before[~mask])
