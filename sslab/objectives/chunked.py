"""InfoNCE in memory that grows with the batch, not with its square: similarities are made a few rows at a time.

Of a batch of 65,536 the matrix of all similarities takes 17 GB, and its gradient as much again. Here a few rows of it are
made, used and thrown away in the forward pass, and made again in the backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sslab._inputs import takes

CHUNK_ABOVE = 4096                                                   # rows: a matrix of more numbers than 4096 x 4096 is never whole
NUMBERS, FEWEST = 2**22, 64                                          # of a chunk: numbers (16 MB in float32), and rows at least


def worth_chunking(rows: int, columns: int) -> bool:
    """Whether a matrix of similarities is so large that the losses make it in chunks."""
    return rows * columns > CHUNK_ABOVE**2


@takes(a="float [B, D]", b="float [K, D]", scale="float []", chunk=">= 1")
def chunked_info_nce(a: Tensor, b: Tensor, target: Tensor | None = None, scale: Tensor | float = 1.0,
                     chunk: int | None = None, *, mask_self: bool = False) -> Tensor:
    """The cross-entropy of scale * a @ b.T, whose rows are never all in memory.

    The value and the gradients of `F.cross_entropy(scale * a @ b.T, target)`, but for rounding; the gradients to a, b and
    scale once only, not their own gradients.

    Args:
        a: queries [B, D]. b: keys [B', D]. Not normalised here.
        target: which key belongs to each query, int64 [B]; the one of its own number if None.
        scale: one over the temperature; may want a gradient.
        chunk: rows at a time; as many as make some four million numbers if None.
        mask_self: query i is not compared with key i, as in SimCLR, where both are all 2B views.
    Returns:
        scalar: a mean over the queries.
    Raises:
        ValueError: shapes that do not fit, or chunk below 1.
    Source:
        Gao et al. 2021, arXiv:2101.06983, for the idea to recompute; the sums over rows as in Milakov and Gimelshein
        2018, arXiv:1805.02867.
    """
    target = _check(a, b, target, chunk)
    return _Entropies.apply(a, b, _as_tensor(scale, a), target, None, mask_self, False, chunk)[0].mean()


@takes(a="float [B, D]", b="float [B, D]", scale="float []", chunk=">= 1")
def chunked_both_ways(a: Tensor, b: Tensor, scale: Tensor | float = 1.0,
                      chunk: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Both directions of the cross-entropy of scale * a @ b.T with its diagonal, from one look at each similarity.

    Args:
        a, b: [B, D], row i of both belong together. scale, chunk: as in `chunked_info_nce`.
    Returns:
        scalars: mean over the rows, mean over the columns, and how often the diagonal is the largest of its row or column.
    Raises:
        ValueError: shapes that do not fit, or chunk below 1.
    """
    target = _check(a, b, None, chunk)
    if len(a) != len(b):
        raise ValueError(f"a, b: got {len(a)} and {len(b)} rows, takes as many of both")
    rows, columns, hits = _Entropies.apply(a, b, _as_tensor(scale, a), target, None, False, True, chunk)
    return rows.mean(), columns.mean(), hits.mean()


@takes(own="float [B]", a="float [B, D]", negatives="float [K, D]", chunk=">= 1")
def chunked_queue_nce(own: Tensor, a: Tensor, negatives: Tensor, scale: float, chunk: int | None = None) -> Tensor:
    """As `chunked_info_nce`, where each query has a key of its own and all share the negatives, as in MoCo.

    Args:
        own: similarity of each query to its key, [B]. a: queries [B, D]. negatives: [K, D].
    Returns:
        scalar: a mean over the queries.
    Raises:
        ValueError: shapes that do not fit, or chunk below 1.
    """
    nothing = _check(a, negatives, torch.zeros(len(a), dtype=torch.long, device=a.device), chunk)
    if own.shape != (len(a),):
        raise ValueError(f"own: got shape {list(own.shape)}, takes [{len(a)}]")
    scale = _as_tensor(scale, a)
    return _Entropies.apply(a, negatives, scale, nothing, own * scale, False, False, chunk)[0].mean()


class _Entropies(torch.autograd.Function):
    """(a [B, D], b [B', D], scale) -> entropies of the rows [B], of the columns [B'] or [0], and hits [B].

    Columns are looked at where the answers are the diagonal; a hit is half a point for being the largest of a row or column.

    With `own` [B], logits that stand beside the rows' others, those are the answers in place of `target`.
    """

    @staticmethod
    def forward(ctx, a, b, scale, target, own, mask_self, columns, chunk):
        chunk = chunk or max(FEWEST, NUMBERS // len(b))
        peaks, sums, answers = a.new_empty(3, len(a))                # of each row: largest logit, sum of exp, the answer's
        down = a.new_full((len(b),), -torch.inf), a.new_zeros(len(b))                # largest and sum of each column
        best, hits = target.new_zeros(len(b)), a.new_zeros(len(a))   # each column's largest is in which row
        for first in range(0, len(a), chunk):
            rows = slice(first, first + chunk)
            s = _logits(a[rows], b, scale, mask_self, first)         # [c, B']
            answers[rows] = s.gather(1, target[rows, None])[:, 0] if own is None else own[rows]
            peaks[rows] = s.amax(dim=1) if own is None else torch.maximum(s.amax(dim=1), own[rows])
            if columns:
                hits[rows] += s.argmax(dim=1) == target[rows]
                most, place = s.max(dim=0)                           # [B'] each
                best = torch.where(most > down[0], place + first, best)
                top = torch.maximum(down[0], most)
                down = top, down[1] * (down[0] - top).exp() + (s - top).exp_().sum(dim=0)
            sums[rows] = s.sub_(peaks[rows, None]).exp_().sum(dim=1)
        if own is not None:
            sums += (own - peaks).exp()
        ctx.save_for_backward(a, b, scale, target, own, peaks, sums, *down)
        ctx.mask_self, ctx.columns, ctx.chunk = mask_self, columns, chunk
        across = a.new_empty(0)
        if columns:
            across, hits = down[1].log() + (down[0] - answers), (hits + (best == target)) / 2
        ctx.mark_non_differentiable(hits)
        return sums.log() + (peaks - answers), across, hits

    @staticmethod
    @once_differentiable
    def backward(ctx, by_row, by_column, _):
        a, b, scale, target, own, peaks, sums, column_peaks, column_sums = ctx.saved_tensors
        to_a, to_b, to_scale = torch.empty_like(a), torch.zeros_like(b), torch.zeros_like(scale)
        for first in range(0, len(a), ctx.chunk):
            rows = slice(first, first + ctx.chunk)
            s = _logits(a[rows], b, scale, ctx.mask_self, first)     # [c, B'], made again
            g = by_row[rows, None]                                   # [c, 1]
            if ctx.columns:
                down = (s - column_peaks).exp_().mul_(by_column / column_sums)
            p = s.sub_(peaks[rows, None]).exp_().mul_(g / sums[rows, None])          # share of each key times g
            if own is None:
                p.scatter_add_(1, target[rows, None], -g)
            if ctx.columns:
                p += down.scatter_add_(1, target[rows, None], -by_column[rows, None])
            pulled = p @ b                                           # [c, D]
            to_a[rows] = scale * pulled
            to_b.addmm_(p.T, a[rows])
            to_scale += (a[rows] * pulled).sum()
        to_own = None if own is None else by_row * ((own - peaks).exp() / sums - 1)
        return to_a, to_b.mul_(scale), to_scale, None, to_own, None, None, None


def _logits(a: Tensor, b: Tensor, scale: Tensor, mask_self: bool, first: int) -> Tensor:
    s = (a @ b.T).mul_(scale)
    if mask_self:
        s.diagonal(first).fill_(-torch.inf)
    return s


def _as_tensor(scale: Tensor | float, like: Tensor) -> Tensor:
    return scale.to(like) if isinstance(scale, Tensor) else torch.full((), scale, dtype=like.dtype, device=like.device)


def _check(a: Tensor, b: Tensor, target: Tensor | None, chunk: int | None) -> Tensor:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"a, b: got shapes {list(a.shape)} and {list(b.shape)}, takes [B, D] and [B', D]")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise ValueError(f"chunk: got {chunk!r}, takes a whole number of rows, 1 or more")
    if target is None:
        if len(a) > len(b):
            raise ValueError(f"a, b: got {len(a)} and {len(b)} rows, takes a key for each query, or a target")
        return torch.arange(len(a), device=a.device)
    if target.shape != (len(a),) or target.dtype != torch.int64:
        raise ValueError(f"target: got {target.dtype} {list(target.shape)}, takes int64 [{len(a)}]")
    return target
