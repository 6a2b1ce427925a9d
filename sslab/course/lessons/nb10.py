"""10_without_negatives: what holds SimSiam, BYOL and DINO up, found by taking it away, on validation images."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHARE = 0.3                                                          # of the recipe's steps
PROTOTYPES = 64                                                      # of DINO, K
OFF, ON = 0.3, 0.5                                                   # of a run: stop-gradient is off in between

PARTS = {
    "simsiam": {},
    "simsiam-no-stop-gradient": {"stop_gradient": False},
    "simsiam-no-norm": {"output_norm": False},
    "simsiam-no-norm-no-stop-gradient": {"output_norm": False, "stop_gradient": False},
    "simsiam-no-predictor": {"predictor_on": False},
    "byol": {},
    "byol-no-predictor": {"predictor_on": False},
    "byol-momentum-0": {"momentum": 0.0},
    "byol-momentum-0-no-predictor": {"momentum": 0.0, "predictor_on": False},
    "byol-momentum-1": {"momentum": 1.0},
    "byol-no-norm": {"output_norm": False},
    "byol-no-norm-no-predictor": {"output_norm": False, "predictor_on": False},
    "byol-no-norm-momentum-0": {"output_norm": False, "momentum": 0.0},
    "byol-no-norm-momentum-0-no-predictor": {"output_norm": False, "momentum": 0.0, "predictor_on": False},
    "dino": {},
    "dino-no-centring": {"centring": False},
    "dino-no-sharpening": {"sharpening": False},
    "dino-neither": {"centring": False, "sharpening": False},
}


@evidence("10/removed", seeds=range(3), version=1, how=tuple(PARTS))
def removed(seed, how):
    """A short run with nothing, one part or two parts taken away."""
    from sslab.course.lessons.common import measure

    return measure(seed, how.partition("-")[0], share=SHARE, **PARTS[how])


@evidence("10/length", seeds=range(3), version=1, stop_gradient=("on", "off"), share=(0.15, 0.3, 1.0))
def length(seed, stop_gradient, share):
    """SimSiam with batch norm on z, in runs of several lengths. std as in every record: with the norm's running
    statistics. std-in-training: of the last training batch, as the lab's gauge reads it."""
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain, projections, quick_knn

    made, data, step = pretrain("digits", seed, "simsiam", share=share, stop_gradient=stop_gradient == "on")
    return {"std": (float(evaluation.feature_std(projections(made, data.validation.images[:1000]))), "std sqrt(D)"),
            "std-in-training": (float(evaluation.feature_std(step.projection)), "std sqrt(D)"),
            "effective-rank-in-training": (float(evaluation.effective_rank(step.projection)), "directions"),
            "knn": (quick_knn(made.encoder, data), "accuracy")}


@evidence("10/gentle", seeds=range(3), version=1, stop_gradient=("on", "off"))
def gentle(seed, stop_gradient):
    """The same with batch norm on z, in gentle steps: 250 of 256 pictures at a quarter of the rate, hardly any decay."""
    import torch

    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import projections, quick_knn
    from sslab.views import Augment

    data = sslab.load("digits")
    torch.manual_seed(seed)
    made = sslab.objectives.create("simsiam", sslab.encoders.create("conv", data), views=Augment.named("digits"),
                                   stop_gradient=stop_gradient == "on")
    for step in sslab.train(made, data, steps=sslab.modes.by_mode(3, 250), batch_size=256, learning_rate=1e-3, weight_decay=1e-4,
                            seed=seed, precision="float32"):
        pass
    return {"std": (float(evaluation.feature_std(projections(made, data.validation.images[:1000]))), "std sqrt(D)"),
            "std-in-training": (float(evaluation.feature_std(step.projection)), "std sqrt(D)"),
            "knn": (quick_knn(made.encoder, data), "accuracy")}


@evidence("10/untrained", seeds=range(3), version=1)
def untrained(seed):
    """The controls of the short runs that 07/untrained lacks: kNN, and the spread of z before training."""
    import torch

    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import projections, quick_knn

    data = sslab.load("digits")
    torch.manual_seed(seed)
    made = sslab.objectives.create("simsiam", sslab.encoders.create("conv", data), output_norm=False)
    made.encoder = evaluation.random_encoder(made.encoder, data.train.images, seed)
    evaluation.calibrate(torch.nn.Sequential(made.encoder, made.projector), data.train.images)
    z = projections(made, data.validation.images[:1000])
    return {"knn/random-encoder": (quick_knn(made.encoder, data), "accuracy"),
            "knn/raw-pixels": (quick_knn(evaluation.raw_pixels, data), "accuracy"),
            "std": (float(evaluation.feature_std(z)), "std sqrt(D)"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions")}


@evidence("10/switched", seeds=range(3), version=1)
def switched(seed):
    """SimSiam without output norm; stop-gradient goes off and on again while it trains.

    Before, at the end of the time without, and at the end of the run; std of the training batch, as the lab's gauge reads it.
    """
    import torch

    import sslab
    from sslab import evaluation
    from sslab.course.lessons.common import quick_knn
    from sslab.views import Augment

    data = sslab.load("digits")
    options = sslab.recipe("simsiam", "digits", share=SHARE)
    last = {name: round(share * options["steps"]) - 1 for name, share in (("before", OFF), ("off", ON), ("after", 1))}
    torch.manual_seed(seed)
    made = sslab.objectives.create("simsiam", sslab.encoders.create("conv", data), views=Augment.named("digits"),
                                   output_norm=False)
    rows, curve = {}, []
    for step in sslab.train(made, data, seed=seed, precision="float32", **options):
        curve.append(float(evaluation.feature_std(step.projection)))
        for name in (name for name, index in last.items() if index == step.index):
            rows[f"{name}/std"] = (curve[-1], "std sqrt(D)")
            rows[f"{name}/knn"] = (quick_knn(made.encoder, data), "accuracy")
            made.set(stop_gradient=name != "before")
    return {**rows, "curve": {"step": list(range(len(curve))), "std": curve}}


@define_claim("10/no-stop-gradient-no-norm-collapses", "SimSiam without stop-gradient and without batch norm on z collapses: std below "
              "0.1 on every seed, where with stop-gradient it is above 0.3, and kNN is lower.",
              evidence=[f"10/removed/{part}/{key}" for part in ("simsiam-no-norm-no-stop-gradient", "simsiam-no-norm")
                        for key in ("std", "knn")],
              without={"10/removed/simsiam-no-norm-no-stop-gradient/std": "10/removed/simsiam-no-norm/std"})
def _(r):
    off, on = "10/removed/simsiam-no-norm-no-stop-gradient/", "10/removed/simsiam-no-norm/"
    return (every(r[off + "std"], lambda std: std < 0.1) and every(r[on + "std"], lambda std: std > 0.3)
            and beats(r[on + "knn"], r[off + "knn"]))


@define_claim("10/norm-does-not-hold", "With batch norm on z SimSiam without stop-gradient falls all the same: in runs of every length "
              "the std of z in training is below 0.5 on every seed, where with stop-gradient it is above 0.9, and after the "
              "whole recipe kNN is more than 10 points lower.",
              evidence=[*(f"10/length/{state}/{share}/std-in-training" for state in ("on", "off") for share in (0.15, 0.3, 1.0)),
                        "10/length/off/1.0/knn", "10/length/on/1.0/knn"],
              without={"10/length/off/1.0/knn": "10/length/on/1.0/knn"})
def _(r):
    spread = {state: [r[f"10/length/{state}/{share}/std-in-training"] for share in (0.15, 0.3, 1.0)] for state in ("on", "off")}
    return (all(every(record, lambda std: std < 0.5) for record in spread["off"])
            and all(every(record, lambda std: std > 0.9) for record in spread["on"])
            and beats(r["10/length/on/1.0/knn"], r["10/length/off/1.0/knn"], margin=0.10))


@define_claim("10/switching-off-collapses", "Without norm on z, switching stop-gradient off in mid-training collapses SimSiam within a "
              "fifth of a short run: std above 0.2 before, below 0.1 after, on every seed.",
              evidence=["10/switched/before/std", "10/switched/off/std"],
              without={"10/switched/off/std": "10/switched/before/std"})
def _(r):
    return (every(r["10/switched/before/std"], lambda std: std > 0.2)
            and every(r["10/switched/off/std"], lambda std: std < 0.1))


@define_claim("10/byol-predictor-holds", "BYOL without norm on z and without a slow teacher (momentum 0) is held up by its predictor: std "
              "above 0.3 on every seed, and below 0.1 when the predictor goes too.",
              evidence=["10/removed/byol-no-norm-momentum-0/std", "10/removed/byol-no-norm-momentum-0-no-predictor/std"],
              without={"10/removed/byol-no-norm-momentum-0-no-predictor/std": "10/removed/byol-no-norm-momentum-0/std"})
def _(r):
    return (every(r["10/removed/byol-no-norm-momentum-0/std"], lambda std: std > 0.3)
            and every(r["10/removed/byol-no-norm-momentum-0-no-predictor/std"], lambda std: std < 0.1))


@define_claim("10/byol-needs-no-slow-teacher", "BYOL needs no slow teacher here: with momentum 0 the std of z stays above 0.5 on every seed, "
              "and the probe loses less than 10 points.",
              evidence=["10/removed/byol-momentum-0/std", "10/removed/byol-momentum-0/probe", "10/removed/byol/probe"],
              without={"10/removed/byol-momentum-0/std": 0.05})
def _(r):
    return (every(r["10/removed/byol-momentum-0/std"], lambda std: std > 0.5)
            and r["10/removed/byol-momentum-0/probe"].value > r["10/removed/byol/probe"].value - 0.10)


@define_claim("10/random-teacher-teaches", "To predict a random network that never moves is worth something: the probe is more than "
              "5 points above that of a random encoder.",
              evidence=["10/removed/byol-momentum-1/probe", "07/untrained/random-encoder"],
              without={"10/removed/byol-momentum-1/probe": "07/untrained/random-encoder"})
def _(r):
    return beats(r["10/removed/byol-momentum-1/probe"], r["07/untrained/random-encoder"], margin=0.05)


@define_claim("10/dino-two-collapses", "DINO collapses in two ways: without sharpening the loss stays within 0.1 of log K (all K prototypes "
              "alike) and the probe loses more than 10 points; without centring the loss falls below half of the usual one and "
              "fewer prototypes are used.",
              evidence=["10/removed/dino/loss", "10/removed/dino/probe", "10/removed/dino/prototypes-used",
                        "10/removed/dino-no-sharpening/loss", "10/removed/dino-no-sharpening/probe",
                        "10/removed/dino-no-centring/loss", "10/removed/dino-no-centring/prototypes-used"],
              without={"10/removed/dino-no-sharpening/loss": "10/removed/dino/loss",
                       "10/removed/dino-no-centring/loss": "10/removed/dino/loss"})
def _(r):
    from math import log

    usual, dull, one = ("10/removed/dino/", "10/removed/dino-no-sharpening/", "10/removed/dino-no-centring/")
    return (every(r[dull + "loss"], lambda loss: abs(loss - log(PROTOTYPES)) < 0.1)
            and beats(r[usual + "probe"], r[dull + "probe"], margin=0.10)
            and max((r[one + "loss"].value, *r[one + "loss"].draws)) < r[usual + "loss"].value / 2
            and beats(r[usual + "prototypes-used"], r[one + "prototypes-used"]))
