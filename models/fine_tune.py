"""A model file compressed by QBN and trained further, on the data and in the way of a recipe."""

from dataclasses import replace
from pathlib import Path

from bwnhw.codebooks import Selection
from bwnhw.graph import Graph
from bwnhw.models.architectures import ARCHITECTURES
from bwnhw.models.data import load_dataset
from bwnhw.models.export import to_graph
from bwnhw.models.recipe import Option, Part, load_recipe
from bwnhw.models.train import Progress, train


def fine_tune(model: str, recipe: Path, selection: Selection, data: Path | None, epochs: int | None, progress: Progress) -> Graph:
    """The graph of `model` (a file, or a network of the zoo) after training it with codebooks, from its own weights.

    The recipe's architecture must be the model's; what it says of start and codebook doesn't count. `epochs` replaces its number.
    Raises InputError and its kinds.
    """
    options: dict[str, Option] = {
        "bits": selection.bits, "scope": str(selection.scope), "complement_closed": selection.complement_closed,
        "hw_lambda": selection.hw_lambda, "unit": str(selection.unit), "systematic": selection.systematic, "even": selection.even,
        "pull": selection.pull}
    plan = replace(load_recipe(recipe), start=model, codebook=Part("qbn", options))
    plan = plan if epochs is None else replace(plan, epochs=epochs)
    trained = train(plan, load_dataset(plan.dataset, data), progress)
    return to_graph(trained.network, ARCHITECTURES[plan.architecture])
