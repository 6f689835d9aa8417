"""Hooks that edit the gradients of latent weights between the backward pass and the optimizer, by the name a recipe gives them."""

from bwnhw.models.hooks.base import GradientHook

HOOKS: dict[str, type[GradientHook]] = {}
