"""QBN, SNN and PSTE around binarizers: METHODS 2.4 to 2.6. What selects and maps is tested in tests/core/test_codebooks.py."""

import copy
from itertools import permutations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.close_filters import closeness, drawn  # noqa: E402  # after importorskip
from bwnhw.codebooks import Selection, select  # noqa: E402
from bwnhw.errors import InputError  # noqa: E402
from bwnhw.kernels import KERNELS, codes, complement, signs  # noqa: E402
from bwnhw.models.binarizers import BINARIZERS  # noqa: E402
from bwnhw.models.binarizers.ste import Ste  # noqa: E402
from bwnhw.models.codebooks import CODEBOOKS  # noqa: E402
from bwnhw.models.codebooks.base import Shared, values  # noqa: E402
from bwnhw.models.codebooks.pste import Pste, assignment, sinkhorn  # noqa: E402
from bwnhw.models.codebooks.qbn import Qbn  # noqa: E402
from bwnhw.models.codebooks.snn import Snn  # noqa: E402

pytestmark = pytest.mark.train

SHAPE = (16, 8, 3, 3)


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wrapped(kind, seed=0, shape=SHAPE, scale="none", **options):
    """A codebook around a fresh straight-through binarizer, its schedule begun."""
    torch.manual_seed(seed)
    inner = Ste(shape, scale)
    book = kind(inner, Shared([inner]), **options)
    book.advance(0.0)
    return book


def kernel_codes(weights):
    return codes(weights.reshape(*weights.shape[:2], -1))


def step(book, grad=None):
    """One step of plain gradient descent on everything in the wrapper; returns the weights of the forward pass."""
    parameters = list(book.parameters())
    for parameter in parameters:
        parameter.grad = None
    weights = book.train()()
    weights.backward(torch.ones_like(weights) if grad is None else grad)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    book.after_step()
    return weights.detach()


# All three.

@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("bits", [2, 5])
def test_weights_are_codewords_in_training_and_after(name, bits):
    book = wrapped(CODEBOOKS[name], bits=bits)
    for _ in range(3):
        step(book, torch.randn(SHAPE))
    exported, scale = book.export_bits()
    found = book.codebook()
    np.testing.assert_array_equal(found.weights, exported)
    assert (scale == 1).all() and found.shape.words == 2**bits
    assert np.isin(kernel_codes(exported), book.words[0].numpy()).all() and len(np.unique(kernel_codes(exported))) <= 2**bits
    np.testing.assert_array_equal(book.train()().detach().numpy(), exported)
    np.testing.assert_array_equal(book.eval()().detach().numpy(), exported)


@pytest.mark.parametrize("name", CODEBOOKS)
def test_nine_bits_are_the_signs(name):
    book = wrapped(CODEBOOKS[name], bits=9)
    with torch.no_grad():
        book.latent[0, 0, 0] = 0
    assert torch.equal(book.bits(), book.inner.bits())
    assert torch.equal(book.train()(), book.inner.bits())


@pytest.mark.parametrize("name", CODEBOOKS)
def test_a_checkpoint_keeps_the_codebook(name):
    book, other = wrapped(CODEBOOKS[name], bits=3), wrapped(CODEBOOKS[name], seed=5, bits=3)
    for _ in range(3):
        step(book, torch.randn(SHAPE))
    assert not torch.equal(book.bits(), other.bits())
    other.load_state_dict(copy.deepcopy(book.state_dict()))
    assert torch.equal(book.bits(), other.bits())
    gradient = torch.randn(SHAPE)
    for both in (book, other):
        torch.manual_seed(1)
        both.advance(0.01)
        step(both, gradient)
    assert torch.equal(book.words, other.words) and torch.equal(book.latent, other.latent)


@pytest.mark.parametrize("name", CODEBOOKS)
def test_scale_comes_from_the_binarizer(name):
    book = wrapped(CODEBOOKS[name], bits=3, scale="channel")
    assert book.scale().shape == (16, 1, 1, 1)
    torch.testing.assert_close(book.train()(), book.scale() * book.bits())


@pytest.mark.parametrize("binarizer", BINARIZERS)
def test_around_every_binarizer(binarizer):
    torch.manual_seed(0)
    inner = BINARIZERS[binarizer](SHAPE)
    book = Qbn(inner, Shared([inner]), bits=3)
    book.advance(0.0)
    weights = book.train()()
    weights.sum().backward()
    assert [name for name, _ in book.named_parameters()] == [f"inner.{name}" for name, _ in inner.named_parameters()]
    assert all(parameter.grad is not None for name, parameter in inner.named_parameters() if name == "latent")
    book.before_step()
    book.after_step()
    exported, scale = book.export_bits()
    assert set(np.unique(exported)) <= {-1, 1}
    assert np.isin(kernel_codes(exported), select([values(inner)], Selection(9))[0, :8]).mean() > 0.5  # the step moved some latents
    np.testing.assert_allclose(book.eval()().detach().numpy(), scale * exported)


@pytest.mark.parametrize("kind", [Snn, Pste])
def test_trained_codewords_are_of_nine_taps(kind):
    inner = Ste((4, 4, 5, 5))
    with pytest.raises(InputError, match=r"expected 3×3 kernels for .*, found \(5, 5\)"):
        kind(inner, Shared([inner]))


# QBN.

def test_gradient_passes_unchanged():
    book = wrapped(Qbn, bits=3)
    gradient = torch.randn(SHAPE)
    book.train()().backward(gradient)
    assert torch.equal(book.latent.grad, gradient)


def test_a_learned_scale_gets_the_gradient_of_the_codewords():
    book, gradient = wrapped(Qbn, bits=2, scale="learned"), torch.randn(SHAPE)
    weights = book.train()()
    weights.backward(gradient)
    torch.testing.assert_close(weights, book.scale() * book.bits())
    torch.testing.assert_close(book.inner.learned_scale.grad.reshape(()), (gradient * book.bits()).sum())


def test_frequent_codewords_of_the_signs():
    book = wrapped(Qbn, bits=4)
    np.testing.assert_array_equal(book.words.numpy(), select([values(book.inner)], Selection(4)))


def test_complement_closed_and_scopes():
    closed = wrapped(Qbn, bits=4, complement_closed=True)
    assert set(complement(closed.words[0].numpy())) == set(closed.words[0].tolist())
    channel = wrapped(Qbn, bits=2, scope="input-channel")
    assert channel.words.shape == (8, 4)
    near = wrapped(Qbn, bits=4, hw_lambda=1e6)
    assert not torch.equal(near.words, wrapped(Qbn, bits=4).words)


def test_a_global_codebook_is_one_for_all_layers():
    torch.manual_seed(0)
    inners = [Ste(SHAPE), Ste((4, 16, 3, 3))]
    shared = Shared(inners)
    books = [Qbn(inner, shared, bits=3, scope="global", refreshes=1) for inner in inners]
    for progress in (0.0, 0.6):
        for book in books:
            book.advance(progress)
        assert torch.equal(books[0].words, books[1].words)
        np.testing.assert_array_equal(books[0].words.numpy(), select([values(inner) for inner in inners], Selection(3)))
        with torch.no_grad():
            inners[1].latent.neg_()
            inners[0].latent.add_(0.3)


def test_schedule_of_warm_up_refreshes_and_bits():
    book = wrapped(Qbn, shape=(24, 16, 3, 3), bits=6, warm_up=0.5)
    assert book.codebook() is None and torch.equal(book.bits(), book.inner.bits())
    book.advance(0.5)
    assert book.codebook().shape.words == 64

    book = wrapped(Qbn, bits=3, refreshes=1)
    first = book.words.clone()
    with torch.no_grad():
        book.latent.copy_(torch.randn(SHAPE))
    book.advance(0.49)
    assert torch.equal(book.words, first)
    book.advance(0.5)
    assert not torch.equal(book.words, first)
    np.testing.assert_array_equal(book.words.numpy(), select([values(book.inner)], Selection(3)))

    book = wrapped(Qbn, bits=5, progressive=True)
    sizes = []
    for progress in np.arange(0, 1, 1 / 16):
        book.advance(float(progress))
        sizes.append(book.codebook().shape.words)
    assert sizes == [256, 256, 128, 128, 64, 64, 32, 32] + [32] * 8


def test_a_layer_that_a_codebook_makes_larger_stays_as_it_is():
    book = wrapped(Qbn, bits=6)  # 128 · 6 + 64 · 9 bits against 128 · 9
    assert book.codebook() is None and torch.equal(book.train()(), book.inner.bits())


def test_rows_of_large_kernels():
    torch.manual_seed(0)
    inner = Ste((6, 4, 5, 5))
    book = Qbn(inner, Shared([inner]), bits=2, unit="row")
    book.advance(0.0)
    assert book.codebook().index.shape == (6, 4, 5)
    assert len(np.unique(codes(book.export_bits()[0].reshape(-1, 5)))) <= 4


def test_even_and_systematic_codewords():
    assert wrapped(Qbn, bits=3, even=True).codebook().shape.even
    assert wrapped(Qbn, bits=4, systematic=True).codebook().shape.direct >= 4


def test_the_pull_grows_and_then_stays():
    book = wrapped(Qbn, bits=4, pull=0.8)
    plain, latent, words = wrapped(Qbn, bits=4).codebook(), values(book), book.words.numpy()
    close = closeness(plain.weights, 9)
    for progress, strength in ((0.0, 0.0), (0.15, 0.4), (0.3, 0.8), (0.99, 0.8)):
        book.advance(progress)
        expected = drawn(latent, words, Selection(4, pull=strength), close)
        np.testing.assert_array_equal(book.codebook().index, expected.index)
    assert not np.array_equal(expected.index, plain.index)
    np.testing.assert_array_equal(drawn(latent, words, Selection(4, pull=0.0), close).index, plain.index)


def test_the_tree_of_filters_is_kept_until_the_codebook_is_chosen_again():
    book = wrapped(Qbn, bits=4, pull=0.8, refreshes=1)
    first = book.parents.clone()
    with torch.no_grad():
        book.latent.copy_(torch.randn(SHAPE))
    book.advance(0.49)
    assert torch.equal(book.parents, first)
    other = wrapped(Qbn, seed=5, bits=4, pull=0.8, refreshes=1)
    other.load_state_dict(copy.deepcopy(book.state_dict()))
    assert torch.equal(other.parents, first)
    other.advance(0.49)
    np.testing.assert_array_equal(other.codebook().index, book.codebook().index)
    book.advance(0.5)
    assert not torch.equal(book.parents, first)


@pytest.mark.parametrize(("options", "message"), [
    ({"pull": float("inf")}, "pull of at least 0, found inf"), ({"even": True, "complement_closed": True}, "without systematic and even"),
    ({"scope": "net"}, "a scope of global, layer, input-channel, found 'net'"), ({"unit": "tap"}, "a unit of kernel, row, found 'tap'"),
    ({"bits": 10}, "1 to 9 bits, found 10"), ({"warm_up": 1.0}, "warm_up in 0..1"), ({"refreshes": -1}, "no negative refreshes")])
def test_options_without_a_meaning(options, message):
    with pytest.raises(InputError, match=f"^codebook: expected .*{message}"):
        wrapped(Qbn, **options)


# SNN.

def test_hysteresis_keeps_the_sign_near_zero():
    book = wrapped(Snn, bits=2)
    before = signs(book.words[0].numpy())
    with torch.no_grad():
        book.codewords.copy_(-torch.from_numpy(before) * 0.9e-3)
        book.codewords[0, 0] = -float(before[0, 0]) * 1.1e-3
        book.steps.fill_(1)  # no step on which equal codewords are drawn anew
    book.after_step()
    after = signs(book.words[0].numpy())
    assert after[0, 0] == -before[0, 0]
    before[0, 0] = after[0, 0]
    np.testing.assert_array_equal(after, before)


def test_codewords_move_on_every_25th_step_and_stay_distinct():
    book = wrapped(Snn, bits=3)
    moved = []
    for _ in range(60):
        before = book.codewords.detach().clone()
        step(book, 100 * torch.randn(SHAPE))
        moved.append(not torch.equal(before, book.codewords))
    assert [at for at, each in enumerate(moved) if each] == [0, 25, 50]
    assert book.codewords.abs().max() <= 3


def test_equal_codewords_are_drawn_anew():
    book = wrapped(Snn, bits=4)
    kept = book.words[0, 0].item()
    with torch.no_grad():
        book.codewords[:] = book.codewords[0].clone()
    book.after_step()
    assert len(set(book.words[0].tolist())) == 16 and book.words[0, 0] == kept
    np.testing.assert_array_equal(codes(book.codewords.detach().numpy()), book.words[0].numpy())


def test_a_codeword_gets_the_sum_of_the_gradients_of_its_kernels():
    book, gradient = wrapped(Snn, bits=2), torch.randn(SHAPE)
    with torch.no_grad():
        book.latent[0].mul_(10)
    book.train()().backward(gradient)
    index = torch.from_numpy(book.codebook().index).reshape(-1)
    for word in range(4):
        torch.testing.assert_close(book.codewords.grad[word], gradient.reshape(-1, 9)[index == word].sum(dim=0))
    assert torch.equal(book.latent.grad, gradient * (book.latent.abs() < 1))
    assert (book.latent.abs() >= 1).any()


def test_frequent_start():
    book = wrapped(Snn, bits=4, frequent=True)
    np.testing.assert_array_equal(book.words.numpy(), select([values(book.inner)], Selection(4)))


# PSTE.

def test_sinkhorn_makes_rows_and_columns_sum_to_one():
    torch.manual_seed(0)
    soft = sinkhorn(torch.randn(32, 32, dtype=torch.float64) / 0.5, 50)
    assert (soft.sum(dim=0) - 1).abs().max() < 1e-6 and (soft.sum(dim=1) - 1).abs().max() < 1e-6


def test_gradient_of_sinkhorn():
    torch.manual_seed(0)
    scores = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sinkhorn(x, 10), scores)


def test_assignment_is_the_best_permutation():
    torch.manual_seed(0)
    soft = torch.rand(6, 6)
    rows = assignment(soft)
    assert sorted(rows.tolist()) == list(range(6))
    best = max(sum(soft[row, column].item() for column, row in enumerate(order)) for order in permutations(range(6)))
    assert soft[rows, torch.arange(6)].sum().item() == pytest.approx(best)


def test_cold_sinkhorn_is_the_permutation():
    torch.manual_seed(0)
    scores = 0.1 * torch.randn(8, 8, dtype=torch.float64) + torch.eye(8, dtype=torch.float64)[torch.randperm(8)]
    soft = sinkhorn(scores / 0.03, 200)
    assert not torch.allclose(sinkhorn(scores, 200), soft, atol=0.1)
    hard = torch.zeros(8, 8, dtype=torch.float64)
    hard[assignment(scores), torch.arange(8)] = 1
    torch.testing.assert_close(soft, hard, atol=1e-6, rtol=0)


def test_codewords_never_repeat_and_start_as_the_most_frequent():
    book = wrapped(Pste, bits=4, noise=0.0)
    frequent = select([values(book.inner)], Selection(4))
    np.testing.assert_array_equal(book.words.numpy(), frequent)
    step(book)
    np.testing.assert_array_equal(book.words.numpy(), frequent)
    assert sorted(book.order.tolist()) == list(range(KERNELS))
    noisy = wrapped(Pste, bits=4, noise=10.0)
    step(noisy)
    assert sorted(noisy.order.tolist()) == list(range(KERNELS)) and len(set(noisy.words[0].tolist())) == 16
    assert set(noisy.words[0].tolist()) != set(frequent[0].tolist())


def test_unselected_kernels_get_a_gradient_through_sinkhorn():
    book = wrapped(Pste, bits=2)
    book.train()().backward(torch.randn(SHAPE))
    unselected = np.setdiff1d(np.arange(KERNELS), book.words[0].numpy())
    assert (book.choice.grad[unselected][:, 4:].abs() > 0).any() and (book.choice.grad[:, :4].abs() > 0).all()


def test_gradient_of_the_permutation_is_that_of_the_codewords():
    """dL/dΠ = Bᵀ·dL/dU in the columns in use, and from there as through the Sinkhorn normalisation alone."""
    book, gradient = wrapped(Pste, bits=1, noise=0.0), torch.randn(SHAPE)
    weights = book.train()()
    index = torch.from_numpy(book.codebook().index).reshape(-1)
    weights.backward(gradient)
    per_word = torch.stack([gradient.reshape(-1, 9)[index == word].sum(dim=0) for word in range(2)])
    kernels = torch.from_numpy(signs(np.arange(KERNELS)).astype(np.float32))
    choice = book.choice.detach().requires_grad_()
    soft = sinkhorn(choice / 10, book.rounds)
    (soft[:, :2] * (kernels @ per_word.T)).sum().backward()
    torch.testing.assert_close(book.choice.grad, choice.grad)


def test_the_permutation_is_frozen_at_the_end():
    book = wrapped(Pste, bits=2, noise=10.0)
    book.advance(0.8)
    before = book.words.clone()
    step(book)
    assert torch.equal(book.words, before) and book.choice.grad is None
