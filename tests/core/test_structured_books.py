"""Systematic and even codebooks: what their codewords have in common, and that no other such codebook keeps more kernels."""

from itertools import combinations, product

import numpy as np
import pytest

from bwnhw.codebooks import Scope, Selection, mapped, select
from bwnhw.compressor import prefix_parity
from bwnhw.errors import InputError
from bwnhw.kernels import codes, count, signs


def weights(seed, outputs=24, inputs=10):
    """Signs of kernels that aren't equally frequent."""
    rng = np.random.default_rng(seed)
    return np.where(rng.normal(size=(outputs, inputs, 3, 3)) + rng.normal(size=(1, 1, 3, 3)) > 0, 1, -1).astype(np.float32)


def encoded(words):
    return prefix_parity(signs(words) > 0)


def matching(words):
    """The encoded taps that are bit 0, 1, ... of the index, for each bit all that are."""
    index = np.arange(len(words))
    return [[tap for tap in range(9) if (encoded(words)[:, tap] == (index >> bit & 1)).all()] for bit in range(len(words).bit_length() - 1)]


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("scope", [Scope.LAYER, Scope.INPUT_CHANNEL, Scope.GLOBAL])
def test_index_bits_are_taps(bits, even, scope):
    for book in select([weights(bits)], Selection(bits, scope, systematic=True, even=even)):
        assert all(matching(book)), "every index bit is a tap"
        assert len(np.unique(book)) == 1 << bits


@pytest.mark.parametrize("bits", [1, 3, 5, 8])
@pytest.mark.parametrize("systematic", [False, True])
def test_even_codewords_have_one_parity_in_all_books(bits, systematic):
    selection = Selection(bits, Scope.INPUT_CHANNEL, even=True, systematic=systematic)
    words = select([weights(bits)], selection)
    assert len(np.unique(np.prod(signs(words), axis=2))) == 1
    book = mapped(weights(bits), words, selection)
    assert book.shape == selection.shape((24, 10, 3, 3)) and book.shape.even


def test_plain_codewords_are_of_both_parities():
    assert not mapped(weights(1), select([weights(1)], Selection(4)), Selection(4)).shape.even


@pytest.mark.parametrize(("bits", "even"), list(product((2, 4), (False, True))))
def test_no_systematic_codebook_keeps_more_kernels(bits, even):
    found = count(weights(7)).counts
    words = select([weights(7)], Selection(bits, systematic=True, even=even))[0]
    every = np.arange(512)
    best = 0
    for odd in ((0, 1) if even else (None,)):
        allowed = every if odd is None else every[(np.prod(signs(every), axis=1) > 0) == odd]
        for places in combinations(range(9), bits):
            index = encoded(allowed)[:, places] @ (1 << np.arange(bits))
            if len(np.unique(index)) == 1 << bits:  # not where one of the places is the parity itself
                best = max(best, sum(int(found[allowed[index == value]].max()) for value in range(1 << bits)))
    assert found[words].sum() == best


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_even_codewords_are_the_most_frequent_of_their_parity(bits):
    counted = count(weights(3))
    odd = np.prod(signs(counted.ranking), axis=1) > 0
    halves = [counted.ranking[odd == side][:1 << bits] for side in (True, False)]
    words = select([weights(3)], Selection(bits, even=True))[0]
    assert words.tolist() in [half.tolist() for half in halves]
    assert counted.counts[words].sum() == max(counted.counts[half].sum() for half in halves)


def test_eight_even_bits_keep_every_kernel_of_their_parity():
    kernels = weights(5).reshape(-1, 9)
    words = select([weights(5)], Selection(8, even=True, systematic=True))[0]
    index = mapped(weights(5), words[None], Selection(8, even=True)).index.reshape(-1)
    same = (signs(words)[index] == kernels).all(axis=1)
    np.testing.assert_array_equal(same, (np.prod(kernels, axis=1) > 0) == (np.prod(signs(words[:1])) > 0))


def test_equal_counts_give_the_larger_code():
    kernels = signs(np.array([5, 6, 9, 10] * 2)).reshape(2, 4, 3, 3).astype(np.float32)
    assert sorted(select([kernels], Selection(2, even=True))[0].tolist()) == [5, 6, 9, 10]
    assert codes(signs(select([kernels], Selection(3, even=True))[0])).tolist()[:4] == [10, 9, 6, 5]


@pytest.mark.parametrize(("options", "message"), [
    ({"bits": 4, "complement_closed": True, "even": True}, "complement_closed without systematic and even"),
    ({"bits": 4, "complement_closed": True, "systematic": True}, "complement_closed without systematic and even"),
    ({"bits": 4, "hw_lambda": 0.1, "even": True}, "hw_lambda without systematic and even"),
    ({"bits": 4, "pull": -0.5}, "pull of at least 0, found -0.5"),
])
def test_options_that_exclude_each_other(options, message):
    with pytest.raises(InputError, match=message):
        Selection(**options)


@pytest.mark.parametrize(("shape", "bits"), [((8, 4, 5, 5), 4), ((8, 4, 3, 3), 9), ((8, 4, 2, 2), 4)])
def test_kernels_that_have_no_such_codewords(shape, bits):
    with pytest.raises(InputError, match=f"kernels of {bits + 1} to 9 taps for structured codewords of {bits} bits"):
        select([np.ones(shape, np.float32)], Selection(bits, even=True))
