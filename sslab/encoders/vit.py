"""A small Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), pre-norm, mean over patches."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Self-attention and a two-layer MLP, each behind a LayerNorm and around a shortcut."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Linear(mlp_ratio * dim, dim))

    def forward(self, x: Tensor) -> Tensor:                                          # [B, T, D]
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)                           # [B, heads, T, D / heads]
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, dim))       # [B, T, D]
        return x + self.mlp(self.norm2(x))                                           # [B, T, D]


def sine_positions(rows: int, dim: int) -> Tensor:
    """Fixed 2-D sine-cosine positions [rows * rows, dim]: half of the channels for y, half for x."""
    place = torch.arange(rows).float()
    frequency = torch.exp(-math.log(10_000) * torch.arange(dim // 4) / (dim // 4))   # [D / 4]
    angle = place[:, None] * frequency                                               # [rows, D / 4]
    one = torch.cat([angle.sin(), angle.cos()], dim=1)                               # [rows, D / 2]
    y, x = one[:, None].expand(-1, rows, -1), one[None].expand(rows, -1, -1)         # [rows, rows, D / 2] each
    return torch.cat([y, x], dim=2).reshape(rows * rows, dim)


class VisionTransformer(nn.Module):
    """Patches -> tokens -> blocks -> mean.

    Args:
        channels, size: of the images; `patch` must divide `size`.
        dim: width, a multiple of 4 and of `heads`.
    """

    def __init__(self, channels: int, size: int, patch: int, dim: int = 128, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(f"patch: got {patch}, takes a divisor of the image size {size}")
        if dim % 4 or dim % heads:
            raise ValueError(f"dim: got {dim}, takes a multiple of 4 and of heads ({heads})")
        self.dim, self.patch = dim, patch
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.register_buffer("positions", sine_positions(size // patch, dim), persistent=False)
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:                                          # [B, C, H, W]
        patches = self.embed(x)                                                      # [B, D, h, w]
        tokens = patches.flatten(2).transpose(1, 2) + self._places(*patches.shape[2:])               # [B, T, D]
        return self.norm(self.blocks(tokens)).mean(dim=1)                            # [B, D]

    def _places(self, rows: int, columns: int) -> Tensor:
        """Positions [T, D]; a smaller picture, as a small crop is, lies on the same plane with wider steps."""
        if rows * columns == len(self.positions):
            return self.positions
        side = math.isqrt(len(self.positions))
        grid = self.positions.T.view(1, -1, side, side)                              # [1, D, side, side]
        return F.interpolate(grid, (rows, columns), mode="bilinear", align_corners=False)[0].flatten(1).T


def vit(channels: int, size: int, patch: int | None = None, dim: int = 128, depth: int = 4,
        heads: int = 4) -> VisionTransformer:
    """The small transformer; `patch` is 7 where that divides the image (28x28: 16 tokens), else 8 or 4."""
    if patch is None:
        patch = next((p for p in (7, 8, 4) if size % p == 0), 1)
    return VisionTransformer(channels, size, patch, dim, depth, heads)
