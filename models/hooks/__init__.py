"""Hooks that edit the gradients of latent weights between the backward pass and the optimizer, by the name a recipe gives them."""

from bwnhw.models.hooks.base import GradientHook
from bwnhw.models.hooks.ovsw import Ovsw

HOOKS: dict[str, type[GradientHook]] = {
    "ovsw": Ovsw,
}
