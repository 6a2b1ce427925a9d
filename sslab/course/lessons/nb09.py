"""09_language_and_images: names for drawings by a hand never seen, classes by words, and what 1,232 things cannot teach."""

from functools import lru_cache

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import SHORT, options_for

VENDOR = "openmoji"                                                  # whose drawings no training pair has
BROKEN = {"clip": {}, "no-outlines": {"outline": 0.0, "crop_largest": 1.0}, "shuffled": {"shuffled_captions": True},
          "hot": {"learned_temperature": False, "temperature": 1.0}}
BATCHES = (32, 128)                                              # as many pairs are seen at each
DRAWERS = {"steps": 600, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.2}
SHAPES, COLOURS = ("heart", "circle", "square"), ("red", "orange", "yellow", "green", "blue", "purple", "brown")


@lru_cache(maxsize=1)
def emoji():
    import sslab

    return sslab.datasets.load("emoji-pairs")


@lru_cache(maxsize=1)
def clip_art():
    import sslab

    return sslab.datasets.load("openclipart")


def pretrain_pairs(seed: int, name: str = "clip", share: float = 1.0, batch_size: int | None = None, **knobs):
    """Train an objective of pairs on the emoji by its recipe, in float32 -> (objective, last step).

    batch_size: another one sees as many pairs, in more or fewer steps.
    """
    import torch

    import sslab
    from sslab import objectives

    data = emoji()
    torch.manual_seed(seed)
    encoder = objectives.encoder_for(name, data)
    made = objectives.create(name, encoder, views=objectives.views_for(name, data.name), text=objectives.text_tower_for(data), **knobs)
    for step in sslab.train(made, data, seed=seed, precision="float32", **options_for(name, data.name, share, batch_size)):
        pass
    return made, step


def pretrain_drawers(seed: int, by_two: bool):
    """SimCLR on the emoji, its two views by two vendors or one drawing twice -> (objective, last step)."""
    import torch

    import sslab
    from sslab import objectives

    data = emoji()
    torch.manual_seed(seed)
    made = objectives.TwoDrawers(drawers_encoder(), views=objectives.views_for("clip", data.name), temperature=0.1, by_two=by_two)
    for step in sslab.train(made, data, seed=seed, precision="float32", **DRAWERS):
        pass
    return made, step


def drawers_encoder():
    """An untrained encoder of the kind that learns from pairs."""
    from sslab import encoders, objectives

    return encoders.create(**objectives.TwoDrawers.usual, dataset=emoji())


@lru_cache(maxsize=1)
def groups_by_words():
    """The group of each thing by the words of its name and tags alone, [N]: the one whose prompts share most; -1 where none does."""
    import torch
    from sklearn.feature_extraction.text import TfidfVectorizer

    from sslab.datasets.bundled import emoji_records
    from sslab.evaluation.pairs import EMOJI_PROMPTS

    prompts = [" ".join(words) for words in EMOJI_PROMPTS.values()]
    words = TfidfVectorizer(stop_words="english").fit(prompts)
    shared = words.transform([" ".join([one["name"], *one["tags"]]) for one in emoji_records()]) @ words.transform(prompts).T
    shared = torch.from_numpy(shared.toarray())
    return torch.where(shared.amax(dim=1) > 0, shared.argmax(dim=1), -1)


def asked(made) -> dict:
    """Image to text over all 1,644 names: drawings in a new style, drawings of new things, both."""
    from sslab.evaluation import cross_modal

    parts = {"all": (VENDOR, "all"), "new-vendor": (VENDOR, "train"), "new-emoji": (None, "test"), "both": (VENDOR, "test")}
    return {key: cross_modal(made, emoji(), drawer, part) for key, (drawer, part) in parts.items()}


def new_drawings(drawer: str | None = None):
    """Drawings of test emoji, [n, 3, 32, 32], and their groups [n]."""
    images, things = emoji().drawings("test", drawer)
    return images, emoji().labels[things]


def equations(made) -> dict[str, float]:
    """"red heart" minus "red" plus "blue", for 3 shapes and 7 colours: what is nearest among the drawings of all of these?

    right: the shape in the colour that was added. stayed: where it started. asked: right if the words are asked for as they are.
    """
    import torch

    from sslab.evaluation import class_embeddings, compose

    data = emoji()
    named = {name: data.texts.index(name) for name in (f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)}
    images, things = data.drawings("all")
    keep = torch.isin(things, torch.tensor(list(named.values())))
    z, things = made.embed_images(images[keep]), things[keep]                        # [n, P], [n]
    text = dict(zip(named, class_embeddings(made, data, {name: [name] for name in named}), strict=True))
    nearest = lambda direction: int(things[(z @ direction).argmax()])
    right = stayed = total = 0
    for shape in SHAPES:
        for start in COLOURS:
            for end in COLOURS:
                if start != end:
                    found = nearest(compose(made, data, [f"{start} {shape}", end], [start]))
                    right += found == named[f"{end} {shape}"]
                    stayed += found == named[f"{start} {shape}"]
                    total += 1
    direct = sum(nearest(text[name]) == named[name] for name in named) / len(named)
    return {"right": right / total, "stayed": stayed / total, "asked": direct}


@evidence("09/class", seeds=range(3), version=2, unit="recall@10")
def class_run(seed):
    """CLIP by its recipe: what a class can repeat."""
    from sslab import evaluation
    from sslab.evaluation.pairs import CLIPART_PROMPTS, EMOJI_PROMPTS

    data, art = emoji(), clip_art()
    made, step = pretrain_pairs(seed)
    found = {}
    for key, both in asked(made).items():
        names, pictures = both.image_to_text, both.text_to_image
        found[key], found[f"{key}/to-image"] = names.recall(10), pictures.recall(10)
        found |= {f"{key}/at-1": (names.recall(1), "recall@1"), f"{key}/at-5": (names.recall(5), "recall@5"),
                  f"{key}/median-rank": (names.median_rank, "rank")}
    prompts = {"ensemble": EMOJI_PROMPTS, "name": {name: [name.replace("_", " ")] for name in EMOJI_PROMPTS}}
    for key, drawer in {"new-emoji": None, "both": VENDOR}.items():
        for way, words in prompts.items():
            found[f"zero-shot/{key}/{way}"] = (evaluation.zero_shot(made, data, *new_drawings(drawer)[:1], words,
                                                                    new_drawings(drawer)[1]).accuracy, "accuracy")
    names = data.pairs.captions[data.splits["test"], 0]
    words = evaluation.classify(made.embed_texts(names), evaluation.class_embeddings(made, data, EMOJI_PROMPTS), tuple(EMOJI_PROMPTS),
                                data.labels[data.splits["test"]])
    found |= {"zero-shot/names": (words.accuracy, "accuracy")}
    drawn = evaluation.zero_shot(made, data, art.images, CLIPART_PROMPTS, art.labels)
    found |= {"clip-art": (drawn.accuracy, "accuracy"), "clip-art/balanced": (drawn.balanced, "accuracy"),
              "clip-art/majority": (drawn.majority, "accuracy")}
    gap = evaluation.modality_gap(*held_pairs(made))
    found |= {"gap": (gap.distance, "distance"), "gap/separability": (gap.separability, "accuracy"),
              "gap/matched": (gap.matched, "cosine"), "gap/unmatched": (gap.unmatched, "cosine")}
    found |= {f"equations/{key}": (value, "share of equations") for key, value in equations(made).items()}
    return {**found, "temperature": (float(step.terms["temperature"]), "temperature"), "loss": (float(step.loss), "nats")}


def held_pairs(made):
    """Test emoji in the space of both: a drawing of each by the first who drew it [n, P], and its name [n, P]."""
    part = emoji().test.pairs
    return made.embed_images(part.pictures), made.embed_texts(part.captions[:, 0])


@evidence("09/control", seeds=range(3), version=2, unit="recall@10", who=("raw", "random"), vendors=("plain", "centred"))
def control(seed, who, vendors):
    """Naming without training: the name of the training drawing that looks most alike. Its group is read off its words
    (zero-shot), or off its label, which CLIP has not (with-labels).

    vendors "centred": the mean of each vendor's drawings is subtracted first, which is a look at all of the new vendor's drawings.
    """
    import torch

    from sslab import evaluation

    data = emoji()
    if who == "raw":
        represent = evaluation.centred_pixels
    else:
        represent = evaluation.random_encoder(drawers_encoder(), data.train.pairs.pictures, seed)
    found = {}
    for key, part in {"all": "all", "new-vendor": "train"}.items():
        found[key] = evaluation.nearest_name(represent, data, VENDOR, part, vendors == "centred").names.recall(10)
    for key, drawers in {"new-emoji": [name for name in data.drawers if name != VENDOR], "both": [VENDOR]}.items():
        told = [evaluation.nearest_name(represent, data, drawer, "test", vendors == "centred") for drawer in drawers]
        labels = torch.cat([data.labels[each.things] for each in told])
        nearest = torch.cat([each.nearest for each in told])
        found[f"zero-shot/{key}"] = (float((groups_by_words()[nearest] == labels).float().mean()), "accuracy")
        found[f"with-labels/{key}"] = (float((data.labels[nearest] == labels).float().mean()), "accuracy")
    test = data.splits["test"]
    found["names-by-words"] = (float((groups_by_words()[test] == data.labels[test]).float().mean()), "accuracy")
    found["majority"] = (float(new_drawings()[1].bincount().max() / len(new_drawings()[1])), "accuracy")
    return found


@evidence("09/broken", seeds=range(3), version=1, unit="recall@10", how=tuple(BROKEN))
def broken(seed, how):
    """A short run with one thing changed."""
    from sslab import evaluation

    made, step = pretrain_pairs(seed, share=SHORT, **BROKEN[how])
    found = asked(made)
    gap = evaluation.modality_gap(*held_pairs(made))
    return {"new-vendor": found["new-vendor"].image_to_text.recall(10), "new-emoji": found["new-emoji"].image_to_text.recall(10),
            "loss": (float(step.loss), "nats"), "gap": (gap.distance, "distance")}


@evidence("09/wins", seeds=range(3), version=1, unit="recall@10", who=("clip", "siglip"), batch=BATCHES)
def wins(seed, who, batch):
    """CLIP or SigLIP on as many pairs, in batches of several sizes."""
    made, _ = pretrain_pairs(seed, who, share=SHORT, batch_size=batch)
    return {"new-vendor": asked(made)["new-vendor"].image_to_text.recall(10)}


@evidence("09/drawers", seeds=range(3), version=1, unit="recall@1", views=("two-vendors", "one-drawing"))
def drawers(seed, views):
    """SimCLR whose views are two vendors' drawings, or one drawing twice: noto's drawings look for another vendor's."""
    made, _ = pretrain_drawers(seed, by_two=views == "two-vendors")
    return across(made.encoder)


@evidence("09/drawers-control", seeds=range(3), version=1, unit="recall@1", who=("raw", "random"))
def drawers_control(seed, who):
    """The same search by raw pixels, or with an encoder that has learned nothing."""
    from sslab import evaluation

    return across(evaluation.centred_pixels if who == "raw" else
                  evaluation.random_encoder(drawers_encoder(), emoji().train.pairs.pictures, seed))


def across(represent) -> dict[str, float]:
    """Test emoji by noto look for themselves among all drawings of a vendor never trained on, and of one that was."""
    from sslab.evaluation import across_drawers

    def found(target, centre):
        return across_drawers(represent, emoji(), "noto", target, "test", centre).recall(1)

    return {f"{target}{end}": found(target, bool(end)) for target in (VENDOR, "twemoji") for end in ("", "/centred")}


CONTROLS = ("raw/plain", "random/plain")                             # without a look at the new vendor's drawings
CENTRED = ("raw/centred", "random/centred")


@define_claim("09/held-out-vendor", "Over all of OpenMoji's drawings CLIP has the right name among its first ten at least 30 % of the time, and more often than the "
              "nearest training drawing by raw pixels or a random encoder, with each vendor's mean subtracted or not.",
              evidence=["09/class/all", *(f"09/control/{who}/all" for who in (*CONTROLS, *CENTRED))],
              without={"09/class/all": "09/control/raw/plain/all"})
def _(r):
    clip = r["09/class/all"]
    return every(clip, lambda x: x >= 0.3) and all(beats(clip, r[f"09/control/{who}/all"]) for who in (*CONTROLS, *CENTRED))


@define_claim("09/new-thing", "A new thing by a known hand is named less than half as often as a known thing by a new hand, on every seed.",
              evidence=["09/class/new-vendor", "09/class/new-emoji"], without={"09/class/new-emoji": "09/class/new-vendor"})
def _(r):
    new, known = r["09/class/new-emoji"], r["09/class/new-vendor"]
    return new.value < known.value / 2 and all(a < b / 2 for a, b in zip(new.draws, known.draws, strict=False))


@define_claim("09/zero-shot", "On new things by a new hand CLIP's prompts are right more often than the largest group, than the nearest training drawing's name "
              "(raw pixels, random encoder), and even than its label.",
              evidence=["09/class/zero-shot/both/ensemble", "09/control/raw/plain/majority",
                        *(f"09/control/{who}/{what}/both" for who in CONTROLS for what in ("zero-shot", "with-labels"))],
              without={"09/class/zero-shot/both/ensemble": "09/control/raw/plain/majority"})
def _(r):
    clip = r["09/class/zero-shot/both/ensemble"]
    return beats(clip, r["09/control/raw/plain/majority"]) and all(
        beats(clip, r[f"09/control/{who}/{what}/both"]) for who in CONTROLS for what in ("zero-shot", "with-labels"))


@define_claim("09/words-limit", "Given the right name in place of the picture, CLIP's text side puts less than two thirds as many into the right group as sharing "
              "words does, with the name's tags to help, on every seed.",
              evidence=["09/class/zero-shot/names", "09/control/raw/plain/names-by-words"],
              without={"09/class/zero-shot/names": "09/control/raw/plain/names-by-words"})
def _(r):
    return every(r["09/class/zero-shot/names"], lambda x: x < 2 / 3 * r["09/control/raw/plain/names-by-words"].value)


@define_claim("09/equations", "Adding and subtracting colours finds the shape in the new colour more often than not, and never stays at the old one more than one time in ten, "
              "on every seed.", evidence=["09/class/equations/right", "09/class/equations/stayed"],
              without={"09/class/equations/right": "09/class/equations/stayed"})
def _(r):
    return every(r["09/class/equations/right"], lambda x: x > 0.5) and every(r["09/class/equations/stayed"], lambda x: x < 0.1)


@define_claim("09/gap", "A plane tells more than 85 % of pictures from words, on every seed.", evidence=["09/class/gap/separability"],
              without={"09/class/gap/separability": 0.6})
def _(r):
    return every(r["09/class/gap/separability"], lambda x: x > 0.85)


@define_claim("09/shuffled", "With shuffled captions recall@10 is below 2 %, on every seed.",
              evidence=["09/broken/shuffled/new-vendor"], without={"09/broken/shuffled/new-vendor": "09/broken/clip/new-vendor"})
def _(r):
    return every(r["09/broken/shuffled/new-vendor"], lambda x: x < 0.02)


@define_claim("09/two-hands", "Trained on drawings by two vendors SimCLR finds a new thing drawn by OpenMoji, which it never saw, more than twice as often as raw "
              "pixels, and more than 35 % of those drawn by Twemoji, on every seed.",
              evidence=["09/drawers/two-vendors/openmoji", "09/drawers/two-vendors/twemoji", "09/drawers-control/raw/openmoji"],
              without={"09/drawers/two-vendors/openmoji": "09/drawers-control/raw/openmoji"})
def _(r):
    raw = r["09/drawers-control/raw/openmoji"].value
    return (every(r["09/drawers/two-vendors/openmoji"], lambda x: x > 2 * raw)
            and every(r["09/drawers/two-vendors/twemoji"], lambda x: x > 0.35))


@define_claim("09/nature", "Two vendors' drawings as views find more new things by a known hand, Twemoji, than one drawing changed twice.",
              evidence=["09/drawers/two-vendors/twemoji", "09/drawers/one-drawing/twemoji"],
              without={"09/drawers/two-vendors/twemoji": "09/drawers/one-drawing/twemoji"})
def _(r):
    return beats(r["09/drawers/two-vendors/twemoji"], r["09/drawers/one-drawing/twemoji"])


@define_claim("09/told", "Inked and smaller views make it name a new hand's drawings more often.",
              evidence=["09/broken/clip/new-vendor", "09/broken/no-outlines/new-vendor"],
              without={"09/broken/clip/new-vendor": "09/broken/no-outlines/new-vendor"})
def _(r):
    return beats(r["09/broken/clip/new-vendor"], r["09/broken/no-outlines/new-vendor"])


@define_claim("09/hot", "At temperature 1, not learned, recall@10 is less than half of CLIP's, on every seed.",
              evidence=["09/broken/hot/new-vendor", "09/broken/clip/new-vendor"],
              without={"09/broken/hot/new-vendor": "09/broken/clip/new-vendor"})
def _(r):
    hot, clip = r["09/broken/hot/new-vendor"], r["09/broken/clip/new-vendor"]
    return hot.value < clip.value / 2 and all(a < b / 2 for a, b in zip(hot.draws, clip.draws, strict=False))


@define_claim("09/wins", "In batches of 128, with few steps, CLIP names a new hand's drawings more often than SigLIP.",
              evidence=["09/wins/clip/128/new-vendor", "09/wins/siglip/128/new-vendor"],
              without={"09/wins/clip/128/new-vendor": "09/wins/siglip/128/new-vendor"})
def _(r):
    return beats(r["09/wins/clip/128/new-vendor"], r["09/wins/siglip/128/new-vendor"])
