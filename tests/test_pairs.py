"""Pairs of pictures and words: the data, CLIP and SigLIP against plain loops, and what their knobs do."""

import copy
import gzip
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from sslab import datasets, encoders, objectives
from sslab.datasets import bundled, pairs
from sslab.datasets.pairs import Pairs
from sslab.datasets.tokenizer import CLS, PAD, SEP
from sslab.testing import check_objective
from sslab.training import train
from sslab.training.recipes import recipe

B, D, V, T = 9, 5, 30, 12


@pytest.fixture(scope="module")
def emoji():
    return datasets.load("emoji-pairs")


# ---- the losses


def numbers(seed=0, rows=B):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, D)) * random.uniform(0.1, 9, (rows, 1)), random.normal(size=(rows, D))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_clip_is_the_plain_loop():
    image, text = numbers()
    scale, total = 1 / 0.07, 0.0
    for i in range(B):
        to_texts = sum(math.exp(scale * cosine(image[i], text[j])) for j in range(B))
        to_images = sum(math.exp(scale * cosine(image[j], text[i])) for j in range(B))
        own = math.exp(scale * cosine(image[i], text[i]))
        total -= (math.log(own / to_texts) + math.log(own / to_images)) / 2
    got = objectives.clip(torch.tensor(image), torch.tensor(text), torch.tensor(scale, dtype=torch.float64))
    assert got.dtype == torch.float64 and float(got) == pytest.approx(total / B, rel=1e-10)
    raw = objectives.clip(torch.tensor(image), torch.tensor(text), 0.1, normalised=False)
    by_hand = np.exp(0.1 * image @ text.T)
    parts = np.log(np.diag(by_hand) / by_hand.sum(1)) + np.log(np.diag(by_hand) / by_hand.sum(0))
    assert float(raw) == pytest.approx(-parts.mean() / 2, rel=1e-10)


def test_siglip_is_the_plain_loop():
    image, text = numbers(1)
    scale, bias, total = 10.0, -3.0, 0.0
    for i in range(B):
        for j in range(B):
            sign = 1 if i == j else -1
            total += math.log(1 + math.exp(-sign * (scale * cosine(image[i], text[j]) + bias)))
    got = objectives.siglip(torch.tensor(image), torch.tensor(text), scale, bias)
    assert float(got) == pytest.approx(total / B, rel=1e-10)


@pytest.mark.parametrize("rows", [2, 7, 64])
def test_levels_are_what_collapse_scores(rows):
    alike = torch.ones(rows, D)
    for temperature in (0.01, 0.07, 5):
        assert float(objectives.clip(alike, alike, 1 / temperature)) == pytest.approx(math.log(rows), rel=1e-5)
    biases = torch.linspace(-8, 4, 601, dtype=torch.float64)         # the best of many, none of them from a formula
    scores = torch.stack([objectives.siglip(alike.double(), alike.double(), 10.0, bias - 10) for bias in biases])
    siglip = make("siglip")
    siglip._batch = rows
    assert float(scores.min()) == pytest.approx(siglip.reference_levels()["chance"], abs=1e-4)
    assert float(biases[scores.argmin()]) == pytest.approx(-math.log(rows - 1), abs=0.02)


def test_losses_are_finite_with_half_numbers_and_the_largest_scale():
    image, text = (torch.tensor(each).bfloat16() for each in numbers())
    for loss in (objectives.clip(image, text, 100.0), objectives.siglip(image, text, 100.0, -10.0)):
        assert loss.dtype == torch.float32 and torch.isfinite(loss)
    with pytest.raises(ValueError, match=r"image, text: got shapes \[9, 5\] and \[8, 5\], takes \[B, D\] twice"):
        objectives.clip(image, text[:-1], 1.0)
    with pytest.raises(ValueError, match="image, text"):
        objectives.siglip(image[0], text[0], 1.0, 0.0)


# ---- the objectives


def make(name="clip", **options):
    torch.manual_seed(0)
    tower = objectives.text_tower_for((V, T), dim=16, depth=1, heads=2)
    return objectives.create(name, encoders.create("conv", (3, 16), width=8), text=tower, outputs=8, **options)


def things(count=12, seed=0):
    """Drawings and captions that can be told apart: drawing v of thing i is all 10 i + v, caption k has the word 6 + k."""
    drawn = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) < 0.6
    drawn[:, 1] |= ~drawn.any(dim=1)
    said = torch.ones(count, 3, dtype=torch.bool)
    said[::2, 1] = False
    images = (10 * torch.arange(count)[:, None] + torch.arange(3))[:, :, None, None, None].expand(-1, -1, 3, 16, 16)
    captions = torch.full((count, 3, T), PAD, dtype=torch.int16)
    captions[:, :, 0], captions[:, :, 2] = CLS, SEP
    captions[:, :, 1] = 6 + torch.arange(3)
    return Pairs(images.to(torch.uint8), drawn, captions, said)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_promises_of_the_contract(name):
    assert len(check_objective(lambda: make(name), 3, 16, vocabulary=V, context=T, pairs=True)) == 8
    assert name in objectives.names("pairs") and name not in objectives.names("images")


def test_check_objective_finds_a_text_tower_that_learns_nothing():
    class Deaf(objectives.CLIP):
        def see(self, views):
            h, image, text = super().see(views)
            return h, image, text.detach()

    with pytest.raises(AssertionError, match=r"no gradient reaches .*text\.net\.embed"):
        check_objective(lambda: Deaf(encoders.create("conv", (3, 16), width=8), text=objectives.text_tower_for((V, T), dim=16)),
                        3, 16, vocabulary=V, context=T, pairs=True)


def test_a_view_is_one_drawing_that_is_there_and_one_caption_that_was_said():
    batch, objective = things(), make()
    seen, read = set(), set()
    for seed in range(60):
        images, tokens = objective.make_views(batch, torch.Generator().manual_seed(seed))
        assert images.shape == (12, 3, 16, 16) and tokens.shape == (12, T) and tokens.dtype == torch.int64
        shown = (images[:, 0, 0, 0] * 255).round().long() - 10 * torch.arange(12)
        seen |= {(i, int(v)) for i, v in enumerate(shown)}
        read |= {(i, int(k) - 6) for i, k in enumerate(tokens[:, 1])}
    assert seen == {tuple(place) for place in batch.drawn.nonzero().tolist()}        # each of them, and no other
    assert read == {tuple(place) for place in batch.said.nonzero().tolist()}


def two_drawers(**options):
    torch.manual_seed(0)
    return objectives.TwoDrawers(encoders.create("conv", (3, 16), width=8), hidden=16, outputs=8, **options)


def test_two_drawers_keep_the_contract():
    assert len(check_objective(two_drawers, 3, 16, vocabulary=V, context=T, pairs=True)) == 8


def test_two_views_are_by_two_drawers():
    batch, seen = things(), set()
    for seed in range(60):
        first, second = two_drawers().make_views(batch, torch.Generator().manual_seed(seed))
        shown = [(view[:, 0, 0, 0] * 255).round().long() - 10 * torch.arange(12) for view in (first, second)]
        for thing, pair in enumerate(zip(*(one.tolist() for one in shown), strict=True)):
            seen.add((thing, *pair))
    expected = set()
    for thing, drawn in enumerate(batch.drawn.tolist()):
        own = [place for place in range(3) if drawn[place]]
        expected |= {(thing, a, b) for a in own for b in own if a != b or len(own) == 1}
    assert seen == expected
    alone = two_drawers(by_two=False)
    first, second = alone.make_views(batch, torch.Generator().manual_seed(0))
    assert torch.equal(first, second)
    strangers = two_drawers(positives_shuffled=True).make_views(batch, torch.Generator().manual_seed(0))[1]
    assert not torch.equal((strangers[:, 0, 0, 0] * 255).round().long() // 10, torch.arange(12))


def test_the_caption_knob():
    batch, objective = things(), make()
    for caption, words in (("name", [6] * 12), ("tags", [6, 7] * 6), ("template", [8] * 12)):   # every other has no tags
        objective.set(caption=caption)
        tokens = objective.make_views(batch, torch.Generator().manual_seed(0))[1]
        assert tokens[:, 1].tolist() == words, caption
    alone = Pairs(batch.images, batch.drawn, batch.captions[:, :1], batch.said[:, :1])          # one's own: one kind only
    assert objective.make_views(alone, torch.Generator())[1][:, 1].tolist() == [6] * 12


def test_shuffled_captions_are_those_of_others():
    objective, batch = make(caption="name"), things()
    batch.captions[:, 0, 1] = torch.arange(6, 18, dtype=torch.int16)
    images, tokens = objective.make_views(batch, torch.Generator().manual_seed(0))
    objective.set(shuffled_captions=True)
    same_images, others = objective.make_views(batch, torch.Generator().manual_seed(0))
    assert torch.equal(images, same_images) and not (tokens == others)[:, 1].any()
    assert sorted(tokens[:, 1].tolist()) == sorted(others[:, 1].tolist())


def few(pairs_of_things):
    """A dataset of these pairs only."""
    part = pairs.PairSplit(pairs_of_things, torch.zeros(len(pairs_of_things)), torch.arange(len(pairs_of_things)))
    return type("Few", (), {"train": part})


QUICK = {"steps": 3, "batch_size": 6, "precision": "float32", "device": "cpu"}


def test_a_frozen_image_encoder_stays_bit_for_bit():
    objective = make(frozen_image=True)
    before, text = copy.deepcopy(objective.encoder.state_dict()), copy.deepcopy(objective.text.state_dict())
    for _ in train(objective, few(things()), **QUICK, weight_decay=0.5):
        pass
    assert all(torch.equal(a, b) for a, b in zip(before.values(), objective.encoder.state_dict().values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(text.values(), objective.text.state_dict().values(), strict=True))


def test_the_temperature():
    objective, views = make(temperature=0.5), make().make_views(things(), torch.Generator().manual_seed(0))
    assert float(objective(views).terms["temperature"]) == pytest.approx(0.07)       # learned, and begins there
    objective.set(learned_temperature=False)
    loss = objective(views)
    assert float(loss.terms["temperature"]) == pytest.approx(0.5)
    _, image, text = objective.see(views)
    assert float(loss.total.detach()) == pytest.approx(float(objectives.clip(image, text, 2.0).detach()), rel=1e-5)
    with torch.no_grad():
        objective.log_scale.fill_(9.0)
    objective.after_step()
    assert float(objective.log_scale.detach().exp()) == pytest.approx(100)
    assert float(make("siglip").scale.detach()) == pytest.approx(10) and float(make("siglip").bias.detach()) == -10


def test_terms_add_up():
    views = make().make_views(things(), torch.Generator().manual_seed(0))
    clip, siglip = make()(views), make("siglip")(views)
    assert float(clip.terms["image to text"] + clip.terms["text to image"]) / 2 == pytest.approx(float(clip.total))
    assert float(siglip.terms["partners"] + siglip.terms["strangers"]) == pytest.approx(float(siglip.total))
    torch.testing.assert_close(clip.projection.norm(dim=1), torch.ones(24))
    logits = clip.projection[:12] @ clip.projection[12:].T
    rows, columns = (int((logits.argmax(dim=side) == torch.arange(12)).sum()) for side in (1, 0))
    assert float(clip.terms["accuracy"]) == pytest.approx((rows + columns) / 24)


def test_embeddings_are_those_of_eval_mode_and_leave_the_modes_alone():
    objective, batch = make(), things()
    z = objective.embed_images(batch.pictures, batch_size=5)
    words = objective.embed_texts(batch.captions[:, 0], batch_size=5)
    assert objective.training and not z.requires_grad and not words.requires_grad
    objective.eval()
    whole = objective.image_head(objective.encoder(batch.pictures))
    torch.testing.assert_close(z, whole / whole.norm(dim=1, keepdim=True))
    torch.testing.assert_close(words.norm(dim=1), torch.ones(12))


def test_what_does_not_fit_is_refused():
    encoder = encoders.create("conv", (3, 16), width=8)
    with pytest.raises(ValueError, match="text: got NoneType, takes a TextEncoder"):
        objectives.create("clip", encoder)
    with pytest.raises(ValueError, match="text: got a causal one"):
        objectives.create("clip", encoder, text=objectives.text_tower_for((V, T), causal=True))
    with pytest.raises(ValueError, match="outputs: got 0"):
        objectives.create("siglip", encoder, text=objectives.text_tower_for((V, T)), outputs=0)
    with pytest.raises(ValueError, match="caption: got 'title'"):
        make(caption="title")
    with pytest.raises(ValueError, match="batch_size: got 64, takes at most the number of training pairs"):
        next(train(make(), few(things()), batch_size=64))
    with pytest.raises(ValueError, match="takes .n, V, C, S, S"):
        Pairs(torch.zeros(2, 3, 8, 8), torch.ones(2, 1), torch.zeros(2, 1, 4), torch.ones(2, 1))


def test_it_learns_which_belong_together():
    batch = things(24, seed=1)
    words = torch.arange(24)
    batch.captions[:, :, 1] = (6 + words % 5)[:, None].short()
    batch.captions[:, :, 2], batch.captions[:, :, 3] = (12 + words // 5)[:, None].short(), SEP
    for name in ("clip", "siglip"):
        objective = make(name)
        steps = list(train(objective, few(batch), steps=60, batch_size=24, learning_rate=1e-2, precision="float32", device="cpu"))
        assert steps[-1].loss < 0.6 * objective.reference_levels()["chance"]
        assert steps[-1].terms["accuracy"] > 0.25                    # chance: 1 in 24


# ---- emoji


def test_emoji_pairs_are_the_emoji(emoji):
    plain, drawn = datasets.load("emoji"), emoji.pairs.drawn
    assert emoji.drawers == bundled.VENDORS and emoji.held_out == "openmoji" and emoji.captions == pairs.KINDS
    assert drawn.sum() == len(plain) and torch.equal(emoji.pairs.images[drawn], plain.images)
    assert torch.equal(emoji.labels.repeat_interleave(drawn.sum(dim=1)), plain.labels) and emoji.class_names == plain.class_names
    for part, things_ in emoji.splits.items():
        assert set(things_.tolist()) == set(plain.factors["emoji"][plain.splits[part]].tolist())
    assert (emoji.channels, emoji.size, emoji.context, emoji.vocabulary) == (3, 32, 24, 2000)
    assert "openmoji held out" in repr(emoji) and "1,232" in repr(emoji.train) and "base64" in emoji._repr_html_()


def test_nothing_that_is_held_out_is_in_a_training_pair(emoji):
    train_part, place = emoji.train, bundled.VENDORS.index("openmoji")
    assert not train_part.pairs.drawn[:, place].any() and (train_part.pairs.images[:, place] == 255).all()
    assert train_part.pairs.drawn.any(dim=1).all() and train_part.pairs.said.all()
    assert emoji.pairs.drawn[:, place].all() and emoji.test.pairs.drawn[:, place].all()         # but it is there to test on
    assert datasets.load("emoji-pairs", held_out=None).train.pairs.drawn[:, place].all()
    assert emoji.drawings("train")[0].shape[0] == int(train_part.pairs.drawn.sum())


def test_drawings(emoji):
    images, which = emoji.drawings("test", "openmoji")
    assert torch.equal(which, emoji.splits["test"]) and torch.equal(images, emoji.pairs.images[which, 3])
    known, which = emoji.drawings("all")
    assert len(known) == 8812 - 1644 and len(which.unique()) == 1644
    old, which = emoji.drawings("validation", "emojione")            # not all are drawn
    assert len(old) < len(emoji.splits["validation"]) and emoji.pairs.drawn[which, 4].all()
    with pytest.raises(ValueError, match="drawer: got 'apple'"):
        emoji.drawings("test", "apple")
    with pytest.raises(ValueError, match="part: got 'dev'"):
        emoji.drawings("dev")


def test_captions(emoji):
    records = bundled.emoji_records()
    place = {name: index for index, name in enumerate(emoji.texts)}
    red = place["red heart"]
    assert [emoji.decode(row) for row in emoji.pairs.captions[red, :2]] == ["red heart", ", ".join(records[red]["tags"])]
    assert any(emoji.decode(emoji.pairs.captions[red, 2]) == template.format("a red heart") for template in pairs.TEMPLATES)
    for name, article in {"anchor": "an ", "unicorn": "a ", "hourglass done": "an ", "glasses": "", "bus": "a ",
                          "man with white cane: facing right": "a ", "people holding hands": ""}.items():    # fmt: skip
        assert article + name in pairs.emoji_captions(records[place[name]])[2]
        assert article or f"a {name}" not in pairs.emoji_captions(records[place[name]])[2]
    used = {template for record in records for template in pairs.TEMPLATES
            if pairs.emoji_captions(record)[2] == template.format(pairs._with_article(record["name"]))}
    assert used == set(pairs.TEMPLATES)
    assert torch.equal(emoji.encode(["red heart"])[0], emoji.pairs.captions[red, 0])
    assert (emoji.pairs.captions[:, :, 0] == CLS).all() and ((emoji.pairs.captions == SEP).sum(dim=2) == 1).all()
    with pytest.raises(ValueError, match="texts: got 'red heart', takes a list of str"):
        emoji.encode("red heart")


def test_the_stored_tokeniser_is_the_one_of_the_training_captions(emoji):
    records = json.loads(gzip.decompress(bundled.read("emoji_names.json.gz")))
    taught = [text for index in emoji.splits["train"].tolist() for text in pairs.emoji_captions(records[index])]
    assert sorted(pairs.training_texts(bundled.read("emoji_names.json.gz"))) == sorted(taught)
    again = pairs.train_tokenizer("wordpiece", 2000, taught)
    assert bundled.read("emoji_wordpiece_2000.json").decode() == again.dumps() == emoji.tokenizer.dumps()


def test_options_of_emoji_pairs():
    small = datasets.load("emoji-pairs", tokenizer="characters", vocabulary=300, context=12, held_out="noto")
    assert small.context == 12 and small.tokenizer.kind == "characters" and small.held_out == "noto"
    for option, value in (("held_out", "apple"), ("context", 4), ("tokenizer", "words"), ("vocabulary", 20)):
        with pytest.raises(ValueError, match=f"{option}: got {value!r}"):
            datasets.load("emoji-pairs", **{option: value})


def test_what_goes_with_it(emoji):
    encoder, tower = objectives.encoder_for("clip", emoji), objectives.text_tower_for(emoji)
    assert encoder.name == "conv" and (tower.vocabulary, tower.context) == (2000, 24)
    views = objectives.views_for("clip", "emoji-pairs")
    assert views.hue == views.greyscale == views.flip == 0           # captions say "red" and "left"
    settings = recipe("siglip", "emoji-pairs", len(emoji.train))
    step = next(train(objectives.create("siglip", encoder, views=views, text=tower), emoji, **settings, precision="float32", device="cpu"))
    assert torch.isfinite(step.loss) and step.embedding.shape == (128, 2048) and step.projection.shape == (256, 128)
    assert datasets.names(kind="pairs") == ["emoji-pairs"] and datasets.names(kind="test") == ["openclipart"]


# ---- clip art


def test_clip_art():
    data, records = datasets.load("openclipart"), datasets.openclipart_records()
    raw = json.loads((bundled.data_folder() / "openclipart_meta.json").read_text())
    assert len(data) == len(records) == len(data.test) and len(data.train) == len(data.validation) == 0
    assert not any("weapon" in record["folder"] or "weapons" in record["keywords"] for record in records)
    assert f"{len(raw) - len(data)} of 1,117 drawings are left out" in data.card.notes
    assert torch.bincount(data.labels, minlength=7).min() >= 50 and data.class_names == bundled.CLIP_ART
    assert [data.class_names[label] for label in data.labels.tolist()] == [record["class"] for record in records]
    place, at = next((place, at) for at, record in enumerate(records) for place, one in enumerate(raw)
                     if record["title"] == one["title"] == "Red Hurricane Lamp")
    sheet = Image.open(bundled.data_folder() / "openclipart32.webp")
    x, y = place % 32 * 32, place // 32 * 32
    assert np.array_equal(data.images[at].permute(1, 2, 0).numpy(), np.array(sheet.crop((x, y, x + 32, y + 32))))
    assert records[at]["class"] == "tools" and "base64" in data._repr_html_()


# ---- one's own


@pytest.fixture
def mine(tmp_path):
    """Twelve pictures of one colour each, one of them twice."""
    for number in range(12):
        (tmp_path / "more").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (20 * number, 0, 255)).save(tmp_path / ("more" if number > 9 else ".") / f"{number}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "3.png").read_bytes())
    return tmp_path


def rows(mine, last=12):
    return [(f"{'more/' if number > 9 else ''}{number}.png", f"picture, number {number}") for number in range(last)]


@pytest.mark.parametrize("kind", ["csv", "turned csv", "semicolons", "json"])
def test_pairs_of_ones_own(mine, kind):
    listed, path = [*rows(mine), ("copy.png", "a copy"), ("5.png", "another name")], mine / "list.csv"
    if kind == "json":
        path = mine / "list.json"
        path.write_text(json.dumps([{"file": file, "caption": caption, "more": 1} for file, caption in listed]))
    else:
        quoted = [f'"{caption}",{file}' if "turned" in kind else f'{file},"{caption}"' for file, caption in listed]
        lines = ["caption,File" if "turned" in kind else "file,caption", *quoted]
        lines = [line.replace(",", ";", 1) for line in lines] if kind == "semicolons" else lines
        path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    data = datasets.load(f"pairs:{path}", size=16)
    assert len(data) == 13 and data.pairs.images.shape == (13, 1, 3, 16, 16) and data.captions == ("caption 1", "caption 2")
    assert data.texts[5] == "picture, number 5" and data.pairs.images[5, 0, 0].unique().tolist() == [100]
    assert data.decode(data.pairs.captions[5, 1]) == "another name" and data.pairs.said.sum(dim=1).tolist() == [1] * 5 + [2] + [1] * 7
    assert [len(index) for index in data.splits.values()] in ([11, 1, 1], [10, 2, 1], [10, 1, 2])
    where = {index: part for part, members in data.splits.items() for index in members.tolist()}
    assert len(where) == 13 and where[12] == where[3]                # copies are in one part
    assert data.labels.tolist() == [-1] * 13 and data.num_classes == 0 and data.held_out is None and data.skipped == []


def test_what_cannot_be_read_is_listed(mine):
    (mine / "broken.png").write_bytes(b"no picture")
    lines = [*rows(mine), ("gone.png", "not there"), ("broken.png", "damaged"), ("1.png", " "), ("", "alone")]
    (mine / "list.csv").write_text("\n".join(["file,caption", *(f'{file},"{caption}"' for file, caption in lines)]))
    with pytest.warns(UserWarning, match="4 lines skipped of list.csv"):
        data = datasets.load(f"pairs:{mine / 'list.csv'}")
    assert len(data) == 12 and "4 skipped" in repr(data) and data.captions == ("caption",)
    reasons = dict(data.skipped)
    assert "No such file" in reasons["gone.png"] and reasons["broken.png"] == "not a picture that Pillow can read"
    assert reasons["1.png"] == "it has no caption"


def test_lists_that_are_none(mine):
    def refused(match, name="list.csv", content=None, **options):
        if content is not None:
            (mine / name).write_bytes(content)
        with pytest.raises(ValueError, match=match):
            datasets.load(f"pairs:{mine / name}", **options)

    with pytest.raises(ValueError, match="path: got '', which is empty; takes pairs:PATH"):
        datasets.load("pairs:")
    refused("which is not there", "none.csv")
    refused("which is a folder", "more")
    refused("first line is 'picture,text'; takes a .csv file with a header of file and caption", content=b"picture,text\n1.png,a")
    refused("which is not UTF-8 .byte 13", content=b"file,caption\n\xff")
    refused("which is not JSON", "list.json", b"[1, 2")
    refused("in which stands 3; takes", "list.json", b"[3]")
    refused("takes a .csv file", "list.json", b'{"file": "1.png", "caption": "one"}')
    nine = "\n".join(["file,caption", *(f'{file},"{text}"' for file, text in rows(mine, 9))]).encode()
    refused("with 9 different pictures that can be used; takes 10 or more", content=nine)
    refused("size: got 4, takes", size=4)
    refused("tokenizer: got 'words'", tokenizer="words")


def test_the_encoder_of_pairs_keeps_where_things_are(emoji):
    encoder = objectives.encoder_for("clip", emoji)
    assert encoder.dim == 2048 and objectives.encoder_for("clip", emoji, "conv").dim == objectives.encoder_for("simclr", (3, 32)).dim == 128
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        h, maps = encoder.eval().net(images), encoder.net.maps(images)                   # [2, 2048], [2, 128, 4, 4]
    for channel, row, column in ((0, 0, 0), (5, 1, 3), (127, 3, 2)):
        assert torch.equal(h[:, 16 * channel + 4 * row + column], maps[:, channel, row, column])
    halves = encoders.create("conv", (3, 32), cells=2).eval()
    with torch.no_grad():
        h, maps = halves.net(images), halves.net.maps(images)
    assert torch.allclose(h[:, 4 * 7 + 1], maps[:, 7, :2, 2:].mean(dim=(1, 2)), atol=1e-6)
