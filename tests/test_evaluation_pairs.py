"""Images and words in one space, on a small world whose answers are known by hand, and on the emoji's raw pixels."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import top_k_accuracy_score

from sslab import datasets, encoders, evaluation
from sslab.datasets import PairDataset, Pairs
from sslab.datasets.base import Card
from sslab.evaluation import (
    CLIPART_PROMPTS,
    EMOJI_PROMPTS,
    across_drawers,
    centred_pixels,
    classify,
    compose,
    cross_modal,
    modality_gap,
    nearest_name,
    prompts,
    retrieve,
    zero_shot,
)

WORDS = ("sun", "moon", "red", "blue", "heart", "tree")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def world():
    """6 things by 3 drawers; a drawing's first pixel is 10 drawer + thing, a caption's word is its thing (other kind: + 6)."""
    images = torch.zeros(6, 3, 1, 2, 2, dtype=torch.uint8)
    images[..., 0, 0, 0] = torch.arange(6, dtype=torch.uint8)[:, None] + 10 * torch.arange(3, dtype=torch.uint8)
    drawn = torch.ones(6, 3, dtype=torch.bool)
    drawn[1, 0] = drawn[5, 2] = False                                # a has no moon, c no tree
    captions = torch.zeros(6, 2, 4, dtype=torch.int16)
    captions[:, :, 0], captions[:, :, 2] = 2, 3
    captions[:, :, 1] = torch.arange(6, dtype=torch.int16)[:, None] + torch.tensor([0, 6], dtype=torch.int16)
    said = torch.ones(6, 2, dtype=torch.bool)
    said[3, 1] = False                                               # blue has no other caption
    splits = {"train": torch.tensor([0, 1, 2]), "validation": torch.tensor([3]), "test": torch.tensor([4, 5])}
    tokenizer = SimpleNamespace(encode=lambda text: torch.tensor([WORDS.index(text)]), vocabulary=12)
    labels = torch.tensor([0, 0, 1, 1, 0, 1])
    return PairDataset("world", Pairs(images, drawn, captions, said), list(WORDS), labels, ("x", "y"), splits,
                       Card("", "", "", ""), tokenizer, ("name", "other"), ("a", "b", "c"), "c")


def model(drawings, words):
    """Tables in place of towers: drawings {first pixel: row}, words [12, P]."""
    return SimpleNamespace(embed_images=lambda x: torch.stack([drawings[int(p)] for p in x[:, 0, 0, 0]]),
                           embed_texts=lambda tokens: F.normalize(words[tokens[:, 1].long()], dim=1))


def perfect():
    return model({10 * d + t: torch.eye(12)[t] for d in range(3) for t in range(6)}, perfect_words())


def perfect_words():
    return torch.eye(12).roll(6, 0) + torch.eye(12)                  # both captions of a thing are one direction


def naive_ranks(queries, gallery, truth, names):
    ranks = []
    for q, t in zip(queries, truth.tolist(), strict=True):
        best = {}
        for g, name in zip(gallery, names.tolist(), strict=True):
            best[name] = max(best.get(name, -9.0), float(q @ g / (q.norm() * g.norm())))
        ranks.append(1 + sum(best[name] >= best[t] for name in best if name != t))
    return ranks


def test_ranks_are_those_of_plain_loops_and_of_sklearn():
    queries, gallery, truth = normal(40, 5), 3 * normal(30, 5, seed=1), torch.arange(40) % 30
    found = retrieve(queries, gallery, truth)
    assert found.ranks.tolist() == naive_ranks(queries, gallery, truth, torch.arange(30)) and found.candidates == 30
    cosine = F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T
    for k in (1, 5, 10):
        assert found.recall(k) == pytest.approx(top_k_accuracy_score(truth, cosine, k=k, labels=range(30)))
    assert found.chance(5) == pytest.approx(5 / 30) and found.chance(100) == 1
    names = 100 + torch.arange(30) % 7                               # several rows of a name: the best counts
    several = retrieve(queries, gallery, 100 + truth % 7, names)
    assert several.ranks.tolist() == naive_ranks(queries, gallery, 100 + truth % 7, names) and several.candidates == 7


def test_recall_and_median_by_hand():
    found = evaluation.Retrieval(torch.tensor([1, 1, 3, 20]), 50)
    assert (found.recall(1), found.recall(3), found.median_rank) == (0.5, 0.75, 2)
    assert found.summary() == {"recall@1": 0.5, "recall@5": 0.75, "recall@10": 0.75, "median rank": 2}
    with pytest.raises(ValueError, match="k: got 0"):
        found.recall(0)


def test_a_collapsed_representation_is_last_everywhere():
    same = F.normalize(normal(1, 64).float().expand(700, -1) + 1e-9, dim=1)
    assert set(retrieve(same, same * torch.linspace(0.5, 2, 700)[:, None], torch.arange(700)).ranks.tolist()) == {700}


@pytest.mark.parametrize("change, words", [
    ({"queries": normal(4)}, "queries, gallery: got shapes"),
    ({"gallery": normal(5, 2)}, "queries, gallery: got shapes"),
    ({"truth": torch.tensor([0, 1])}, "truth: got"),
    ({"truth": torch.tensor([0, 1, 2, 7])}, "truth: got 7, takes what is in the gallery"),
    ({"names": torch.zeros(5)}, "names: got torch.float32"),
])  # fmt: skip
def test_retrieval_refuses_what_does_not_fit(change, words):
    with pytest.raises(ValueError, match=words):
        retrieve(**{"queries": normal(4, 3), "gallery": normal(5, 3), "truth": torch.arange(4), **change})


def test_both_directions_over_all_names():
    made = cross_modal(perfect(), world(), "c", "test")
    assert made.image_to_text.ranks.tolist() == [1] and made.image_to_text.candidates == 6       # c drew no tree
    assert made.text_to_image.ranks.tolist() == [1] and made.text_to_image.candidates == 5
    assert len(cross_modal(perfect(), world(), "c", "all", "other").image_to_text.ranks) == 4    # blue has no other caption
    free = cross_modal(perfect(), world(), None, "train")            # a and b drew 5 of the 3 training things
    assert len(free.image_to_text.ranks) == 5 and len(free.text_to_image.ranks) == 3 and free.text_to_image.candidates == 6


def test_directions_are_not_confused():
    """Every drawing lies nearest to the word sun, but each word nearest to its drawing."""
    tilted = {10 * d + t: torch.eye(12)[t] + 1.1 * torch.eye(12)[0] for d in range(3) for t in range(6)}
    made = cross_modal(model(tilted, perfect_words()), world(), "b", "all")
    assert made.image_to_text.recall(1) == pytest.approx(1 / 6) and made.text_to_image.recall(1) == 1


@pytest.mark.parametrize("options, words", [
    ({"drawer": "d"}, "drawer: got 'd', takes one of a, b, c"),
    ({"part": "tests"}, "part: got 'tests'"),
    ({"caption": "tags"}, "caption: got 'tags', takes one of name, other"),
    ({"part": "validation", "caption": "other"}, "part: got 'validation', of which 'c' drew nothing that has a 'other'"),
])  # fmt: skip
def test_cross_modal_refuses_what_is_not_there(options, words):
    with pytest.raises(ValueError, match=words):
        cross_modal(perfect(), world(), **{"drawer": "c", **options})


def test_zero_shot_is_the_naive_ensemble():
    words, pictures = normal(12, 8).float(), normal(60, 8, seed=1).float()
    images = torch.arange(60, dtype=torch.uint8)[:, None, None, None]
    ensemble = {"sky": ["sun", "moon"], "colour": ["red", "blue"], "rest": ["heart"]}
    expected = []
    for picture in pictures.double():
        scores = []
        for texts in ensemble.values():
            mean = sum(words[WORDS.index(text)].double() / words[WORDS.index(text)].double().norm() for text in texts)
            scores.append(float(picture @ mean / (picture.norm() * mean.norm())))
        expected.append(scores.index(max(scores)))
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    made = zero_shot(model(dict(enumerate(pictures)), words), world(), images, ensemble, labels)
    assert made.predictions.tolist() == expected and made.class_names == ("sky", "colour", "rest")
    right = [int(a == b) for a, b in zip(expected, labels.tolist(), strict=True)]
    assert made.accuracy == pytest.approx(sum(right) / 60) and made.majority == pytest.approx(40 / 60)
    assert made.balanced == pytest.approx((sum(right[:40]) / 40 + sum(right[40:55]) / 15 + sum(right[55:]) / 5) / 3)
    unknown = zero_shot(model(dict(enumerate(pictures)), words), world(), images, ensemble)
    assert unknown.accuracy is None and unknown.balanced is None and unknown.majority is None


@pytest.mark.parametrize("given", [{}, {"sky": "sun"}, {"sky": []}, {"sky": [" "]}, {"sky": [3]}])
def test_prompts_are_lists_of_texts(given):
    with pytest.raises(ValueError, match="class_prompts: got"):
        zero_shot(perfect(), world(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8), given)


@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.tensor([0, 1, 2]), torch.tensor([0, -1, 1])])
def test_labels_fit_the_classes(labels):
    with pytest.raises(ValueError, match="labels: got"):
        classify(normal(3, 4), normal(2, 4), ("x", "y"), labels)


def test_composition_by_hand():
    words = torch.cat([torch.eye(6), torch.eye(6)])
    words[4] = torch.tensor([0.0, 0, 3, 0, 4, 0])                    # "heart" is a red heart: (3 red + 4 heart) / 5
    made = compose(model({}, words), world(), ["heart", "blue"], ["red"])
    assert torch.allclose(made, F.normalize(torch.tensor([0.0, 0, 0.6 - 1, 1, 0.8, 0]), dim=0))
    for plus, minus, name in (("heart", [], "plus"), ([], [], "plus"), (["heart"], "red", "minus")):
        with pytest.raises(ValueError, match=f"{name}: got"):
            compose(perfect(), world(), plus, minus)


def test_words_get_their_article():
    assert prompts(["owl", "scissors", "money"], ["{}", "a picture of {}"]) == [
        "owl", "a picture of an owl", "scissors", "a picture of scissors", "money", "a picture of money"]
    for words, templates in (("owl", ["{}"]), (["owl"], ["a picture"])):
        with pytest.raises((TypeError, ValueError), match="(words|templates): got"):
            prompts(words, templates)


def test_prompts_are_in_the_order_of_the_labels():
    assert tuple(EMOJI_PROMPTS) == datasets.load("emoji").class_names
    assert tuple(CLIPART_PROMPTS) == datasets.load("openclipart").class_names


@pytest.mark.parametrize("centre", [False, True])
def test_the_nearest_name_is_that_of_plain_loops(centre):
    data, table = world(), normal(36, 4)
    represent = lambda x: table[x[:, 0, 0, 0].long()]

    def z(drawer):
        things = [t for t in range(6) if data.pairs.drawn[t, drawer]]
        rows = {t: table[10 * drawer + t] for t in things}
        mean = sum(rows.values()) / len(rows)
        return {t: F.normalize(row - mean if centre else row, dim=0) for t, row in rows.items()}

    bank = [(t, row) for drawer in (0, 1) for t, row in z(drawer).items() if t < 3]              # c is held out, 0 to 2 train
    asked = [(t, row) for t, row in z(2).items()]
    made = nearest_name(represent, data, "c", "all", centre)
    assert made.things.tolist() == [t for t, _ in asked] and len(bank) == 5 and made.names.candidates == 6
    assert made.nearest.tolist() == [max(bank, key=lambda one, q=row: float(q @ one[1]))[0] for _, row in asked]
    for (thing, row), rank in zip(asked, made.names.ranks.tolist(), strict=True):
        best = {name: max(float(row @ one) for t, one in bank if t == name) for name in range(3)}
        assert rank == (1 + sum(best[name] > best[thing] for name in best if name != thing) if thing < 3 else 6)


def test_nearest_name_and_across_drawers_refuse():
    with pytest.raises(ValueError, match="drawer: got None"):
        nearest_name(centred_pixels, world(), None)
    with pytest.raises(ValueError, match="part: got 'test', with 0 drawings by 'c'"):
        nearest_name(centred_pixels, replace(world(), splits={**world().splits, "test": torch.tensor([5])}), "c")
    with pytest.raises(ValueError, match="target: got 'a' for both"):
        across_drawers(centred_pixels, world(), "a", "a")
    with pytest.raises(ValueError, match="source: got 'noto', takes one of a, b, c"):
        across_drawers(centred_pixels, world(), "noto", "a")
    with pytest.raises(ValueError, match="in common"):
        across_drawers(centred_pixels, world(), "a", "b", torch.tensor([1]))


def test_across_drawers_asks_for_what_both_drew():
    same = lambda x: torch.eye(10)[(x[:, 0, 0, 0] % 10).long()]
    found = across_drawers(same, world(), "a", "c")                  # a drew no moon, c no tree
    assert found.ranks.tolist() == [1, 1, 1, 1] and found.candidates == 5
    assert len(across_drawers(same, world(), "a", "c", "train").ranks) == 2
    assert len(across_drawers(same, world(), "a", "c", torch.tensor([3, 4, 5])).ranks) == 2


def test_raw_pixels_of_emoji_give_the_figures_that_came_with_the_data():
    data = datasets.load("emoji-pairs")
    for target, top in {"openmoji": 0.069, "twemoji": 0.263, "emojione": 0.235}.items():
        assert across_drawers(centred_pixels, data, "noto", target).recall(1) == pytest.approx(top, abs=6e-4)


def test_the_gap_of_clouds_that_are_known():
    cloud = F.normalize(normal(400, 6), dim=1)
    mixed = modality_gap(cloud[:200], cloud[200:])
    assert mixed.distance < 0.2 and abs(mixed.separability - 0.5) < 0.1
    shift = torch.tensor([3.0, 0, 0, 0, 0, 0], dtype=torch.float64)
    a, b = cloud[:200] + shift, cloud[200:] - shift
    apart = modality_gap(7 * a, b)
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    cosine = a @ b.T
    assert apart.separability == 1 and apart.distance == pytest.approx(float((a.mean(0) - b.mean(0)).norm()))
    assert apart.matched == pytest.approx(float(cosine.diagonal().mean()))
    assert apart.unmatched == pytest.approx(float(cosine[~torch.eye(200, dtype=torch.bool)].mean()))
    same = modality_gap(cloud, cloud)
    assert same.distance == 0 and same.matched == pytest.approx(1) and same.separability == pytest.approx(0.5)
    noise = normal(120, 80, seed=3)                                  # a plane divides these, but not others of their kind
    assert modality_gap(noise[:60], noise[60:]).separability < 0.7
    with pytest.raises(ValueError, match="images, texts: got shapes"):
        modality_gap(cloud, cloud[:9])


def test_the_real_objective_fits():
    """Untrained towers on some emoji: shapes, ranges, one part of a drawer nobody trained on."""
    from sslab.objectives.pairs import CLIP

    torch.manual_seed(0)
    data = datasets.load("emoji-pairs")
    small = replace(data, pairs=data.pairs[:40], texts=data.texts[:40], labels=data.labels[:40],
                    splits={"train": torch.arange(20), "validation": torch.arange(20, 30), "test": torch.arange(30, 40)})
    model = CLIP(encoders.create("conv", small, width=8), text=encoders.create("transformer", small, dim=16, depth=1, heads=2))
    made = cross_modal(model, small, "openmoji", "test")
    assert len(made.image_to_text.ranks) == 10 and made.image_to_text.candidates == 40
    images, things = small.drawings("test", "openmoji")
    found = zero_shot(model, small, images, EMOJI_PROMPTS, small.labels[things])
    assert found.similarity.shape == (10, 8) and found.similarity.abs().max() <= 1.0001
    assert compose(model, small, ["red heart", "blue"], ["red"]).norm() == pytest.approx(1, abs=1e-5)
    itself = nearest_name(model.encoder, small, "noto", "train")
    assert itself.nearest.tolist() == itself.things.tolist() == list(range(20)) and itself.names.recall(1) == 1
