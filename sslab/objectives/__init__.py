"""Objectives: what is learned. Pure losses first, then the classes that use them in training."""

from typing import Any

from torch import nn

from sslab._names import choose
from sslab.objectives.base import Loss, Objective
from sslab.objectives.contrastive import SimCLR, attraction, nt_xent
from sslab.objectives.supervised import Supervised

__all__ = ["Loss", "Objective", "SimCLR", "Supervised", "attraction", "create", "names", "nt_xent"]

_MAKERS = {"simclr": SimCLR, "supervised": Supervised}


def names() -> list[str]:
    """The objectives that `create` makes."""
    return list(_MAKERS)


def create(name: str, encoder: nn.Module, **options: Any) -> Objective:
    """Make an objective: `create("simclr", encoder, temperature=0.1)`.

    Args:
        name: one of `names()`.
        encoder: from `sslab.encoders.create`, or any module with `dim`.
        options: its knobs by name, and what its class takes (`views`, `hidden`, `outputs`, `classes`).
    Raises:
        ValueError: no such objective, or a knob's value outside of what it takes.
    """
    return _MAKERS[choose(name, _MAKERS, "objective")](encoder, **options)
