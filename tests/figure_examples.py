"""One small call of every figure, from data that a seed changes: what the tests of descriptions and of colours draw."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import torch

from sslab import datasets, encoders, figures, objectives
from sslab.figures import measuring, scale

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat")


def draw(seed: int, *shape: int):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(seed: int, count: int = 3, channels: int = 3, side: int = 16):
    return (256 * draw(seed, count, channels, side, side)).to(torch.uint8)


def rows_of(seed: int, count: int) -> list[float]:
    return [round(value, 3) for value in draw(seed, count).tolist()]


def measured(seed: int, places) -> dict:
    """Place -> (value, interval), an interval at every second one."""
    values = rows_of(seed, len(places))
    return {place: (value, (value - 0.1, value + 0.1) if index % 2 == 0 else None)
            for index, (place, value) in enumerate(zip(places, values, strict=True))}


def probabilities(seed: int, *shape: int):
    return (4 * draw(seed, *shape)).softmax(-1)


@cache
def masked(kind: str):
    """A small MAE or I-JEPA, the same for every seed: what changes is the pictures."""
    torch.manual_seed(0)
    return objectives.create(kind, encoders.create("vit", (3, 16), patch=4, dim=16, depth=2, heads=2))


def vit(seed: int):
    torch.manual_seed(seed)
    return encoders.create("vit", (3, 16), patch=4, dim=16, depth=1, heads=2)


def history(seed: int) -> list[dict]:
    return [{"step": step, "std": value, "loss": 3 - value, "effective_rank": 10 * value, "knobs": {"predictor": step < 4 or step > 7}}
            for step, value in enumerate(rows_of(seed, 12))]


def jigsaw():
    torch.manual_seed(0)
    return objectives.create("jigsaw", encoders.create("conv", (3, 32), width=8))


def shown_dataset(seed: int):
    return SimpleNamespace(train=SimpleNamespace(images=pictures(seed, 12), labels=torch.arange(12) % 3), num_classes=3, class_names=NAMES[:3])


@cache
def drawn():
    return datasets.load("emoji-pairs")


def jitter(images, generator):
    return (images.float() / 255 + 0.3 * torch.rand(images.shape, generator=generator)).clamp(0, 1)


CONTROLS = {"chance": 0.1, "raw pixels": 0.4, "random encoder": 0.3, "supervised": 0.8}

EXAMPLES = {
    "curves.label_efficiency": lambda s: figures.label_efficiency(
        {name: measured(s + 10 * k, (1, 5, 20, 100)) for k, name in enumerate((*NAMES[:3], "raw pixels", "random encoder", "supervised"))}, 0.1),
    "curves.embedding_map": lambda s: figures.embedding_map({"h": draw(s, 60, 5), "z": draw(s + 1, 60, 4)}, torch.arange(60) % 10, NAMES),
    "curves.loss": lambda s: figures.loss({name: rows_of(s + 10 * k, 30) for k, name in enumerate(NAMES[:6])}, {"chance": 0.7}),
    "curves.settings": lambda s: figures.settings({name: measured(s + 10 * k, (0.1, 0.5, 1.0)) for k, name in enumerate(NAMES[:3])}, CONTROLS,
                                                  "accuracy", "temperature"),
    "curves.spectrum": lambda s: figures.spectrum({name: draw(s + 10 * k, 40, 8) @ torch.diag(torch.logspace(0, -3 * (k % 3), 8))
                                                   for k, name in enumerate(NAMES[:6])}),
    "curves.temperature_weights": lambda s: figures.temperature_weights(2 * draw(s, 100) - 1, (0.05, 0.1, 0.2, 0.5, 1, 5)),
    "curves.similarity_matrix": lambda s: figures.similarity_matrix(draw(s, 4, 6), draw(s + 1, 4, 6), count=4),
    "factors.factor_heat_maps": lambda s: figures.factor_heat_maps(
        {title: {row: dict(zip(("shape", "colour"), rows_of(s + k + 7 * r, 2), strict=True)) for r, row in enumerate(NAMES[:3])}
         for k, title in enumerate(("z", "h"))}, {"shape": 0.1, "colour": 0.2}, {"alpha": ("shape",)}),
    "factors.pairs": lambda s: figures.pairs({"turned": 0.4 * draw(s, 4, 4) - 0.2}, NAMES[:4], ((0, 1),)),
    "family.ablation": lambda s: figures.ablation({name: measured(s + 10 * k, ("accuracy", "rank")) for k, name in enumerate(NAMES[:4])},
                                                  {"accuracy": CONTROLS}),
    "family.switched": lambda s: figures.switched(history(s), "predictor", levels={"even": 1.0}),
    "family.teacher_memory": lambda s: figures.teacher_memory((0.9, 0.99, 0.996), 60 + 20 * s),
    "family.choices": lambda s: figures.choices({name: probabilities(s + k, 20, 12) for k, name in enumerate(NAMES[:6])}),
    "family.correlations": lambda s: figures.correlations({"one": 2 * draw(s, 6, 6) - 1, "two": torch.eye(6)}),
    "family.codes": lambda s: figures.codes({"softmax": probabilities(s, 8, 5), "Sinkhorn": probabilities(s + 1, 8, 5)}),
    "family.crops": lambda s: figures.crops(pictures(s), (draw(s, 3, 3, 16, 16), draw(s + 1, 3, 3, 8, 8))),
    "family.clusters": lambda s: figures.clusters(pictures(s, 20), draw(s, 20, 6), 3, 4),
    "family.leaderboard": lambda s: figures.leaderboard({"digits": measured(s, NAMES[:4]), "clothes": measured(s + 1, NAMES[:4])},
                                                        {"digits": CONTROLS, "clothes": CONTROLS}),
    "family.removals": lambda s: figures.removals({name: dict(zip(("std", "rank"), rows_of(s + k, 2), strict=True))
                                                   for k, name in enumerate(("BYOL", "BYOL, no predictor", "DINO"))}),
    "family.gauges": lambda s: figures.gauges({"on": (history(s), {"chance": 2.9}), "off": (history(s + 1), {})}, dimensions=16),
    "image_text.drawings": lambda s: figures.drawings(drawn(), drawn().texts[5 * s:5 * s + 3]),
    "image_text.pair_matrix": lambda s: figures.pair_matrix(draw(s, 4, 6), draw(s + 1, 4, 6), NAMES[:4], pictures(s, 4)),
    "image_text.ranked": lambda s: figures.ranked({name: (pictures(s + k, 4), draw(s + k, 4).sort(descending=True).values)
                                                   for k, name in enumerate(NAMES[:2])}),
    "image_text.modality_gap": lambda s: figures.modality_gap(draw(s, 40, 6), draw(s + 1, 40, 6) - 0.5),
    "image_text.who_wins": lambda s: figures.who_wins(
        {size: measured(s + size, NAMES[:6]) for size in (64, 256, 1024)}, {"chance": 0.1, "raw pixels": 0.3}),
    "language.word_bars": lambda s: figures.word_bars({title: [(word, p) for word, p in zip(("cat", "dog", "mat"), rows_of(s + k, 3), strict=True)]
                                                       for k, title in enumerate(("bigram", "BERT"))}, "the [MASK] sat", "cat"),
    "language.next_words": lambda s: figures.next_words(torch.tensor([5, 6, 7, 8, 5, 9]), probabilities(s, 6, 10), PIECES),
    "language.sampling": lambda s: figures.sampling(4 * draw(s, 10), (0.5, 1.0), PIECES, top_k=6, top_p=0.9),
    "language.progress": lambda s: figures.progress({name: (range(20), np.linspace(3, k / 10, 20) + rows_of(s + k, 20)) for k, name in enumerate(NAMES[:6])},
                                                    {"bigram": 2.0, "chance": 3.2}),
    "language.masks": lambda s: figures.masks(PIECES, torch.tensor([5, 6, 7, 8, 9]), {"static": torch.full((2, 5), 4)},
                                              {"static": torch.arange(5).remainder(2 + s).eq(0).expand(2, 5).clone()}),
    "language.attention_words": lambda s: figures.attention_words(probabilities(s, 3, 3), ("the", "cat", "sat")),
    "masked.filled_in": lambda s: figures.filled_in(masked("mae"), pictures(s)),
    "masked.masks_and_fillings": lambda s: figures.masks_and_fillings(masked("mae"), pictures(s), (0.25, 0.75)),
    "masked.context_and_targets": lambda s: figures.context_and_targets(masked("ijepa"), pictures(s, 3 + s), seed=s),
    "masked.attention_maps": lambda s: figures.attention_maps(vit(s), pictures(s)),
    "masked.patch_filters": lambda s: figures.patch_filters({"untrained": vit(s), "trained": vit(s + 1)}, columns=4),
    "measuring.maps": lambda s: measuring.maps({"PCA": draw(s, 60, 2), "UMAP": draw(s + 1, 60, 2)}, torch.arange(60) % 10, NAMES),
    "measuring.worth": lambda s: measuring.worth(measured(s, NAMES[:4]), "points of accuracy added"),
    "pictures.samples": lambda s: figures.samples(shown_dataset(s), per_class=4),
    "pictures.views": lambda s: figures.views(pictures(s), jitter, copies=3),
    "pictures.neighbours": lambda s: figures.neighbours(pictures(s, 20), {"raw": draw(s, 20, 8), "h": draw(s + 1, 20, 4)}, 3, 4),
    "pretext.turns": lambda s: figures.turns(pictures(s)),
    "pretext.answers": lambda s: figures.answers(pictures(s), probabilities(s, 3, 4)),
    "pretext.patches": lambda s: figures.patches(pictures(s, 3, side=32), jigsaw(), seed=s),
    "pretext.palette": lambda s: figures.palette(draw(s, 9, 3), 100 * draw(s, 9, 2) - 50, {"counts": probabilities(s, 9), "weights": probabilities(s + 1, 9)}),
    "pretext.confusion": lambda s: figures.confusion((4 * draw(s, 60)).long(), torch.arange(60) % 4, NAMES[:4]),
    "pretext.by_class": lambda s: figures.by_class({name: dict(zip(NAMES, rows_of(s + k, 10), strict=True)) for k, name in enumerate(("h", "z"))},
                                                   {"chance": 0.25}, "accuracy"),
    "reconstruction.reconstructions": lambda s: figures.reconstructions({name: pictures(s + k) for k, name in enumerate(("picture", "AE", "VAE"))},
                                                                        {"AE": 0.01}),
    "reconstruction.generated": lambda s: figures.generated({"real": pictures(s, 6), "VAE": pictures(s + 1, 6)}, 3, {"VAE": 0.6}),
    "reconstruction.interpolation": lambda s: figures.interpolation({"z": pictures(s, 5), "pixels": pictures(s + 1, 5)}),
    "reconstruction.traversal": lambda s: figures.traversal({2: pictures(s, 5), 7: pictures(s + 1, 5)}, (-2, -1, 0, 1, 2)),
    "reconstruction.denoising_steps": lambda s: figures.denoising_steps(pictures(s), [pictures(s + k) for k in range(1, 5)], 3),
    "reconstruction.latents_in_use": lambda s: figures.latents_in_use({name: draw(s + k, 10) for k, name in enumerate(NAMES[:6])}),
    "scale.curves": lambda s: scale.curves({name: measured(s + k, (64, 256, 1024)) for k, name in enumerate((*NAMES[:6], "alpha, yours"))}, "batch", "accuracy",
                                           {"chance": 0.1}),
    "scale.front": lambda s: scale.front({name: {100 * n: (10.0 * n + k, value) for n, value in enumerate(rows_of(s + k, 3), 1)}
                                          for k, name in enumerate(NAMES[:6])}, "accuracy"),
    "scale.laws": lambda s: scale.laws(measured(s, (10, 100, 1000)), (10, 100), {floor: lambda x, f=floor: f + 5 * x**-0.5 for floor in (0.0, 0.1)},
                                       "pictures", "error"),
    "scale.shares": lambda s: scale.shares({name: dict(zip(("views", "forward", "backward"), rows_of(s + k, 3), strict=True)) for k, name in enumerate(NAMES[:3])}),
    "transfer.worth": lambda s: figures.worth({"time": {name: measured(s + k, (1, 10, 100)) for k, name in enumerate(("pretrained", "supervised", *NAMES[:4]))}},
                                              {"time": "seconds"}, {"time": {"chance": 0.1}}),
    "transfer.spoiled": lambda s: figures.spoiled(pictures(s, 2), (0, 3)),
    "transfer.robustness": lambda s: figures.robustness({name: {kind: measured(s + k, (0, 1, 3)) for kind in ("noise", "blur")}
                                                         for k, name in enumerate((*NAMES[:6], "supervised"))}, 0.1),
}
