"""Random distortion of training images."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bwnhw.models.recipe import Recipe


def distort(images: Tensor, recipe: Recipe) -> Tensor:
    """Shift, rotate, zoom and mirror each image (N, C, H, W) at random within the recipe's bounds; pixels stay integers, outside is 0."""
    if recipe.mirror:
        left = torch.rand(len(images)).to(images.device) < 0.5
        images = torch.where(left[:, None, None, None], images.flip(3), images)
    if not (recipe.shift or recipe.rotate or recipe.zoom):
        return images
    count, _, height, width = images.shape
    uniform = 2 * torch.rand(4, count) - 1
    angle, zoom = uniform[0] * math.radians(recipe.rotate), 1 + uniform[1] * recipe.zoom
    shift_x, shift_y = uniform[2] * recipe.shift * 2 / width, uniform[3] * recipe.shift * 2 / height
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    maps = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).reshape(count, 2, 3).to(images.device)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False).round()
