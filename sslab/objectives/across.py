"""What a loss must know of the other processes, where several of them train one model (docs/distributed.md).

Each process has its own rows of one batch. Inside `with together(group):`, which is where `sslab.train` computes a step,
these functions reach all of them; everywhere else, and with one process, each gives back what it got.

The rule for a loss: its mean over the processes is the loss of the whole batch. So

- a mean over rows needs nothing: every process has as many rows;
- a loss that compares rows gathers them first, `z = across.gather(z)`, and every process computes the same number;
- a mean over things that processes have different numbers of is multiplied by `across.weight(count)`;
- what is no mean, such as a hinge on a mean over the batch, starts from `across.average(x)`;
- what a process remembers of the batch (sums, centres, queues) is made from `summed`, `average` or `gather`, so that all
  remember the same.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Group:
    """The processes of torch.distributed: `rank` of `count`."""

    def __init__(self) -> None:
        self.rank, self.count = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def gather(self, x: Tensor) -> Tensor:
        """[...] of each -> [W, ...], in the order of the ranks."""
        parts = x.new_empty(self.count, x.numel())                   # flat: what every backend takes
        torch.distributed.all_gather(list(parts.unbind()), x.contiguous().flatten())
        return parts.view(self.count, *x.shape)

    def sum_(self, x: Tensor) -> None:
        """The sum over all processes, in place of x."""
        torch.distributed.all_reduce(x)


_here = threading.local()


def _group() -> Group | None:
    return getattr(_here, "group", None)


@contextmanager
def together(group: Group | None) -> Iterator[None]:
    """Inside, this thread reaches the other processes of a group; None leaves it alone."""
    before, _here.group = _group(), group
    try:
        yield
    finally:
        _here.group = before


def processes() -> int:
    """How many processes take this step: 1 where one trains alone."""
    group = _group()
    return 1 if group is None else group.count


def gather(x: Tensor, parts: int = 1) -> Tensor:
    """The rows of all processes, in the order of the batch; gradients come back to the process that a row is from.

    Args:
        x: [parts b, ...], as many rows on every process; with `parts` above 1 that many views stacked.
        parts: each is gathered by itself, and they are stacked again.
    Returns:
        [parts B, ...]; half types become float32.
    """
    group = _group()
    if group is None:
        return x
    every = _Gather.apply(_full(x), group)                           # [W, parts b, ...]
    every = every.unflatten(1, (parts, -1)).transpose(0, 1)          # [parts, W, b, ...]
    return every.flatten(0, 2)


def mine(x: Tensor) -> Tensor:
    """The rows of this process among those of all, [B, ...] -> [b, ...]: the way back from `gather`."""
    group = _group()
    return x if group is None else x.unflatten(0, (group.count, -1))[group.rank]


def average(x: Tensor) -> Tensor:
    """The mean over the processes of a small tensor, with gradient; half types become float32."""
    group = _group()
    return x if group is None else _Gather.apply(_full(x), group).mean(dim=0)


@torch.no_grad()
def summed(x: Tensor) -> Tensor:
    """The sum over the processes, without gradient."""
    group = _group()
    if group is None:
        return x
    total = x.clone(memory_format=torch.contiguous_format)
    group.sum_(total)
    return total


def weight(count: Tensor) -> Tensor | float:
    """What a mean over `count` things of this process must be multiplied with, so that its mean over the processes is the
    mean over all things: W count / (the sum of all counts). 1 in one process."""
    group = _group()
    if group is None:
        return 1.0
    count = count.double()
    return group.count * count / summed(count).clamp(min=torch.finfo(torch.float64).tiny)          # of nothing: 0


def moments(x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance over some dimensions and all processes, with gradient, and of how many numbers each is.

    The variance of all is the mean of the variances plus the variance of the means, as all have as many numbers.
    """
    variance, mean = torch.var_mean(x, dims, correction=0)
    count, group = x.numel() // mean.numel(), _group()
    if group is None:
        return mean, variance, count
    means, variances = _Gather.apply(torch.stack([mean, variance]), group).unbind(dim=1)         # [W, ...] each
    mean = means.mean(dim=0)
    return mean, variances.mean(dim=0) + (means - mean).square().mean(dim=0), count * group.count


def variance(x: Tensor) -> Tensor:
    """Unbiased variance over the rows of all processes, [b, ...] -> [...], with gradient; 0 where there is one row."""
    if _group() is None:
        return x.var(dim=0, correction=min(1, len(x) - 1))
    _, biased, count = moments(x, [0])
    return biased * count / (count - 1)


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class _Gather(torch.autograd.Function):
    """x of each process -> [W, ...]. Its gradient is the sum of what all processes' losses want of x.

    The group is kept: a GPU's backward pass runs in another thread, which knows of no `together`.
    """

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.gather(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.clone(memory_format=torch.contiguous_format)             # [W, ...]
        ctx.group.sum_(gradient)
        return gradient[ctx.group.rank], None
