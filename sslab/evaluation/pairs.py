"""Images and words in one space: retrieval, zero-shot classes, the gap between the two, and the controls for each.

`represent` is a network or a function from images [N, C, S, S] to representations [N, D]; all comparisons are by cosine.
`dataset` is one of pairs, such as `sslab.datasets.load("emoji-pairs")`: things, drawn by some and named.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import check_finite, is_whole, takes
from sslab._names import choose
from sslab.evaluation.features import features, raw_pixels
from sslab.evaluation.logistic import fit_logistic

PARTS = ("train", "validation", "test", "all")
TIE = 1e-6                                                           # cosines nearer than this are equal
CHUNK = 512                                                          # queries that are compared at a time
PENALTY = 0.01                                                       # of the classifier that tells images from words

TEMPLATES = ("{}", "a picture of {}", "a drawing of {}")
_UNCOUNTED = ("art", "bread", "clothing", "food", "fruit", "furniture", "grass", "information", "meat", "money", "no smoking",
              "weather")


@takes()
def prompts(words: Sequence[str], templates: Sequence[str] = TEMPLATES) -> list[str]:
    """Each word in each template: "dog" -> "dog", "a picture of a dog", "a drawing of a dog".

    Args:
        words: without an article.
        templates: with {} where the word goes; where something stands before it, it gets an article, unless it ends in "s" or
            is one of a few that take none.
    Raises:
        ValueError: words is not a list of texts, or a template has no {}.
    """
    if isinstance(words, str) or not all(isinstance(word, str) and word for word in words):
        raise ValueError(f"words: got {words!r}, takes a list of texts")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"templates: got {template!r}, takes texts with {{}} in them")
    return [template.format(word if template.startswith("{}") else _with_article(word))
            for word in words for template in templates]


def _with_article(word: str) -> str:
    return word if word.endswith("s") or word in _UNCOUNTED else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _classes(**words: str) -> Mapping[str, list[str]]:
    return MappingProxyType({name.replace("_", " "): prompts(text.split(", ")) for name, text in words.items()})


# Words that come to mind for a class, written before anything was measured. The keys are in the order of the labels.
EMOJI_PROMPTS = _classes(
    smileys_and_emotion="face, smiling face, sad face, angry face, laughing face, cat face, heart, emotion",
    people_and_body="person, man, woman, child, family, hand, worker, person doing sport, person walking",
    animals_and_nature="animal, mammal, bird, fish, insect, reptile, flower, plant, tree",
    food_and_drink="food, fruit, vegetable, meal, bread, dessert, cake, drink, cup",
    travel_and_places="place, building, house, city, vehicle, car, train, ship, airplane, clock, weather, moon",
    activities="game, ball, sport, medal, celebration, gift, art, toy",
    objects="object, tool, clothing, musical instrument, phone, computer, book, envelope, money, lock",
    symbols="symbol, sign, arrow, button, letters, zodiac sign, geometric shape, mark",
)
CLIPART_PROMPTS = _classes(
    animals="animal, mammal, dog, cat, horse, bear, bird, fish, insect, dinosaur",
    buildings="building, house, castle, church, tower, furniture, chair",
    food="food, fruit, vegetable, bread, meat, egg, dessert, cake, drink, bottle",
    plants="plant, flower, rose, tree, leaf, grass",
    tools="tool, hammer, screwdriver, saw, scissors, knife, wrench",
    transport="vehicle, car, truck, train, boat, ship, airplane, bicycle",
    signs="sign, symbol, arrow, traffic sign, no smoking, information",
)


# Retrieval


@dataclass(frozen=True)
class Retrieval:
    """What a search found. ranks: int64 [n], the place of the right answer for each query, from 1.

    candidates: how many different answers there were to choose from.
    """

    ranks: Tensor = field(repr=False)
    candidates: int

    def recall(self, k: int = 1) -> float:
        """Share of the queries whose answer is among the first k.

        Raises:
            ValueError: k is below 1.
        """
        if k < 1:
            raise ValueError(f"k: got {k}, takes 1 or more")
        return float((self.ranks <= k).double().mean())

    def chance(self, k: int = 1) -> float:
        """Recall at k of a random order."""
        return min(1.0, k / self.candidates)

    @property
    def median_rank(self) -> float:
        """Half of the answers stand at this rank or above it; about half of `candidates` is chance."""
        return float(self.ranks.double().quantile(0.5))

    def summary(self) -> dict[str, float]:
        """recall@1, @5, @10 and the median rank."""
        return {**{f"recall@{k}": self.recall(k) for k in (1, 5, 10)}, "median rank": self.median_rank}

    def __repr__(self) -> str:
        recalls = ", ".join(f"@{k} {self.recall(k):.3f}" for k in (1, 5, 10))
        asked = f"{len(self.ranks):,} queries, {self.candidates:,} candidates"
        return f"Retrieval({asked}: recall {recalls}, median rank {self.median_rank:g})"


@takes(queries="float [N, P]", gallery="float [M, P]")
@torch.no_grad()
def retrieve(queries: Tensor, gallery: Tensor, truth: Tensor, names: Tensor | None = None) -> Retrieval:
    """Search a gallery by cosine: at which place does each query's right answer stand?

    Ties are lost: whatever is as similar as the right answer (to 1e-6) stands before it. So a representation that has
    collapsed gets the worst rank, not a lucky one.

    Args:
        queries: representations [n, P], at any scale.
        gallery: representations [m, P].
        truth: the right answer of each query [n]: a row of the gallery, or where there are `names` one of those.
        names: what each row of the gallery is, whole numbers [m]; rows of one name are one answer, and the best counts.
    Raises:
        ValueError: shapes do not fit, or an answer is not in the gallery.
    """
    fits = queries.ndim == gallery.ndim == 2 and queries.shape[1] == gallery.shape[1] and len(queries) and len(gallery)
    if not fits:
        got = f"{list(queries.shape)} and {list(gallery.shape)}"
        raise ValueError(f"queries, gallery: got shapes {got}, takes [n, P] and [m, P]")
    if truth.shape != queries.shape[:1] or not is_whole(truth):
        raise ValueError(f"truth: got {truth.dtype} {list(truth.shape)}, takes whole numbers [{len(queries)}]")
    names = torch.arange(len(gallery)) if names is None else names.cpu()
    if names.shape != gallery.shape[:1] or not is_whole(names):
        raise ValueError(f"names: got {names.dtype} {list(names.shape)}, takes whole numbers [{len(gallery)}]")
    answers, column = names.unique(return_inverse=True)              # [a], [m]
    truth = truth.cpu()
    strange = truth[~torch.isin(truth, answers)]
    if len(strange):
        raise ValueError(f"truth: got {int(strange[0])}, takes what is in the gallery")
    right = torch.searchsorted(answers, truth)                       # [n]
    gallery = F.normalize(_floats(gallery), dim=1)
    ranks = [_ranks(_best(_floats(q) @ gallery.T, column, len(answers)), t)
             for q, t in zip(F.normalize(_floats(queries), dim=1).split(CHUNK), right.split(CHUNK), strict=True)]
    return Retrieval(torch.cat(ranks), len(answers))


def _floats(x: Tensor) -> Tensor:
    """On the CPU, half types raised to float32."""
    x = x.detach().cpu()
    return x if x.dtype == torch.float64 else x.float()


def _best(similarity: Tensor, column: Tensor, answers: int) -> Tensor:
    """The best similarity of each answer, -inf for one that nothing in the gallery is: [n, m] -> [n, answers]."""
    best = similarity.new_full((len(similarity), answers), -torch.inf)
    return best.scatter_reduce_(1, column.expand_as(similarity), similarity, "amax")


def _ranks(similarity: Tensor, right: Tensor) -> Tensor:
    """Places [n] of the answers `right` [n] in rows of similarities [n, a], from 1; ties are lost."""
    own = similarity.gather(1, right[:, None])                       # [n, 1]
    return (similarity >= own - TIE).sum(dim=1)


# Between images and words


@dataclass(frozen=True)
class CrossModal:
    """Search in both directions: which name belongs to a drawing, which drawing to a name?"""

    image_to_text: Retrieval
    text_to_image: Retrieval


def cross_modal(objective, dataset, drawer: str | None = None, part: str = "test", caption: str | None = None) -> CrossModal:
    """Names for drawings and drawings for names: the queries are of one part, the candidates are all things.

    Args:
        objective: with `embed_images` and `embed_texts`, such as CLIP.
        dataset: of pairs.
        drawer: whose drawings; None: of all but the held-out one.
        part: of the queries, "train", "validation", "test" or "all".
        caption: the kind that names a thing, one of `dataset.captions`; the first one if None.
    Returns:
        image_to_text over all names, text_to_image over all drawings; of several drawings of one thing the best counts.
    Raises:
        ValueError: no such part, drawer or kind of caption, or nothing to ask.
    """
    images, things, asked = _asked(dataset, drawer, part)
    kind = dataset.captions.index(choose(caption or dataset.captions[0], dataset.captions, "caption"))
    named = dataset.pairs.said[:, kind].nonzero()[:, 0]        # [a] things
    texts = _floats(objective.embed_texts(dataset.pairs.captions[named, kind]))       # [a, P]
    pictures = _floats(objective.embed_images(images))               # [m, P]
    seen = asked & torch.isin(things, named)                         # [m]
    told = _members(dataset, part)[named] & torch.isin(named, things)                          # [a]
    if not bool(seen.any()):
        raise ValueError(f"part: got {part!r}, of which {drawer!r} drew nothing that has a {dataset.captions[kind]!r}")
    return CrossModal(retrieve(pictures[seen], texts, things[seen], named),
                      retrieve(texts[told], pictures, named[told], things))


def _members(dataset, part: str) -> Tensor:
    """Which things are of a part, bool [N]."""
    members = torch.zeros(len(dataset), dtype=torch.bool)
    members[slice(None) if choose(part, PARTS, "part") == "all" else dataset.splits[part]] = True
    return members


def _asked(dataset, drawer: str | None, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """All drawings by one drawer [m, C, S, S], what they show [m], and whether that is of the part, bool [m]."""
    members = _members(dataset, part)
    if drawer is not None:
        choose(drawer, dataset.drawers, "drawer")
    images, things = dataset.drawings("all", drawer)
    things = things.cpu()
    return images, things, members[things]


@dataclass(frozen=True)
class ZeroShot:
    """Classes by words alone. predictions: int64 [n]. similarity: cosines [n, C]. labels: int64 [n], if they are known."""

    predictions: Tensor = field(repr=False)
    similarity: Tensor = field(repr=False)
    class_names: tuple[str, ...]
    labels: Tensor | None = field(default=None, repr=False)

    @property
    def accuracy(self) -> float | None:
        """Share that is right; None without labels."""
        return None if self.labels is None else float((self.predictions == self.labels).double().mean())

    @property
    def balanced(self) -> float | None:
        """Mean over the classes that occur of the share that is right; None without labels."""
        if self.labels is None:
            return None
        right = (self.predictions == self.labels).double()
        return float(torch.stack([right[self.labels == label].mean() for label in self.labels.unique()]).mean())

    @property
    def majority(self) -> float | None:
        """Accuracy of always saying the commonest class of these labels; None without labels."""
        return None if self.labels is None else float(self.labels.bincount().max() / len(self.labels))


def zero_shot(objective, dataset, images: Tensor, class_prompts: Mapping[str, Sequence[str]],
              labels: Tensor | None = None) -> ZeroShot:
    """Classify images by words: the class whose prompts, averaged, point most nearly where the image points.

    Args:
        objective: with `embed_images` and `embed_texts`.
        dataset: whose `encode` turns prompts into tokens, the one that was trained on.
        images: uint8 [n, C, S, S].
        class_prompts: name of a class -> prompts; the order of the names is that of the labels.
        labels: int64 [n], for the accuracy.
    Raises:
        ValueError: prompts are not lists of texts, or labels do not fit.
    Source:
        Radford et al. 2021, arXiv:2103.00020, section 3.1.4: ensembles over the embedding space.
    """
    classes = class_embeddings(objective, dataset, class_prompts)    # [C, P]
    return classify(objective.embed_images(images), classes, tuple(class_prompts), labels)


def class_embeddings(objective, dataset, class_prompts: Mapping[str, Sequence[str]]) -> Tensor:
    """One direction a class, [C, P]: the mean of its prompts' normalised embeddings, normalised again.

    Raises:
        ValueError: there is no class, or a class has no list of prompts.
    """
    if not class_prompts:
        raise ValueError("class_prompts: got none, takes a list of prompts for each class")
    for name, texts in class_prompts.items():
        if isinstance(texts, str) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(f"class_prompts: got {texts!r} for {name!r}, takes a list of one text or more")
    z = _embed_texts(objective, dataset, [text for texts in class_prompts.values() for text in texts])
    means = [part.mean(dim=0) for part in z.split([len(texts) for texts in class_prompts.values()])]
    return F.normalize(torch.stack(means), dim=1)                    # [C, P]


def _embed_texts(objective, dataset, texts: list[str]) -> Tensor:
    """Texts -> [n, P], normalised, on the CPU."""
    return F.normalize(_floats(objective.embed_texts(dataset.encode(texts))), dim=1)


@takes(images="float [N, P]", classes="float [C, P]", labels="int [_]")
def classify(images: Tensor, classes: Tensor, class_names: Sequence[str], labels: Tensor | None = None) -> ZeroShot:
    """Which class is nearest by cosine? Representations [n, P] of images and [C, P] of classes.

    Raises:
        ValueError: shapes or labels do not fit.
    """
    fits = images.ndim == classes.ndim == 2 and images.shape[1] == classes.shape[1] and len(classes) == len(class_names)
    if not fits:
        got = f"{list(images.shape)} and {list(classes.shape)} for {len(class_names)} names"
        raise ValueError(f"images, classes: got shapes {got}, takes [n, P], and [C, P] for C names")
    if labels is not None:
        labels = labels.cpu()
        if labels.shape != images.shape[:1] or not bool(((labels >= 0) & (labels < len(classes))).all()):
            raise ValueError(f"labels: got {list(labels.shape)}, takes [{len(images)}], each from 0 to {len(classes) - 1}")
    similarity = F.normalize(_floats(images), dim=1) @ F.normalize(_floats(classes), dim=1).T      # [n, C]
    return ZeroShot(similarity.argmax(dim=1), similarity, tuple(class_names), labels)


def compose(objective, dataset, plus: Sequence[str], minus: Sequence[str] = ()) -> Tensor:
    """Add and subtract what texts mean, "red heart" minus "red" plus "blue", as one direction [P] of length 1.

    Whether the result is where a blue heart is, is for a search to say: nothing in the training asks for it.

    Raises:
        ValueError: nothing to add, or not lists of texts.
    """
    for name, texts in {"plus": plus, "minus": minus}.items():
        listed = not isinstance(texts, str) and all(isinstance(text, str) and text.strip() for text in texts)
        if not listed or (name == "plus" and not texts):
            raise ValueError(f"{name}: got {texts!r}, takes a list of texts")
    z = _embed_texts(objective, dataset, [*plus, *minus])
    return F.normalize(z[: len(plus)].sum(dim=0) - z[len(plus):].sum(dim=0), dim=0)


# Controls, and what images alone can do


@takes()
def centred_pixels(images: Tensor) -> Tensor:
    """Raw pixels without the picture's own brightness, float32 [N, C * S * S]: what cosines should be taken of."""
    x = raw_pixels(images)
    return x - x.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Transfer:
    """What the nearest training drawing says. nearest, things: int64 [n], the thing that it shows, and the right one.

    names: all names, ranked by the nearest training drawing of each; one without any has the worst rank.
    """

    nearest: Tensor = field(repr=False)
    things: Tensor = field(repr=False)
    names: Retrieval


@torch.no_grad()
def nearest_name(represent: nn.Module | Callable[[Tensor], Tensor], dataset, drawer: str, part: str = "test",
                 centre: bool = False) -> Transfer:
    """The control of naming without words: a drawing gets the name of the training drawing that it resembles most.

    It cannot name what was never drawn in training: ask a model and its control for the same part. Where `drawer` drew for
    training too, a drawing of that split finds itself.

    Args:
        represent: such as `centred_pixels` or a random encoder.
        dataset: of pairs; training drawings are those of training things by all but the held-out drawer.
        drawer: whose drawings ask.
        part: of the things that are asked for.
        centre: subtract from the representations of each drawer their mean first: style off, as far as a mean is style.
            It looks at all drawings of the drawer, but at no name. Raw pixels gain much by it.
    Returns:
        `.names` is the retrieval over all names; `dataset.labels[.nearest]` is the nearest drawing's class.
    Raises:
        ValueError: no such part or drawer, or nothing to ask or to learn from.
    """
    images, things, asked = _asked(dataset, choose(drawer, dataset.drawers, "drawer"), part)
    queries = _represented(represent, images, centre)[asked]
    bank, known = [], []
    for each in dataset.drawers:
        if each != dataset.held_out:
            images, of = dataset.drawings("train" if not centre else "all", each)
            keep = _members(dataset, "train")[of.cpu()]
            bank.append(_represented(represent, images, centre)[keep])
            known.append(of.cpu()[keep])
    bank, known = torch.cat(bank), torch.cat(known)
    if not len(queries) or not len(bank):
        got = f"{part!r}, with {len(queries)} drawings by {drawer!r} and {len(bank)} to learn from"
        raise ValueError(f"part: got {got}; takes some of each")
    things, ranks, nearest = things[asked], [], []
    for q, right in zip(queries.split(CHUNK), things.split(CHUNK), strict=True):
        similarity = q @ bank.T                                      # [n, m]
        nearest.append(known[similarity.argmax(dim=1)])
        ranks.append(_ranks(_best(similarity, known, len(dataset)), right))
    return Transfer(torch.cat(nearest), things, Retrieval(torch.cat(ranks), len(dataset)))


@torch.no_grad()
def across_drawers(represent: nn.Module | Callable[[Tensor], Tensor], dataset, source: str = "noto", target: str = "openmoji",
                   part: str | Tensor = "all", centre: bool = False) -> Retrieval:
    """The same thing by another hand: each drawing by `source` looks for its thing among all drawings by `target`.

    Args:
        part: of the things that are asked for, or their numbers; those that only one of the two drew are left out.
        centre: subtract from the representations of each drawer their mean first, see `nearest_name`.
    Returns:
        retrieval by cosine over all that `target` drew.
    Raises:
        ValueError: no such drawer or part, the two are one, or no thing was drawn by both.
    """
    for name, drawer in {"source": source, "target": target}.items():
        choose(drawer, dataset.drawers, name)
    if source == target:
        raise ValueError(f"target: got {target!r} for both, takes another drawer than source")
    images, things, asked = _asked(dataset, source, part if isinstance(part, str) else "all")
    gallery, names, _ = _asked(dataset, target, "all")
    if not isinstance(part, str):
        asked = torch.isin(things, torch.as_tensor(part).cpu())
    asked &= torch.isin(things, names)
    if not bool(asked.any()):
        raise ValueError(f"part: got {part!r}, of which {source!r} and {target!r} drew nothing in common")
    queries = _represented(represent, images, centre)[asked]
    return retrieve(queries, _represented(represent, gallery, centre), things[asked], names)


def _represented(represent: nn.Module | Callable[[Tensor], Tensor], images: Tensor, centre: bool) -> Tensor:
    """Representations of length 1 on the CPU, [N, D]."""
    z = _floats(features(represent, images) if isinstance(represent, nn.Module) else represent(images))
    return F.normalize(z - z.mean(dim=0) if centre else z, dim=1)


# The gap


@dataclass(frozen=True)
class Gap:
    """How far apart images and words lie.

    distance: between the mean of the normalised images and that of the normalised texts, from 0 to 2.
    separability: share of the points of which a linear classifier, fitted on other pairs, says rightly whether they are
        images or texts; 0.5 where they are mixed, 1 where a plane divides them.
    matched, unmatched: mean cosine of an image with its own text, and with the others.
    """

    distance: float
    separability: float
    matched: float
    unmatched: float


@takes(images="float [N, P]", texts="float [N, P]", N=">= 4")
@torch.no_grad()
def modality_gap(images: Tensor, texts: Tensor) -> Gap:
    """Do images and words share the space, or does each have a corner of it?

    Args:
        images, texts: representations [n, P] of n pairs, at any scale.
    Raises:
        ValueError: shapes differ or are not [n, P], or n is below 4.
    Source:
        Liang et al. 2022, arXiv:2203.02053, section 2, for the distance.
    """
    if images.ndim != 2 or images.shape != texts.shape or len(images) < 4:
        got = f"{list(images.shape)} and {list(texts.shape)}"
        raise ValueError(f"images, texts: got shapes {got}, takes [n, P] twice, n from 4")
    check_finite(images=images, texts=texts)
    a, b = (F.normalize(_floats(z), dim=1) for z in (images, texts))
    n, cosine = len(a), a @ b.T                                      # [n, n]
    fold = torch.arange(n) % 2                                       # a pair is in one fold: no half of it tells the other
    right = []
    for held in (0, 1):
        x = torch.cat([a[fold != held], b[fold != held]])
        y = torch.arange(2).repeat_interleave(len(x) // 2)
        scale = (x - x.mean(dim=0)).square().mean().sqrt().clamp_min(1e-12)
        (weight,), (bias,) = fit_logistic(x / scale, y, [PENALTY], 2)
        for label, z in enumerate((a, b)):
            right.append(((z[fold == held] / scale @ weight + bias).argmax(dim=1) == label).double())
    return Gap(float((a.mean(dim=0) - b.mean(dim=0)).norm()), float(torch.cat(right).mean()), float(cosine.diagonal().mean()),
               float((cosine.sum() - cosine.trace()) / (n * (n - 1))))
