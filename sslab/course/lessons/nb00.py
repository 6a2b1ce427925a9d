"""00_start_here: what an encoder that saw no label is worth with few, and what is left without negatives."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import BUDGETS, DRAWS

DATASETS = ("digits", "fashion", "emoji")


@evidence("00/probe/digits", seeds=range(5), version=2, unit="accuracy")
def probe_digits(seed):
    """The headline: 5 seeds."""
    return _probe(seed, "digits")


@evidence("00/probe/fashion", seeds=range(3), version=2, unit="accuracy")
def probe_fashion(seed):
    """The honest second: 3 seeds."""
    return _probe(seed, "fashion")


def _probe(seed, dataset):
    """SimCLR and the same encoder untrained, probed on 10 draws of labels; test accuracy."""
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain

    objective, data, step = pretrain(dataset, seed)
    untrained = evaluation.random_encoder(objective.encoder, data.train.images, seed)
    rows = {"loss": (float(step.loss), "nats")}
    for name, encoder in (("simclr", objective.encoder), ("random-encoder", untrained)):
        table = evaluation.label_efficiency(encoder, data, BUDGETS, DRAWS)
        for budget in BUDGETS:
            rows[f"{budget}/{name}"], rows[f"{budget}/{name}-generous"] = table.fixed[budget], table.generous[budget]
    bank, queries = (evaluation.features(objective.encoder, split.images) for split in (data.train, data.test))
    rows["knn"] = float((evaluation.knn(bank, data.train.labels, queries) == data.test.labels).float().mean())
    rows["effective-rank"] = (float(evaluation.effective_rank(queries)), "directions")
    return rows


@evidence("00/pixels", version=1, unit="accuracy", dataset=DATASETS)
def pixels(seed, dataset):
    """Raw pixels on the same draws."""
    import sslab
    from sslab import evaluation

    data = sslab.load(dataset)
    table = evaluation.label_efficiency(evaluation.raw_pixels, data, BUDGETS, DRAWS)
    return {**{str(budget): table.fixed[budget] for budget in BUDGETS},
            **{f"{budget}/generous": table.generous[budget] for budget in BUDGETS}}


@evidence("00/supervised", version=2, unit="accuracy", dataset=DATASETS, budget=BUDGETS)
def supervised(seed, dataset, budget):
    """The same encoder from scratch on the same labels and views; its settings searched on validation."""
    import sslab
    from sslab import evaluation
    from sslab.views import Augment

    table = evaluation.supervised(sslab.load(dataset), (budget,), DRAWS, views=Augment.named(dataset))
    return {"": table.fixed[budget]}


@evidence("00/negatives", seeds=range(3), version=2, negatives=("on", "off"))
def negatives(seed, negatives):
    """Spread and rank of the projections of 1,000 validation digits, with and without negatives."""
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain, projections

    objective, data, step = pretrain("digits", seed, share=0.15, negatives=negatives == "on")
    z = projections(objective, data.validation.images[:1000])
    return {"std": (float(evaluation.feature_std(z)), "std sqrt(D)"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions"),
            "loss": (float(step.loss), "nats")}


def _beats_controls(number: int, margin: float):
    names = {role: name.format(number) for role, name in {
        "ours": "00/probe/digits/{}/simclr", "raw": "00/pixels/digits/{}",
        "random": "00/probe/digits/{}/random-encoder", "supervised": "00/supervised/digits/{}"}.items()}
    ours = names["ours"]

    def holds(r):
        return all(beats(r[ours], r[name], margin=margin) for name in names.values() if name != ours)

    word = {1: "one label", 5: "5 labels", 20: "20 labels"}[number]
    return names, ours, holds, word


def _define(slug: str, number: int, margin: float) -> None:
    names, ours, holds, word = _beats_controls(number, margin)
    by = f", each by more than {100 * margin:.0f} points" if margin else ""
    define_claim(f"00/{slug}", f"On digits with {word} a class the SimCLR encoder beats raw pixels, the random encoder "
                 f"and supervised training from scratch{by}.",
                 evidence=list(names.values()), without={ours: names["supervised"]})(holds)


_define("one-label", 1, 0.15)
_define("five-labels", 5, 0.05)
_define("twenty-labels", 20, 0.0)


@define_claim("00/fashion-honest", "On clothes SimCLR beats every control with 5 labels a class, and with 100, its "
              "penalty fixed, it falls behind supervised training.",
              evidence=["00/probe/fashion/5/simclr", "00/pixels/fashion/5", "00/probe/fashion/5/random-encoder",
                        "00/supervised/fashion/5", "00/probe/fashion/100/simclr", "00/supervised/fashion/100"],
              without={"00/probe/fashion/5/simclr": "00/supervised/fashion/5"})
def _(r):
    controls = ("00/pixels/fashion/5", "00/probe/fashion/5/random-encoder", "00/supervised/fashion/5")
    return (all(beats(r["00/probe/fashion/5/simclr"], r[name]) for name in controls)
            and beats(r["00/supervised/fashion/100"], r["00/probe/fashion/100/simclr"]))


@define_claim("00/no-negatives-collapses", "Without negatives the projections of all digits become nearly the same: "
              "their std, where 1 is spread over the sphere, falls below 0.1.",
              evidence=["00/negatives/off/std", "00/negatives/on/std"],
              without={"00/negatives/off/std": "00/negatives/on/std"})
def _(r):
    off, on = r["00/negatives/off/std"], r["00/negatives/on/std"]
    return every(off, lambda value: value < 0.1) and on.value > 0.5
