"""Every training method as the tables of a recipe, with the options that were found for small networks: what tests and tables run through.

A recipe takes one up by stating the same tables. Where an option isn't the default of the class it names, it was searched for on the
digits (`docs/training.md` says what was tried).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bwnhw.models.recipe import Recipe, recipe_of

Tables = Mapping[str, Any]

BASELINE = "ste"

METHODS: dict[str, Tables] = {
    BASELINE: {},
    "ste, scale layer": {"binarizer": {"name": "ste", "scale": "layer"}},
    "ste, scale channel": {"binarizer": {"name": "ste", "scale": "channel"}},
    "ste, scale learned": {"binarizer": {"name": "ste", "scale": "learned"}},
    "group-power": {"learning_rate": 0.06, "binarizer": {"name": "group-power", "anneal": 0.5, "delta_end": 1e-3}},
    "proxconnect": {"learning_rate": 0.02, "binarizer": {"name": "proxconnect"}},
    "proxquant": {"learning_rate": 0.1, "binarizer": {"name": "proxquant", "rate": 0.02, "freeze": 0.75}, "schedule": {"name": "constant"}},
    "reverse-proxconnect": {"learning_rate": 0.2, "binarizer": {"name": "reverse-proxconnect", "rho_end": 0.05, "freeze": 0.75}},
    "parq": {"binarizer": {"name": "parq"}},
    "bnn": {"binarizer": {"name": "bnn"}},
    "bi-real": {"binarizer": {"name": "bi-real"}},
    "bnn+": {"binarizer": {"name": "bnn+"}},
    "bnn++": {"learning_rate": 0.02, "binarizer": {"name": "bnn++", "freeze": 0.75, "steepness": 0.5, "steepness_end": 5.0}},
    "poly++": {"learning_rate": 0.04, "binarizer": {"name": "poly++", "freeze": 0.6}},
    "ovsw": {"binarizer": {"name": "ovsw", "scale": "channel"}, "hook": {"name": "ovsw"}},
    "biper": {"binarizer": {"name": "biper"}, "loss": {"name": "sine"}},
    "siman": {"binarizer": {"name": "siman"}},
    "rbnn": {"binarizer": {"name": "rbnn", "renewals": 10, "renew_until": 0.3}},
    "cmim": {"binarizer": {"name": "cmim"}, "loss": {"name": "cmim", "strength": 0.02, "negatives": 64}},
    "bd-bnn": {"binarizer": {"name": "ste", "scale": "channel"}, "loss": {"name": "kurtosis", "strength": 0.01}},
    "lns": {"binarizer": {"name": "lns"}, "loss": {"name": "lns"}},
    "bop": {"binarizer": {"name": "direct"}, "optimizer": {"name": "bop", "tau": 1e-6, "gamma": 1e-2, "decay": 0.3}},
    "bop2": {"binarizer": {"name": "direct"}, "optimizer": {"name": "bop2"}},
    "qbn, 5 bits": {"codebook": {"name": "qbn", "bits": 5, "warm_up": 0.5}},
    "snn, 5 bits": {"codebook": {"name": "snn", "bits": 5}},
    "pste, 5 bits": {"learning_rate": 0.01, "codebook": {"name": "pste", "bits": 5, "noise": 0.02}},
}


def with_method(recipe: Recipe, method: str) -> Recipe:
    """The recipe with a method's tables in place of its own; KeyError for a method that isn't in `METHODS`."""
    tables = {"binarizer", "codebook", "hook", "loss", "optimizer", "schedule"}
    plain = {key: value for key, value in recipe.table().items() if key not in tables}
    return replace(recipe_of({**plain, **METHODS[method]}, f"method {method!r}"), name=recipe.name)
