"""Codes of kernels, their statistics, selection and mapping: METHODS 2.3, 2.4 and the project's own scopes, pairs and distances."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bwnhw.codebooks import Scope, Selection, Unit, adders, mapped, nearest, select, units
from bwnhw.errors import InputError
from bwnhw.kernels import KERNELS, KernelCounts, bit_operations, codes, complement, count, signs, study, whole
from bwnhw.lower import lower
from bwnhw.network import CodebookShape
from bwnhw.onnx_read import load
from bwnhw.zoo import find

ALL = np.arange(KERNELS)
RESNET18 = [(64, 64, 56 * 56)] * 4 + [(128, 64, 28 * 28)] + [(128, 128, 28 * 28)] * 3 + [(256, 128, 14 * 14)] \
    + [(256, 256, 14 * 14)] * 3 + [(512, 256, 7 * 7)] + [(512, 512, 7 * 7)] * 3


def latent(seed, shape=(24, 16, 3, 3)):
    """Real weights whose kernels aren't equally frequent: taps of a kernel lean to a pattern of their input channel."""
    rng = np.random.default_rng(seed)
    pattern = rng.normal(size=(1, shape[1], *shape[2:]))
    return (rng.normal(size=shape) + 1.5 * pattern + 0.3 * rng.normal(size=(1, 1, *shape[2:]))).astype(np.float32)


def sign_codes(weights):
    return codes(weights.reshape(*weights.shape[:2], -1))


SELECTIONS = [Selection(bits, scope, closed, weight) for bits, scope, closed, weight in product(
    (1, 2, 4, 9), (Scope.LAYER, Scope.INPUT_CHANNEL), (False, True), (0.0, 0.02))]


def named(selection):
    return f"{selection.bits}-{selection.scope}{'-closed' * selection.complement_closed}-{selection.hw_lambda}"


# Codes and statistics.

def test_codes_and_kernels_are_inverse():
    np.testing.assert_array_equal(codes(signs(ALL)), ALL)
    assert len(np.unique(signs(ALL), axis=0)) == KERNELS
    np.testing.assert_array_equal(signs(complement(ALL)), -signs(ALL))
    assert codes(np.array([[1, -1, -1, -1, -1, -1, -1, -1, -1], [0, 0, 0, 0, 0, 0, 0, 0, -1.0]])).tolist() == [1, 255]


def test_too_many_taps_are_refused():
    with pytest.raises(InputError, match="at most 62 taps, found 63"):
        codes(np.ones((2, 63)))


def test_counts_of_a_layer():
    weights = signs(np.array([[3, 3, 511], [0, 3, 511]])).reshape(2, 3, 3, 3)
    found = count(weights)
    assert (found.total, found.distinct) == (weights.shape[0] * weights.shape[1], 3)
    assert (found.counts[3], found.counts[511], found.counts[0]) == (3, 2, 1)
    assert found.ranking[:4].tolist() == [3, 511, 0, 510]  # of equals the larger code first
    np.testing.assert_allclose(found.masses[:3], [3 / 6, 5 / 6, 1])
    assert found.entropy == pytest.approx(-(3 / 6 * np.log2(3 / 6) + 2 / 6 * np.log2(2 / 6) + 1 / 6 * np.log2(1 / 6)))


def test_entropy_and_mass_at_both_ends():
    flat = KernelCounts("flat", np.full(KERNELS, 7))
    assert flat.entropy == 9.0
    np.testing.assert_allclose(flat.masses, (ALL + 1) / KERNELS)
    assert KernelCounts("one", np.bincount([4] * 3, minlength=KERNELS)).entropy == 0.0
    for seed in range(5):
        assert (np.diff(count(latent(seed)).masses) >= 0).all() and count(latent(seed)).masses[-1] == pytest.approx(1)


def test_study_of_a_network_that_ships():
    layers = study(lower(load(find("digits-conv"))))
    assert [layer.total for layer in layers] == [16, 16 * 32, 32 * 32]
    assert whole(layers).total == 16 + 16 * 32 + 32 * 32
    assert 0 < layers[2].entropy < 9


# Sizes and work.

@pytest.mark.parametrize(("bits", "megabits", "giga"), [(9, 10.99, 1.677), (6, 7.324, 0.883), (5, 6.103, 0.501), (4, 4.882, 0.297)])
def test_published_sizes_of_resnet_18(bits, megabits, giga):
    """The table of sub-bit networks, to a unit in its last digit: by the formula its 1.677 and 0.883 are 1.6763 and 0.8839."""
    stored = sum(out * inputs * bits for out, inputs, _ in RESNET18)
    work = sum(bit_operations(out, inputs, pixels, bits) for out, inputs, pixels in RESNET18)
    assert stored / 1e6 == pytest.approx(megabits, abs=0.005 if bits == 9 else 0.0005)
    assert work / 1e9 == pytest.approx(giga, abs=0.001)


def test_exact_sizes_of_resnet_18():
    assert [sum(bit_operations(*layer, bits) for layer in RESNET18) for bits in (9, 6, 5, 4)] == [
        1_676_279_808, 883_900_416, 501_358_592, 297_242_624]
    assert sum(out * inputs * 9 for out, inputs, _ in RESNET18) == 10_985_472


def test_bits_of_a_layer():
    weights = (64, 64, 3, 3)
    for bits in range(1, 9):
        selection = Selection(bits)
        assert selection.shape(weights).codebook_bits == 9 * 2**bits
        assert selection.shape(weights).index_bits == bits
        assert selection.pays(weights) == (64 * 64 * bits + 9 * 2**bits < 64 * 64 * 9)
    assert Selection(4, complement_closed=True).shape(weights).codebook_bits == 9 * 8
    assert Selection(2, Scope.INPUT_CHANNEL).shape(weights) == CodebookShape(4, 64, (3, 3))
    assert Selection(2, Scope.INPUT_CHANNEL).shape(weights).codebook_bits == 64 * 36
    assert not Selection(9).pays(weights)


@pytest.mark.parametrize(("outputs", "pays"), [(5, False), (6, True)])
def test_a_book_per_channel_pays_from_six_outputs(outputs, pays):
    """K = 4: Cout·p + 9·K < 9·Cout."""
    assert Selection(2, Scope.INPUT_CHANNEL).pays((outputs, 10, 3, 3)) == pays


@pytest.mark.parametrize("selection", [{"bits": 0}, {"bits": 10}, {"bits": 4, "hw_lambda": -1}, {"bits": 4, "hw_lambda": float("nan")}])
def test_selections_without_a_meaning(selection):
    with pytest.raises(InputError, match="^codebook: expected .*, found "):
        Selection(**selection)


def test_layers_of_two_kernel_sizes_share_no_codebook():
    with pytest.raises(InputError, match=r"one kernel size to share it, found \[9, 25\] taps"):
        select([latent(0), latent(0, (2, 2, 5, 5))], Selection(3, Scope.GLOBAL))
    assert not Selection(3).pays((64, 64, 8, 8))  # 64 taps


def test_codewords_too_short_for_the_bits():
    with pytest.raises(InputError, match="at most 1 bits for codewords of 1 taps, found 4"):
        Selection(4).shape((8, 8, 1, 1))
    assert not Selection(4).pays((8, 8, 1, 1))


# Selection and mapping.

@pytest.mark.parametrize("selection", SELECTIONS, ids=named)
def test_every_kernel_becomes_the_nearest_codeword(selection):
    weights = latent(1)
    words = select([weights], selection)
    book = mapped(weights, words, selection)
    assert all(len(set(row)) == selection.words for row in words.tolist())  # distinct
    vectors, values, found = signs(words).astype(np.float64), weights.astype(np.float64).reshape(24, 16, 9), book.weights.reshape(24, 16, 9)
    for i in range(16):
        own = i % len(words)
        np.testing.assert_array_equal(codes(found[:, i]), words[own, book.index[:, i]])
        distances = ((values[:, i, None] - vectors[own]) ** 2).sum(axis=2)
        assert (((values[:, i] - found[:, i]) ** 2).sum(axis=1) <= distances.min(axis=1) + 1e-9).all()
    assert book.shape == replace(selection.shape(weights.shape), closed=selection.complement_closed or book.shape.closed)
    if selection.bits == 9:
        np.testing.assert_array_equal(book.weights, np.where(weights >= 0, 1, -1))


@pytest.mark.parametrize("selection", SELECTIONS, ids=named)
def test_mapping_doesnt_depend_on_a_positive_scale(selection):
    weights = latent(2)
    scale = np.random.default_rng(0).choice([0.125, 1.0, 4.0, 32.0], (24, 1, 1, 1)).astype(np.float32)
    words = select([weights], selection)
    np.testing.assert_array_equal(select([weights * scale], selection), words)
    np.testing.assert_array_equal(mapped(weights * scale, words, selection).index, mapped(weights, words, selection).index)


def test_kernels_of_the_codebook_stay():
    selection = Selection(4)
    weights = latent(3)
    words = select([weights], selection)
    inside = np.isin(sign_codes(weights), words)
    assert 0 < inside.mean() < 1
    for values in (weights, np.sign(weights), np.where(np.abs(weights) < 0.2, 0, weights)):
        kept = np.isin(sign_codes(values), words)
        np.testing.assert_array_equal(sign_codes(mapped(values, words, selection).weights)[kept], sign_codes(values)[kept])


def test_nine_bits_are_the_signs_of_zeros_too():
    weights = latent(4)
    weights[np.abs(weights) < 0.4] = 0
    for closed in (False, True):
        selection = Selection(9, complement_closed=closed)
        book = mapped(weights, select([weights], selection), selection)
        np.testing.assert_array_equal(book.weights, np.where(weights >= 0, 1, -1))


def test_signs_alone_are_mapped_by_hamming_distance_then_by_count():
    words = np.array([[0b000000011, 0b110000000, 0b111111111]])
    zero, one = signs(np.array([0])), signs(np.array([0b100000001]))
    assert nearest(zero[None], words, False).tolist() == [[0]]  # two away from both: the one chosen first
    assert nearest(one[None], words[:, ::-1].copy(), False).tolist() == [[1]]


def test_ties_in_frequency_go_to_the_larger_code():
    weights = signs(np.array([[5, 9, 9, 5, 300, 7]])).reshape(1, 6, 3, 3)
    assert select([weights], Selection(2)).tolist() == [[9, 5, 300, 7]]
    assert select([weights], Selection(3)).tolist() == [[9, 5, 300, 7, 511, 510, 509, 508]]


@pytest.mark.parametrize("bits", range(1, 10))
def test_random_codebooks_flip_as_theory_says_and_frequent_ones_less(bits):
    """Mean flips per kernel of iid Gaussian latents with a random codebook, METHODS 2.4; a trained layer's must be lower."""
    flips, cosine = ([3.81, 3.21, 2.74, 2.26, 1.83, 1.42, 1.01, 0.56, 0][bits - 1], [.19, .35, .47, .57, .65, .71, .76, .80, .82][bits - 1])
    rng = np.random.default_rng(bits)
    measured = []
    for _ in range(20):
        values = rng.normal(size=(1, 2000, 9))
        words = rng.choice(KERNELS, (1, 1 << bits), replace=False)
        chosen = signs(words[0])[nearest(values, words, False)]
        measured.append(((chosen != np.where(values >= 0, 1, -1)).sum(axis=2).mean(),
                         ((chosen * values).sum(axis=2) / 3 / np.linalg.norm(values, axis=2)).mean()))
    np.testing.assert_allclose(np.mean(measured, axis=0), [flips, cosine], atol=0.06)
    if bits < 9:
        weights, selection = latent(5, (64, 64, 3, 3)), Selection(bits)
        frequent = mapped(weights, select([weights], selection), selection).weights
        drawn = mapped(weights, rng.choice(KERNELS, (1, 1 << bits), replace=False), selection).weights
        assert (frequent != np.where(weights >= 0, 1, -1)).mean() < (drawn != np.where(weights >= 0, 1, -1)).mean()


# Scopes.

def test_an_input_channel_uses_only_its_own_book():
    selection = Selection(2, Scope.INPUT_CHANNEL)
    weights = latent(6)
    words = select([weights], selection)
    used = sign_codes(mapped(weights, words, selection).weights)
    assert all(set(used[:, i]) <= set(words[i].tolist()) for i in range(weights.shape[1]))
    rows, columns = np.random.default_rng(0).permutation(24), np.random.default_rng(1).permutation(16)
    np.testing.assert_array_equal(select([weights[rows]], selection), words)
    np.testing.assert_array_equal(select([weights[:, columns]], selection), words[columns])


def test_a_channel_with_few_kernels_is_lossless():
    selection = Selection(2, Scope.INPUT_CHANNEL)
    rng = np.random.default_rng(0)
    palette = np.stack([rng.choice(KERNELS, 4, replace=False) for _ in range(5)])
    weights = signs(np.stack([rng.choice(palette[i], 12) for i in range(5)], axis=1)).reshape(12, 5, 3, 3)
    np.testing.assert_array_equal(mapped(weights, select([weights], selection), selection).weights, weights)


def matches(weights, words):
    """Share of kernels of each layer that are codewords; a book for all channels or one for each."""
    found = sign_codes(weights)
    return np.mean([np.isin(found[:, i], words[i % len(words)]) for i in range(found.shape[1])])


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_narrower_scopes_match_more(bits):
    layers = [latent(7), latent(8)]
    plain = Selection(bits)
    together = select(layers, replace(plain, scope=Scope.GLOBAL))
    channel, layer, everywhere = np.mean([[matches(weights, select([weights], replace(plain, scope=Scope.INPUT_CHANNEL))),
                                           matches(weights, select([weights], plain)), matches(weights, together)] for weights in layers],
                                         axis=0)
    assert channel > layer > everywhere > 0


def test_a_global_book_counts_all_layers():
    layers = [latent(7), latent(8, (8, 16, 3, 3))]
    found = select(layers, Selection(3, Scope.GLOBAL))
    counts = whole(map(count, layers))
    assert found.tolist() == [counts.ranking[:8].tolist()]
    assert Selection(3, Scope.GLOBAL).pays((1, 1, 3, 3)) and not Selection(3).pays((1, 1, 3, 3))


# Complement pairs.

@pytest.mark.parametrize("bits", range(1, 10))
def test_closed_books_hold_pairs_and_map_oddly(bits):
    selection, weights = Selection(bits, complement_closed=True), latent(9)
    words = select([weights], selection)
    half = selection.words // 2
    np.testing.assert_array_equal(words[:, half:], complement(words[:, :half]))
    assert (words[:, :half] < 256).all()  # the index's top bit is bit 8 of the code
    book, mirrored = mapped(weights, words, selection), mapped(-weights, words, selection)
    np.testing.assert_array_equal(mirrored.weights, -book.weights)
    np.testing.assert_array_equal(mirrored.index, (book.index + half) % selection.words)
    assert book.shape.closed
    counts = count(weights).counts
    pairs = counts[:256] + counts[:255:-1]
    assert pairs[words[0, :half]].sum() == np.sort(pairs)[::-1][:half].sum()


def test_a_kernel_and_its_complement_share_a_popcount():
    """For all 512 × 512 (kernel, activations) and every mask of valid taps that a padded 3×3 window has; in bit planes too."""
    def ones(numbers):
        return np.bitwise_count(numbers).astype(int)

    k, a = ALL[:, None], ALL[None]
    rows = [np.array([top, 1, bottom]) for top, bottom in product((0, 1), repeat=2)]
    masks = {int(np.outer(y, x).reshape(-1) @ (1 << np.arange(9))) for y, x in product(rows, repeat=2)}
    assert len(masks) == 16
    for mask in masks:
        xnor, other = ~(k ^ a) & mask, ~(complement(k) ^ a) & mask
        np.testing.assert_array_equal(ones(other), int(mask).bit_count() - ones(xnor))
        np.testing.assert_array_equal(ones(complement(k) & a & mask), ones(a & mask) - ones(k & a & mask))


# Distances.

def test_without_a_weight_on_distance_the_ranking_is_the_plain_one():
    for closed, scope in product((False, True), (Scope.LAYER, Scope.INPUT_CHANNEL)):
        plain = Selection(4, scope, closed)
        tiny = replace(plain, hw_lambda=1e-12)  # the greedy way, too weak to change anything but ties
        weights = latent(10)
        words, near = select([weights], plain), select([weights], tiny)
        assert matches(weights, words) == matches(weights, near)
    counts = count(latent(10))
    assert select([latent(10)], Selection(4)).tolist() == [counts.ranking[:16].tolist()]


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("scope", list(Scope))
def test_a_heavy_distance_makes_chains_of_neighbours(scope, closed):
    weights, heavy = latent(11), Selection(5, scope, closed, 1e6)
    words = select([weights], heavy)
    for book in words[:, :16] if closed else words:
        for at in range(1, len(book)):
            distance = np.bitwise_count(book[at] ^ book[:at])
            assert (np.minimum(distance, 9 - distance) if closed else distance).min() == 1
    plain = select([weights], replace(heavy, hw_lambda=0.0))
    assert adders(words, 9, closed) < adders(plain, 9, closed)
    assert matches(weights, words) <= matches(weights, plain)
    if closed:
        half = words.shape[1] // 2
        np.testing.assert_array_equal(words[:, half:], complement(words[:, :half]))


def test_the_first_codeword_is_the_most_frequent_one_whatever_the_distance():
    weights = latent(12)
    assert select([weights], Selection(3, hw_lambda=1e6))[0, 0] == count(weights).ranking[0]


def test_adders():
    assert adders(np.array([[0, 1, 3, 511]]), 9, False) == 8 + 1 + 1 + 7
    assert adders(np.array([[0, 1, 511, 510]]), 9, True) == 8 + 1


# Larger kernels.

@pytest.mark.parametrize(("unit", "index"), [(Unit.ROW, (6, 4, 5)), (Unit.KERNEL, (6, 4))])
@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("closed", [False, True])
def test_kernels_of_25_taps(unit, index, scope, closed):
    selection = Selection(3, scope, closed, unit=unit)
    weights = latent(13, (6, 4, 5, 5))
    words = select([weights], selection)
    book = mapped(weights, words, selection)
    assert book.index.shape == index and book.weights.shape == weights.shape
    taps = 5 if unit is Unit.ROW else 25
    used = codes(units(book.weights, selection))
    assert all(set(used[i].tolist()) <= set(words[i].tolist()) for i in range(len(words)))
    values = units(weights, selection).astype(float)
    best = np.einsum("bnt,bkt->bnk", values, signs(words, taps)).max(axis=2)
    np.testing.assert_allclose((values * units(book.weights, selection)).sum(axis=2), best)


def test_wide_codewords_that_lack_kernels_are_filled_up():
    weights = signs(np.array([[3, 3, 8]]), 25).reshape(1, 3, 5, 5)
    words = select([weights], Selection(3))
    assert words.tolist() == [[3, 8, *range((1 << 25) - 1, (1 << 25) - 7, -1)]]
