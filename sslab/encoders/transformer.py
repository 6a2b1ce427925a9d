"""One transformer for text. Seeing both sides it is BERT's encoder, seeing the past only it is GPT."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._names import choose
from sslab.datasets.tokenizer import PAD

POSITIONS = ("learned", "rotary")
GAIN = 0.02 * math.sqrt(768)                                         # of a matrix: that of BERT and GPT-2, at their width
GROUPS = 4                                                           # of rows of like length in a batch of texts
SLOWEST = 10_000.0                                                   # base of the rotary angles


def mean_over_tokens(hidden: Tensor, tokens: Tensor) -> Tensor:
    """One vector a text: the mean over its tokens that are not padding, 0 for a text without any.

    Args:
        hidden: [B, T, D]. tokens: what was read, [B, T].
    Returns:
        [B, D].
    """
    real = (tokens != PAD).to(hidden)[:, :, None]                    # [B, T, 1]
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def shapes_may_vary(x: Tensor) -> bool:
    """Whether shapes may depend on data here: on a CPU that saves work, a GPU would have to wait until they are known."""
    return x.device.type == "cpu"


def rotary_angles(length: int, width: int) -> Tensor:
    """Angles [length, width / 2]: place t turns the i-th pair of a head's numbers by t * 10000^(-2i / width).

    Source:
        Su et al. 2021, arXiv:2104.09864, section 3.2.2.
    """
    speeds = SLOWEST ** (-torch.arange(0, width, 2).double() / width)                # [width / 2]
    return (torch.arange(length).double()[:, None] * speeds).float()


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair (i, i + width / 2) of a head's numbers by its place's angle.

    A query at place s and a key at place t, both turned, have a dot product that knows of s - t only.

    Args:
        x: [..., T, width]. angles: [T, width / 2].
    Returns:
        [..., T, width].
    """
    cos, sin = angles.cos(), angles.sin()                            # [T, width / 2]
    a, b = x.chunk(2, dim=-1)                                        # [..., T, width / 2]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Cache:
    """Keys and values of the tokens read so far, a pair a block: what comes next need not read them again."""

    def __init__(self, depth: int) -> None:
        self.pairs: list[tuple[Tensor, Tensor] | None] = [None] * depth

    @property
    def length(self) -> int:
        """Tokens read."""
        return 0 if self.pairs[-1] is None else self.pairs[-1][0].shape[2]

    def extend(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values [B, heads, T, width] of new tokens; those of all tokens, old ones first."""
        if self.pairs[block] is not None:
            k, v = (torch.cat(pair, dim=2) for pair in zip(self.pairs[block], (k, v), strict=True))
        self.pairs[block] = k, v
        return k, v


class Block(nn.Module):
    """Self-attention and a two-layer MLP, each behind a LayerNorm and around a shortcut (pre-norm, as in GPT-2).

    Weights begin normal, with a deviation of 0.02 sqrt(768 / dim): BERT's and GPT-2's 0.02 belongs to their width, and
    at a width of 128 it would make all tokens look alike for many steps.

    Args:
        dim: width, a multiple of `heads`.
        depth: blocks in the network: what a block adds is scaled by 1 / sqrt(2 depth) at the start, so that the
            sum over all blocks does not grow with their number.
    """

    def __init__(self, dim: int, heads: int, depth: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Linear(mlp_ratio * dim, dim))
        for layer in (self.qkv, self.mlp[0], self.out, self.mlp[2]):
            adds = layer in (self.out, self.mlp[2])
            nn.init.normal_(layer.weight, std=GAIN / math.sqrt(dim * (2 * depth if adds else 1)))
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, angles: Tensor | None = None, mask: Tensor | None = None, causal: bool = False,
                extend=None) -> Tensor:
        """[B, T, D] -> [B, T, D].

        Args:
            angles: [T, D / heads / 2] for rotary positions.
            mask: bool, broadcast to [B, heads, T, T], True where a token (row) may look (column).
            causal: each token sees itself and those before it; then there is no mask.
            extend: takes the keys and values of x, gives those of all tokens that x looks at.
        """
        q, k, v = self._heads(x, angles)                             # [B, heads, T, D / heads] each
        if extend is not None:
            k, v = extend(k, v)                                      # [B, heads, past + T, D / heads]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        x = x + self.out(attended.transpose(1, 2).reshape(x.shape))  # [B, T, D]
        return x + self.mlp(self.norm2(x))                           # [B, T, D]

    def attention(self, x: Tensor, angles: Tensor | None, mask: Tensor | None, causal: bool) -> Tensor:
        """How much each token takes from each other one: the same attention over values that are their own number."""
        q, k, _ = self._heads(x, angles)
        each = torch.eye(x.shape[1], device=q.device, dtype=q.dtype).expand(*q.shape[:2], -1, -1)    # [B, heads, T, T]
        return F.scaled_dot_product_attention(q, k, each, attn_mask=mask, is_causal=causal)

    def _heads(self, x: Tensor, angles: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, dim // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)                             # [3, B, heads, T, D / heads]
        if angles is None:
            return qkv.unbind()
        return *rotate(qkv[:2], angles).to(qkv.dtype), qkv[2]


class Transformer(nn.Module):
    """Tokens -> embeddings -> blocks -> LayerNorm; the scores of the words are made with the embeddings again.

    Padding stands at the end of a row only. A causal network needs no mask for it: nothing that counts comes after it.

    Args:
        vocabulary: V, how many tokens there are; ids run from 0 to V - 1.
        context: the longest row.
        dim: width, a multiple of `heads` (of 2 * heads with rotary positions).
        causal: a token sees itself and what came before it.
        positions: "learned", a vector a place added to the embeddings; or "rotary", queries and keys turned.
        padded: rows may hold [PAD], which nobody looks at. False says that training rows never do, and spares the
            mask there; in eval mode padding is always masked.
        segments: a learned vector is added to say which of two passages a token is of.
    Raises:
        ValueError: a number that does not fit, or no such positions.
    Source:
        Vaswani et al. 2017, arXiv:1706.03762; Devlin et al. 2018, arXiv:1810.04805; Radford et al. 2019 (GPT-2).
        One matrix for embeddings and scores: Press and Wolf 2016, arXiv:1608.05859. Rotary: arXiv:2104.09864.
    """

    def __init__(self, vocabulary: int, context: int, dim: int = 128, depth: int = 4, heads: int = 4,
                 causal: bool = False, positions: str = "learned", padded: bool = True, segments: bool = False) -> None:
        super().__init__()
        for name, value in {"vocabulary": vocabulary, "context": context, "dim": dim, "depth": depth, "heads": heads}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: got {value!r}, takes a whole number above 0")
        choose(positions, POSITIONS, "positions")
        unit = heads * (2 if positions == "rotary" else 1)
        if dim % unit:
            raise ValueError(f"dim: got {dim}, takes a multiple of {unit} for {heads} heads with {positions} positions")
        self.vocabulary, self.context, self.dim, self.causal, self.padded = vocabulary, context, dim, causal, padded
        self.embed = nn.Embedding(vocabulary, dim)
        self.place = nn.Parameter(torch.empty(context, dim)) if positions == "learned" else None
        self.segment = nn.Parameter(torch.empty(2, dim)) if segments else None
        for table in (self.embed.weight, self.place, self.segment):
            if table is not None:
                nn.init.normal_(table, std=GAIN / math.sqrt(dim))
        angles = rotary_angles(context, dim // heads) if positions == "rotary" else None
        self.register_buffer("angles", angles, persistent=False)
        self.blocks = nn.ModuleList([Block(dim, heads, depth) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def new_cache(self) -> Cache:
        """An empty memory for `hidden(..., cache=...)`."""
        return Cache(len(self.blocks))

    def hidden(self, tokens: Tensor, causal: bool | None = None, segments: Tensor | None = None,
               cache: Cache | None = None) -> Tensor:
        """What is said of each token, [B, T] -> [B, T, D].

        Args:
            tokens: int64.
            causal: in place of the network's own `causal`.
            segments: 0 or 1 for each token [B, T]; all 0 if None.
            cache: what was read before these tokens; they are added to it. Rows without padding, causal only.
        Raises:
            ValueError: not [B, T] of whole numbers, longer than `context` with what is in the cache, a cache for a
                network that sees both sides, or segments for one that knows none.
        """
        causal = self.causal if causal is None else causal
        past = self._check(tokens, causal, segments, cache)
        if self.padded and not causal and len(tokens) >= 4 * GROUPS and shapes_may_vary(tokens):
            return self._by_length(tokens, segments)
        return self._read(tokens, causal, segments, cache, past)

    def _read(self, tokens: Tensor, causal: bool, segments: Tensor | None, cache: Cache | None, past: int) -> Tensor:
        x, angles, mask, plain = self._enter(tokens, causal, segments, past)
        for index, block in enumerate(self.blocks):
            x = block(x, angles, mask, plain, None if cache is None else lambda k, v, i=index: cache.extend(i, k, v))
        return self.norm(x)

    def _by_length(self, tokens: Tensor, segments: Tensor | None) -> Tensor:
        """As `_read`, in groups of rows of like length, each cut to its longest: [PAD] costs as much as a word. It gets zeros."""
        lengths = (tokens != PAD).sum(dim=1)                         # [B]
        order = lengths.argsort(stable=True)
        read = []
        for rows in order.chunk(GROUPS):
            longest = max(int(lengths[rows[-1]]), 1)
            part = self._read(tokens[rows, :longest], False, None if segments is None else segments[rows, :longest], None, 0)
            read.append(F.pad(part, (0, 0, 0, tokens.shape[1] - longest)))
        return torch.cat(read)[order.argsort()]

    def scores(self, hidden: Tensor) -> Tensor:
        """How well each word fits, as logits: [..., D] -> [..., V], the dot product with its embedding."""
        return F.linear(hidden, self.embed.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """The representation of a text: tokens [B, T] -> [B, D], the mean over what is not padding."""
        return mean_over_tokens(self.hidden(tokens), tokens)

    def attention(self, tokens: Tensor, block: int = -1, causal: bool | None = None) -> Tensor:
        """Where each token looks in one of the blocks: [B, T] -> [B, heads, T, T], rows sum to 1."""
        causal = self.causal if causal is None else causal
        self._check(tokens, causal, None, None)
        x, angles, mask, plain = self._enter(tokens, causal, None, 0)
        for before in self.blocks[: block % len(self.blocks)]:
            x = before(x, angles, mask, plain)
        return self.blocks[block].attention(x, angles, mask, plain)

    def _enter(self, tokens: Tensor, causal: bool, segments: Tensor | None,
               past: int) -> tuple[Tensor, Tensor | None, Tensor | None, bool]:
        """-> embeddings [B, T, D], angles, mask, and whether attention is causal without a mask."""
        length = tokens.shape[1]
        x = self.embed(tokens)                                       # [B, T, D]
        if self.place is not None:
            x = x + self.place[past: past + length]
        if self.segment is not None:
            x = x + (self.segment[0] if segments is None else F.embedding(segments, self.segment))
        angles = None if self.angles is None else self.angles[past: past + length]
        if causal:                                                   # one new token sees everything that was read
            several = past > 0 and length > 1
            mask = torch.ones(length, past + length, dtype=torch.bool, device=x.device).tril(past) if several else None
            return x, angles, mask, past == 0
        if not self.padded and self.training:
            return x, angles, None, False
        mask = tokens != PAD                                         # [B, T]
        mask[:, 0] = True                                            # a row of nothing else would look nowhere: NaN
        return x, angles, mask[:, None, None], False

    def _check(self, tokens: Tensor, causal: bool, segments: Tensor | None, cache: Cache | None) -> int:
        """Refuse what does not fit; how many tokens were read before."""
        if tokens.ndim != 2 or tokens.is_floating_point() or tokens.shape[1] == 0:
            raise ValueError(f"tokens: got {tokens.dtype} {list(tokens.shape)}, takes whole numbers [B, T]")
        past = 0 if cache is None else cache.length
        if past + tokens.shape[1] > self.context:
            before = f" after {past} in the cache" if past else ""
            raise ValueError(f"tokens: got rows of {tokens.shape[1]}{before}, takes at most the context, {self.context}")
        if cache is not None and not causal:
            raise ValueError("cache: got one, takes None where tokens see both sides: what comes next changes all of them")
        if segments is not None and self.segment is None:
            raise ValueError("segments: got some, takes None unless the network was made with segments=True")
        return past
