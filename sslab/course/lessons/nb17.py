"""17_capstone: an objective of one's own on digits, SimCLR on a folder of one's own, and what copies in it are worth."""

import functools
from pathlib import Path

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import SHORT

PUSH = {"on": 1.0, "off": 0.0}
CROPS = {"small": 0.2, "large": 0.5}                                 # the least share of a drawing that a view keeps: the usual, and another
SHARE = 0.4                                                          # of the recipe's steps, on a folder
BUDGETS, DRAWS = (5, 20), 10
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": decay}
               for rate, steps in ((3e-3, 150), (8e-3, 300)) for decay in (1e-4, 0.3))
TWICE = 0.5                                                          # of the drawings that are saved again


@functools.cache
def spectral_class():
    """The objective that exercises 1 and 2 of the notebook make."""
    import torch.nn.functional as F

    from sslab.knobs import number
    from sslab.lab.checks.capstone import spectral
    from sslab.objectives import Loss, TwoViews, across
    from sslab.objectives.base import full_precision

    loss = full_precision(spectral.reference)

    class Spectral(TwoViews):
        """HaoChen et al. 2021, arXiv:2106.04156."""

        title = "Spectral contrastive"
        push = number(1.0, 0.0, 10.0, help="How hard other pictures are pushed away. 0: nothing pushes.")
        radius = number(4.0, 0.5, 32.0, log=True, help="Squared length of z: about so many directions are worth using.")

        def forward(self, views):
            h, z = self.see(views)                                   # [2B, D], [2B, P]
            z = F.normalize(z.float(), dim=1) * self.radius**0.5     # on a sphere
            z1, z2 = across.gather(z, 2).chunk(2)                    # [B, P] each
            total, pull = loss(z1, z2, self.push), loss(z1, z2, 0.0)
            return Loss(total, {"attraction": pull, "repulsion": total - pull}, h, z)

        def reference_levels(self):
            return {"collapsed": self.push * self.radius**2 - 2 * self.radius, "unrelated": self.push * self.radius**2 / 128}

    return Spectral


@evidence("17/own", seeds=range(3), version=1, push=tuple(PUSH))
def own(seed, push):
    """The objective of the exercises, a short run on digits: validation images, 5 labels a class; spread and rank of z."""
    import torch

    import sslab
    from sslab import encoders, evaluation
    from sslab.course.lessons.common import projections, quick_knn, quick_probe
    from sslab.views import Augment

    data = sslab.load("digits")
    torch.manual_seed(seed)
    made = spectral_class()(encoders.create("conv", data), Augment.named("digits"), push=PUSH[push])
    for step in sslab.train(made, data, seed=seed, precision="float32", **sslab.recipe("simclr", "digits", share=SHORT)):
        pass
    z = projections(made, data.validation.images[:1000])
    return {"probe": (quick_probe(made, data), "accuracy"), "knn": (quick_knn(made.encoder, data), "accuracy"),
            "loss": (float(step.loss), "loss"), "std": (float(evaluation.feature_std(z)), "std sqrt(D)"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions")}


@functools.lru_cache(maxsize=1)
def clip_art():
    """The folder that the notebook makes, read."""
    import tempfile
    import warnings

    import sslab
    from sslab.datasets.folder import write_example

    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")                              # three files are damaged on purpose
        return sslab.load(f"folder:{write_example(Path(scratch) / 'clipart')}")


def _accuracies(what, data, of: str) -> dict:
    """Of a representation on test, by budget, and kNN; and with 5 labels on validation, for whoever is choosing."""
    import torch

    from sslab import evaluation

    table = evaluation.label_efficiency(what, data, BUDGETS, DRAWS, penalties=(0.1,))
    chosen = evaluation.label_efficiency(what, data, (5,), DRAWS, penalties=(0.1,), on="validation")
    embed = (lambda images: evaluation.features(what, images)) if isinstance(what, torch.nn.Module) else what
    near = evaluation.knn(embed(data.train.images), data.train.labels, embed(data.test.images)) == data.test.labels
    return {**{f"{budget}/{of}": table.fixed[budget] for budget in BUDGETS}, f"knn/{of}": float(near.float().mean()),
            f"validation/{of}": chosen.fixed[5]}


@evidence("17/clipart", seeds=range(3), version=1, unit="accuracy", crops=tuple(CROPS))
def clipart(seed, crops):
    """SimCLR on the folder, with views that keep little or half of a drawing; the random encoder beside it."""
    import torch

    import sslab
    from sslab import evaluation, objectives

    data = clip_art()
    torch.manual_seed(seed)
    made = objectives.create("simclr", objectives.encoder_for("simclr", data), views=objectives.views_for("simclr", data.name), crop=CROPS[crops])
    for step in sslab.train(made, data, seed=seed, precision="float32", **sslab.recipe("simclr", data.name, len(data.train), SHARE)):
        pass
    rows = _accuracies(made.encoder, data, "simclr") | {"loss": (float(step.loss), "nats")}
    if crops == "large":
        rows |= _accuracies(evaluation.random_encoder(made.encoder, data.train.images, seed), data, "random-encoder")
    return rows


@evidence("17/clipart-raw", version=1, unit="accuracy")
def clipart_raw(seed):
    """Raw pixels on the same draws."""
    from sslab import evaluation

    return _accuracies(evaluation.raw_pixels, clip_art(), "raw-pixels")


@evidence("17/clipart-supervised", version=1, unit="accuracy", budget=BUDGETS)
def clipart_supervised(seed, budget):
    """The same encoder from scratch on the same labels and views, its settings searched on validation."""
    from sslab import evaluation, objectives

    data = clip_art()
    views = objectives.views_for("simclr", data.name)
    views.set(crop=CROPS["large"])
    return {"": evaluation.supervised(data, (budget,), 5, views=views, search=SEARCH, search_draws=1).fixed[budget]}


def save_again(root: Path, share: float = TWICE, seed: int = 0) -> int:
    """Put a second copy beside a share of a folder's pictures, as people do: resized, saved as JPEG, renamed. How many."""
    import torch
    from PIL import Image

    from sslab.datasets.folder import _files, _read

    readable = [name for name in _files(root) if not isinstance(_read(root / name, 8), str)]
    chosen = torch.randperm(len(readable), generator=torch.Generator().manual_seed(seed))[:round(share * len(readable))]
    for number in chosen.tolist():
        name = root / readable[number]
        with Image.open(name) as picture:
            small = picture.convert("RGB").resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.BICUBIC)
        small.save(name.with_name(f"{name.stem} (copy).jpg"), quality=85)
    return len(chosen)


@evidence("17/copies", seeds=range(5), version=1, unit="accuracy")
def copies(seed):
    """kNN without any training, on the folder as it is, and with half of its pictures saved again."""
    import tempfile
    import warnings

    import torch

    import sslab
    from sslab import encoders, evaluation, report
    from sslab.datasets.folder import write_example

    rows = {}
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = write_example(Path(scratch) / "clipart")
        for name in ("without", "with"):
            if name == "with":
                save_again(root, seed=seed)
            data = sslab.load(f"folder:{root}")
            torch.manual_seed(seed)
            untrained = evaluation.random_encoder(encoders.create("conv", data), data.train.images, seed)
            for of, what in (("raw-pixels", evaluation.raw_pixels), ("random-encoder", untrained)):
                embed = what if of == "raw-pixels" else (lambda images, what=what: evaluation.features(what, images))
                near = evaluation.knn(embed(data.train.images), data.train.labels, embed(data.test.images)) == data.test.labels
                rows[f"{name}/{of}"] = float(near.float().mean())
            found = report.near_copies(data)
            rows[f"{name}/copies"] = (found["copies"] / found["of"], "of the test pictures")
    return rows


@define_claim("17/own-objective-learns", "With 5 labels a class the objective of the exercises beats raw pixels and the random encoder on digits.",
              evidence=["17/own/on/probe", "07/untrained/raw-pixels", "07/untrained/random-encoder"],
              without={"17/own/on/probe": "07/untrained/raw-pixels"})
def _(r):
    return all(beats(r["17/own/on/probe"], r[f"07/untrained/{control}"]) for control in ("raw-pixels", "random-encoder"))


@define_claim("17/no-push-collapses", "Without its second term everything goes to one point: std below 0.1 on every seed, and above 0.5 with it.",
              evidence=["17/own/off/std", "17/own/on/std"], without={"17/own/off/std": "17/own/on/std"})
def _(r):
    return every(r["17/own/off/std"], lambda value: value < 0.1) and r["17/own/on/std"].value > 0.5


@define_claim("17/clipart-beats-pixels", "By kNN among all labelled drawings SimCLR on the folder's own drawings beats raw pixels and the random encoder; "
              "with 5 labels a class it beats raw pixels.",
              evidence=["17/clipart/small/knn/simclr", "17/clipart-raw/knn/raw-pixels", "17/clipart/large/knn/random-encoder",
                        "17/clipart/small/5/simclr", "17/clipart-raw/5/raw-pixels"],
              without={"17/clipart/small/knn/simclr": "17/clipart-raw/knn/raw-pixels"})
def _(r):
    near = r["17/clipart/small/knn/simclr"]
    return (beats(near, r["17/clipart-raw/knn/raw-pixels"]) and beats(near, r["17/clipart/large/knn/random-encoder"])
            and beats(r["17/clipart/small/5/simclr"], r["17/clipart-raw/5/raw-pixels"]))


@define_claim("17/copies-flatter", "Half of the pictures saved again, and nothing learned: kNN on raw pixels gains 5 points or more.",
              evidence=["17/copies/with/raw-pixels", "17/copies/without/raw-pixels"],
              without={"17/copies/with/raw-pixels": "17/copies/without/raw-pixels"})
def _(r):
    return beats(r["17/copies/with/raw-pixels"], r["17/copies/without/raw-pixels"], margin=0.05)
