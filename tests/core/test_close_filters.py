"""Filters drawn to one another: which one each is drawn to, where its kernels go then, and that an unrolled layer gets smaller by it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bwnhw.adders import cost, solve
from bwnhw.close_filters import HEIGHT, Closeness, closeness, drawn
from bwnhw.codebooks import Scope, Selection, mapped, select
from bwnhw.kernels import signs

SELECTIONS = [Selection(bits, scope, closed) for bits, scope, closed in product((2, 4), (Scope.LAYER, Scope.INPUT_CHANNEL), (False, True))]


def layer(seed, selection, shape=(20, 12, 3, 3)):
    """Real weights, the words chosen for them, and the tree of the plainly mapped filters."""
    latent = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    words = select([latent], selection)
    return latent, words, closeness(mapped(latent, words, selection).weights, 9)


def star(filters):
    """Every filter from the first."""
    return Closeness(np.array([-1] + [0] * (filters - 1)), np.ones(filters, np.int64), np.array([0] + [1] * (filters - 1)))


def taps(weights):
    return weights.reshape(*weights.shape[:2], -1).astype(np.float64)


def distance(row, other):
    """Bits of the taps that differ, kernel by kernel."""
    return sum(int(count).bit_length() for count in (row != other).reshape(len(row), -1).sum(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_near_filters(seed):
    weights = np.random.default_rng(seed).choice([-1, 1], size=(16, 8, 3, 3)).astype(np.int8)
    close = closeness(weights, 9)
    assert (close.parents < 0).sum() == 1 and close.heights.max() <= HEIGHT
    for row, parent in enumerate(close.parents):
        assert close.heights[row] == (0 if parent < 0 else close.heights[parent] + 1)
    steps = [distance(weights[row], close.signs[row] * weights[parent]) for row, parent in enumerate(close.parents) if parent >= 0]
    stars = [sum(min(distance(other, first), distance(other, -first)) for other in weights if other is not first) for first in weights]
    assert sum(steps) <= min(stars)


def test_an_equal_filter_is_the_nearest_and_so_is_the_negative():
    weights = np.random.default_rng(1).choice([-1, 1], size=(8, 4, 3, 3)).astype(np.int8)
    weights[5], weights[7] = weights[2], -weights[3]
    close = closeness(weights, 9)
    assert close.parents[5] == 2 or close.parents[2] == 5
    row, parent = (7, 3) if close.parents[7] == 3 else (3, 7)
    assert (close.parents[row], close.signs[row]) == (parent, -1)


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_without_a_pull_the_mapping_is_the_plain_one(selection):
    latent, words, close = layer(1, selection)
    np.testing.assert_array_equal(drawn(latent, words, selection, close).index, mapped(latent, words, selection).index)


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_an_endless_pull_makes_all_filters_equal(selection):
    latent, words, _ = layer(2, selection)
    weights = drawn(latent, words, replace(selection, pull=1e6), star(len(latent))).weights
    np.testing.assert_array_equal(weights, np.broadcast_to(mapped(latent, words, selection).weights[0], weights.shape))


@pytest.mark.parametrize("pull", [0.2, 0.7, 100.0])
@pytest.mark.parametrize("selection", [one for one in SELECTIONS if one.scope is Scope.LAYER], ids=str)
def test_every_kernel_takes_the_best_codeword_for_its_weights_and_the_pull(selection, pull):
    latent, words, close = layer(3, selection)
    weights = taps(drawn(latent, words, replace(selection, pull=pull), close).weights)
    table, mean = signs(words[0]).astype(np.float64), np.abs(latent).mean(dtype=np.float64)
    for row, parent in enumerate(close.parents):
        wanted = taps(latent)[row] + (pull * mean * close.signs[row] * weights[parent] if parent >= 0 else 0)
        reached = (wanted * weights[row]).sum(axis=1)
        np.testing.assert_allclose(reached, (wanted @ table.T).max(axis=1), rtol=1e-5, atol=1e-4)


def test_the_harder_the_pull_the_nearer_to_a_first_filter_that_stays():
    selection = Selection(4)
    latent, words, _ = layer(4, selection)
    found = [drawn(latent, words, replace(selection, pull=pull), star(len(latent))).weights for pull in np.linspace(0, 2, 15)]
    distances = np.array([[(row != weights[0]).sum() for row in weights] for weights in found])
    assert (np.diff(distances, axis=0) <= 0).all() and (distances[-1] < distances[0])[1:].all()
    assert all((weights[0] == found[0][0]).all() for weights in found)


def test_the_pull_goes_with_the_scale_of_the_weights():
    selection = Selection(3)
    latent, words, close = layer(5, selection)
    for scale in (0.125, 8.0):  # powers of two, which change no rounding
        np.testing.assert_array_equal(drawn(scale * latent, words, replace(selection, pull=0.5), close).index,
                                      drawn(latent, words, replace(selection, pull=0.5), close).index)


def test_an_unrolled_layer_gets_smaller():
    selection = Selection(3)
    latent, words, close = layer(6, selection, (16, 8, 3, 3))
    luts = []
    for pull in (0.0, 0.5, 1.0):
        weights = drawn(latent, words, replace(selection, pull=pull), close).weights
        matrix = weights.astype(np.int64).transpose(0, 2, 3, 1).reshape(len(weights), -1)
        groups = tuple(tuple(range(channel, matrix.shape[1], 8)) for channel in range(8))
        luts.append(cost(solve(matrix, 1, family="xc7", exact=False, groups=groups)))
    assert luts[0] > luts[1] > luts[2]
