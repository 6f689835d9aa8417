"""Losses beside the cross entropy, by the name a recipe gives them."""

from bwnhw.models.losses.base import ExtraLoss

LOSSES: dict[str, type[ExtraLoss]] = {}
