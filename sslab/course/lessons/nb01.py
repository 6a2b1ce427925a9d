"""01_measuring_representations: what a number depends on beside the representation, and what each leak was worth."""

from functools import lru_cache

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import BUDGETS, DRAWS, SHORT
from sslab.modes import by_mode

DATASETS = ("digits", "fashion")
NEIGHBOURS = (3, 15, 50)                                             # of the UMAPs
LAYOUTS = 3                                                          # seeds of a map
MAPPED = 800                                                         # images on a map
# Tried on validation for each budget: small steps for few labels, large ones for many.
SEARCH = ({"learning_rate": 3e-4, "steps": 100, "weight_decay": 0.05}, {"learning_rate": 3e-3, "steps": 200, "weight_decay": 0.05})


@lru_cache(maxsize=8)
def pretrained(dataset: str, seed: int):
    """A short SimCLR run -> (objective, dataset); one for all evidence of a process, so nobody may change it."""
    from sslab.course.lessons.common import pretrain

    objective, data, _ = pretrain(dataset, seed, share=SHORT)
    return objective.eval(), data


def embedded(encoder, data):
    """A dataset whose inputs are the encoder's output, for `label_efficiency(lambda h: h, ...)`."""
    from sslab import evaluation
    from sslab.datasets.base import PARTS
    from sslab.evaluation.labels import as_dataset
    from sslab.evaluation.layers import smaller

    data = smaller(data)
    return as_dataset(data, {name: evaluation.features(encoder, getattr(data, name).images) for name in PARTS})


def near_accuracy(h, budget: int, draws: int) -> list[float]:
    """kNN on few labels, k as many as a class has labels, at most 20: test accuracy of each draw."""
    from sslab import evaluation

    found = []
    for draw in range(draws):
        rows = evaluation.draw_labels(h.train.labels, budget, draw)
        predicted = evaluation.knn(h.train.inputs[rows], h.train.labels[rows], h.test.inputs, k=min(budget, 20))
        found.append(float((predicted == h.test.labels).float().mean()))
    return found


@evidence("01/measures", seeds=range(3), version=1, unit="accuracy", dataset=DATASETS)
def measures(seed, dataset):
    """kNN, linear probe and fine-tuning of one encoder on the same draws; and the random encoder's probe."""
    from sslab import evaluation
    from sslab.views import Augment

    objective, data = pretrained(dataset, seed)
    h = embedded(objective.encoder, data)
    untrained = embedded(evaluation.random_encoder(objective.encoder, data.train.images, seed), data)
    draws = 2                                                        # fine-tuning takes its time
    probe = evaluation.label_efficiency(lambda x: x, h, BUDGETS, DRAWS, penalties=(0.1,))
    chosen = evaluation.label_efficiency(lambda x: x, h, BUDGETS, draws)
    control = evaluation.label_efficiency(lambda x: x, untrained, BUDGETS, DRAWS, penalties=(0.1,))
    tuned = evaluation.fine_tuned(objective.encoder, data, BUDGETS, draws, Augment.named(dataset), by_mode(None, SEARCH),
                                  search_draws=1)
    rows = {}
    for budget in BUDGETS:
        rows |= {f"{budget}/knn": near_accuracy(h, budget, DRAWS), f"{budget}/probe": probe.fixed[budget],
                 f"{budget}/random-encoder": control.fixed[budget], f"{budget}/fine-tuned": tuned.fixed[budget],
                 f"{budget}/fine-tuned-minus-probe": [a - b for a, b in zip(tuned.fixed[budget], chosen.generous[budget], strict=True)]}
    return rows


@evidence("01/layers", seeds=range(3), version=1, unit="accuracy", dataset=DATASETS)
def layers(seed, dataset):
    """A probe of every layer, of SimCLR and of the same network untrained."""
    from sslab import evaluation
    from sslab.evaluation.layers import layer_efficiency

    objective, data = pretrained(dataset, seed)
    untrained = evaluation.random_encoder(objective.encoder, data.train.images, seed)
    found = {"simclr": layer_efficiency(objective.encoder, data, projector=objective.projector),
             "random-encoder": layer_efficiency(untrained, data)}
    return {f"{layer.replace(' ', '-')}/{budget}/{who}": values for who, tables in found.items()
            for layer, table in tables.items() for budget, values in table.fixed.items()}


@evidence("01/penalty", seeds=range(3), version=1, unit="accuracy", dataset=DATASETS)
def penalty(seed, dataset):
    """Four ways to come by the penalty."""
    from sslab.evaluation.penalties import penalty_protocols

    objective, data = pretrained(dataset, seed)
    found = penalty_protocols(lambda x: x, embedded(objective.encoder, data), BUDGETS, DRAWS)
    return {f"{budget}/{protocol.replace(' ', '-')}": values for protocol, rows in found.items() for budget, values in rows.items()}


@evidence("01/maps", seeds=range(3), version=1, unit="islands")
def maps(seed):
    """Islands on UMAPs of clothes and of pure noise; do the distances between classes survive the flattening?"""
    import itertools

    import torch
    import torch.nn.functional as F

    from sslab import evaluation
    from sslab.evaluation.maps import class_distances, islands, pca_map, rank_correlation, umap_map

    objective, data = pretrained("fashion", seed)
    count = by_mode(120, MAPPED)
    labels = data.validation.labels[:count]
    clouds = {"h": F.normalize(evaluation.features(objective.encoder, data.validation.images[:count]), dim=1)}   # what a cosine sees
    clouds["noise"] = torch.randn(clouds["h"].shape, generator=torch.Generator().manual_seed(seed))
    true = class_distances(clouds["h"], labels)
    rows = {}
    for name, x in clouds.items():
        rows |= {f"{name}/itself": islands(x), f"{name}/pca": islands(pca_map(x))}
        for neighbours in NEIGHBOURS:
            points = [umap_map(x, neighbours, layout) for layout in range(LAYOUTS if name == "h" else 1)]
            rows[f"{name}/umap-{neighbours}"] = [islands(one) for one in points]
            if name == "h":
                flat = [class_distances(one, labels) for one in points]
                rows[f"distances/umap-{neighbours}"] = ([rank_correlation(true, one) for one in flat], "rank correlation")
                rows[f"between-layouts/umap-{neighbours}"] = (
                    [rank_correlation(a, b) for a, b in itertools.combinations(flat, 2)], "rank correlation")
    rows["distances/pca"] = (rank_correlation(true, class_distances(pca_map(clouds["h"]), labels)), "rank correlation")
    return rows


@evidence("01/leaks", seeds=range(3), version=1, unit="share of the test images")
def leaks(seed):
    """What each leak is worth, in more than one setting: the number that leaks minus the honest one."""
    from sslab import evaluation

    objective, data = pretrained("fashion", seed)
    h = embedded(objective.encoder, data)
    untrained = evaluation.random_encoder(objective.encoder, data.train.images, seed)
    return {**_choosing(h), **_backbone({"simclr": objective.encoder, "random-encoder": untrained}, data),
            **_statistics(h, objective.encoder, data), **_duplicates(h)}


def _choosing(h) -> dict:
    from sslab import evaluation
    from sslab.evaluation import worth

    rows = {}
    for draw in range(3):
        labelled = evaluation.draw_labels(h.train.labels, 5, draw)
        right = worth.feature_halves(h.train.inputs[labelled], h.train.labels[labelled], h.test.inputs, h.test.labels, seed=draw)
        for images in (50, 500, 2500):
            for variants in (10, 100):
                rows.setdefault(f"chooses/{images}/{variants}", []).append(worth.choosing(right, images, variants, seed=draw))
    return rows


def _backbone(encoders: dict, data) -> dict:
    import torch

    from sslab import evaluation
    from sslab.evaluation import leaks, worth

    test = leaks.rows_of(data.test, torch.arange(by_mode(200, 2000)))
    rows = {}
    for budget in (5, 100):
        for draw in range(2):
            train = leaks.rows_of(data.train, evaluation.draw_labels(data.train.labels, budget, draw))
            for name, encoder in encoders.items():
                encoder.train()                                      # as the person who forgot to freeze it
                rows.setdefault(f"backbone/{budget}/{name}", []).append(worth.backbone(encoder, train, test))
                encoder.eval()
    return rows


def noisier(images, strength: float = 0.2):
    """The same pictures from a worse camera: noise of this std is added to bytes [N, C, H, W]."""
    import torch

    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images.float() + 255 * strength * noise).clamp(0, 255).to(torch.uint8)


def _statistics(h, encoder, data) -> dict:
    from sslab import evaluation
    from sslab.evaluation import worth

    answers = h.test.labels
    noisy = evaluation.features(encoder, noisier(data.test.images))
    rows = {}
    for draw in range(5):
        labelled = evaluation.draw_labels(h.train.labels, 20, draw)
        x, y = h.train.inputs[labelled], h.train.labels[labelled]
        for name, queries, groups in (("same", h.test.inputs, None), ("noisier", noisy, None), ("by-class", h.test.inputs, answers)):
            rows.setdefault(f"statistics/{name}", []).append(worth.statistics(x, y, queries, answers, groups))
    return rows


def _duplicates(h) -> dict:
    import torch

    from sslab.evaluation import worth

    order, rows = torch.Generator().manual_seed(0), {}
    for count in (100, 400, 2000):
        for draw in range(DRAWS):
            some = torch.randperm(len(h.train.labels), generator=order)[:count]
            rows.setdefault(f"duplicates/{count}", []).append(worth.duplicates(h.train.inputs[some], h.train.labels[some], draw))
    return rows


def _define_on_both(name: str, text: str, better: str, worse: str, margin: float = 0.0) -> None:
    """On digits and on clothes: `better` beats `worse`, both names with {} for the dataset."""
    pairs = [(better.format(dataset), worse.format(dataset)) for dataset in DATASETS]

    def holds(r):
        return all(beats(r[a], r[b], margin=margin) for a, b in pairs)

    define_claim(name, text, evidence=[one for pair in pairs for one in pair], without={pairs[0][0]: pairs[0][1]})(holds)


@define_claim("01/h-before-z", "On digits with 100 labels a class a probe of h is right more often than a probe of z.",
              evidence=["01/layers/digits/h/100/simclr", "01/layers/digits/z/100/simclr"],
              without={"01/layers/digits/h/100/simclr": "01/layers/digits/z/100/simclr"})
def _(r):
    before, after = r.values()
    return beats(before, after)


_define_on_both("01/training-makes-depth-pay", "In the trained encoder the class is easier to read from h than from the stem, by more than "
                "10 points with 5 labels a class, on digits and on clothes.",
                "01/layers/{}/h/5/simclr", "01/layers/{}/stem/5/simclr", margin=0.10)
_define_on_both("01/few-labels-are-for-training", "Of ten labels a class, all ten to train on with a penalty fixed beforehand give more than "
                "five to train on and five to choose the penalty with, on digits and on clothes.",
                "01/penalty/{}/5/all-to-train", "01/penalty/{}/5/half-to-choose")
_define_on_both("01/many-labels-may-choose", "Of two hundred labels a class, half to train on and half to choose the penalty with give more "
                "than all of them at the penalty that was fixed beforehand, on digits and on clothes.",
                "01/penalty/{}/100/half-to-choose", "01/penalty/{}/100/all-to-train")


@define_claim("01/fine-tuning-pays-with-labels", "On clothes fine-tuning is ahead of the linear probe with 100 labels a class, by more than "
              "it is with one.",
              evidence=["01/measures/fashion/100/fine-tuned-minus-probe", "01/measures/fashion/1/fine-tuned-minus-probe"],
              without={"01/measures/fashion/100/fine-tuned-minus-probe": "01/measures/fashion/1/fine-tuned-minus-probe"})
def _(r):
    many, one = r.values()
    return every(many, lambda value: value > 0) and beats(many, one)


@define_claim("01/maps-bend-distances", "The order of the distances between classes is kept better by PCA than by UMAP with n_neighbors "
              "15 or 50.",
              evidence=[f"01/maps/distances/{how}" for how in ("pca", "umap-15", "umap-50")],
              without={"01/maps/distances/pca": "01/maps/distances/umap-50"})
def _(r):
    flat, *bent = r.values()
    return all(beats(flat, one) for one in bent)


@define_claim("01/islands-in-noise", "With n_neighbors 3 the UMAP of pure noise has several islands, at least 3 on every seed; with 15 it has "
              "one, as PCA has.",
              evidence=[f"01/maps/noise/{how}" for how in ("umap-3", "umap-15", "pca")],
              without={"01/maps/noise/umap-3": "01/maps/noise/umap-15"})
def _(r):
    few, usual, flat = r.values()
    return every(few, lambda count: count >= 3) and all(every(one, lambda count: count == 1) for one in (usual, flat))


@define_claim("01/few-images-reward-choosing", "The best of 100 variants on 50 test images reports more than 2 points too much, and more than "
              "the best of 100 on 2,500.",
              evidence=["01/leaks/chooses/50/100", "01/leaks/chooses/2500/100"],
              without={"01/leaks/chooses/50/100": "01/leaks/chooses/2500/100"})
def _(r):
    few, many = r.values()
    return every(few, lambda value: value > 0.02) and beats(few, many)


@define_claim("01/unfrozen-flatters-the-control", "Training the backbone along is worth more to an encoder that never learned anything than to "
              "SimCLR, with 5 labels a class.",
              evidence=["01/leaks/backbone/5/random-encoder", "01/leaks/backbone/5/simclr"],
              without={"01/leaks/backbone/5/random-encoder": "01/leaks/backbone/5/simclr"})
def _(r):
    return beats(*r.values())


@define_claim("01/test-statistics", "Statistics of the test images change the number by less than 2 points where train and test come from "
              "the same place; they add more than 10 where test is noisier, and cost more than 10 where test comes class by class.",
              evidence=["01/leaks/statistics/same", "01/leaks/statistics/noisier", "01/leaks/statistics/by-class"],
              without={"01/leaks/statistics/noisier": "01/leaks/statistics/same"})
def _(r):
    same, noisy, by_class = r.values()
    return (every(same, lambda value: abs(value) < 0.02) and every(noisy, lambda value: value > 0.10)
            and every(by_class, lambda value: value < -0.10))


@define_claim("01/duplicates-pay", "Drawing again before the split, not after it, adds more than 5 points, with 100 labelled images and with "
              "2,000.",
              evidence=["01/leaks/duplicates/100", "01/leaks/duplicates/2000"], without={"01/leaks/duplicates/100": 0.0})
def _(r):
    return all(every(record, lambda value: value > 0.05) for record in r.values())
