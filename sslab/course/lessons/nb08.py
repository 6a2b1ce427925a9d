"""08_momentum_contrast: what MoCo's queue and slow teacher are worth here, measured on validation images."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHARE = 0.3                                                          # of the recipe's steps


def _measure(seed, **options):
    from sslab.course.lessons.common import measure

    return measure(seed, "moco", share=SHARE, **options)


@evidence("08/momentum", seeds=range(3), version=1, momentum=(0.0, 0.9, 0.99, 0.999))
def momentum(seed, momentum):
    """A short run with key encoders from fast to slow."""
    return _measure(seed, momentum=momentum)


@evidence("08/queue", seeds=range(3), version=1, size=("off", 256, 4096))
def queue(seed, size):
    """A short run with the batch's own keys as negatives, with a small queue and a large one."""
    return _measure(seed, queue=False) if size == "off" else _measure(seed, size=size)


@evidence("08/no-queue", seeds=range(3), version=1, momentum=(0.0, 0.9, 0.99, 0.999))
def no_queue(seed, momentum):
    """The same key encoders where no key is older than the step: negatives from the batch."""
    return _measure(seed, momentum=momentum, queue=False)


@evidence("08/broken", seeds=range(3), version=1, how=("no-negatives",))
def broken(seed, how):
    """A short run in which queries approach their keys and nothing pushes."""
    return _measure(seed, **{"no-negatives": {"negatives": False}}[how])


@evidence("08/symmetric", seeds=range(3), version=1, how=("one-direction", "both"))
def symmetric(seed, how):
    """A short run with one query a picture, and with two."""
    return _measure(seed, symmetric=how == "both")


@evidence("08/drift", seeds=range(3), version=1, momentum=(0.0, 0.9, 0.99, 0.999))
def drift(seed, momentum):
    """How much a key changes while it waits in the queue: 500 validation images, their keys now and when the oldest
    keys in the queue were made.

    In the second half of a short run: the cosine of both keys of a picture, the cosine of keys of different
    pictures, and the share of pictures whose own old key is the most similar of all old keys.
    """
    import torch
    import torch.nn.functional as F

    import sslab
    from sslab.views import Augment

    data = sslab.load("digits")
    options = sslab.recipe("moco", "digits", share=SHARE)
    torch.manual_seed(seed)
    made = sslab.objectives.create("moco", sslab.encoders.create("conv", data), views=Augment.named("digits"),
                                   momentum=momentum)
    images, keys, rows = data.validation.images[:500], [], []
    wait = max(1, min(len(made.past.keys) // (2 * options["batch_size"]), options["steps"] // 3))      # steps in the queue
    for step in sslab.train(made, data, seed=seed, precision="float32", **options):
        if step.index < options["steps"] // 2 - wait:
            continue
        with torch.no_grad():                                        # with batch statistics, as keys are made in training
            encoder, projector = made.teacher.networks[:2]
            keys.append(F.normalize(projector(encoder(images.to(step.loss.device).float() / 255)), dim=1))     # [500, P]
        if len(keys) > wait:
            cosines = keys[-1] @ keys.pop(0).T                       # [now, then]
            own = cosines.diagonal()
            rows.append((own.mean(), (cosines.sum() - own.sum()) / (cosines.numel() - len(own)),
                         (cosines.argmax(dim=1) == torch.arange(len(own), device=own.device)).float().mean()))
    own, others, found = torch.tensor(rows).mean(dim=0).tolist()
    return {"own": (own, "cosine"), "others": (others, "cosine"), "found": (found, "share of pictures")}


@define_claim("08/slow-keys-keep", "A slow teacher keeps old keys valid: at momentum 0.99 a picture's key is more like its own "
              "old key than at momentum 0.",
              evidence=["08/drift/0.99/own", "08/drift/0.0/own"], without={"08/drift/0.99/own": "08/drift/0.0/own"})
def _(r):
    return beats(r["08/drift/0.99/own"], r["08/drift/0.0/own"])


@define_claim("08/fast-teacher-fails", "With a queue, a teacher of momentum 0 costs more than 5 points on the probe against "
              "momentum 0.99.",
              evidence=["08/momentum/0.99/probe", "08/momentum/0.0/probe"],
              without={"08/momentum/0.0/probe": "08/momentum/0.99/probe"})
def _(r):
    return beats(r["08/momentum/0.99/probe"], r["08/momentum/0.0/probe"], margin=0.05)


@define_claim("08/queue-needs-slow-keys", "It is the queue that needs the slow teacher: at momentum 0 the probe is more than "
              "10 points better with the batch's own keys as negatives than with the queue.",
              evidence=["08/no-queue/0.0/probe", "08/momentum/0.0/probe"],
              without={"08/no-queue/0.0/probe": "08/momentum/0.0/probe"})
def _(r):
    return beats(r["08/no-queue/0.0/probe"], r["08/momentum/0.0/probe"], margin=0.10)


@define_claim("08/queue-hardly-matters", "In runs this short the queue changes little: the probe with 4,096 negatives is within "
              "5 points of that with the batch's own keys.",
              evidence=["08/queue/4096/probe", "08/queue/off/probe", "08/broken/no-negatives/probe"],
              without={"08/queue/4096/probe": "08/broken/no-negatives/probe"})
def _(r):
    return abs(r["08/queue/4096/probe"].value - r["08/queue/off/probe"].value) < 0.05


@define_claim("08/no-negatives-collapses", "Without negatives a slow teacher does not hold the projections up: their std stays "
              "below 0.3 on every seed, and is above 0.6 with negatives.",
              evidence=["08/broken/no-negatives/std", "08/momentum/0.99/std"],
              without={"08/broken/no-negatives/std": "08/momentum/0.99/std"})
def _(r):
    off, on = r["08/broken/no-negatives/std"], r["08/momentum/0.99/std"]
    return every(off, lambda value: value < 0.3) and on.value > 0.6
