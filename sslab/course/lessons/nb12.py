"""12_clustering: what Sinkhorn, its epsilon, the crops and the number of prototypes do to SwAV, on validation images."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHARE = 0.3                                                          # of the recipe's steps, so that a class can repeat it


def _measure(seed, **options):
    from sslab.course.lessons.common import measure

    return measure(seed, "swav", share=SHARE, **options)


@evidence("12/removed", seeds=range(3), version=1, how=("swav", "swav-no-sinkhorn"))
def removed(seed, how):
    """A short run of SwAV, and one whose codes are a plain softmax."""
    return _measure(seed, balanced=how == "swav")


@evidence("12/epsilon", seeds=range(3), version=1, epsilon=(0.03, 0.05, 0.1, 0.5))
def epsilon(seed, epsilon):
    """A short run with codes from sharp to soft, at temperature 0.1."""
    return _measure(seed, epsilon=epsilon, temperature=0.1)


@evidence("12/crops", seeds=range(3), version=1, small=(0, 2, 4))
def crops(seed, small):
    """A short run with no small crops beside the two large ones, and with some."""
    return _measure(seed, local_views=small)


@evidence("12/prototypes", seeds=range(3), version=1, count=(16, 64, 256))
def prototypes(seed, count):
    """A short run with fewer and with more prototypes, and how pure its clusters are.

    Purity: name each prototype by the class that most of the validation images that choose it have; the share of images
    whose class is that name. The same with shuffled labels says what the number of clusters gives for nothing.
    """
    import torch

    from sslab import evaluation
    from sslab.course.lessons.common import pretrain, projections, quick_probe
    from sslab.objectives import prototypes_used

    made, data, step = pretrain("digits", seed, "swav", share=SHARE, prototypes=count)
    z = projections(made, data.validation.images)
    with torch.no_grad():
        scores = made.prototypes(z.to(made.prototypes.weight)).cpu()
    labels = data.validation.labels
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    return {"probe": (quick_probe(made, data), "accuracy"), "prototypes-used": (float(prototypes_used(scores)), "prototypes"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions"), "loss": (float(step.loss), "nats"),
            "purity": (purity(scores, labels), "share"), "purity-shuffled": (purity(scores, shuffled), "share")}


def purity(scores, labels) -> float:
    """Share of images [N] that have the most frequent label of the prototype they are nearest to, scores [N, K]."""
    from torch.nn.functional import one_hot

    counts = one_hot(scores.argmax(dim=1), scores.shape[1]).T @ one_hot(labels.long())                 # [K, classes]
    return float(counts.amax(dim=1).sum()) / len(labels)


@define_claim("12/no-sinkhorn-one-prototype", "Without Sinkhorn all pictures end at one prototype: on every seed fewer than 2 "
              "of 64 are in use, and more than 20 with it.",
              evidence=["12/removed/swav-no-sinkhorn/prototypes-used", "12/removed/swav/prototypes-used"],
              without={"12/removed/swav-no-sinkhorn/prototypes-used": "12/removed/swav/prototypes-used"})
def _(r):
    off, on = r["12/removed/swav-no-sinkhorn/prototypes-used"], r["12/removed/swav/prototypes-used"]
    return every(off, lambda value: value < 2) and every(on, lambda value: value > 20)


@define_claim("12/no-sinkhorn-perfect-loss", "Without Sinkhorn the loss is below a tenth of that with it, and the probe is "
              "lower.",
              evidence=["12/removed/swav-no-sinkhorn/loss", "12/removed/swav/loss", "12/removed/swav-no-sinkhorn/probe",
                        "12/removed/swav/probe"],
              without={"12/removed/swav-no-sinkhorn/probe": "12/removed/swav/probe"})
def _(r):
    return (r["12/removed/swav-no-sinkhorn/loss"].value < 0.1 * r["12/removed/swav/loss"].value
            and beats(r["12/removed/swav/probe"], r["12/removed/swav-no-sinkhorn/probe"]))


@define_claim("12/soft-codes-teach-nothing", "With epsilon 0.5 the loss ends at log 64, where all clusters are alike, and the "
              "probe is more than 10 points below that of epsilon 0.03.",
              evidence=["12/epsilon/0.5/loss", "12/epsilon/0.5/probe", "12/epsilon/0.03/probe"],
              without={"12/epsilon/0.5/probe": "12/epsilon/0.03/probe"})
def _(r):
    from math import log

    return (abs(r["12/epsilon/0.5/loss"].value - log(64)) < 0.02
            and beats(r["12/epsilon/0.03/probe"], r["12/epsilon/0.5/probe"], margin=0.10))


@define_claim("12/clusters-know-classes", "Nobody told SwAV a class, and yet its 64 clusters are purer than chance makes "
              "them, by more than 30 points.",
              evidence=["12/prototypes/64/purity", "12/prototypes/64/purity-shuffled"],
              without={"12/prototypes/64/purity": "12/prototypes/64/purity-shuffled"})
def _(r):
    return beats(r["12/prototypes/64/purity"], r["12/prototypes/64/purity-shuffled"], margin=0.30)
