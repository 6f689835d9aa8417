"""Unrolled layers: their tables against the definition, their estimate."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bwnhw.adders import evaluate, price
from bwnhw.design import design
from bwnhw.errors import PlanError
from bwnhw.estimate import estimate
from bwnhw.geometry import Geometry
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, ConvParams, Input, Ints, Network, Threshold, ThresholdParams, Topology, signed_weights
from bwnhw.plan import Engine, Plan
from bwnhw.resources import resources
from bwnhw.stage_tables import stage_tables
from bwnhw.unrolled import unrolled_bill, unrolled_tables


def network(rng, *, hi=1, bipolar=True, weights=BIPOLAR_WEIGHTS, flips=True, pad=1, rows=6):
    """A padded 3×3 conv with a 1-bit threshold, and the plan that unrolls it."""
    source = Ints(2, 5, 4, 0, hi)
    values = rng.integers(weights.lo, weights.hi + 1, (rows, 2, 3, 3)).astype(np.int8)
    values = np.where(values == 0, 1, values).astype(np.int8) if weights is BIPOLAR_WEIGHTS else values
    reach = 18 * hi * max(1, -weights.lo)
    out = Ints(rows, 3 + 2 * pad, 2 + 2 * pad, -reach, reach)
    nodes = (Input(source, Fraction(1), Fraction(0), None),
             Conv((0,), out, (3, 3), (1, 1), (pad,) * 4, weights, (2, -hi) if bipolar else (1, 0)),
             Threshold((1,), Ints(*out.shape, 0, 1), flips))
    params = (None, ConvParams(values), ThresholdParams(rng.integers(-4, 5, (rows, 1)), rng.random(rows) < 0.5 * flips))
    return (Network(Topology(nodes), params, (None,) * 3),
            Plan(((1, Engine(rows, 2, 9, source.bits, engine="unrolled")),), 2))


@pytest.mark.parametrize(("hi", "bipolar", "weights"), [
    (1, True, BIPOLAR_WEIGHTS), (1, False, BIPOLAR_WEIGHTS), (3, True, signed_weights(3)), (15, False, BIPOLAR_WEIGHTS)])
def test_bits_are_those_of_the_definition(hi, bipolar, weights):
    rng = np.random.default_rng(hi)
    whole, plan = network(rng, hi=hi, bipolar=bipolar, weights=weights)
    stage = design(whole.topology, plan).stages[0]
    conv, threshold = whole.topology.nodes[1], whole.params[2]
    tables = unrolled_tables(conv, whole.params[1], threshold, whole.topology.nodes[0].out, stage.window, stage.cores[0])
    codes = rng.integers(0, hi + 1, (2, 5, 4))
    values = np.pad(conv.value[0] * codes + conv.value[1], ((0, 0), (1, 1), (1, 1)))
    padded = np.pad(codes, ((0, 0), (1, 1), (1, 1)))
    geometry = Geometry(5, 4, (3, 3), (1, 1), (1, 1, 1, 1))
    for y in range(5):
        for x in range(4):
            z = (whole.params[1].weights.astype(int) * values[:, y:y + 3, x:x + 3]).sum(axis=(1, 2, 3))
            wanted = (z >= threshold.thresholds[:, 0]) ^ threshold.flip
            border = _class(geometry, y, x)
            taken = padded[:, y:y + 3, x:x + 3].transpose(1, 2, 0).reshape(1, -1)
            node = evaluate(tables.graph, taken)[0] // np.where(tables.factors == 0, 1, tables.factors)
            found = (node >= tables.limits[:, border if bipolar else 0]) ^ tables.flips
            assert np.array_equal(found, wanted), (y, x)


def _class(geometry, y, x):
    """The border class of an output pixel: that of its mask."""
    mask = np.array([[0 <= y + ky - 1 < 5 and 0 <= x + kx - 1 < 4 for kx in range(3)] for ky in range(3)])
    return next(at for at, known in enumerate(geometry.class_masks) if np.array_equal(known.astype(bool), mask))


def test_the_estimate_takes_the_weights():
    whole, plan = network(np.random.default_rng(0))
    found = estimate(whole, plan)
    laid = design(whole.topology, plan)
    assert found.luts == resources(laid, "xc7", whole).luts
    assert (found.layers[0].pe, found.layers[0].simd, found.layers[0].fold) == (6, 18, 1)
    assert estimate(whole, plan, "ecp5").luts > found.luts
    same = replace(whole.params[1], weights=np.repeat(whole.params[1].weights[:1], 6, axis=0))
    fewer = estimate(replace(whole, params=(None, same, whole.params[2])), plan)
    assert fewer.luts < found.luts
    with pytest.raises(PlanError, match="needs the network with its weights"):
        resources(laid)


def test_the_interval_is_one_pixel_per_cycle():
    whole, plan = network(np.random.default_rng(1))
    assert estimate(whole, plan).interval == 20


def test_the_plans_family_chooses_the_graph_for_hardware_and_estimate_alike():
    """What the estimate of one family counts is the graph that the hardware has, whatever family the plan is for."""
    whole, plan = network(np.random.default_rng(1), hi=15)
    luts = {}
    for family in ("xc7", "ecp5"):
        meant = replace(plan, family=family)
        stage = design(whole.topology, meant).stages[0]
        tables, = stage_tables(whole, stage)
        bill = unrolled_bill(tables, stage.cores[0], "ecp5").part
        luts[family] = bill.luts
        assert tables.graph is unrolled_tables(whole.topology.nodes[1], whole.params[1], whole.params[2], whole.topology.nodes[0].out,
                                               stage.window, stage.cores[0]).graph
        assert bill.luts > price(tables.graph, "ecp5") and estimate(whole, meant, "ecp5").luts > bill.luts
    assert luts["ecp5"] < luts["xc7"]
