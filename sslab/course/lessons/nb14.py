"""14_misalignment: which invariance erases which factor, on pictures whose factors are known and on real ones."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHARE, WIDTH, TEMPERATURE = 0.8, 16, 0.1                             # of the recipe's steps; of a small encoder, so that a class can repeat it
NOISE = {"noise": 0.05}                                              # in every view: two views are never the same
PARTS = {"colour": {"colour": 1.0, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5, "greyscale": 0.2},
         "crop": {"crop": 0.2}, "rotation": {"rotation": 60}}
ROWS = {"all": ("colour", "crop", "rotation"), "no-colour": ("crop", "rotation"), "no-crop": ("colour", "rotation"),
        "no-rotation": ("colour", "crop"), "none": ()}
PRETEXT = ("rotation", "jigsaw", "colourisation", "autoencoder", "mae", "ijepa")      # names of objectives: no projector, so h only
ERASED = {"no-colour": ("colour",), "no-crop": ("size", "position"), "no-rotation": ("rotation",)}
CLEARLY = (("no-colour", "colour"), ("no-crop", "position"), ("no-rotation", "rotation"))
SHORT = 0.2                                                          # of the recipe's steps, for the pretext tasks
DIGITS = {"plain": {}, "half-turn": {"rotation": 180}, "flip": {"flip": 0.5}}
EMOJI = {"colour-kept": {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "greyscale": 0},
         "colour-ignored": {"colour": 1.0, "hue": 0.5, "greyscale": 0.2}}
LABELS, DRAWS = 20, 10                                               # a digit, for a probe that tells two of them apart
HEARTS = tuple(f"{colour} heart" for colour in ("red", "pink", "orange", "yellow", "green", "blue", "light blue", "purple",
                                                "brown", "black", "grey", "white"))


def augmentations(*parts: str):
    """The views of a row: noise, and the named ones of PARTS."""
    from sslab.views import Augment

    return Augment(**{**NOISE, **{knob: value for part in parts for knob, value in PARTS[part].items()}})


def make(dataset, objective: str = "simclr", seed: int = 0, views=None, **options):
    """An untrained objective on a small encoder."""
    import torch

    from sslab import encoders, objectives

    torch.manual_seed(seed)
    encoder = objectives.encoder_for(objective, dataset)
    if encoder.name == "conv":
        encoder = encoders.create("conv", dataset, width=WIDTH)
    return objectives.create(objective, encoder, views=views, **options)


def trained(made, dataset, seed: int, share: float):
    """The same, trained by the recipe."""
    import sslab

    name = type(made).__name__.lower()
    for _ in sslab.train(made, dataset, seed=seed, precision="float32", **sslab.recipe(name, dataset.name, share=share)):
        pass
    return made


def projection(objective):
    """The way from images to what the loss sees, for whoever evaluates it."""
    import torch

    from sslab.course.lessons.common import projections

    return lambda images: torch.cat([projections(objective, batch) for batch in images.split(512)])


def _read(represent, dataset, probes=("linear", "mlp")) -> dict:
    """What the probes read of each factor on test pictures, and how far a change of each moves the representation."""
    from sslab import evaluation

    rows = {f"{probe}/{factor}": value for probe in probes
            for factor, value in evaluation.read_factors(represent, dataset, probe=probe).items()}
    moves = evaluation.factor_moves(represent, dataset)
    return rows | {f"moves/{factor}": (value, "distances to another picture") for factor, value in moves.items()}


@evidence("14/factors", seeds=range(3), version=1, unit="accuracy", row=tuple(ROWS))
def factors(seed, row):
    """SimCLR on shapes with some augmentations: what z and h know of each factor."""
    import sslab

    data = sslab.load("shapes")
    made = trained(make(data, "simclr", seed, augmentations(*ROWS[row]), temperature=TEMPERATURE), data, seed, SHARE)
    return {f"{name}/{key}": value for name, represent in (("z", projection(made)), ("h", made.encoder))
            for key, value in _read(represent, data).items()}


@evidence("14/pretext", seeds=range(3), version=1, unit="accuracy", task=PRETEXT)
def pretext(seed, task):
    """A short run of another pretext task on shapes: what h knows of each factor. Rotation: how well the task is solved, too."""
    import sslab

    data = sslab.load("shapes")
    made = trained(make(data, task, seed), data, seed, SHORT)
    rows = _read(made.encoder, data)
    if task == "rotation":
        right = _turns(made, data.test.images)
        texture = data.factors["texture"][data.splits["test"]][: len(right)]
        rows |= {f"solved/{name}": float(right[texture == number].mean())
                 for number, name in enumerate(("plain", "stripes", "checks", "dots"))} | {"solved/all": float(right.mean())}
    return rows


def _turns(objective, images):
    """How many of the four turns of each picture the rotation predictor names: [N], from 0 to 1."""
    import torch

    from sslab.evaluation import evaluating
    from sslab.modes import by_mode
    from sslab.objectives import four_turns

    images = images[: by_mode(100, 1000)].float() / 255
    with torch.no_grad(), evaluating(objective.cpu()):
        said = torch.cat([objective.turns(part) for part in four_turns(images).flatten(0, 1).split(500)]).argmax(dim=1)
    return (said == torch.arange(4).repeat(len(images))).float().view(-1, 4).mean(dim=1)


@evidence("14/up", seeds=range(3), version=1, unit="accuracy")
def up(seed):
    """The same short run of rotation prediction on clothes, which have an up."""
    import sslab

    data = sslab.load("fashion")
    return {"solved": float(_turns(trained(make(data, "rotation", seed), data, seed, SHORT), data.test.images).mean())}


@evidence("14/controls", seeds=range(3), version=1, unit="accuracy", what=("random-encoder", "supervised"))
def controls(seed, what):
    """The same encoder untrained, and trained with all shape labels on the views of the row "all"."""
    import sslab
    from sslab import evaluation

    data = sslab.load("shapes")
    if what == "random-encoder":
        return _read(evaluation.random_encoder(make(data, seed=seed).encoder, data.train.images, seed), data)
    made = make(data, "supervised", seed, augmentations(*ROWS["all"]), classes=data.num_classes)
    return _read(trained(made, data, seed, SHARE).encoder, data)


@evidence("14/raw", version=1, unit="accuracy")
def raw(seed):
    """Raw pixels, by a linear probe."""
    import sslab
    from sslab import evaluation

    return _read(evaluation.raw_pixels, sslab.load("shapes"), probes=("linear",))


@evidence("14/digits", seeds=range(3), version=2, unit="accuracy", how=tuple(DIGITS))
def digits(seed, how):
    """SimCLR on digits with one more invariance: can a probe of z, and one of h, still tell each two digits apart?"""
    from sslab.course.lessons.common import pretrain
    from sslab.views import Augment
    from sslab.views.augment import PRESETS

    made, data, _ = pretrain("digits", seed, share=0.3, views=Augment(**{**PRESETS["digits"], **DIGITS[how]}))
    return {f"{name}/{key}": value for name, represent in (("z", projection(made)), ("h", made.encoder))
            for key, value in _pairs(represent, data).items()}


@evidence("14/digits-random", seeds=range(3), version=1, unit="accuracy")
def digits_random(seed):
    """The same of an encoder before training."""
    import sslab
    from sslab import evaluation

    data = sslab.load("digits")
    return _pairs(evaluation.random_encoder(sslab.encoders.create("conv", data), data.train.images, seed), data)


@evidence("14/digits-raw", version=1, unit="accuracy")
def digits_raw(seed):
    """The same of raw pixels."""
    import sslab
    from sslab import evaluation

    return _pairs(evaluation.raw_pixels, sslab.load("digits"))


def _pairs(represent, data) -> dict:
    """Test accuracy on every pair of classes, a probe for each pair with LABELS labels a class, mean over the draws."""
    import itertools

    import torch

    from sslab import evaluation
    from sslab.evaluation import Scaling, fit_logistic
    from sslab.modes import by_mode

    embed = (lambda images: evaluation.features(represent, images)) if isinstance(represent, torch.nn.Module) else represent
    y, drawn = data.train.labels, [evaluation.draw_labels(data.train.labels, LABELS, draw) for draw in range(by_mode(2, DRAWS))]
    needed = torch.cat(drawn).unique()
    known, scaling = embed(data.train.images[needed]), Scaling.of(embed(data.train.images[:2000]))
    test, y_test = data.test.images[: by_mode(300, None)], data.test.labels[: by_mode(300, None)]
    seen, known, accuracy = scaling(embed(test)), scaling(known), {}
    for a, b in itertools.combinations(range(data.num_classes), 2):
        rows = torch.stack([one[(y[one] == a) | (y[one] == b)] for one in drawn])                     # [R, 2 LABELS]
        weights, biases = fit_logistic(known[torch.searchsorted(needed, rows)], (y[rows] == b).long(), [0.1], 2)
        own = (y_test == a) | (y_test == b)
        said = (seen[own] @ weights[:, 0] + biases[:, :1]).argmax(dim=2)                              # [R, N]
        accuracy[a, b] = float((said == (y_test[own] == b)).float().mean())
    rest = [value for pair, value in accuracy.items() if pair not in ((6, 9), (2, 5))]
    return {"6-9": accuracy[6, 9], "2-5": accuracy[2, 5], "others": sum(rest) / len(rest),
            "pairs": {"a": [a for a, _ in accuracy], "b": [b for _, b in accuracy], "accuracy": list(accuracy.values())}}


def pair_matrix(record, other=None):
    """A record of all pairs, as the figure takes it: accuracy on each pair, minus the other's, below the diagonal of [10, 10]."""
    import torch

    matrix = torch.zeros(10, 10)
    for number, (a, b) in enumerate(zip(record.series["a"], record.series["b"], strict=True)):
        matrix[int(b), int(a)] = record.series["accuracy"][number] - (other.series["accuracy"][number] if other else 0)
    return matrix


@evidence("14/emoji", seeds=range(3), version=1, unit="accuracy", how=tuple(EMOJI))
def emoji(seed, how):
    """SimCLR on emoji, with colours kept or ignored: is the nearest drawing by another vendor the same emoji?"""
    from sslab.course.lessons.common import pretrain, quick_probe
    from sslab.views import Augment
    from sslab.views.augment import PRESETS

    made, data, _ = pretrain("emoji", seed, share=0.3, views=Augment(**{**PRESETS["emoji"], **EMOJI[how]}))
    return {**_same_emoji(made.encoder, data), "groups": quick_probe(made, data)}


@evidence("14/emoji-random", seeds=range(3), version=1, unit="accuracy")
def emoji_random(seed):
    """The same of an encoder before training."""
    import sslab
    from sslab import evaluation

    data = sslab.load("emoji")
    encoder = evaluation.random_encoder(sslab.encoders.create("conv", data), data.train.images, seed)
    groups = evaluation.label_efficiency(encoder, data, (5,), 5, penalties=(0.1,), on="validation").mean(5)
    return {**_same_emoji(encoder, data), "groups": groups}


@evidence("14/emoji-raw", version=1, unit="accuracy")
def emoji_raw(seed):
    """The same of raw pixels, and of a guess."""
    import sslab
    from sslab import evaluation

    data = sslab.load("emoji")
    groups = evaluation.label_efficiency(evaluation.raw_pixels, data, (5,), 5, penalties=(0.1,), on="validation").mean(5)
    found = _same_emoji(evaluation.raw_pixels, data)
    return {**found, "groups": groups, **{f"chance/{name}": value for name, value in _same_emoji(None, data).items()},
            "chance/groups": 1 / data.num_classes}


def _same_emoji(represent, data) -> dict:
    """1-nearest-neighbour among the other vendors' drawings of fruit, and of hearts; None: the chance of a guess."""
    import torch
    import torch.nn.functional as F

    from sslab import evaluation
    from sslab.datasets.bundled import emoji_records

    records = emoji_records()
    fruit = next(record["subgroup"] for record in records if record["name"] == "banana")
    sets = {"fruit": [i for i, record in enumerate(records) if record["subgroup"] == fruit],
            "hearts": [i for i, record in enumerate(records) if record["name"] in HEARTS]}
    embed = (lambda images: evaluation.features(represent, images)) if isinstance(represent, torch.nn.Module) else represent
    rows = {}
    for name, members in sets.items():
        chosen = torch.isin(data.factors["emoji"], torch.tensor(members)).nonzero().flatten()
        which, vendor = data.factors["emoji"][chosen], data.factors["vendor"][chosen]
        others = vendor[:, None] != vendor                           # [N, N]
        same = (which[:, None] == which) & others
        if represent is None:
            rows[name] = float((same.sum(1) / others.sum(1)).mean())
            continue
        h = embed(data.images[chosen])
        h = F.normalize(h - h.mean(dim=0), dim=1)
        nearest = (h @ h.T).masked_fill(~others, -torch.inf).argmax(dim=1)
        rows[name] = float(same[torch.arange(len(chosen)), nearest].float().mean())
    return rows


def _z(row: str, factor: str, probe: str = "linear", name: str = "z") -> str:
    """The record of a reading."""
    return f"14/factors/{row}/{name}/{probe}/{factor}"


def _define_erased(name: str, text: str, row: str, wanted: tuple[str, ...], margin: float = 0.20) -> None:
    """Each of these factors is read from z so much worse with all augmentations than without the row's one."""
    records = [_z(one, factor) for factor in wanted for one in (row, "all")]

    def holds(r):
        return all(beats(r[_z(row, factor)], r[_z("all", factor)], margin=margin) for factor in wanted)

    define_claim(name, text, evidence=records, without={_z("all", wanted[0]): _z(row, wanted[0])})(holds)


_define_erased("14/colour-erases-colour", "Colour jitter and greyscale, added to crop and rotation, make a linear probe read colour "
               "from z more than 20 points worse.", "no-colour", ("colour",))
_define_erased("14/crop-erases-position", "Random crop, added to colour jitter and rotation, makes a linear probe read position from "
               "z more than 20 points worse.", "no-crop", ("position",))
_define_erased("14/crop-erases-size", "Random crop, added to colour jitter and rotation, makes a linear probe read size from z more "
               "than 15 points worse.", "no-crop", ("size",), margin=0.15)
_define_erased("14/rotation-erases-rotation", "Rotation, added to colour jitter and crop, makes a linear probe read rotation from z "
               "more than 20 points worse.", "no-rotation", ("rotation",))


@define_claim("14/shape-survives", "With all three augmentations shape can still be read from z: on every seed more than 5 points "
              "above chance, by a linear probe and by a small MLP.",
              evidence=[_z("all", "shape"), _z("all", "shape", "mlp")], without={_z("all", "shape"): 1 / 6})
def _(r):
    return all(every(record, lambda accuracy: accuracy > 1 / 6 + 0.05) for record in r.values())


@define_claim("14/h-loses-less", "What an augmentation costs its factor is less on h than on z, for colour, position and rotation.",
              evidence=[_z(one, factor, name=name) for row, factor in CLEARLY for one in (row, "all") for name in ("z", "h")],
              without={_z("all", "colour", name="h"): _z("all", "colour")})
def _(r):
    def lost(row, factor, name):
        return r[_z(row, factor, name=name)].minus(r[_z("all", factor, name=name)])

    return all(beats(lost(row, factor, "z"), lost(row, factor, "h")) for row, factor in CLEARLY)


@define_claim("14/rotation-task-reads-the-background", "On shapes, which have no up, rotation prediction is no better than a guess where "
              "the background is plain or dotted (within 4 points of one in four), and much better where it has stripes (more than 60 "
              "points above). On clothes it solves more than 70 of 100.",
              evidence=["14/pretext/rotation/solved/plain", "14/pretext/rotation/solved/dots", "14/pretext/rotation/solved/stripes",
                        "14/up/solved"],
              without={"14/pretext/rotation/solved/stripes": "14/pretext/rotation/solved/plain"})
def _(r):
    plain, dots, stripes, clothes = r.values()
    return (all(every(record, lambda share: abs(share - 0.25) < 0.04) for record in (plain, dots))
            and every(stripes, lambda share: share > 0.85) and every(clothes, lambda share: share > 0.7))


@define_claim("14/half-turn-costs-6-and-9", "Invariance to any turn costs the pair 6 and 9 more than 20 points on z, more than it costs the "
              "other pairs on average, and more than it costs 6 and 9 on h.",
              evidence=[f"14/digits/{how}/{key}" for how in ("plain", "half-turn") for key in ("z/6-9", "z/others", "h/6-9")],
              without={"14/digits/half-turn/z/6-9": "14/digits/plain/z/6-9"})
def _(r):
    pair, rest, kept = (r[f"14/digits/plain/{key}"].minus(r[f"14/digits/half-turn/{key}"]) for key in ("z/6-9", "z/others", "h/6-9"))
    return beats(r["14/digits/plain/z/6-9"], r["14/digits/half-turn/z/6-9"], margin=0.20) and beats(pair, rest) and beats(pair, kept)


@define_claim("14/flip-costs-2-and-5", "Invariance to mirror images costs the pair 2 and 5 more than it costs the other pairs on average, "
              "on h already.",
              evidence=[f"14/digits/{how}/h/{pair}" for how in ("plain", "flip") for pair in ("2-5", "others")],
              without={"14/digits/flip/h/2-5": "14/digits/plain/h/2-5"})
def _(r):
    pair, rest = (r[f"14/digits/plain/h/{key}"].minus(r[f"14/digits/flip/h/{key}"]) for key in ("2-5", "others"))
    return beats(pair, rest)


@define_claim("14/colour-blind-hearts", "Among hearts, which differ in colour alone, the nearest drawing of another vendor is the same emoji "
              "less often when colour is ignored.",
              evidence=["14/emoji/colour-kept/hearts", "14/emoji/colour-ignored/hearts"],
              without={"14/emoji/colour-ignored/hearts": "14/emoji/colour-kept/hearts"})
def _(r):
    return beats(r["14/emoji/colour-kept/hearts"], r["14/emoji/colour-ignored/hearts"])


@define_claim("14/colour-blind-groups", "The 8 groups of emoji, which colour does not name, are told better with 5 labels each when colour "
              "is ignored.",
              evidence=["14/emoji/colour-kept/groups", "14/emoji/colour-ignored/groups"],
              without={"14/emoji/colour-ignored/groups": "14/emoji/colour-kept/groups"})
def _(r):
    return beats(r["14/emoji/colour-ignored/groups"], r["14/emoji/colour-kept/groups"])
