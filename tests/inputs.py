"""What tests/test_inputs.py throws at public functions: a right call of each, and what people pass by mistake instead.

A case is a function and a way to make the arguments of a right call from a few sizes and a seeded generator. Of these
arguments one or two are then replaced by something hostile.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import sslab
from sslab import datasets, encoders, evaluation, objectives, report, training, views
from sslab.evaluation import maps

SIZES = (1, 2, 3, 4, 5, 8)


class Make:
    """Draws right arguments: letters are sizes, the same ones in one call."""

    def __init__(self, sizes: dict[str, int], seed: int) -> None:
        self.sizes, self.generator = sizes, torch.Generator().manual_seed(seed)

    def _shape(self, shape: str) -> list[int]:
        return [self.sizes[one] if one in self.sizes else int(one) for one in shape]

    def floats(self, shape: str) -> Tensor:
        return torch.randn(self._shape(shape), generator=self.generator)

    def shares(self, shape: str) -> Tensor:
        """In [0, 1], as pictures are."""
        return torch.rand(self._shape(shape), generator=self.generator)

    def pictures(self, shape: str) -> Tensor:
        return (255 * self.shares(shape)).byte()

    def whole(self, below: int, shape: str) -> Tensor:
        return torch.randint(below, self._shape(shape), generator=self.generator)

    def classes(self, count: int, shape: str) -> Tensor:
        """Each class is there as far as there is room."""
        n = math.prod(self._shape(shape))
        return (torch.arange(n) % count).reshape(self._shape(shape))

    def mask(self, shape: str) -> Tensor:
        return self.shares(shape) < 0.5

    def codes(self, shape: str) -> Tensor:
        return self.floats(shape).softmax(dim=-1)

    def number(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def integer(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def one(self, *options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]


@dataclass
class Case:
    """make: sizes -> keyword arguments of a right call. finite: what comes out of finite numbers is finite."""

    name: str
    call: Callable[..., Any]
    make: Callable[[Make], dict[str, Any]]
    finite: bool = True
    least: int = 2                                                   # size of every dimension
    wrong: tuple[str, ...] = ()                                      # arguments that are never replaced
    also: tuple[str, ...] = ()                                       # other names that a message may say


CASES: list[Case] = []


def case(call: Callable[..., Any], make: Callable[[Make], dict[str, Any]], name: str | None = None, **options: Any) -> None:
    CASES.append(Case(name or call.__name__, call, make, **options))


# ---- the pure losses, and what they are made of

def _two(*names: str, shape: str = "BD", **numbers: tuple[float, float]) -> Callable[[Make], dict[str, Any]]:
    return lambda m: {name: m.floats(shape) for name in names} | {key: m.number(*ends) for key, ends in numbers.items()}


o = objectives
case(o.nt_xent, lambda m: {**_two("z1", "z2", temperature=(0.05, 5))(m), "mask_self": m.one(True, False)})
case(o.attraction, _two("z1", "z2", temperature=(0.05, 5)))
case(o.info_nce, lambda m: {**_two("queries", "keys", temperature=(0.05, 5))(m), "negatives": m.one(None, m.floats("KD"))})
case(o.negative_cosine, _two("p", "z"))
case(o.barlow_twins, _two("z1", "z2", off_diagonal_weight=(0, 1)))
case(o.cross_correlation, _two("z1", "z2"))
case(o.variance_hinge, _two("z"))
case(o.covariance_penalty, _two("z"))
case(o.vicreg, _two("z1", "z2", invariance=(0, 30), variance=(0, 30), covariance=(0, 2)))
case(o.sigreg, lambda m: {"z": m.floats("ND"), "slices": m.integer(1, 9), "knots": m.integer(2, 9), "generator": m.generator})
case(o.lejepa, lambda m: {"views": [m.floats("ND") for _ in range(m.integer(1, 3))], "weight": m.number(0, 1),
                          "slices": m.integer(1, 9), "knots": m.integer(2, 9), "generator": m.generator})
case(o.sinkhorn, lambda m: {"scores": m.floats("BK"), "epsilon": m.number(0.02, 2), "iterations": m.integer(1, 5)})
case(o.swav, lambda m: {"scores": [m.floats("BK") for _ in range(m.integer(2, 3))], "codes": [m.codes("BK")],
                        "temperature": m.number(0.05, 2)})
case(o.prototypes_used, lambda m: {"scores": m.floats("NK")})
case(o.dino, lambda m: {"student": [m.floats("BK") for _ in range(m.integer(2, 3))], "teacher": [m.floats("BK")],
                        "center": m.floats("K"), "student_temperature": m.number(0.05, 1), "teacher_temperature": m.number(0.05, 1)})
case(o.clip, lambda m: {**_two("image", "text", logit_scale=(0, 20))(m), "normalised": m.one(True, False)})
case(o.both_ways, _two("image", "text", logit_scale=(0, 20)))
case(o.siglip, _two("image", "text", logit_scale=(0, 20), logit_bias=(-10, 1)))
case(o.chunked_info_nce, lambda m: {**_two("a", "b", scale=(0, 20))(m), "chunk": m.one(None, 1, 3)})
case(o.chunked_both_ways, lambda m: {**_two("a", "b", scale=(0, 20))(m), "chunk": m.one(None, 1, 3)})
case(o.chunked_queue_nce, lambda m: {"own": m.floats("B"), "a": m.floats("BD"), "negatives": m.floats("KD"), "scale": m.number(0, 9),
                                     "chunk": m.one(None, 1, 3)})
case(o.masked_patches, lambda m: {"prediction": m.floats("BTP"), "target": m.floats("BTP"), "mask": m.mask("BT"),
                                  "normalize": m.one(True, False)})
case(o.normalise_patches, lambda m: {"patches": m.floats("BTP")})
case(o.patchify, lambda m: {"images": m.shares("BCSS"), "patch": m.one(1, m.sizes["S"])})
case(o.unpatchify, lambda m: {"patches": m.floats("BQP"), "patch": 1})
case(o.masked_tokens, lambda m: {"logits": m.floats("BTV"), "tokens": m.whole(m.sizes["V"], "BT"), "mask": m.mask("BT")})
case(o.next_token, lambda m: {"logits": m.floats("BTV"), "tokens": m.whole(m.sizes["V"], "BT"), "shift": m.one(True, False)})
case(o.next_targets, lambda m: {"tokens": m.whole(9, "BT"), "shift": m.one(True, False)})
case(o.latent_error, lambda m: {"prediction": m.floats("BTD"), "target": m.floats("BTD")})
case(o.target_spread, lambda m: {"tokens": m.floats("BTD")})
case(o.squared_error, lambda m: {"reconstruction": m.shares("BCHW"), "target": m.shares("BCHW")})
case(o.bernoulli_error, lambda m: {"logits": m.floats("BCHW"), "target": m.shares("BCHW")})
case(o.bernoulli_entropy, lambda m: {"images": m.shares("BCHW")})
case(o.corrupt, lambda m: {"images": m.shares("BCHW"), "corruption": m.one("gaussian", "masking", "salt and pepper", "none"),
                           "level": m.number(0, 1), "generator": m.generator})
case(o.kl_divergence, lambda m: {"mean": m.floats("BL"), "log_variance": m.floats("BL")})
case(o.negative_log_likelihood, lambda m: {"reconstruction": m.floats("BCHW"), "target": m.shares("BCHW"),
                                           "likelihood": m.one("bernoulli", "gaussian"), "deviation": m.number(0.1, 2)})
case(o.elbo, lambda m: {"reconstruction": m.floats("BCHW"), "target": m.shares("BCHW"), "mean": m.floats("BL"),
                        "log_variance": m.floats("BL"), "beta": m.number(0, 4), "likelihood": m.one("bernoulli", "gaussian")})
case(o.importance_bound, lambda m: {"decode": lambda z: z[:, :1], "target": m.shares("B1"), "mean": m.floats("BL"),
                                    "log_variance": m.floats("BL"), "noise": m.floats("KBL"),
                                    "likelihood": m.one("bernoulli", "gaussian"), "deviation": m.number(0.1, 2)})
case(o.active_units, lambda m: {"mean": m.floats("NL"), "threshold": m.number(0, 1)})
case(o.four_turns, lambda m: {"images": m.pictures("BCSS")})
case(o.cut_patches, lambda m: {"images": m.shares("BCHW"), "corners": m.whole(2, "BN2"), "patch": 1})
case(o.rgb_to_lab, lambda m: {"images": m.shares("B3HW")})
case(o.lab_to_rgb, lambda m: {"lab": 50 * m.floats("B3HW")})
case(o.grey_of, lambda m: {"images": m.shares("B3HW")})

# ---- views

case(views.random_mask, lambda m: {"n": m.integer(0, 5), "patches": m.integer(1, 9), "ratio": m.number(0, 1), "generator": m.generator})
case(views.block_shape, lambda m: {"grid": m.integer(1, 9), "share": m.number(0, 1), "aspect": m.number(0.3, 3)})
case(views.block_mask, lambda m: {"n": m.integer(0, 5), "grid": m.integer(1, 9), "share": m.number(0, 1), "generator": m.generator,
                                  "aspect": (0.5, m.number(0.5, 2))})
case(views.latent_masks, lambda m: {"n": m.integer(1, 5), "grid": m.integer(2, 9), "targets": m.integer(1, 4), "share": m.number(0, 0.3),
                                    "generator": m.generator, "context": (0.8, 1.0), "aspect": (0.75, 1.5)})


def augmented(images, crop, flip, rotation, noise, blur, generator):
    """Views with some knobs turned."""
    return views.Augment(crop=crop, flip=flip, rotation=rotation, noise=noise, blur=blur)(images, generator)


case(augmented, lambda m: {"images": m.pictures("BCHW"), "crop": m.number(0.1, 1), "flip": m.number(0, 1), "rotation": m.number(0, 90),
                           "noise": m.number(0, 0.5), "blur": m.number(0, 1), "generator": m.generator}, "Augment", least=3)
case(views.Augment.named, lambda m: {"name": m.one("digits", "fashion")}, "Augment.named")

# ---- encoders and objectives by name


def encoder(name, channels, size, width):
    """A small one; its output is looked at."""
    made = encoders.create(name, (channels, size), width=width)
    return made.eval()(torch.zeros(1, channels, size, size))


case(encoder, lambda m: {"name": "conv", "channels": m.one(1, 3), "size": m.integer(8, 12), "width": m.one(2, 4)}, "encoders.create", also=("encoder", "options", "dataset"))
case(lambda name, dataset, options: encoders.create(name, dataset, **options),
     lambda m: {"name": "vit", "dataset": (1, 8), "options": {"patch": 4, "dim": 8, "depth": 1, "heads": 2}}, "encoders.create vit", also=("encoder", "options"),
     wrong=("options",))
case(lambda name, dataset, dim, depth, heads: encoders.create(name, dataset, dim=dim, depth=depth, heads=heads),
     lambda m: {"name": "transformer", "dataset": (20, 8), "dim": 8, "depth": 1, "heads": m.one(1, 2)}, "encoders.create text", also=("encoder", "options"))
case(encoders.mlp, lambda m: {"inputs": m.integer(1, 9), "hidden": m.integer(1, 9), "outputs": m.integer(1, 9),
                              "layers": m.integer(1, 3), "last_norm": m.one(True, False)})
case(encoders.projector, lambda m: {"inputs": m.integer(1, 9), "hidden": m.integer(1, 9), "outputs": m.integer(1, 9), "layers": m.integer(1, 3)})
case(encoders.predictor, lambda m: {"inputs": m.integer(1, 9), "hidden": m.integer(1, 9)})


@functools.cache
def small_encoder():
    return encoders.create("conv", (1, 8), width=2)


def simclr(temperature, negatives):
    made = objectives.create("simclr", small_encoder(), hidden=4, outputs=4, temperature=temperature, negatives=negatives)
    return made.values()["temperature"]


case(simclr, lambda m: {"temperature": m.number(0.05, 5), "negatives": m.one(True, False)}, "objectives.create", also=("objective", "knob"))
case(lambda name, encoder: objectives.create(name, encoder), lambda m: {"name": "simsiam", "encoder": small_encoder()},
     "objectives.create by name", also=("objective", "knob"))
case(objectives.names, lambda m: {"kind": m.one("all", "images", "text", "pairs")}, "objectives.names")
case(objectives.views_for, lambda m: {"name": "simclr", "dataset_name": m.one("digits", "fashion")}, also=("objective", "dataset"))
case(objectives.encoder_for, lambda m: {"name": "simclr", "dataset": (1, 8), "wanted": m.one(None, "conv")}, also=("objective", "encoder"))

# ---- evaluation

e = evaluation
case(e.singular_values, lambda m: {"z": m.floats("BD")})
case(e.feature_std, lambda m: {"z": m.floats("BD")})
case(e.effective_rank, lambda m: {"z": m.floats("BD")})
case(e.rankme, lambda m: {"z": m.floats("BD"), "epsilon": 1e-7})
case(e.alpha_req, lambda m: {"z": m.floats("BD")}, finite=False)     # NaN where there are too few directions
case(e.lidar, lambda m: {"views": m.floats("NVD"), "delta": m.number(1e-4, 1), "epsilon": 1e-7})
case(e.alignment, lambda m: {"z1": m.floats("BD"), "z2": m.floats("BD"), "alpha": m.number(0.5, 3)})
case(e.uniformity, lambda m: {"z": m.floats("BD"), "t": m.number(0.5, 3)})
case(e.diagnose, lambda m: {"z": m.floats("BD")})
case(e.knn, lambda m: {"bank": m.floats("ND"), "labels": m.classes(2, "N"), "queries": m.floats("MD"), "k": 1,
                       "temperature": m.number(0.05, 1)})
case(e.fit_logistic, lambda m: {"x": m.floats("ND"), "y": m.classes(2, "N"), "penalties": (0.1, 1.0), "num_classes": m.one(None, 2, 3),
                                "max_iterations": 5, "tolerance": 1e-3})
case(e.linear_probe, lambda m: {"train": (m.floats("ND"), m.classes(2, "N")), "validation": (m.floats("MD"), m.classes(2, "M")),
                                "test": (m.floats("MD"), m.classes(2, "M")), "penalties": (0.1, 1.0),
                                "unlabelled": m.one(None, m.floats("KD")), "scaling": m.one("global", "feature", "unit")})
case(e.draw_labels, lambda m: {"labels": m.classes(2, "N"), "per_class": 1, "draw": m.integer(0, 9)})
case(e.fit_pca, lambda m: {"train": m.pictures("NCHW"), "components": m.integer(1, 2)})
case(e.pca_reconstruct, lambda m: {"train": m.pictures("NCHW"), "images": m.shares("MCHW"), "components": m.integer(1, 2)})
case(e.pca_gaussian_samples, lambda m: {"train": m.pictures("NCHW"), "components": m.integer(1, 2), "n": m.integer(0, 5),
                                        "generator": m.generator})
case(e.equal_classes, lambda m: {"values": m.floats("N"), "classes": m.integer(2, 4), "reference": m.one(None, m.floats("M"))})
case(e.above_chance, lambda m: {"accuracy": m.number(0, 1), "chance": m.number(0, 0.9)})
case(e.moved, lambda m: {"z": m.floats("ND"), "changed": m.floats("ND")}, least=3)
case(e.corrupted, lambda m: {"images": m.pictures("NCHW"), "kind": m.one("noise", "blur", "contrast", "occlusion"),
                             "severity": m.integer(0, 5), "seed": m.integer(0, 9)}, least=5)
case(e.corruption_error, lambda m: {"errors": {"noise": {1: m.number(0, 1)}}, "baseline": {"noise": {1: m.number(0.1, 1)}}})
case(e.next_probabilities, lambda m: {"logits": m.floats("BV"), "temperature": m.number(0, 2), "top_k": m.one(None, 1, 3),
                                      "top_p": m.one(None, m.number(0.1, 1))})
case(e.prompts, lambda m: {"words": ["dog", "car"], "templates": ("{}", "a picture of {}")})
case(e.retrieve, lambda m: {"queries": m.floats("ND"), "gallery": m.floats("MD"), "truth": m.whole(m.sizes["M"], "N"),
                            "names": m.one(None, m.classes(m.sizes["M"], "M"))})
case(e.classify, lambda m: {"images": m.floats("ND"), "classes": m.floats("2D"), "class_names": ("a", "b"),
                            "labels": m.one(None, m.classes(2, "N"))})
case(e.modality_gap, lambda m: {"images": m.floats("ND"), "texts": m.floats("ND")}, least=4)
case(e.centred_pixels, lambda m: {"images": m.pictures("NCHW")})
case(e.raw_pixels, lambda m: {"images": m.pictures("NCHW")})
case(e.features, lambda m: {"encoder": small_encoder(), "images": m.pictures("N188"), "batch_size": m.integer(1, 9)})
case(e.overtakes, lambda m: {"ours": {1.0: m.number(0, 1), 10.0: m.number(0, 1)}, "theirs": {1.0: m.number(0, 1), 10.0: m.number(0, 1)}})
case(e.reaches, lambda m: {"curve": {1.0: m.number(0, 1), 10.0: m.number(0, 1)}, "level": m.number(0, 1)})
case(e.mean_head, lambda m: {"x": m.floats("ND"), "y": m.classes(2, "N"), "unlabelled": m.floats("MD"), "classes": 2})
case(e.probe_head, lambda m: {"x": m.floats("ND"), "y": m.classes(2, "N"), "unlabelled": m.floats("MD"), "classes": 2})
case(maps.pca_map, lambda m: {"x": m.floats("ND")})
case(maps.islands, lambda m: {"points": m.floats("ND"), "reach": m.number(0.5, 9), "least": m.integer(1, 3)})
case(maps.class_distances, lambda m: {"x": m.floats("ND"), "labels": m.classes(2, "N")})
case(maps.rank_correlation, lambda m: {"a": m.floats("N"), "b": m.floats("N")}, finite=False)      # NaN of what never changes

# ---- data, recipes, reports

case(datasets.as_floats, lambda m: {"images": m.pictures("NCHW")})
case(datasets.names, lambda m: {"offline": m.one(True, False), "kind": m.one("all", "images", "text", "pairs", "test")}, "datasets.names")
case(lambda name, n, seed: datasets.load(name, n=n, seed=seed), lambda m: {"name": "shapes", "n": m.integer(60, 80), "seed": m.integer(0, 5)},
     "datasets.load")
case(training.recipe, lambda m: {"objective": "simclr", "dataset": "digits", "images": m.one(None, 5), "share": m.number(0.1, 1)})
case(sslab.by_mode, lambda m: {"smoke": 1, "class_": 2, "full": 3}, wrong=("smoke", "class_", "full"))
case(report.share_interval, lambda m: {"right": m.integer(0, 5), "count": m.integer(5, 9), "confidence": m.number(0.1, 0.99)})


@functools.cache
def small_objective():
    return objectives.create("simclr", small_encoder(), hidden=4, outputs=4)


def trained(objective, dataset, steps, batch_size, seed, learning_rate, weight_decay, warmup, precision, device):
    """Only asked for: nothing is trained before the first step is wanted."""
    sslab.train(objective, dataset, steps=steps, batch_size=batch_size, seed=seed, learning_rate=learning_rate,
                weight_decay=weight_decay, warmup=warmup, precision=precision, device=device).close()


@functools.cache
def shapes():
    return datasets.load("shapes", n=60)


case(trained, lambda m: {"objective": small_objective(), "dataset": shapes(), "steps": m.integer(1, 9), "batch_size": m.integer(1, 8),
                         "seed": m.integer(0, 9), "learning_rate": m.number(1e-4, 1e-2), "weight_decay": m.number(0, 1),
                         "warmup": m.number(0, 0.9), "precision": m.one("auto", "float32", "bf16"), "device": "cpu"}, "train")


def dataset(name, images, labels, class_names, splits):
    """One of a person's own; its parts are looked at."""
    made = datasets.Dataset(name, images, labels, class_names, splits, datasets.Card("", "", "", ""))
    return made.train.images, made.test.labels


case(dataset, lambda m: {"name": "mine", "images": m.pictures("NCHW"), "labels": m.classes(2, "N"), "class_names": ("a", "b"),
                         "splits": {part: torch.arange(1) for part in ("train", "validation", "test")}}, "Dataset")


def asked(name, question, options, low, high, unit):
    return sslab.lab.predict(name, question, options, low=low, high=high, unit=unit, save=False)


case(asked, lambda m: {"name": "99/x", "question": "Which?", "options": m.one(["a", "b"], []), "low": None, "high": None, "unit": "%"}, "predict")


@functools.cache
def lab():
    return sslab.Lab(small_objective(), shapes(), steps=3, batch_size=4)


def turned(temperature, negatives):
    lab().set(temperature=temperature, negatives=negatives)
    return lab().values["temperature"]


case(turned, lambda m: {"temperature": m.number(0.05, 5), "negatives": m.one(True, False)}, "Lab.set")


@functools.cache
def gpt():
    return objectives.create("gpt", encoders.create("transformer", (20, 8), dim=8, depth=1, heads=1, causal=True))


case(e.generate, lambda m: {"gpt": gpt(), "prompt": m.whole(20, "1N"), "length": m.integer(0, 4), "temperature": m.number(0, 2),
                            "top_k": m.one(None, 3), "top_p": m.one(None, 0.5), "generator": m.generator, "cache": m.one(True, False)})
case(e.random_encoder, lambda m: {"encoder": small_encoder(), "images": m.pictures("8188"), "seed": m.integer(0, 9)}, wrong=("images",))
case(e.calibrate, lambda m: {"encoder": small_encoder(), "images": m.pictures("8188"), "batches": m.integer(1, 3),
                             "batch_size": m.integer(2, 8)}, wrong=("images",))
case(o.colour_bins, lambda m: {"width": m.one(20.0, 40.0, 50)})
case(lambda channels, size, patch, dim, depth, heads: encoders.VisionTransformer(channels, size, patch, dim, depth, heads),
     lambda m: {"channels": m.one(1, 3), "size": 8, "patch": m.one(2, 4), "dim": 8, "depth": 1, "heads": m.one(1, 2)}, "VisionTransformer")
case(lambda vocabulary, context, dim, depth, heads: encoders.Transformer(vocabulary, context, dim, depth, heads),
     lambda m: {"vocabulary": m.integer(1, 9), "context": m.integer(1, 9), "dim": 8, "depth": 1, "heads": m.one(1, 2)}, "Transformer")
case(lambda latents, channels, size, width, hidden: encoders.Decoder(latents, channels, size, width, hidden),
     lambda m: {"latents": m.integer(1, 9), "channels": m.one(1, 3), "size": m.integer(4, 9), "width": m.integer(1, 3),
                "hidden": m.integer(1, 9)}, "Decoder")
case(lambda channels, widths, blocks, stem_stride, cells: encoders.ResidualNet(channels, widths, blocks, stem_stride, cells),
     lambda m: {"channels": m.one(1, 3), "widths": (2, 4), "blocks": 1, "stem_stride": m.one(1, 2), "cells": m.one(1, 2)}, "ResidualNet")


# What is not asked here: it trains for long, needs a whole dataset, or takes no argument. Its own tests ask it.
ELSEWHERE = {
    "accuracy", "across_drawers", "adapt", "bits_per_character", "class_embeddings", "classifier", "compose", "confident_share",
    "controls", "count_words", "cross_modal", "evaluating", "factor_chance", "factor_moves", "fill_in", "fine_tune", "fine_tuned",
    "generate_steps", "hidden_words", "label_efficiency", "layers", "lsa", "lsa_efficiency", "masked_accuracy", "nearest_name",
    "perplexity", "read_factors", "robustness", "score_text", "supervised", "tf_idf", "tf_idf_efficiency", "train_supervised",
    "word_controls", "word_ranks", "zero_shot", "text_tower_for", "choose_precision", "cpu_limit", "limit_threads", "pick_device",
    "release_threads", "pretrained", "pretrained_names", "openclipart_records", "verify", "mode", "examine", "found_again",
    "near_copies", "settings", "suggest", "write", "fill", "latents", "show_source", "quiz", "record",
    "replay", "share", "unshare"}

# ---- what people pass by mistake

class Thing:
    def __repr__(self) -> str:
        return "Thing()"


PLAIN: list[Any] = [None, "text", "", b"bytes", True, False, -1, 0, 1, 2, 100, 0.5, -0.5, math.nan, math.inf, -math.inf, 1j, [], [1], (1, 2),
                    ("a", "b"), {}, {"a": 1}, Thing(), len, Tensor]
TENSORS: dict[str, Callable[[], Any]] = {
    "empty": lambda: torch.empty(0), "scalar": lambda: torch.tensor(0.5), "[3]": lambda: torch.ones(3),
    "[2, 3]": lambda: torch.ones(2, 3), "[2, 3, 4]": lambda: torch.ones(2, 3, 4), "[1, 2, 3, 4]": lambda: torch.ones(1, 2, 3, 4),
    "[0, 4]": lambda: torch.ones(0, 4), "[4, 0]": lambda: torch.ones(4, 0), "whole": lambda: torch.ones(4, 3, dtype=torch.long),
    "complex": lambda: torch.ones(4, 3, dtype=torch.complex64), "array": lambda: torch.ones(4, 3).numpy(),
    "[2]": lambda: torch.tensor([0, 1]), "negative": lambda: torch.tensor([-1, -2, -3, -4])}
CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "one row less": lambda t: t[:-1], "another dimension": lambda t: t[None], "one dimension less": lambda t: t[0] if t.ndim else t,
    "turned": lambda t: t.T if t.ndim == 2 else t.flip(0) if t.ndim else t, "no rows": lambda t: t[:0] if t.ndim else t,
    "float64": lambda t: t.double(), "half": lambda t: t.half(), "whole": lambda t: t.long(), "bool": lambda t: t.bool(),
    "bytes": lambda t: t.to(torch.uint8), "complex": lambda t: t.to(torch.complex64), "a list": lambda t: t.tolist(),
    "an array": lambda t: t.numpy(), "NaN": lambda t: t * math.nan, "infinite": lambda t: t * math.inf, "constant": lambda t: t * 0 + 1,
    "zero": lambda t: t * 0, "tiny": lambda t: t * 1e-30, "huge": lambda t: t * 1e15, "negative": lambda t: -t.float() - 1,
    "not contiguous": lambda t: t.repeat_interleave(2, dim=-1)[..., ::2] if t.ndim else t,
    "with a gradient": lambda t: t.clone().requires_grad_() if t.is_floating_point() else t, "a parameter": lambda t: torch.nn.Parameter(
        t.clone()) if t.is_floating_point() else t}


def replaced(value: Any, how: str) -> Any:
    """The hostile value of this name, made from the right one where it is a variation."""
    kind, _, what = how.partition(": ")
    if kind == "plain":
        return PLAIN[int(what)]
    if kind == "tensor":
        return TENSORS[what]()
    if isinstance(value, Tensor):
        return CHANGES[what](value)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        return type(value)([CHANGES[what](value[0]), *value[1:]])
    return value


HOSTILE = [f"plain: {index}" for index in range(len(PLAIN))] + [f"tensor: {name}" for name in TENSORS] + [f"change: {name}" for name in CHANGES] * 2
