"""06_masked_image_modelling: filling in pixels, predicting latents, and what each is worth against all controls."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import board_row

SHARE = {"mae": 0.15, "ijepa": 0.3}                                   # of the recipe's steps, so that a class can repeat it
DATASETS = ("fashion", "emoji")
# What is tried on validation for a transformer from scratch on 5 labels a class.
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": 0.05}
               for rate in (5e-4, 2e-3) for steps in (75, 150))
# How a short run of MAE differs from what is right. "pixels": its targets are the pixels as they are.
PIXELS = {"normalise": False}
REMOVED = {"pixels": PIXELS, "constant-code": {**PIXELS, "constant_code": True}, "visible": {**PIXELS, "loss_on": "visible"}}
LATENT = {"ijepa": {}, "no-stop-gradient": {"stop_gradient": False}, "momentum-0": {"momentum": 0.0}}


def errors(mae, images, seed: int = 0) -> dict[str, float]:
    """How wrong a trained MAE is about new pictures, and how wrong the mean training image is at the same places."""
    import torch

    from sslab.evaluation import evaluating
    from sslab.objectives import masked_patches, patchify

    pictures, visible, hidden = mae.make_views(images, torch.Generator().manual_seed(seed))
    target = patchify(pictures, mae.patch)                           # [B, T, P]
    with torch.no_grad(), evaluating(mae):
        filled = mae.predict(mae.encode_visible(pictures, visible), visible, hidden)
    mean = mae.targets["normalised" if mae.normalise else "pixels"].mean.to(filled).expand_as(filled)
    mask = torch.zeros(target.shape[:2], dtype=torch.bool, device=target.device).scatter(1, hidden, True)
    score = {"hidden": (filled, mask), "visible": (filled, ~mask), "mean-image": (mean, mask)}
    return {name: float(masked_patches(answer, target, where, mae.normalise)) for name, (answer, where) in score.items()}


def latents(ijepa, images, seed: int = 0):
    """What I-JEPA's targets are of some pictures: (their mean over each picture [N, D], their spread, the loss)."""
    import torch

    from sslab.evaluation import evaluating

    with torch.no_grad(), evaluating(ijepa):
        loss = ijepa(ijepa.make_views(images, torch.Generator().manual_seed(seed)))
    return loss.projection, float(loss.terms["target spread"]), float(loss.total)


def _gauges(made, images) -> dict:
    """What is read off a trained model beside its probe, on validation images."""
    from sslab import evaluation

    if made.title == "MAE":
        return {f"{name}-error": (value, "mean squared error") for name, value in errors(made, images).items()}
    z, spread, loss = latents(made, images)
    return {"std": (float(evaluation.feature_std(z)), "std sqrt(D)"), "loss": (loss, "mean squared error"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions"), "spread": (spread, "variance")}


@evidence("06/board", seeds=range(3), version=1, unit="accuracy", dataset=DATASETS, method=("mae", "ijepa", "random-vit"))
def board(seed, dataset, method):
    """A row of the board of 13, for a transformer: probe and kNN on test images, after the whole recipe."""
    import torch

    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain

    if method == "random-vit":
        data, rows = sslab.load(dataset), {}
        torch.manual_seed(seed)
        encoder = evaluation.random_encoder(sslab.objectives.encoder_for("mae", data), data.train.images, seed)
    else:
        made, data, _ = pretrain(dataset, seed, method)
        encoder, rows = made.encoder, _gauges(made, data.validation.images[:1000])
    return {**board_row(encoder, data), **rows}


@evidence("06/supervised", version=1, unit="accuracy", dataset=DATASETS, budget=(5,))
def supervised(seed, dataset, budget):
    """The same transformer from scratch on the same labels and the views of SimCLR; settings searched on validation."""
    import sslab
    from sslab import evaluation
    from sslab.modes import by_mode
    from sslab.views import Augment

    data = sslab.load(dataset)
    encoder = sslab.objectives.encoder_for("mae", data)
    table = evaluation.supervised(data, (budget,), 5, encoder, Augment.named(dataset), by_mode(None, SEARCH), search_draws=1)
    return {"": table.fixed[budget]}


@evidence("06/pixels-knn", version=1, unit="accuracy", dataset=DATASETS)
def pixels_knn(seed, dataset):
    """The neighbours' control: raw pixels, test images among all training images."""
    import sslab
    from sslab import evaluation

    data = sslab.load(dataset)
    near = evaluation.knn(evaluation.raw_pixels(data.train.images), data.train.labels, evaluation.raw_pixels(data.test.images))
    return {"": float((near == data.test.labels).float().mean())}


@evidence("06/removed", seeds=range(3), version=1, how=tuple(REMOVED))
def removed(seed, how):
    """A short run of MAE on clothes, as it should be and with something changed."""
    return _short(seed, "mae", **REMOVED[how])


@evidence("06/ratio", seeds=range(3), version=1, ratio=(0.25, 0.9))
def ratio(seed, ratio):
    """A short run of MAE at other mask ratios."""
    return _short(seed, "mae", **PIXELS, mask_ratio=ratio)


@evidence("06/latent", seeds=range(3), version=1, how=tuple(LATENT))
def latent(seed, how):
    """A short run of I-JEPA on clothes, whole and with a part of it removed."""
    return _short(seed, "ijepa", **LATENT[how])


@evidence("06/untrained", seeds=range(3), version=1, unit="accuracy")
def untrained(seed):
    """Controls of the short runs, on validation images: pixels, and the transformer without training."""
    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import quick_knn

    data = sslab.load("fashion")
    vit = evaluation.random_encoder(sslab.objectives.encoder_for("mae", data), data.train.images, seed)
    rows = {}
    for name, represent in (("raw-pixels", evaluation.raw_pixels), ("random-vit", vit)):
        table = evaluation.label_efficiency(represent, data, (5,), 5, penalties=(0.1,), on="validation")
        rows[name], rows[f"{name}-knn"] = table.mean(5), quick_knn(represent, data)
    return rows


def _short(seed, objective, **knobs) -> dict:
    from sslab.course.lessons.common import pretrain, quick_knn, quick_probe

    made, data, _ = pretrain("fashion", seed, objective, share=SHARE[objective], **knobs)
    return {"probe": (quick_probe(made, data), "accuracy"), "knn": (quick_knn(made.encoder, data), "accuracy"),
            **_gauges(made, data.validation.images[:1000])}


def _share(r, part: str, whole: str) -> list[float]:
    """One record over another: the means, and seed by seed."""
    a, b = r[part], r[whole]
    return [a.value / b.value, *(x / y for x, y in zip(a.draws, b.draws, strict=False))]


@define_claim("06/below-the-mean-image", "MAE reads something from what it sees: on clothes its error on the hidden patches of new "
              "pictures is more than 15 % below the mean image's on every seed, and on emoji it is below, too.",
              evidence=[f"06/board/{dataset}/mae/{key}" for dataset in DATASETS for key in ("hidden-error", "mean-image-error")],
              without={"06/board/fashion/mae/hidden-error": "06/board/fashion/mae/mean-image-error"})
def _(r):
    fashion, emoji = (_share(r, f"06/board/{dataset}/mae/hidden-error", f"06/board/{dataset}/mae/mean-image-error")
                      for dataset in DATASETS)
    return max(fashion) < 0.85 and max(emoji) < 1


@define_claim("06/constant-code-is-the-mean-image", "With the same code for every picture MAE comes to the mean image's error, within "
              "15 %, and never below it (by more than 1 %). With codes of its own it is more than 10 % below after as many steps.",
              evidence=[f"06/removed/{how}/{key}" for how in ("constant-code", "pixels") for key in ("hidden-error", "mean-image-error")],
              without={"06/removed/constant-code/hidden-error": "06/removed/pixels/hidden-error"})
def _(r):
    mute, whole = (_share(r, f"06/removed/{how}/hidden-error", f"06/removed/{how}/mean-image-error")
                   for how in ("constant-code", "pixels"))
    return min(mute) > 0.99 and max(mute) < 1.15 and max(whole) < 0.9


@define_claim("06/visible-is-copied", "With the loss on the visible patches these cost less than half of what hidden patches cost MAE, "
              "and the hidden ones are filled in worse than by the mean image, on every seed.",
              evidence=["06/removed/visible/visible-error", "06/removed/visible/hidden-error", "06/removed/visible/mean-image-error",
                        "06/removed/pixels/hidden-error"],
              without={"06/removed/visible/hidden-error": "06/removed/pixels/hidden-error"})
def _(r):
    return (max(_share(r, "06/removed/visible/visible-error", "06/removed/pixels/hidden-error")) < 0.5
            and min(_share(r, "06/removed/visible/hidden-error", "06/removed/visible/mean-image-error")) > 1)


@define_claim("06/latent-collapses", "With gradients through its targets I-JEPA's targets become the same for all pictures: their std is "
              "below 0.1 on every seed, and above 0.25 with the stop-gradient.",
              evidence=["06/latent/no-stop-gradient/std", "06/latent/ijepa/std"],
              without={"06/latent/no-stop-gradient/std": "06/latent/ijepa/std"})
def _(r):
    return (every(r["06/latent/no-stop-gradient/std"], lambda std: std < 0.1)
            and every(r["06/latent/ijepa/std"], lambda std: std > 0.25))


@define_claim("06/collapse-has-the-lower-loss", "The loss does not warn: the collapsed I-JEPA has the lower one.",
              evidence=["06/latent/no-stop-gradient/loss", "06/latent/ijepa/loss"],
              without={"06/latent/no-stop-gradient/loss": "06/latent/ijepa/loss"})
def _(r):
    return beats(r["06/latent/ijepa/loss"], r["06/latent/no-stop-gradient/loss"])


@define_claim("06/slow-teacher", "With momentum 0, where the teacher is the encoder itself, the targets do not collapse (std above 0.2 on "
              "every seed), and yet after a short run the encoder is worse than an untrained one.",
              evidence=["06/latent/momentum-0/std", "06/latent/momentum-0/probe", "06/untrained/random-vit"],
              without={"06/latent/momentum-0/probe": "06/untrained/random-vit"})
def _(r):
    return (every(r["06/latent/momentum-0/std"], lambda std: std > 0.2)
            and beats(r["06/untrained/random-vit"], r["06/latent/momentum-0/probe"]))


@define_claim("06/mae-learns", "On clothes with 5 labels a class MAE's encoder is more than 5 points above the same transformer untrained.",
              evidence=["06/board/fashion/mae/5", "06/board/fashion/random-vit/5"],
              without={"06/board/fashion/mae/5": "06/board/fashion/random-vit/5"})
def _(r):
    return beats(r["06/board/fashion/mae/5"], r["06/board/fashion/random-vit/5"], margin=0.05)


@define_claim("06/below-simclr", "On clothes with 5 labels a class a linear probe of MAE and of I-JEPA is below that of SimCLR's "
              "convolutional encoder.",
              evidence=["06/board/fashion/mae/5", "06/board/fashion/ijepa/5", "13/board/fashion/simclr/5"],
              without={"06/board/fashion/mae/5": "13/board/fashion/simclr/5"})
def _(r):
    return all(beats(r["13/board/fashion/simclr/5"], r[f"06/board/fashion/{method}/5"]) for method in ("mae", "ijepa"))
