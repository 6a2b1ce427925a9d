"""Objectives: what is learned. Pure losses first, then the classes that use them in training."""

from typing import Any

from torch import nn

from sslab._names import choose
from sslab.objectives.base import Loss, Objective
from sslab.objectives.clustering import SwAV, prototypes_used, sinkhorn, swav
from sslab.objectives.contrastive import SimCLR, attraction, nt_xent
from sslab.objectives.decorrelation import (
    BarlowTwins,
    LeJEPA,
    VICReg,
    barlow_twins,
    covariance_penalty,
    cross_correlation,
    lejepa,
    sigreg,
    variance_hinge,
    vicreg,
)
from sslab.objectives.distillation import BYOL, DINO, SimSiam, dino, negative_cosine
from sslab.objectives.joint import Teacher, TwoViews
from sslab.objectives.momentum import MoCo, Queue, info_nce
from sslab.objectives.supervised import Supervised

__all__ = [
    "BYOL",
    "DINO",
    "BarlowTwins",
    "LeJEPA",
    "Loss",
    "MoCo",
    "Objective",
    "Queue",
    "SimCLR",
    "SimSiam",
    "Supervised",
    "SwAV",
    "Teacher",
    "TwoViews",
    "VICReg",
    "attraction",
    "barlow_twins",
    "covariance_penalty",
    "create",
    "cross_correlation",
    "dino",
    "info_nce",
    "lejepa",
    "names",
    "negative_cosine",
    "nt_xent",
    "prototypes_used",
    "sigreg",
    "sinkhorn",
    "swav",
    "variance_hinge",
    "vicreg",
]

_MAKERS = {"simclr": SimCLR, "moco": MoCo, "byol": BYOL, "simsiam": SimSiam, "dino": DINO, "swav": SwAV,
           "barlow_twins": BarlowTwins, "vicreg": VICReg, "lejepa": LeJEPA, "supervised": Supervised}


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
