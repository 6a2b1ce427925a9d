"""Objectives: what is learned. Pure losses first, then the classes that use them in training."""

from typing import Any

from torch import nn

from sslab import encoders
from sslab._inputs import check_type
from sslab._names import choose
from sslab.objectives.base import Baseline, Loss, Objective
from sslab.objectives.chunked import chunked_both_ways, chunked_info_nce, chunked_queue_nce
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
from sslab.objectives.language import (
    BERT,
    GPT,
    MaskedLanguageModel,
    RoBERTa,
    masked_tokens,
    next_targets,
    next_token,
)
from sslab.objectives.latent import IJEPA, latent_error, target_spread
from sslab.objectives.masked import MAE, masked_patches, normalise_patches, patchify, unpatchify
from sslab.objectives.momentum import MoCo, Queue, info_nce
from sslab.objectives.pairs import CLIP, SigLIP, TwoDrawers, TwoTowers, both_ways, clip, siglip
from sslab.objectives.pretext import (
    Colourisation,
    Jigsaw,
    Rotation,
    colour_bins,
    cut_patches,
    four_turns,
    grey_of,
    lab_to_rgb,
    rgb_to_lab,
)
from sslab.objectives.reconstruction import (
    Autoencoder,
    DenoisingAutoencoder,
    bernoulli_entropy,
    bernoulli_error,
    corrupt,
    squared_error,
)
from sslab.objectives.supervised import Supervised
from sslab.objectives.variational import (
    VAE,
    active_units,
    elbo,
    importance_bound,
    kl_divergence,
    negative_log_likelihood,
)
from sslab.views import Augment
from sslab.views.augment import PRESETS

__all__ = [
    "BERT",
    "BYOL",
    "CLIP",
    "DINO",
    "GPT",
    "IJEPA",
    "MAE",
    "VAE",
    "Autoencoder",
    "BarlowTwins",
    "Baseline",
    "Colourisation",
    "DenoisingAutoencoder",
    "Jigsaw",
    "LeJEPA",
    "Loss",
    "MaskedLanguageModel",
    "MoCo",
    "Objective",
    "Queue",
    "RoBERTa",
    "Rotation",
    "SigLIP",
    "SimCLR",
    "SimSiam",
    "Supervised",
    "SwAV",
    "Teacher",
    "TwoDrawers",
    "TwoTowers",
    "TwoViews",
    "VICReg",
    "active_units",
    "attraction",
    "barlow_twins",
    "bernoulli_entropy",
    "bernoulli_error",
    "both_ways",
    "chunked_both_ways",
    "chunked_info_nce",
    "chunked_queue_nce",
    "clip",
    "colour_bins",
    "corrupt",
    "covariance_penalty",
    "create",
    "cross_correlation",
    "cut_patches",
    "dino",
    "elbo",
    "encoder_for",
    "four_turns",
    "grey_of",
    "importance_bound",
    "info_nce",
    "kl_divergence",
    "lab_to_rgb",
    "latent_error",
    "lejepa",
    "masked_patches",
    "masked_tokens",
    "names",
    "negative_cosine",
    "negative_log_likelihood",
    "next_targets",
    "next_token",
    "normalise_patches",
    "nt_xent",
    "patchify",
    "prototypes_used",
    "rgb_to_lab",
    "siglip",
    "sigreg",
    "sinkhorn",
    "squared_error",
    "swav",
    "target_spread",
    "text_tower_for",
    "unpatchify",
    "variance_hinge",
    "vicreg",
    "views_for",
]

_MAKERS = {"simclr": SimCLR, "moco": MoCo, "byol": BYOL, "simsiam": SimSiam, "dino": DINO, "swav": SwAV,
           "barlow_twins": BarlowTwins, "vicreg": VICReg, "lejepa": LeJEPA, "autoencoder": Autoencoder,
           "denoising": DenoisingAutoencoder, "vae": VAE, "mae": MAE, "ijepa": IJEPA, "bert": BERT,
           "roberta": RoBERTa, "gpt": GPT, "clip": CLIP, "siglip": SigLIP, "rotation": Rotation, "jigsaw": Jigsaw, "colourisation": Colourisation,
           "supervised": Supervised}


# Of pictures with captions: captions name colours and sides, so both stay. Every hand has a size and a line of its own, so that
# some views are shown smaller and some are inked.
PAIR_VIEWS = {"crop": 0.9, "crop_largest": 1.7, "rotation": 5, "brightness": 0.1, "contrast": 0.2, "saturation": 0.5, "outline": 0.5}


def names(kind: str = "all") -> list[str]:
    """The objectives that `create` makes: "all", or those that learn from "images", "text" or "pairs"."""
    choose(kind, ("all", "images", "text", "pairs"), "kind")
    return [name for name, made in _MAKERS.items() if kind in ("all", made.learns_from)]


def create(name: str, encoder: nn.Module, **options: Any) -> Objective:
    """Make an objective: `create("simclr", encoder, temperature=0.1)`.

    Args:
        name: one of `names()`.
        encoder: from `sslab.encoders.create`, or any module with `dim`.
        options: its knobs by name, and what its class takes (`views`, `hidden`, `outputs`, `classes`; `text`, the
            other tower, for clip and siglip).
    Raises:
        ValueError: no such objective, or a knob's value outside of what it takes.
    """
    choose(name, _MAKERS, "objective")
    check_type("encoder", encoder, nn.Module)
    return _MAKERS[name](encoder, **options)


def encoder_for(name: str, dataset, wanted: str | None = None) -> encoders.Encoder:
    """The encoder an objective trains on a dataset: the one it needs, else the one that is wanted, else its usual one.

    Raises:
        ValueError: no such objective or encoder, or the objective needs another one.
    """
    made = _MAKERS[choose(name, _MAKERS, "objective")]
    check_type("wanted", wanted, str | None)
    needed = made.architecture
    if needed and wanted not in (None, needed["name"]):
        raise ValueError(f"encoder: got {wanted!r}, {name} takes {needed['name']!r}")
    return encoders.create(**(needed or ({"name": wanted} if wanted else made.usual)), dataset=dataset)


def text_tower_for(dataset, **options: Any) -> encoders.TextEncoder:
    """The text encoder that clip and siglip train beside their picture encoder: a transformer of 1 block of width 128.

    Args:
        dataset: of pairs; or (vocabulary, context) of its captions.
        options: as `sslab.encoders.create("transformer", ...)` takes them.
    Raises:
        ValueError: a dataset without texts, or options that do not fit.
    """
    return encoders.create("transformer", dataset, **{"depth": 1, **options})


def views_for(name: str, dataset_name: str) -> Augment:
    """The views an objective trains on: the dataset's, or none where its task is another one."""
    made = _MAKERS[choose(name, _MAKERS, "objective")]
    if not made.augmented:
        return Augment.named("none")
    if made.learns_from == "pairs":
        return Augment(**PAIR_VIEWS)
    check_type("dataset_name", dataset_name, str)
    return Augment.named(dataset_name if dataset_name in PRESETS else "folder")
