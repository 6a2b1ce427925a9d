"""07_contrastive_simclr: what temperature, views, batch and negatives do to SimCLR, measured on validation images."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence


def _measure(seed, **options):
    from sslab.course.lessons.common import measure

    return measure(seed, **options)


@evidence("07/temperature", seeds=range(3), version=2, temperature=(0.05, 0.2, 0.5, 2.0))
def temperature(seed, temperature):
    """A short run at each temperature."""
    return _measure(seed, temperature=temperature)


@evidence("07/views", seeds=range(3), version=2, views=("none", "crop", "rotation"))
def views(seed, views):
    """A short run with no views at all, and with one kind of view; all of them: 07/temperature/0.5."""
    from sslab.views import Augment

    everything = Augment.named("digits")
    made = {"none": Augment(), "crop": Augment(crop=everything.crop), "rotation": Augment(rotation=everything.rotation)}[views]
    return _measure(seed, views=made)


@evidence("07/batch", seeds=range(3), version=2, batch=(256, 1024))
def batch(seed, batch):
    """As many views in smaller batches: fewer negatives for each view, more steps; 64: 07/temperature/0.5."""
    return _measure(seed, batch_size=batch)


@evidence("07/broken", seeds=range(3), version=2, how=("no-negatives", "self-pairs", "shuffled"))
def broken(seed, how):
    """A short run with one thing broken."""
    knobs = {"no-negatives": {"negatives": False}, "self-pairs": {"self_pairs_masked": False},
             "shuffled": {"positives_shuffled": True}}[how]
    return _measure(seed, **knobs)


@evidence("07/untrained", seeds=range(3), version=2)
def untrained(seed):
    """The controls of the short runs: the encoder before training, and raw pixels."""
    import torch

    import sslab
    from sslab import evaluation

    data = sslab.load("digits")
    torch.manual_seed(seed)
    encoder = evaluation.random_encoder(sslab.encoders.create("conv", data), data.train.images, seed)
    return {name: (evaluation.label_efficiency(what, data, (5,), 5, penalties=(0.1,), on="validation").mean(5), "accuracy")
            for name, what in (("random-encoder", encoder), ("raw-pixels", evaluation.raw_pixels))}


@define_claim("07/views-make-the-task", "Without views SimCLR learns nothing of use to the probe: it stays below raw pixels, "
              "while with all views it is above.",
              evidence=["07/views/none/probe", "07/temperature/0.5/probe", "07/untrained/raw-pixels"],
              without={"07/views/none/probe": "07/temperature/0.5/probe"})
def _(r):
    pixels = r["07/untrained/raw-pixels"]
    return beats(pixels, r["07/views/none/probe"]) and beats(r["07/temperature/0.5/probe"], pixels)


@define_claim("07/no-negatives-collapses", "Without negatives the projections collapse to one point: std below 0.1 on "
              "every seed, and above 0.5 with them.",
              evidence=["07/broken/no-negatives/std", "07/temperature/0.5/std"],
              without={"07/broken/no-negatives/std": "07/temperature/0.5/std"})
def _(r):
    off, on = r["07/broken/no-negatives/std"], r["07/temperature/0.5/std"]
    return every(off, lambda value: value < 0.1) and on.value > 0.5


@define_claim("07/shuffled-learns-nothing", "With strangers as partners the loss stays at chance and the probe falls "
              "below that of the right partners.",
              evidence=["07/broken/shuffled/loss", "07/broken/shuffled/probe", "07/temperature/0.5/probe"],
              without={"07/broken/shuffled/probe": "07/temperature/0.5/probe"})
def _(r):
    from math import log

    at_chance = abs(r["07/broken/shuffled/loss"].value - log(2 * 64 - 1)) < 0.05
    return at_chance and beats(r["07/temperature/0.5/probe"], r["07/broken/shuffled/probe"], margin=0.05)


@define_claim("07/hot-forgets-details", "At temperature 2, where all negatives push alike, the probe is below "
              "that at 0.5.",
              evidence=["07/temperature/2.0/probe", "07/temperature/0.5/probe"],
              without={"07/temperature/2.0/probe": "07/temperature/0.5/probe"})
def _(r):
    return beats(r["07/temperature/0.5/probe"], r["07/temperature/2.0/probe"])
