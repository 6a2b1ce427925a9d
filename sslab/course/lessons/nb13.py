"""13_collapse: all methods on one protocol, and what each of their parts holds up."""

from sslab.course.claims import beats, define_claim
from sslab.course.evidence import evidence

METHODS = ("simclr", "moco", "byol", "simsiam", "dino", "swav", "barlow_twins", "vicreg", "lejepa")
DATASETS = ("digits", "fashion", "emoji")
BUDGETS = (1, 5, 20, 100)
DRAWS = 10
SHARE = 0.3                                                          # of the recipe's steps

# The part that holds a method up -> the records of a short run without it. None: a run with everything.
REMOVED = {
    "SimCLR": "07/temperature/0.5", "SimCLR, no negatives": "07/broken/no-negatives",
    "MoCo": "08/momentum/0.99", "MoCo, no negatives": "08/broken/no-negatives", "MoCo, momentum 0": "08/momentum/0.0",
    "SimSiam": "10/removed/simsiam", "SimSiam, no stop-gradient": "10/removed/simsiam-no-stop-gradient",
    "SimSiam, no norm": "10/removed/simsiam-no-norm",
    "SimSiam, no norm, no stop-gradient": "10/removed/simsiam-no-norm-no-stop-gradient",
    "SimSiam, no predictor": "10/removed/simsiam-no-predictor",
    "BYOL": "10/removed/byol", "BYOL, momentum 0": "10/removed/byol-momentum-0",
    "BYOL, no predictor": "10/removed/byol-no-predictor",
    "BYOL, no norm": "10/removed/byol-no-norm", "BYOL, no norm, no predictor": "10/removed/byol-no-norm-no-predictor",
    "DINO": "10/removed/dino", "DINO, no centring": "10/removed/dino-no-centring",
    "DINO, no sharpening": "10/removed/dino-no-sharpening",
    "SwAV": "12/removed/swav", "SwAV, no Sinkhorn": "12/removed/swav-no-sinkhorn",
    "Barlow Twins": "11/removed/barlow", "Barlow Twins, weight 0": "11/removed/barlow-no-decorrelation",
    "VICReg": "11/removed/vicreg", "VICReg, no variance": "11/removed/vicreg-no-variance",
    "VICReg, no covariance": "11/removed/vicreg-no-covariance",
    "LeJEPA": "11/removed/lejepa", "LeJEPA, no Gaussian": "11/removed/lejepa-no-gaussian",
}


@evidence("13/board", seeds=range(3), version=1, unit="accuracy", dataset=DATASETS, method=(*METHODS, "random-encoder"))
def board(seed, dataset, method):
    """One row of `sslab compare`: a method on a dataset by the recipe. Probe and kNN on test images, rank and std of z."""
    import torch

    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain, projections

    if method == "random-encoder":
        data, rows = sslab.load(dataset), {}
        torch.manual_seed(seed)
        encoder = evaluation.random_encoder(sslab.encoders.create("conv", data), data.train.images, seed)
    else:
        made, data, step = pretrain(dataset, seed, method)
        encoder, z = made.encoder, projections(made, data.validation.images[:1000])
        rows = {"std": (float(evaluation.feature_std(z)), "std sqrt(D)"), "loss": (float(step.loss), "nats"),
                "effective-rank": (float(evaluation.effective_rank(z)), "directions")}
    table = evaluation.label_efficiency(encoder, data, BUDGETS, DRAWS, penalties=(0.1,))
    bank, queries = (evaluation.features(encoder, split.images) for split in (data.train, data.test))
    right = evaluation.knn(bank, data.train.labels, queries) == data.test.labels
    return {**{str(budget): table.fixed[budget] for budget in BUDGETS}, "knn": float(right.float().mean()),
            "effective-rank-h": (float(evaluation.effective_rank(queries)), "directions"), **rows}


@evidence("13/temperature", seeds=range(3), version=1, temperature=(0.1, 1.0, 5.0))
def temperature(seed, temperature):
    """A short run of SimCLR at cold and hot temperatures."""
    from sslab.course.lessons.common import measure

    return measure(seed, share=SHARE, temperature=temperature)


@evidence("13/shapes", seeds=range(3), version=1, how=("vicreg", "vicreg-no-covariance", "vicreg-no-variance"))
def shapes(seed, how):
    """The three clouds on pictures whose factors are known."""
    from sslab.course.lessons.common import measure

    knobs = {"vicreg": {}, "vicreg-no-covariance": {"covariance": 0.0}, "vicreg-no-variance": {"variance": 0.0}}[how]
    return measure(seed, "vicreg", "shapes", share=SHARE, **knobs)


def _over_controls(dataset: str, budget: int, margin: float, supervised: bool):
    """Every method over raw pixels by `margin`, over the random encoder and, if asked, over supervised."""
    ours = [f"13/board/{dataset}/{method}/{budget}" for method in METHODS]
    pixels, random = f"00/pixels/{dataset}/{budget}", f"13/board/{dataset}/random-encoder/{budget}"
    others = [pixels, random, *([f"00/supervised/{dataset}/{budget}"] if supervised else [])]

    def holds(r):
        return all(beats(r[one], r[other], margin=margin * (other == pixels)) for one in ours for other in others)

    return ours, others, holds


_ours, _others, _holds = _over_controls("digits", 5, 0.10, supervised=True)
define_claim("13/digits-all-methods", "On digits with 5 labels a class every method of the family beats raw pixels by more than "
             "10 points, and beats the random encoder and supervised training from scratch.",
             evidence=[*_ours, *_others], without={_ours[0]: _others[0]})(_holds)

_ours, _others, _holds = _over_controls("fashion", 5, 0.0, supervised=False)
define_claim("13/fashion-all-methods", "On clothes with 5 labels a class every method beats raw pixels and the random encoder.",
             evidence=[*_ours, *_others], without={_ours[0]: _others[1]})(_holds)
