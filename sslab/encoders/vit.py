"""A small Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), pre-norm, mean over patches."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes

LONGEST = 20                                                         # of a position's waves, in units of the shortest
EMBEDDING_VARIANCE = 3                                               # of what a patch of unit pixels becomes, at the start


class Block(nn.Module):
    """Self-attention and a two-layer MLP, each behind a LayerNorm and around a shortcut.

    Weights begin as Glorot and Bengio (AISTATS 2010) have it, queries, keys and values a matrix each, as in MAE
    (arXiv:2111.06377, appendix A.1).
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Linear(mlp_ratio * dim, dim))
        with torch.no_grad():
            for matrix in (*self.qkv.weight.chunk(3), self.out.weight, self.mlp[0].weight, self.mlp[2].weight):
                nn.init.xavier_uniform_(matrix)
            for layer in (self.qkv, self.out, self.mlp[0], self.mlp[2]):
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:                                          # [B, T, D]
        attended = F.scaled_dot_product_attention(*self._heads(x))                   # [B, heads, T, D / heads]
        x = x + self.out(attended.transpose(1, 2).reshape(x.shape))                  # [B, T, D]
        return x + self.mlp(self.norm2(x))                                           # [B, T, D]

    def attention(self, x: Tensor) -> Tensor:
        """How much each token takes from each other one, head by head: [B, heads, T, T], rows sum to 1."""
        q, k, _ = self._heads(x)
        return (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(dim=3)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, heads, T, D / heads]."""
        batch, tokens, dim = x.shape
        return self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind()


def sine_positions(rows: int, dim: int) -> Tensor:
    """Fixed 2-D sine-cosine positions [rows * rows, dim]: half of the channels for y, half for x.

    The longest wave is 20 times the shortest, not 10,000 times as in arXiv:1706.03762: over 7 patches a longer one
    would be a constant, which tells no place from another.
    """
    place = torch.arange(rows).float()
    frequency = torch.exp(-math.log(LONGEST) * torch.arange(dim // 4) / (dim // 4))   # [D / 4]
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

    @takes(channels=">= 1", size=">= 1", patch=">= 1", dim=">= 1", depth=">= 1", heads=">= 1")
    def __init__(self, channels: int, size: int, patch: int, dim: int = 128, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(f"patch: got {patch}, takes a divisor of the image size {size}")
        if dim % 4 or dim % heads:
            raise ValueError(f"dim: got {dim}, takes a multiple of 4 and of heads ({heads})")
        self.dim, self.patch = dim, patch
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        nn.init.normal_(self.embed.weight, std=math.sqrt(EMBEDDING_VARIANCE / (channels * patch * patch)))
        self.register_buffer("positions", sine_positions(size // patch, dim), persistent=False)
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def maps(self, x: Tensor) -> Tensor:                                             # [B, C, H, W]
        tokens = self.tokens(x)                                                      # [B, T, D]
        return tokens.transpose(1, 2).reshape(len(x), self.dim, *self._grid(x))      # [B, D, h, w]

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """What is said of each patch, row by row: [B, C, H, W] -> [B, T, D].

        Args:
            keep: the patches that are seen, [B, K]: their places in the picture, from 0 to T - 1. The others are taken
                out before anything is computed, so that nothing can come from them, and K patches cost what K cost.
        Returns:
            [B, K, D] with `keep`, in its order.
        Source:
            Keeping some only: He et al. 2021, arXiv:2111.06377, section 3, "MAE encoder".
        """
        return self.norm(self.blocks(self._enter(x, keep)))

    def attention(self, x: Tensor, block: int = -1) -> Tensor:
        """Where each patch of a whole picture looks in one of the blocks: [B, heads, T, T], rows sum to 1."""
        tokens = self._enter(x)
        for before in self.blocks[: block % len(self.blocks)]:
            tokens = before(tokens)
        return self.blocks[block].attention(tokens)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean(dim=(2, 3))                                         # [B, D]

    def _enter(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Pictures -> tokens with their positions, [B, T, D] or [B, K, D]."""
        positions = self._places(*self._grid(x))                                     # [T, D]
        if keep is None:
            return self.embed(x).flatten(2).transpose(1, 2) + positions
        cut = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))        # [B, C, h, patch, w, patch]
        patches = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)             # [B, T, C patch patch]
        seen = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[2]))   # [B, K, C patch patch]
        return F.linear(seen, self.embed.weight.flatten(1), self.embed.bias) + positions[keep]

    def _grid(self, x: Tensor) -> tuple[int, int]:
        """Rows and columns of patches."""
        return x.shape[2] // self.patch, x.shape[3] // self.patch

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
