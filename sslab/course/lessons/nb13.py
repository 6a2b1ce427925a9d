"""13_collapse: all methods on one protocol, and what each of their parts holds up."""

from itertools import pairwise

from sslab.course.claims import beats, define_claim
from sslab.course.evidence import evidence
from sslab.course.lessons.common import board_row

METHODS = ("simclr", "moco", "byol", "simsiam", "dino", "swav", "barlow_twins", "vicreg", "lejepa")
DATASETS = ("digits", "fashion", "emoji")
SHARE = 0.3                                                          # of the recipe's steps

# A method, or a method without one of its parts -> the records of its short run.
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
    return {**board_row(encoder, data), **rows}


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


def _five(dataset: str, method: str) -> str:
    """The record of a method's accuracy with 5 labels a class."""
    return f"13/board/{dataset}/{method}/5"


def _every(record, holds) -> bool:
    """On the mean and on every seed."""
    return all(map(holds, (record.value, *record.draws)))


def _define_board(name: str, text: str, dataset: str, methods, margins: dict[str, float], below=(), without=None) -> None:
    """`methods` beat each control by its margin; those in `below` are beaten by raw pixels. Controls: record -> margin."""
    ours, others = [_five(dataset, method) for method in methods], list(margins)
    losers = [_five(dataset, method) for method in below]

    def holds(r):
        return (all(beats(r[one], r[other], margin=margin) for one in ours for other, margin in margins.items())
                and all(beats(r[f"00/pixels/{dataset}/5"], r[one]) for one in losers))

    define_claim(name, text, evidence=[*ours, *losers, *others], without=without or {ours[0]: others[0]})(holds)


_define_board("13/digits-all-methods", "On digits with 5 labels a class every method of the family beats raw pixels by more than "
              "10 points, and the random encoder by more than 30.", "digits", METHODS,
              {"00/pixels/digits/5": 0.10, _five("digits", "random-encoder"): 0.30})
_define_board("13/digits-beat-supervised", "On digits with 5 labels a class SimCLR, MoCo, BYOL, SimSiam, SwAV, Barlow Twins, VICReg "
              "and LeJEPA beat supervised training from scratch.", "digits",
              ("simclr", "moco", "byol", "simsiam", "swav", "barlow_twins", "vicreg", "lejepa"), {"00/supervised/digits/5": 0.0})
_define_board("13/fashion-all-but", "On clothes with 5 labels a class SimCLR, MoCo, BYOL, SwAV, Barlow Twins, VICReg and LeJEPA "
              "beat raw pixels and the random encoder. SimSiam is below raw pixels.", "fashion",
              ("simclr", "moco", "byol", "swav", "barlow_twins", "vicreg", "lejepa"),
              {"00/pixels/fashion/5": 0.0, _five("fashion", "random-encoder"): 0.0}, below=("simsiam",))
_define_board("13/emoji-all-but", "On emoji with 5 labels a class SimCLR, MoCo, BYOL, DINO, Barlow Twins, VICReg and LeJEPA beat "
              "raw pixels and the random encoder. SimSiam is below raw pixels.", "emoji",
              ("simclr", "moco", "byol", "dino", "barlow_twins", "vicreg", "lejepa"),
              {"00/pixels/emoji/5": 0.0, _five("emoji", "random-encoder"): 0.0}, below=("simsiam",))


@define_claim("13/swav-fails-on-emoji", "On emoji with 5 labels a class SwAV does not come out above raw pixels, while on digits it "
              "is more than 20 points above them.",
              evidence=[_five("emoji", "swav"), "00/pixels/emoji/5", _five("digits", "swav"), "00/pixels/digits/5"],
              without={_five("emoji", "swav"): 0.5})
def _(r):
    return (not beats(r[_five("emoji", "swav")], r["00/pixels/emoji/5"])
            and beats(r[_five("digits", "swav")], r["00/pixels/digits/5"], margin=0.20))


@define_claim("13/labels-overtake", "With 100 labels a class on clothes no method beats supervised training from scratch; with 5, "
              "SimCLR, MoCo, Barlow Twins, VICReg and LeJEPA do.",
              evidence=[*(f"13/board/fashion/{method}/100" for method in METHODS), "00/supervised/fashion/100",
                        *(_five("fashion", method) for method in ("simclr", "moco", "barlow_twins", "vicreg", "lejepa")),
                        "00/supervised/fashion/5"],
              without={"00/supervised/fashion/100": 0.5})
def _(r):
    few = [name for name in r if name.startswith("13/board") and name.endswith("/5")]
    many = [name for name in r if name.startswith("13/board") and name.endswith("/100")]
    return (all(beats(r[name], r["00/supervised/fashion/5"]) for name in few)
            and not any(beats(r[name], r["00/supervised/fashion/100"]) for name in many))


_FEW = {"11/removed/vicreg-no-covariance": "11/removed/vicreg", "11/removed/barlow-no-decorrelation": "11/removed/barlow"}


@define_claim("13/std-misses-few-directions", "The std of z does not notice that directions are lost: VICReg without covariance and "
              "Barlow Twins without decorrelation keep a std above 0.9 on every seed, while the effective rank is below 5 and the "
              "probe more than 10 points lower.",
              evidence=[f"{path}/{key}" for path in _FEW for key in ("std", "effective-rank", "probe")]
              + [f"{path}/probe" for path in _FEW.values()],
              without={"11/removed/vicreg-no-covariance/std": 0.1})
def _(r):
    return all(_every(r[f"{off}/std"], lambda std: std > 0.9) and _every(r[f"{off}/effective-rank"], lambda rank: rank < 5)
               and beats(r[f"{on}/probe"], r[f"{off}/probe"], margin=0.10) for off, on in _FEW.items())


_POINT = {"11/removed/vicreg-no-variance": "11/removed/vicreg", "11/removed/lejepa-no-gaussian": "11/removed/lejepa"}


@define_claim("13/rank-misses-one-point", "The effective rank of z does not notice that all is one point: VICReg without variance and "
              "LeJEPA without its Gaussian have at least three times the rank of the whole method, at a std below 0.1 and with a "
              "probe more than 30 points lower.",
              evidence=[f"{path}/{key}" for path in _POINT for key in ("std", "effective-rank", "probe")]
              + [f"{path}/{key}" for path in _POINT.values() for key in ("effective-rank", "probe")],
              without={"11/removed/vicreg-no-variance/effective-rank": "11/removed/vicreg/effective-rank"})
def _(r):
    return all(_every(r[f"{off}/std"], lambda std: std < 0.1)
               and r[f"{off}/effective-rank"].value > 3 * r[f"{on}/effective-rank"].value
               and beats(r[f"{on}/probe"], r[f"{off}/probe"], margin=0.30) for off, on in _POINT.items())


_BEST = {"10/removed/simsiam-no-norm-no-stop-gradient": "10/removed/simsiam-no-norm",
         "10/removed/byol-no-norm-no-predictor": "10/removed/byol-no-norm", "12/removed/swav-no-sinkhorn": "12/removed/swav"}


@define_claim("13/best-loss-worst-encoder", "The best loss is that of the collapse: SimSiam without stop-gradient, BYOL without "
              "predictor (both without norm on z) and SwAV without Sinkhorn end with a lower loss than with the part, by the same "
              "formula, and with a lower probe.",
              evidence=[f"{path}/{key}" for pair in _BEST.items() for path in pair for key in ("loss", "probe")],
              without={"12/removed/swav-no-sinkhorn/probe": "12/removed/swav/probe"})
def _(r):
    return all(beats(r[f"{on}/loss"], r[f"{off}/loss"]) and beats(r[f"{on}/probe"], r[f"{off}/probe"]) for off, on in _BEST.items())


@define_claim("13/low-rank-can-be-good", "A low rank of z alone is no verdict: at temperature 5 SimCLR's projections fill fewer than 6 "
              "of 128 directions, and its probe still beats raw pixels.",
              evidence=["13/temperature/5.0/effective-rank", "13/temperature/5.0/probe", "07/untrained/raw-pixels"],
              without={"13/temperature/5.0/probe": "07/untrained/random-encoder"})
def _(r):
    return (_every(r["13/temperature/5.0/effective-rank"], lambda rank: rank < 6)
            and beats(r["13/temperature/5.0/probe"], r["07/untrained/raw-pixels"]))


@define_claim("13/healthy-gauges-can-be-worthless", "Healthy gauges are no verdict either: SimCLR without views has a std above 0.9 and "
              "more than three times the rank of SimCLR with views, and its probe is below that of the random encoder.",
              evidence=["07/views/none/std", "07/views/none/effective-rank", "07/views/none/probe",
                        "07/temperature/0.5/effective-rank", "07/untrained/random-encoder"],
              without={"07/views/none/probe": "07/temperature/0.5/probe"})
def _(r):
    return (_every(r["07/views/none/std"], lambda std: std > 0.9)
            and r["07/views/none/effective-rank"].value > 3 * r["07/temperature/0.5/effective-rank"].value
            and beats(r["07/untrained/random-encoder"], r["07/views/none/probe"]))


@define_claim("13/hotter-fewer-directions", "The hotter SimCLR, the fewer directions: the rank of z falls at each step from "
              "temperature 0.2 over 0.5, 1 and 2 to 5, while the std stays above 0.9.",
              evidence=[f"{path}/{key}" for path in ("07/temperature/0.2", "07/temperature/0.5", "13/temperature/1.0",
                                                     "07/temperature/2.0", "13/temperature/5.0")
                        for key in ("effective-rank", "std")],
              without={"13/temperature/5.0/effective-rank": "07/temperature/0.2/effective-rank"})
def _(r):
    ranks = [record for name, record in r.items() if name.endswith("effective-rank")]
    return (all(beats(cold, hot) for cold, hot in pairwise(ranks))
            and all(record.value > 0.9 for name, record in r.items() if name.endswith("std")))


@define_claim("13/z-falls-before-h", "The projections fall first: a fifth of a short run after stop-gradient was switched off, the std "
              "of SimSiam's z has dropped from above 0.5 to below 0.1, and kNN on the encoder's output is within 5 points of "
              "before.",
              evidence=["10/switched/before/std", "10/switched/off/std", "10/switched/before/knn", "10/switched/off/knn"],
              without={"10/switched/off/std": "10/switched/before/std"})
def _(r):
    return (_every(r["10/switched/before/std"], lambda std: std > 0.5) and _every(r["10/switched/off/std"], lambda std: std < 0.1)
            and abs(r["10/switched/before/knn"].value - r["10/switched/off/knn"].value) < 0.05)


@define_claim("13/simsiam-needs-its-predictor", "Without its predictor SimSiam's projections fill fewer than 4 directions on every "
              "seed, and more than 8 with it.",
              evidence=["10/removed/simsiam-no-predictor/effective-rank", "10/removed/simsiam/effective-rank"],
              without={"10/removed/simsiam-no-predictor/effective-rank": "10/removed/simsiam/effective-rank"})
def _(r):
    return (_every(r["10/removed/simsiam-no-predictor/effective-rank"], lambda rank: rank < 4)
            and _every(r["10/removed/simsiam/effective-rank"], lambda rank: rank > 8))


_SHAPES = [f"13/shapes/{how}" for how in ("vicreg", "vicreg-no-covariance", "vicreg-no-variance")]


@define_claim("13/shapes-same-collapses", "On shapes the same two collapses: without covariance z fills fewer than 2 directions at a "
              "std above 0.7, without variance the std is below 0.2 and the rank more than three times that of the whole method.",
              evidence=[f"{path}/{key}" for path in _SHAPES for key in ("std", "effective-rank")],
              without={"13/shapes/vicreg-no-variance/std": "13/shapes/vicreg/std"})
def _(r):
    whole, line, point = _SHAPES
    return (_every(r[f"{line}/effective-rank"], lambda rank: rank < 2) and _every(r[f"{line}/std"], lambda std: std > 0.7)
            and _every(r[f"{point}/std"], lambda std: std < 0.2)
            and r[f"{point}/effective-rank"].value > 3 * r[f"{whole}/effective-rank"].value)


@define_claim("13/shapes-probe-is-blind", "On shapes the probe does not tell the collapsed runs from the whole one: with 5 labels a "
              "class all three are within 3 points of chance, one in six.",
              evidence=[f"{path}/probe" for path in _SHAPES], without={"13/shapes/vicreg/probe": 0.5})
def _(r):
    return all(_every(record, lambda accuracy: abs(accuracy - 1 / 6) < 0.03) for record in r.values())
