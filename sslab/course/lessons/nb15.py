"""15_pretraining_and_fine_tuning: five ways to use an encoder, what pretraining costs and buys, and what is left when the data shifts."""

import time
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from types import SimpleNamespace

from sslab.course.claims import beats, define_claim
from sslab.course.evidence import evidence
from sslab.course.lessons.common import DRAWS

SHARE, EMOJI_SHARE, SHORT = 0.5, 0.25, 0.1                           # of the recipe's steps: pretraining, and a continuation
BUDGETS, TEXT_BUDGETS = (1, 5, 20, 100), (10, 50, 200)               # labels a class
TIMED, TEXT_TIMED = 5, 10                                            # budget at which time is looked at
TUNED = ("full", "linear then full", "discriminative")               # strategies that train the encoder
VENDOR = "openmoji"                                                  # held out, as in 09
SHIFT_LABELS, SEVERITIES, SHIFTED = 20, (0, 1, 3, 5), 1000           # labels a class; severities; test pictures
MARKS = (0.1, 0.3, 0.6, 1.0)                                         # shares of a run after which it is probed
FLOAT = {"precision": "float32", "weight_decay": 0.05}
# What is tried on validation images, with labels that are drawn for it alone: as many settings for each strategy.
SEARCHED = (5, 100)                                                  # with fewer labels: what is chosen for the next larger of these
TUNING = tuple({"learning_rate": rate, "steps": 60, **FLOAT} for rate in (1e-3, 3e-3, 8e-3))
SCRATCH = tuple({"learning_rate": rate, "steps": steps, **FLOAT} for rate, steps in ((3e-3, 150), (8e-3, 150), (5e-3, 300)))
LADDER = (20, 60, 150, 300)                                          # steps from scratch, for the curves over time
TEXT_TUNING = tuple({"learning_rate": rate, "steps": 60, **FLOAT} for rate in (5e-4, 1e-3))
TEXT_SCRATCH = tuple({"learning_rate": rate, "steps": 150, **FLOAT} for rate in (5e-4, 2e-3))
TEXT_LADDER = (20, 60, 150)
TEXT_SHARE = 0.25                                                    # of BERT's recipe, for a pretraining that ends early


def slug(strategy: str) -> str:
    """A strategy's name in records."""
    return strategy.replace(" ", "-")


# ---- pretraining, and what is read off it


@dataclass(frozen=True)
class Run:
    """A pretraining: the objective, seconds of training, and at some steps (seconds, {labels a class: accuracy of a probe})."""

    made: object
    seconds: float
    curve: dict[int, tuple[float, dict[int, float]]]


def pretrain(data, seed: int, share: float = SHARE, start=None, watch: dict | None = None, objective: str = "simclr") -> tuple:
    """Train an objective by its recipe, a fresh one or a given one further -> (objective, last step).

    Args:
        start: the objective that goes on; a fresh one if None.
        watch: number of steps -> function of (step, objective), called after so many steps; its time is not counted.
    """
    import torch

    import sslab

    torch.manual_seed(seed)
    if start is None:
        encoder = sslab.objectives.encoder_for(objective, data)
        start = sslab.objectives.create(objective, encoder, views=sslab.objectives.views_for(objective, data.name))
    for step in sslab.train(start, data, seed=seed, precision="float32", **sslab.recipe(objective, data.name, share=share)):
        if watch and step.index + 1 in watch:
            watch[step.index + 1](step, start)
    return start, step


def marks(objective: str, dataset: str, share: float) -> list[int]:
    """The steps of a run after which it is probed."""
    import sslab

    steps = sslab.recipe(objective, dataset, share=share)["steps"]
    return sorted({max(1, round(part * steps)) for part in MARKS})


def draws(seed: int, budget: int) -> tuple[int, ...]:
    """The draws of labels of a seed: others for every seed, and two where a single label decides."""
    return (seed, 100 + seed) if budget == 1 else (seed,)


def five_draws(seed: int, budget: int) -> tuple[int, ...]:
    """Where only probes are compared, which cost little."""
    return tuple(seed + 100 * number for number in range(5))


def rows_of(data, budget: int, draw: int):
    """Training rows of one draw of labels."""
    from sslab import evaluation

    return evaluation.draw_labels(data.train.labels, budget, draw)


def probe(represent, data, seed: int, budgets=BUDGETS, part=None, drawn=draws) -> dict[int, float]:
    """Test accuracy of logistic regression on features, over the draws of a seed; the penalty is fixed, nothing is chosen.

    Args:
        represent: a network, or a function of images.
        part: what is tested; the test split if None.
        drawn: (seed, labels a class) -> the draws.
    """
    import torch

    from sslab import evaluation
    from sslab.datasets.base import inputs_of
    from sslab.evaluation.labels import _some, some_inputs

    embed = (lambda x: evaluation.features(represent, x)) if isinstance(represent, torch.nn.Module) else represent
    test, truth = _some(data.test if part is None else part)
    test, unlabelled, found = embed(test), embed(some_inputs(data.train)), {}
    for budget in budgets:
        shares = []
        for draw in drawn(seed, budget):
            rows = rows_of(data, budget, draw)
            weight, bias = evaluation.probe_head(embed(inputs_of(data.train)[rows]), data.train.labels[rows], unlabelled, data.num_classes)
            shares.append(float(((test @ weight + bias).argmax(dim=1) == truth).float().mean()))
        found[budget] = sum(shares) / len(shares)
    return found


def fit(strategy: str, encoder, data, rows, views=None, seed: int = 0, **options):
    """A classifier by one strategy, "supervised" being the same encoder from scratch."""
    from sslab import evaluation

    if strategy == "supervised":
        return evaluation.train_supervised(data, rows, encoder=encoder, views=views, seed=seed, **options)
    return evaluation.adapt(encoder, data, rows, strategy, views, seed, **options)


def timed(*arguments, **options):
    """`fit`, and the seconds it took."""
    start = time.perf_counter()
    return fit(*arguments, **options), time.perf_counter() - start


def mean_of(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def smoke(settings: tuple, steps: int = 3) -> tuple:
    """The settings of a search, one short one in smoke mode."""
    from sslab.modes import by_mode

    return by_mode(({**settings[0], "steps": steps},), settings)


def ladder(steps: tuple[int, ...]) -> tuple[int, ...]:
    from sslab.modes import by_mode

    return by_mode((2, 3), steps)


# ---- images


@cache
def _images():
    import sslab
    from sslab.views import Augment

    return sslab.load("fashion"), Augment.named("fashion")


@cache
def _run(dataset: str, seed: int) -> Run:
    """SimCLR on a dataset, once a process; on fashion it is probed on the way."""
    import sslab

    data, curve = sslab.load(dataset), {}

    def look(step, objective):
        curve[step.index + 1] = (step.seconds, probe(objective.encoder, data, seed))

    watch = {step: look for step in marks("simclr", dataset, SHARE)} if dataset == "fashion" else None
    made, step = pretrain(data, seed, watch=watch)
    return Run(made, step.seconds, curve)


@cache
def _settings(strategy: str, budget: int, dataset: str = "fashion") -> dict:
    """Chosen on validation images once, on the first run's encoder and with a draw of labels that is not reported."""
    from functools import partial

    import sslab
    from sslab.evaluation.from_scratch import best_settings
    from sslab.views import Augment

    if strategy in ("frozen", "linear"):
        return {}
    if budget not in SEARCHED:
        return _settings(strategy, min(other for other in SEARCHED if other > budget), dataset)
    data, search = sslab.load(dataset), smoke(SCRATCH if strategy == "supervised" else TUNING)
    start = partial(fit, strategy, _run(dataset, 0).made.encoder, data, views=Augment.named(dataset))
    return best_settings(start, data, budget, search, draws=1)


@evidence("15/images", seeds=range(3), version=1, unit="accuracy")
def images(seed):
    """SimCLR on fashion, then every strategy and control by labels a class: test accuracy, and seconds of training."""
    from sslab import evaluation

    data, views = _images()
    run = _run("fashion", seed)
    encoder = run.made.encoder
    found = {"pretraining/seconds": (run.seconds, "s")} | _climb(LADDER, TIMED, seed, data, views, encoder, _settings, data.test)
    for budget in BUDGETS:
        for strategy in (*evaluation.STRATEGIES, "supervised"):
            name = f"{slug(strategy)}/{budget}"
            if name in found:
                continue
            made = [timed(strategy, encoder, data, rows_of(data, budget, draw), views=views, seed=seed, **_settings(strategy, budget))
                    for draw in draws(seed, budget)]
            found[name] = mean_of(evaluation.accuracy(model, data.test) for model, _ in made)
            found[f"{name}/seconds"] = (mean_of(seconds for _, seconds in made), "s")
    controls = {"raw-pixels": evaluation.raw_pixels, "random-encoder": evaluation.random_encoder(encoder, data.train.images, seed)}
    for name, represent in controls.items():
        found |= {f"{name}/{budget}": share for budget, share in probe(represent, data, seed).items()}
    for name, network in {"linear": encoder, "random-encoder": controls["random-encoder"]}.items():      # the draws and the protocol of 00
        found[f"ten-draws/{name}"] = evaluation.label_efficiency(network, data, (TIMED,), DRAWS, penalties=(0.1,)).fixed[TIMED]
    for number, (seconds, shares) in enumerate(run.curve.values()):
        found[f"after/{number}/seconds"] = (seconds, "s")
        found |= {f"after/{number}/{budget}": share for budget, share in shares.items()}
    return found


def _climb(steps, budget: int, seed: int, data, views, encoder, settings, part) -> dict:
    """From scratch for longer and longer, at the learning rate that was chosen; the length that was chosen is "supervised"."""
    from sslab import evaluation

    found, chosen = {}, settings("supervised", budget)
    for number, length in enumerate(ladder(steps)):
        options = {**chosen, "steps": length}
        model, seconds = timed("supervised", encoder, data, rows_of(data, budget, seed), views=views, seed=seed, **options)
        names = [f"scratch/{budget}/{number}", *([f"supervised/{budget}"] if length == chosen["steps"] else [])]
        found |= {name: evaluation.accuracy(model, part) for name in names}
        found |= {f"{name}/seconds": (seconds, "s") for name in names}
    return found


# ---- text


@cache
def _texts():
    """The data, the checkpoint's encoder, every third test definition, and the seconds that the checkpoint took."""
    import sslab

    data = sslab.load("wordnet")
    made = sslab.pretrained("bert", data)
    test = SimpleNamespace(inputs=data.test.tokens[::3], labels=data.test.labels[::3])
    return data, made.encoder, test, float(made.origin["seconds"])


@cache
def _text_settings(strategy: str, budget: int) -> dict:
    """Chosen on validation texts at the middle budget, for all of them."""
    from functools import partial

    from sslab.evaluation.from_scratch import best_settings

    if strategy in ("frozen", "linear"):
        return {}
    if budget != TEXT_BUDGETS[1]:
        return _text_settings(strategy, TEXT_BUDGETS[1])
    data, encoder, _, _ = _texts()
    search = smoke(TEXT_SCRATCH if strategy == "supervised" else TEXT_TUNING)
    return best_settings(partial(fit, strategy, encoder, data), data, budget, search, draws=1)


@evidence("15/text", seeds=range(3), version=1, unit="accuracy")
def text(seed):
    """The checkpoint on definitions, every strategy and control; the seed is the draw of labels, the checkpoint is one."""
    from sslab import evaluation

    data, encoder, test, seconds = _texts()
    found = {"pretraining/seconds": (seconds, "s")} | _climb(TEXT_LADDER, TEXT_TIMED, seed, data, None, encoder, _text_settings, test)
    for budget in TEXT_BUDGETS:
        for strategy in (*evaluation.STRATEGIES, "supervised"):
            if f"{slug(strategy)}/{budget}" in found:
                continue
            model, spent = timed(strategy, encoder, data, rows_of(data, budget, seed), seed=seed, **_text_settings(strategy, budget))
            found[f"{slug(strategy)}/{budget}"] = evaluation.accuracy(model, test)
            found[f"{slug(strategy)}/{budget}/seconds"] = (spent, "s")
    untrained = evaluation.random_encoder(encoder, data.train.tokens, seed)
    found |= {f"random-encoder/{budget}": share for budget, share in probe(untrained, data, seed, TEXT_BUDGETS, test).items()}
    found |= {f"raw-text/{budget}": share for budget, share in _words(seed).items()}
    return found


@cache
def _tf_idf():
    from sslab import evaluation

    return evaluation.tf_idf(_texts()[0])


def _words(seed: int) -> dict[int, float]:
    """The raw text's control: TF-IDF and logistic regression at the fixed penalty, vectors of length 10."""
    from sklearn.linear_model import LogisticRegression

    data, _, test, _ = _texts()
    features, found = _tf_idf(), {}
    for budget in TEXT_BUDGETS:
        rows = rows_of(data, budget, seed).numpy()
        model = LogisticRegression(C=10**2 / (len(rows) * 0.1), max_iter=500)
        model.fit(features["train"][rows], data.train.labels[rows].numpy())
        found[budget] = float(model.score(features["test"][::3], test.labels.numpy()))
    return found


@evidence("15/text-short", seeds=range(3), version=1, unit="accuracy")
def text_short(seed):
    """A pretraining of BERT that ends early, probed on the way."""
    data, _, test, _ = _texts()
    found = {}

    def look(step, objective):
        number = len(found) // (1 + len(TEXT_BUDGETS))
        found[f"after/{number}/seconds"] = (step.seconds, "s")
        found.update({f"after/{number}/{budget}": share
                      for budget, share in probe(objective.encoder, data, seed, TEXT_BUDGETS, test).items()})

    steps = marks("bert", "wordnet", TEXT_SHARE)[1::2]
    pretrain(data, seed, TEXT_SHARE, watch={step: look for step in steps}, objective="bert")
    return found


# ---- from one set to another


@evidence("15/transfer", seeds=range(3), version=1, unit="accuracy")
def transfer(seed):
    """Probes on fashion of encoders from digits, from fashion, from digits and then fashion, and from as little fashion alone."""
    import copy

    from sslab import evaluation

    data, _ = _images()
    digits, home = _run("digits", seed), _run("fashion", seed)
    further, step = pretrain(data, seed, SHORT, start=copy.deepcopy(digits.made))
    little, alone = pretrain(data, seed, SHORT)
    runs = {"digits": (digits.made, digits.seconds), "fashion": (home.made, home.seconds),
            "digits-then-fashion": (further, step.seconds), "little-fashion": (little, alone.seconds)}
    found = {}
    untrained = evaluation.random_encoder(home.made.encoder, data.train.images, seed)
    for name, represent in {"raw-pixels": evaluation.raw_pixels, "random-encoder": untrained}.items():
        found |= {f"{name}/{budget}": share for budget, share in probe(represent, data, seed, drawn=five_draws).items()}
    for name, (made, seconds) in runs.items():
        found |= {f"{name}/{budget}": share for budget, share in probe(made.encoder, data, seed, drawn=five_draws).items()}
        found[f"{name}/seconds"] = (seconds, "s")                    # of the continuation alone, where there is one
    return found


def clip_art():
    """Clip art with a training split: 60 % of the drawings; 10 % validation, 30 % test, class by class, always the same."""
    import torch

    import sslab
    from sslab.datasets.base import split_by

    data = sslab.load("openclipart")
    generator, parts = torch.Generator().manual_seed(0), torch.zeros(len(data), dtype=torch.long)
    for label in range(data.num_classes):
        members = (data.labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        parts[members[: round(0.3 * len(members))]] = 2
        parts[members[round(0.3 * len(members)): round(0.4 * len(members))]] = 1
    return replace(data, splits=split_by(parts))


def without_vendor(vendor: str = VENDOR):
    """Emoji without one vendor's drawings, and that vendor's drawings of the test emoji: (Dataset, Split)."""
    import sslab
    from sslab._names import choose
    from sslab.datasets.base import Split
    from sslab.datasets.bundled import VENDORS

    data = sslab.load("emoji")
    own = data.factors["vendor"] == VENDORS.index(choose(vendor, VENDORS, "vendor"))              # [N]
    unseen = data.splits["test"][own[data.splits["test"]]]
    kept = {part: index[~own[index]] for part, index in data.splits.items()}
    return replace(data, splits=kept), Split(data.images[unseen], data.labels[unseen], unseen)


@cache
def _emoji():
    return without_vendor()


@cache
def _emoji_run(seed: int) -> Run:
    made, step = pretrain(_emoji()[0], seed, EMOJI_SHARE)
    return Run(made, step.seconds, {})


CLIP_BUDGETS = (1, 5, 20)


@evidence("15/clip-art", seeds=range(3), version=1, unit="accuracy")
def clip_art_probe(seed):
    """SimCLR on emoji, used on clip art that it never saw: the probe, linear then full, and the controls."""
    from sslab import evaluation
    from sslab.views import Augment

    data, views, encoder = clip_art(), Augment.named("emoji"), _emoji_run(seed).made.encoder
    represent = {"emoji": encoder, "raw-pixels": evaluation.raw_pixels,
                 "random-encoder": evaluation.random_encoder(encoder, data.train.images, seed)}
    found = {f"{name}/{budget}": share for name, what in represent.items()
             for budget, share in probe(what, data, seed, CLIP_BUDGETS).items()}
    for name, strategy in (("emoji-tuned", "linear then full"), ("supervised", "supervised")):
        for budget in CLIP_BUDGETS:
            options = _emoji_settings(strategy, "clip art")
            found[f"{name}/{budget}"] = mean_of(
                evaluation.accuracy(fit(strategy, encoder, data, rows_of(data, budget, draw), views=views, seed=seed, **options), data.test)
                for draw in draws(seed, budget))
    return found


@cache
def _emoji_settings(strategy: str, where: str) -> dict:
    """Chosen on validation drawings with 20 labels a class, of emoji or of clip art."""
    from functools import partial

    from sslab.evaluation.from_scratch import best_settings
    from sslab.views import Augment

    data = clip_art() if where == "clip art" else _emoji()[0]
    start = partial(fit, strategy, _emoji_run(0).made.encoder, data, views=Augment.named("emoji"))
    return best_settings(start, data, 20, smoke(SCRATCH if strategy == "supervised" else TUNING), draws=1)


# ---- shift


@evidence("15/shift", seeds=range(3), version=1, unit="accuracy", dataset=("digits", "fashion"))
def shift(seed, dataset):
    """Test pictures spoiled by severity: the probe of SimCLR and supervised training with the same labels and views, and controls."""
    import sslab
    from sslab import evaluation
    from sslab.views import Augment

    data, encoder = sslab.load(dataset), _run(dataset, seed).made.encoder
    rows, views = rows_of(data, SHIFT_LABELS, seed), Augment.named(dataset)
    strategies = ("linear", "supervised", *(TUNED[:2] if dataset == "fashion" else ()))
    models = {slug(name): fit(name, encoder, data, rows, views=views, seed=seed, **_settings(name, SHIFT_LABELS, dataset)) for name in strategies}
    models["random-encoder"] = fit("linear", evaluation.random_encoder(encoder, data.train.images, seed), data, rows, seed=seed)
    pixels = evaluation.raw_pixels(data.train.images)
    weight, bias = evaluation.probe_head(pixels[rows], data.train.labels[rows], pixels[:2000], data.num_classes)
    models["raw-pixels"] = lambda pictures: evaluation.raw_pixels(pictures) @ weight + bias
    found = {}
    for name, model in models.items():
        table = evaluation.robustness(model, data.test, severities=SEVERITIES, images=SHIFTED)
        found[f"{name}/clean"] = table["noise"][0]
        found |= {f"{name}/{kind}/{severity}": share for kind, row in table.items() for severity, share in row.items() if severity}
        found[f"{name}/spoiled"] = mean_of(share for row in table.values() for severity, share in row.items() if severity)
    return found


VENDOR_BUDGETS = (20,)


@evidence("15/vendor", seeds=range(3), version=1, unit="accuracy")
def vendor(seed):
    """Emoji of known vendors and of one that neither pretraining nor labels have seen, the test emoji of both."""
    import torch

    from sslab import evaluation
    from sslab.views import Augment

    data, unseen = _emoji()
    encoder, views = _emoji_run(seed).made.encoder, Augment.named("emoji")
    same = torch.isin(data.factors["emoji"][data.test.indices], data.factors["emoji"][unseen.indices])
    known = type(unseen)(data.test.images[same], data.test.labels[same], data.test.indices[same])      # the same emoji, by others
    represent = {"linear": encoder, "raw-pixels": evaluation.raw_pixels,
                 "random-encoder": evaluation.random_encoder(encoder, data.train.images, seed)}
    found = {}
    for where, part in (("seen", known), ("unseen", unseen)):
        for name, what in represent.items():
            found |= {f"{name}/{budget}/{where}": share for budget, share in probe(what, data, seed, VENDOR_BUDGETS, part).items()}
    for strategy in ("linear then full", "supervised"):
        for budget in VENDOR_BUDGETS:
            model = fit(strategy, encoder, data, rows_of(data, budget, seed), views=views, seed=seed, **_emoji_settings(strategy, "emoji"))
            found |= {f"{slug(strategy)}/{budget}/{where}": evaluation.accuracy(model, part)
                      for where, part in (("seen", known), ("unseen", unseen))}
    for name in {key.split("/")[0] for key in found}:
        for budget in VENDOR_BUDGETS:
            found[f"{name}/{budget}/lost"] = found[f"{name}/{budget}/seen"] - found[f"{name}/{budget}/unseen"]
    return found


# ---- what the notebook shows


def _records() -> dict:
    """The course's records; the file is read again only when it has changed."""
    from sslab.course.ledger import folder

    path = folder() / "results.json"
    return _read(path, path.stat().st_mtime_ns) if path.exists() else {}


@lru_cache(maxsize=1)
def _read(path, changed: int) -> dict:
    from sslab.course.ledger import read

    return read(path).records


def measured(name: str):
    """(value, interval) of a record; None where it is not measured yet."""
    row = _records().get(name)
    return None if row is None else (row.value, row.interval)


def by_labels(paths: dict[str, str], budgets=BUDGETS) -> dict[str, dict[int, tuple]]:
    """name -> {labels a class: (accuracy, interval)} of records whose path has {} for the labels; what is measured."""
    table = {name: {b: measured(path.format(b)) for b in budgets} for name, path in paths.items()}
    return {name: {b: point for b, point in row.items() if point} for name, row in table.items() if any(row.values())}


def by_seconds(kind: str, budget: int) -> dict[str, dict[float, tuple]]:
    """Accuracy by all seconds of training, pretraining included: a probe of the pretrained encoder, and training from scratch.

    Args:
        kind: "images" or "text". budget: labels a class, one at which time was looked at.
    """
    watched = "15/images/after" if kind == "images" else "15/text-short/after"
    pretrained = _over_time([(f"{watched}/{n}/seconds", f"{watched}/{n}/{budget}") for n in range(len(MARKS))])
    if kind == "text":                                               # and the checkpoint, far to the right
        pretrained |= _over_time([("15/text/pretraining/seconds", f"15/text/linear/{budget}")])
    steps = LADDER if kind == "images" else TEXT_LADDER
    path = f"15/{kind}/scratch/{budget}"
    curves = {"pretrained": pretrained, "supervised": _over_time([(f"{path}/{n}/seconds", f"{path}/{n}") for n in range(len(steps))])}
    return {name: points for name, points in curves.items() if points}


def _over_time(pairs: list[tuple[str, str]]) -> dict[float, tuple]:
    found = ((measured(seconds), measured(accuracy)) for seconds, accuracy in pairs)
    return {at[0]: point for at, point in found if at and point}


def worth_panels() -> tuple[dict, dict, dict]:
    """For `figures.worth`: accuracy by seconds and by labels, of images and of texts; what x is; the levels of the controls."""
    panels, xlabels, lines = {}, {}, {}
    for kind, budgets, timed_at, raw, classes in (("images", BUDGETS, TIMED, "raw-pixels", 10),
                                                  ("text", TEXT_BUDGETS, TEXT_TIMED, "raw-text", 12)):
        first, second = f"{kind}: {timed_at} labels a class", f"{kind}: by labels"
        panels[first] = by_seconds(kind, timed_at)
        panels[second] = by_labels({"pretrained": f"15/{kind}/linear-then-full/{{}}", "supervised": f"15/{kind}/supervised/{{}}",
                                    raw.replace("-", " "): f"15/{kind}/{raw}/{{}}", "random encoder": f"15/{kind}/random-encoder/{{}}"}, budgets)
        xlabels |= {first: "seconds of training, pretraining included", second: "labels a class"}
        controls = {raw.replace("-", " "): f"15/{kind}/{raw}/{timed_at}", "random encoder": f"15/{kind}/random-encoder/{timed_at}"}
        lines[first] = {name: measured(path)[0] for name, path in controls.items() if measured(path)} | {"chance": 1 / classes}
        lines[second] = {"chance": 1 / classes}
    return panels, xlabels, lines


def shift_rows(dataset: str, names: dict[str, str]) -> dict:
    """For `figures.robustness`: model -> {corruption: {severity: (accuracy, interval)}}; what is measured."""
    from sslab.evaluation import CORRUPTIONS

    found = {}
    for name, key in names.items():
        path = f"15/shift/{dataset}/{key}"
        rows = {kind: {0: measured(f"{path}/clean"), **{s: measured(f"{path}/{kind}/{s}") for s in SEVERITIES[1:]}} for kind in CORRUPTIONS}
        if all(point for row in rows.values() for point in row.values()):
            found[name] = rows
    return found


def bought(kind: str) -> dict[int, dict[str, float | None]]:
    """What pretraining bought: labels a class -> its gain over training from scratch, and how many labels that is worth.

    Args:
        kind: "images" or "text".
    Returns:
        points: accuracy gained, in points, linear then full. points a minute: over the minutes of pretraining.
        labels: how many labels a class the network from scratch needs to be as often right; None: more than were tried.
    """
    from sslab.evaluation import reaches

    budgets = BUDGETS if kind == "images" else TEXT_BUDGETS
    table = by_labels({"ours": f"15/{kind}/linear-then-full/{{}}", "scratch": f"15/{kind}/supervised/{{}}"}, budgets)
    seconds = measured(f"15/{kind}/pretraining/seconds")
    if len(table) < 2 or seconds is None:
        return {}
    scratch = {b: point[0] for b, point in table["scratch"].items()}
    found = {}
    for b, (ours, _) in table["ours"].items():
        points = 100 * (ours - scratch[b])
        found[b] = {"points": points, "points a minute": points / (seconds[0] / 60), "labels": reaches(scratch, ours)}
    return found


def bought_in_words(kind: str) -> str:
    """`bought` as lines to print."""
    lines = []
    for b, row in bought(kind).items():
        labels = "more labels than were tried" if row["labels"] is None else f"about {row['labels']:.0f} labels a class"
        lines.append(f"{kind}, {b} label{'s' * (b > 1)} a class: {row['points']:+.0f} points, {row['points a minute']:+.1f} for each minute of "
                     f"pretraining; from scratch that takes {labels}")
    return "\n".join(lines) or f"{kind}: not measured yet"


def side_by_side(encoder, data, rows, views=None, test=None, **options) -> dict[str, tuple[float, float]]:
    """Every strategy once: name -> (test accuracy, seconds)."""
    from sslab import evaluation

    found = {}
    for strategy in evaluation.STRATEGIES:
        model, seconds = timed(strategy, encoder, data, rows, views=views, **options)
        found[strategy] = evaluation.accuracy(model, data.test if test is None else test), seconds
    return found


def short(rate: float = 1e-3) -> dict:
    """Settings of a fine-tuning that a class repeats."""
    from sslab.modes import by_mode

    return {"learning_rate": rate, "steps": by_mode(2, 60), **FLOAT}


# ---- claims: what we are sure enough of to say before a reader's own run


@define_claim("15/few-labels-images", "On clothes with 5 labels a class, a linear probe of the pretrained encoder beats raw pixels, the random encoder and "
              "the same network from scratch, over the same ten draws of labels.",
              evidence=["15/images/ten-draws/linear", "15/images/ten-draws/random-encoder", "00/pixels/fashion/5", "00/supervised/fashion/5"],
              without={"15/images/ten-draws/linear": "00/supervised/fashion/5"})
def _(r):
    return all(beats(r["15/images/ten-draws/linear"], r[control])
               for control in ("15/images/ten-draws/random-encoder", "00/pixels/fashion/5", "00/supervised/fashion/5"))


@define_claim("15/text-pays", "On definitions the checkpoint, linear then full, beats word counts, the untrained transformer and the same network from "
              "scratch, with 10 labels a class and with 200.",
              evidence=[f"15/text/{name}/{b}" for b in (10, 200) for name in ("linear-then-full", "raw-text", "random-encoder", "supervised")],
              without={f"15/text/linear-then-full/{b}": f"15/text/raw-text/{b}" for b in (10, 200)})
def _(r):
    return all(beats(r[f"15/text/linear-then-full/{b}"], r[f"15/text/{control}/{b}"]) for b in (10, 200)
               for control in ("raw-text", "random-encoder", "supervised"))


@define_claim("15/early-end", "A pretraining of BERT that ends early is worth less than the checkpoint, to a linear probe with 10 labels a class.",
              evidence=["15/text/linear/10", "15/text-short/after/1/10"],
              without={"15/text/linear/10": "15/text-short/after/1/10"})
def _(r):
    return beats(r["15/text/linear/10"], r["15/text-short/after/1/10"], margin=0.05)


@define_claim("15/shift-hurts", "On clothes with 20 labels a class, every model is right less often on spoiled pictures than on clean ones: the probe of "
              "SimCLR, the supervised network and raw pixels.",
              evidence=[f"15/shift/fashion/{name}/{what}" for name in ("linear", "supervised", "raw-pixels") for what in ("clean", "spoiled")],
              without={f"15/shift/fashion/{name}/spoiled": f"15/shift/fashion/{name}/clean" for name in ("linear", "supervised", "raw-pixels")})
def _(r):
    return all(beats(r[f"15/shift/fashion/{name}/clean"], r[f"15/shift/fashion/{name}/spoiled"])
               for name in ("linear", "supervised", "raw-pixels"))


@define_claim("15/noise-fools-networks", "On clothes with noise of severity 3 a linear probe of raw pixels is right more often than that of SimCLR and than the "
              "supervised network.",
              evidence=[f"15/shift/fashion/{name}/noise/3" for name in ("raw-pixels", "linear", "supervised")],
              without={"15/shift/fashion/raw-pixels/noise/3": "15/shift/fashion/supervised/noise/3"})
def _(r):
    pixels, *trained = r.values()
    return all(beats(pixels, one) for one in trained)


@define_claim("15/home-is-best", "Probed on clothes with 5 labels a class, an encoder that was pretrained on clothes beats one that was pretrained on digits.",
              evidence=["15/transfer/fashion/5", "15/transfer/digits/5"],
              without={"15/transfer/fashion/5": "15/transfer/digits/5"})
def _(r):
    return beats(r["15/transfer/fashion/5"], r["15/transfer/digits/5"])
