"""Vision transformers whose linear layers have binary weights, one real scale per output: what ProxConnect++ is trained on.

Activations stay real. A layer norm divides by a deviation that depends on the image, so no threshold of the hardware is its inverse:
`export` refuses these networks, and says so.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.layers import Affine, BinaryConv2d, BinaryLinear
from bwnhw.models.style import Style


class Attention(nn.Module):
    """Self-attention of `heads` heads: (N, tokens, width) to the same."""

    def __init__(self, style: Style, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.enter = BinaryLinear(width, 3 * width, style.inner)
        self.leave = BinaryLinear(width, width, style.inner)

    def forward(self, x: Tensor) -> Tensor:
        """The values, mixed by the softmax of queries times keys."""
        count, tokens, width = x.shape
        query, key, value = self.enter(x).reshape(count, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        left: Tensor = self.leave(mixed.transpose(1, 2).reshape(count, tokens, width))
        return left


class Block(nn.Module):
    """x + attention(norm(x)), then the same with a perceptron of four times the width: 12 · width² binary weights."""

    def __init__(self, style: Style, width: int, heads: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width), Attention(style, width, heads))
        self.think = nn.Sequential(nn.LayerNorm(width), BinaryLinear(width, 4 * width, style.inner), nn.GELU(),
                                   BinaryLinear(4 * width, width, style.inner))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) to the same."""
        x = x + self.attend(x)
        total: Tensor = x + self.think(x)
        return total


class Tokens(nn.Module):
    """Maps (N, width, H, W) to tokens (N, 1 + H·W, width): a trained class token first, trained positions added."""

    def __init__(self, width: int, patches: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, patches + 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """The tokens."""
        flat = x.flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(len(x), -1, -1), flat], dim=1) + self.position


class First(nn.Module):
    """The first token of each image: (N, tokens, width) to (N, width)."""

    def forward(self, x: Tensor) -> Tensor:
        """The class token."""
        return x[:, 0]


def _vit(style: Style, image: int, patch: int, width: int, heads: int, depth: int, classes: int) -> nn.Sequential:
    blocks = [Block(style, width, heads) for _ in range(depth)]
    embed = (BinaryConv2d(3, width, style.edge, patch, 0, patch), Tokens(width, (image // patch) ** 2))
    return nn.Sequential(Affine(1 / 128, 1.0), *embed, *blocks, nn.LayerNorm(width), First(), BinaryLinear(width, classes, style.edge))


def vit_cifar(style: Style) -> nn.Sequential:
    """4×4 patches of 32×32 images, width 192, 3 heads, 6 blocks: 2,654,208 binary weights."""
    return _vit(style, 32, 4, 192, 3, 6, 10)


def deit_tiny(style: Style) -> nn.Sequential:
    """DeiT-Ti (Touvron et al. 2021) without distillation: 16×16 patches of 224×224 images, width 192; 5,308,416 binary weights."""
    return _vit(style, 224, 16, 192, 3, 12, 1000)


def deit_small(style: Style) -> nn.Sequential:
    """DeiT-S: width 384; 21,233,664 binary weights."""
    return _vit(style, 224, 16, 384, 6, 12, 1000)


def deit_base(style: Style) -> nn.Sequential:
    """DeiT-B: width 768; 84,934,656 binary weights."""
    return _vit(style, 224, 16, 768, 12, 12, 1000)
