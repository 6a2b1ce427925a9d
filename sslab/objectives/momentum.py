"""Momentum contrast: negatives from a queue of past keys, kept comparable by an encoder that changes slowly."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.chunked import chunked_info_nce, chunked_queue_nce, worth_chunking
from sslab.objectives.contrastive import attraction
from sslab.objectives.joint import OUTPUT_NORM, Teacher, TwoViews
from sslab.views import Augment


@takes(queries="float [B, D]", keys="float [B, D]", negatives="number [K, D]", temperature="> 0")
@full_precision
def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor | None = None, temperature: float = 0.07) -> Tensor:
    """Each query must find its own key among the negatives: cross-entropy over 1 + K cosines.

    Log(K + 1) is chance, and what a collapsed encoder scores.

    Args:
        queries, keys: [B, D], row i of both from the same picture, at any scale, normalised here.
        negatives: a queue [K, D]; None: the other keys of the batch, K = B - 1.
        temperature: above 0.
    Returns:
        scalar: mean over the B queries, one direction.
    Raises:
        ValueError: shapes do not fit, or temperature is not above 0.
    Source:
        He et al. 2019, arXiv:1911.05722, equation 1 and algorithm 1. Without a queue: arXiv:2104.02057, algorithm 1,
        which multiplies by 2 temperature.
    """
    q, k = F.normalize(queries, dim=1), F.normalize(keys, dim=1)     # [B, D]
    chunked = worth_chunking(len(q), len(q) if negatives is None else len(negatives))          # too large to hold
    if negatives is None and chunked:
        return chunked_info_nce(q, k, None, 1 / temperature)
    if negatives is None:
        return F.cross_entropy(q @ k.T / temperature, torch.arange(len(q), device=q.device))
    own = (q * k).sum(dim=1, keepdim=True)                           # [B, 1]
    negatives = F.normalize(negatives.to(q), dim=1)                  # [K, D]
    if chunked:
        return chunked_queue_nce(own[:, 0], q, negatives, 1 / temperature)
    others = q @ negatives.T                                         # [B, K]
    logits = torch.cat([own, others], dim=1) / temperature           # [B, 1 + K]
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))


class Queue(nn.Module):
    """The last K keys, oldest overwritten first. It starts with random directions, so that it is never empty."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))     # [K, D]
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))           # where the next key goes

    @torch.no_grad()
    def put(self, keys: Tensor) -> None:
        """Keys [B, D] take the places from the pointer on, and from 0 again after the last one."""
        size = len(self.keys)
        skipped = max(0, len(keys) - size)                           # of more keys than places the last ones stay
        places = (self.pointer + torch.arange(skipped, len(keys), device=keys.device)) % size
        self.keys.index_copy_(0, places, keys[skipped:].to(self.keys))
        self.pointer.add_(len(keys)).remainder_(size)


class MoCo(TwoViews):
    """Queries from the encoder, keys from its slow copy, negatives from a queue (MoCo v2, arXiv:2003.04297).

    With `queue` off the negatives are the batch's other keys, as in MoCo v3 (arXiv:2104.02057).

    Args:
        size: K, how many keys the queue holds.
    """

    title = "MoCo"

    temperature = number(0.2, 0.02, 5.0, log=True,
                         help="Low: only the most similar negatives push. High: all push alike.")
    momentum = number(0.99, 0.0, 1.0, help="How slowly the key encoder follows. At 0 it is the encoder itself: keys in the "
                                           "queue are then from encoders that differ most.")
    queue = switch(True, help="Off: negatives are the other keys of the batch (MoCo v3).")
    symmetric = switch(True, help="On: each view is query once and key once. Off: the first is the query (MoCo v2).")
    negatives = switch(True, help="Off: queries approach their keys and nothing pushes. What is the easiest solution then?")
    output_norm = switch(False, help=OUTPUT_NORM)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 size: int = 4096, **values: Any) -> None:
        super().__init__(encoder, views, hidden, outputs, **values)
        self.teacher = Teacher(self.encoder, self.projector, self.norm)
        self.past = Queue(size, outputs)
        self._keys: Tensor | None = None

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views if self.symmetric else views[:1])      # [2B, D], [2B, P]; or [B, D], [B, P]
        networks = self.teacher.networks if self.output_norm else self.teacher.networks[:2]
        with torch.no_grad():
            k = torch.cat(views[::-1] if self.symmetric else views[1:])              # the other view is the key
            for network in networks:
                k = network(k)                                       # [2B, P] or [B, P]
        parts = 2 if self.symmetric else 1
        keys = across.gather(k, parts)                               # of all processes, as the queue is
        self._keys = F.normalize(raised(keys), dim=1)
        pull = attraction(z, k, self.temperature)
        if not self.negatives:
            return Loss(pull, {"attraction": pull}, h, z)
        if self.queue:
            total = info_nce(z, k, self.past.keys, self.temperature)
        else:
            halves = zip(across.gather(z, parts).chunk(parts), keys.chunk(parts), strict=True)
            each = [info_nce(*half, None, self.temperature) for half in halves]
            total = torch.stack(each).mean()
        return Loss(total, {"attraction": pull, "repulsion": total - pull}, h, z)

    def after_step(self) -> None:
        self.teacher.follow(self.encoder, self.projector, self.norm, momentum=self.momentum)
        if self._keys is not None:
            self.past.put(self._keys)

    def reference_levels(self) -> dict[str, float]:
        if not self.negatives:
            return {"collapsed": -1 / self.temperature}
        return {"chance = collapsed": math.log(len(self.past.keys) + 1 if self.queue else self._batch)}
