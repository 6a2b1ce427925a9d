"""02_classic_pretext_tasks: rotation, jigsaw and colourisation, what they are worth and what they are solved with."""

import math

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import board_row

LOOKS = {"touching": {"gap": 0}, "touching-alone": {"gap": 0, "compare": False},
         "apart": {"gap": 3}, "apart-alone": {"gap": 3, "compare": False}}
COLOURS = {"weighed": {}, "plain": {"rebalance": 0.0}, "mean": {"answer": "mean"}, "all-grey": {"grey": 1.0},
           "colours-left": {"grey": 0.0}}


@evidence("02/board/fashion", seeds=range(3), version=1, unit="accuracy", method=("rotation", "jigsaw"))
def board_fashion(seed, method):
    """Two tasks on clothes, by the recipe."""
    return _board(seed, "fashion", method)


@evidence("02/board/emoji", seeds=range(3), version=1, unit="accuracy", method=("rotation", "jigsaw", "colourisation"))
def board_emoji(seed, method):
    """Three tasks on emoji, by the recipe; the rotation predictor is then asked about pictures that have no up."""
    return _board(seed, "emoji", method)


def _board(seed, dataset, method):
    """Test accuracy of probe and kNN, and how well the task itself is solved on validation images."""
    import sslab
    from sslab.course.lessons.common import pretrain

    made, data, _ = pretrain(dataset, seed, method)
    rows = {**board_row(made.encoder, data), **_solved(made, data)}
    if (dataset, method) == ("emoji", "rotation"):
        rows |= {f"asked-{name}/{key}": value for name in ("emoji", "shapes")
                 for key, value in asked(made, sslab.load(name).validation.images[:800]).items()}
    return rows


def _solved(objective, data) -> dict:
    """Loss and accuracy of the pretext task on the first 500 validation images (of emoji: faces and people), in eval mode.

    Colours are asked of grey pictures only.
    """
    import torch

    from sslab.evaluation import evaluating

    if hasattr(objective, "grey"):
        objective.set(grey=1.0)
    device = next(objective.parameters()).device
    with torch.no_grad(), evaluating(objective):
        loss = objective(objective.make_views(data.validation.images[:500].to(device), torch.Generator().manual_seed(0)))
    return {"loss": (float(loss.total), "nats"), **{name.replace("_", "-"): float(term) for name, term in loss.terms.items()}}


def asked(rotation, images) -> dict:
    """All four turns of some pictures: the share of right answers, and the mean probability that an answer is given with."""
    import torch

    from sslab.evaluation import evaluating
    from sslab.objectives import four_turns

    with torch.no_grad(), evaluating(rotation.cpu()):
        p = torch.cat([rotation.turns(part) for part in four_turns(images / 255).flatten(0, 1).split(400)])          # [4N, 4]
    right = p.argmax(dim=1) == torch.arange(4).repeat(len(images))
    return {"accuracy": float(right.float().mean()), "confidence": (float(p.amax(dim=1).mean()), "probability")}


def _short(seed, dataset, objective, share, **knobs):
    """A short run: the objective, and how well its task is solved with the probe (validation, 5 labels a class)."""
    from sslab.course.lessons.common import pretrain, quick_probe

    made, data, _ = pretrain(dataset, seed, objective, share=share, **knobs)
    return made, {**_solved(made, data), "probe": quick_probe(made, data)}


@evidence("02/untrained", seeds=range(3), version=1, unit="accuracy", dataset=("fashion", "emoji"))
def untrained(seed, dataset):
    """The controls of the short runs, on validation images."""
    import sslab
    from sslab import evaluation

    data = sslab.load(dataset)
    encoder = evaluation.random_encoder(sslab.encoders.create("conv", data), data.train.images, seed)
    rows = {"raw-pixels": evaluation.raw_pixels, "random-encoder": encoder}
    return {name: evaluation.label_efficiency(what, data, (5,), 5, penalties=(0.1,), on="validation").mean(5)
            for name, what in rows.items()}


@evidence("02/jigsaw", seeds=range(3), version=1, unit="accuracy", how=tuple(LOOKS))
def jigsaw(seed, how):
    """Patches that touch or not, with the middle patch in sight or not."""
    return _short(seed, "fashion", "jigsaw", 0.25, **LOOKS[how])[1]


@evidence("02/colours", seeds=range(3), version=1, unit="accuracy", how=tuple(COLOURS))
def colours(seed, how):
    """Ways to ask for a colour; and how colourful the answers are: their mean distance from grey over the truth's."""
    import torch

    import sslab
    from sslab.evaluation import evaluating
    from sslab.objectives import rgb_to_lab

    made, rows = _short(seed, "emoji", "colourisation", 0.65, **COLOURS[how])
    images = sslab.load("emoji").validation.images[:400]
    with torch.no_grad(), evaluating(made.cpu()):
        said = made.colourise(images, 1.0 if made.answer == "mean" else 0.38)
    chroma = [float(rgb_to_lab(each)[:, 1:].norm(dim=1).mean()) for each in (said, images / 255)]
    return {**rows, "colourfulness": (chroma[0] / chroma[1], "of the truth")}


@evidence("02/up", seeds=range(3), version=1, unit="accuracy", how=("upright", "turned"))
def up(seed, how):
    """Rotation on clothes as they are, and with a random turn before the task is made."""
    return _short(seed, "fashion", "rotation", 0.25, upright=how == "upright")[1]


@define_claim("02/rotation-learns", "With 5 labels a class the rotation encoder is more than 10 points above the same encoder "
              "untrained on clothes, and above it on emoji, too.",
              evidence=[f"{board}/5" for data in ("fashion", "emoji") for board in (f"02/board/{data}/rotation", f"13/board/{data}/random-encoder")],
              without={"02/board/emoji/rotation/5": "13/board/emoji/random-encoder/5"})
def _(r):
    return (beats(r["02/board/fashion/rotation/5"], r["13/board/fashion/random-encoder/5"], margin=0.10)
            and beats(r["02/board/emoji/rotation/5"], r["13/board/emoji/random-encoder/5"]))


@define_claim("02/jigsaw-does-not-help", "On clothes and on emoji, with 5 labels a class, the jigsaw encoder is below raw pixels.",
              evidence=["02/board/fashion/jigsaw/5", "00/pixels/fashion/5", "02/board/emoji/jigsaw/5", "00/pixels/emoji/5"],
              without={"02/board/emoji/jigsaw/5": 0.5})
def _(r):
    return all(beats(r[f"00/pixels/{data}/5"], r[f"02/board/{data}/jigsaw/5"]) for data in ("fashion", "emoji"))


@define_claim("02/solved-is-not-worth", "A task that is solved well need not lift the encoder above raw pixels: on clothes more than 9 of 10 "
              "turns are told, and yet, with 5 labels a class, the encoder is not more than 3 points above raw pixels.",
              evidence=["02/board/fashion/rotation/accuracy", "02/board/fashion/rotation/5", "00/pixels/fashion/5"],
              without={"02/board/fashion/rotation/5": 0.9})
def _(r):
    return (every(r["02/board/fashion/rotation/accuracy"], lambda share: share > 0.9)
            and not beats(r["02/board/fashion/rotation/5"], r["00/pixels/fashion/5"], margin=0.03))


@define_claim("02/one-patch-tells", "With the middle patch hidden, at least twice as many places are told as by guessing, whether "
              "patches touch or not.",
              evidence=["02/jigsaw/touching-alone/accuracy", "02/jigsaw/apart-alone/accuracy"],
              without={"02/jigsaw/apart-alone/accuracy": 1 / 8})
def _(r):
    return all(every(record, lambda share: share > 2 / 8) for record in r.values())


@define_claim("02/edges-tell", "The sight of the middle patch adds more right answers where patches touch than where they do not.",
              evidence=[f"02/jigsaw/{how}/accuracy" for how in LOOKS],
              without={"02/jigsaw/touching/accuracy": "02/jigsaw/touching-alone/accuracy"})
def _(r):
    gain = {how: r[f"02/jigsaw/{how}/accuracy"].value - r[f"02/jigsaw/{how}-alone/accuracy"].value for how in ("touching", "apart")}
    return gain["touching"] > gain["apart"]


@define_claim("02/gap-is-no-harder", "On clothes a gap between the patches does not make the puzzle harder.",
              evidence=["02/jigsaw/touching/accuracy", "02/jigsaw/apart/accuracy"],
              without={"02/jigsaw/apart/accuracy": 1 / 8})
def _(r):
    return not beats(r["02/jigsaw/touching/accuracy"], r["02/jigsaw/apart/accuracy"])


@define_claim("02/weights-bring-colour", "Without weights more places get the right colour, and fewer of those that are not grey.",
              evidence=[f"02/colours/{how}/{what}" for how in ("weighed", "plain") for what in ("accuracy", "accuracy-in-colour")],
              without={"02/colours/plain/accuracy-in-colour": "02/colours/weighed/accuracy-in-colour"})
def _(r):
    return (beats(r["02/colours/plain/accuracy"], r["02/colours/weighed/accuracy"])
            and beats(r["02/colours/weighed/accuracy-in-colour"], r["02/colours/plain/accuracy-in-colour"]))


@define_claim("02/no-up-no-answer", "After a random turn of each garment fewer than 30 % of the answers are right and the loss stays at "
              "chance, log 4, or above; upright, more than 85 % are right.",
              evidence=["02/up/turned/accuracy", "02/up/turned/loss", "02/up/upright/accuracy"],
              without={"02/up/turned/accuracy": "02/up/upright/accuracy"})
def _(r):
    return (every(r["02/up/turned/accuracy"], lambda share: share < 0.3)
            and every(r["02/up/turned/loss"], lambda loss: loss > math.log(4) - 0.02)
            and every(r["02/up/upright/accuracy"], lambda share: share > 0.85))
