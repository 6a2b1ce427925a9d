"""The report: its intervals and measures against others' and by hand, damaged folders, all kinds of data, the page itself."""

import html
import json
import math
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from click.testing import CliRunner
from PIL import Image

from sslab import cli, datasets, encoders, evaluation, objectives, report
from sslab.course.lessons import nb17
from sslab.datasets import folder
from sslab.datasets.text import passages_records
from sslab.lab import Lab
from sslab.report import examination as parts
from sslab.report import words
from sslab.report.examination import Cell, Table
from sslab.views import Augment

TINY = {"steps": 2, "learning_rate": 1e-3}


def drawing(seed, side=20, colours=3):
    """A few random rectangles on white: something to tell apart."""
    random = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    for _ in range(4):
        top, left = random.integers(0, side - 6, 2)
        pixels[top:top + random.integers(3, 10), left:left + random.integers(3, 10)] = random.integers(0, 256, colours)
    return Image.fromarray(pixels)


def fill(root, count, start=0):
    root.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        drawing(number).save(root / f"{number:03}.bmp")


def load(name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load(name, **options)


def simclr(data, seed=0):
    torch.manual_seed(seed)
    return objectives.create("simclr", encoders.create("conv", data, width=4), views=Augment.named("folder"), hidden=16, outputs=8)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Two classes of 40, an objective, and its examination."""
    root = tmp_path_factory.mktemp("labelled")
    fill(root / "cats", 40)
    fill(root / "dogs & <b>mice</b>", 40, start=100)
    data = load(f"folder:{root}", size=16)
    made = simclr(data)
    return data, made, report.examine(made, data, labels=(1, 5), draws=3, supervised=(TINY,))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """60,000 characters of Shakespeare as a person's own file."""
    path = tmp_path_factory.mktemp("text") / "mine.txt"
    path.write_text(" ".join(text for *_, text in passages_records()[:3])[:60_000], encoding="utf-8")
    return load(f"text:{path}", vocabulary=300, context=32)


# ---- intervals


@pytest.mark.parametrize("right, count", [(0, 20), (20, 20), (7, 20), (1, 3), (450, 1000)])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_share_interval_is_scipys(right, count, confidence):
    expected = scipy.stats.binomtest(right, count).proportion_ci(confidence, method="wilson")
    assert report.share_interval(right, count, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("right, count, confidence", [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_share_interval_refuses(right, count, confidence):
    with pytest.raises(ValueError, match="right|count|confidence"):
        report.share_interval(right, count, confidence)


def test_mean_of_is_scipys():
    values = [0.2, 0.5, 0.4, 0.7]
    cell = parts.mean_of(values)
    assert cell.mean == pytest.approx(0.45)
    expected = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert cell.interval == pytest.approx(expected)


def table(rows, **options):
    return Table("t", ("x",), {name: {"x": cell} for name, cell in rows.items()}, "", **options)


def test_a_paired_difference_is_by_draw():
    ours, theirs = [0.5, 0.7, 0.9], [0.4, 0.6, 0.7]
    name, gap = table({"encoder": parts.mean_of(ours), "raw": parts.mean_of(theirs), "worse": parts.mean_of([0.1, 0.1, 0.1])}).against("x")
    expected = scipy.stats.t.interval(0.95, 2, np.mean(np.subtract(ours, theirs)), scipy.stats.sem(np.subtract(ours, theirs)))
    assert name == "raw" and gap.interval == pytest.approx(expected)


def test_an_unpaired_difference_is_newcombes():
    """Newcombe 1998, Statistics in Medicine 17, table II, contrast (a), method 10."""
    ours, theirs = (Cell(right / count, report.share_interval(right, count)) for right, count in ((56, 70), (48, 80)))
    _, gap = table({"encoder": ours, "raw": theirs}).against("x")
    assert gap.mean == pytest.approx(0.2) and gap.interval == pytest.approx((0.0524, 0.3339), abs=1e-4)
    _, turned = table({"encoder": ours, "raw": theirs}, higher=False).against("x")
    assert turned.mean == pytest.approx(-0.2) and turned.interval == pytest.approx((-0.3339, -0.0524), abs=1e-4)


def test_what_is_said_of_a_difference():
    def said(ours, **options):
        rows = {"encoder": Cell(ours, (ours - 0.02, ours + 0.02)), "chance": Cell(0.5)}
        return words._of_column(table(rows, **options), "x")

    assert said(0.6) == "X: 60 % [58, 62], 10 points [8, 12] above the best control, chance."
    assert said(0.4) == "X: 40 % [38, 42], 10 points [8, 12] below the best control, chance."
    assert said(0.51) == "X: 51 % [49, 53], no clear difference from the best control, chance (+1 points [-1, 3])."
    assert said(0.4, higher=False, percent=False).endswith("0.100 bits [0.080, 0.120] better than the best control, chance.")
    assert said(0.6, higher=False, percent=False).endswith("0.100 bits [0.080, 0.120] worse than the best control, chance.")


def test_a_share_stays_between_0_and_100_percent():
    assert words.number(Cell(0.1, (-0.2, 0.4)), percent=True) == "10 % [0, 40]"
    assert words.number(Cell(-0.1, (-0.2, 0.4)), percent=True, signed=True, points=True) == "-10 points [-20, 40]"
    assert words.number(Cell(0.003), percent=True) == "0.3 %"


def test_reasons_are_grouped_whatever_their_numbers():
    skipped = [("a", "cut (12 bytes)"), ("b", "empty"), ("c", "cut (1,300 bytes)")]
    assert words.grouped(skipped) == [("cut (… bytes)", ["a", "c"]), ("empty", ["b"])]


# ---- measures


def test_found_again_is_a_loop_over_pictures():
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = Augment(noise=0.4)
    seen = views(images, torch.Generator().manual_seed(3))
    there, asked = (images.float() / 255).flatten(1).numpy(), seen.flatten(1).numpy()
    there, asked = there - there.mean(0), asked - (images.float() / 255).flatten(1).numpy().mean(0)
    expected = []
    for row in range(12):
        cosines = [asked[row] @ other / np.linalg.norm(asked[row]) / np.linalg.norm(other) for other in there]
        expected.append(int(np.argmax(cosines)) == row)
    assert report.found_again(parts.small_pixels, images, views, seed=3).tolist() == expected
    assert report.found_again(parts.small_pixels, images, Augment()).all()
    with pytest.raises(ValueError, match="images: got 1"):
        report.found_again(parts.small_pixels, images[:1], views)


def test_near_copies_are_found_and_others_are_not(tmp_path):
    """20 pictures; of the test part's, three lie in the training part again: as they are, as a JPEG, larger."""
    fill(tmp_path, 20)
    data = load(f"folder:{tmp_path}", size=32)
    images = data.images.clone()
    train, test = data.splits["train"], data.splits["test"]
    assert len(test) >= 3
    images[train[0]] = images[test[0]]
    for place, (side, options) in enumerate(((32, {"quality": 75}), (48, {"quality": 90})), start=1):
        picture = Image.fromarray(images[test[place]].permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "again.jpg", **options)
        again = Image.open(tmp_path / "again.jpg").resize((32, 32), Image.Resampling.BICUBIC)
        images[train[place]] = torch.from_numpy(np.array(again)).permute(2, 0, 1)
    assert report.near_copies(data) == {"copies": 0, "of": len(test), "train": len(train)}
    planted = replace(data, images=images)
    assert report.near_copies(planted)["copies"] == 3
    assert report.near_copies(planted, limit=1e-4)["copies"] == 1
    with pytest.raises(ValueError, match="limit"):
        report.near_copies(planted, limit=0)
    with pytest.raises(ValueError, match="part"):
        report.near_copies(planted, "train")


def test_raw_pixels_of_large_pictures_are_means():
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    means = (images.float() / 255).reshape(2, 3, 32, 2, 32, 2).mean(dim=(3, 5)).flatten(1)
    torch.testing.assert_close(parts.small_pixels(images), means)
    assert parts.small_pixels(images[:, :, :16, :16]).shape == (2, 3 * 16 * 16)


def test_an_untrained_control_differs_and_keeps_its_shape():
    gpt = objectives.create("gpt", encoders.create("transformer", (300, 16), dim=16, depth=1, heads=2, causal=True))
    before = {name: value.clone() for name, value in gpt.state_dict().items()}
    fresh = parts.untrained(gpt, seed=5)
    assert all(torch.equal(before[name], value) for name, value in gpt.state_dict().items())
    assert {name: value.shape for name, value in fresh.state_dict().items()} == {name: value.shape for name, value in before.items()}
    assert not torch.equal(fresh.encoder.net.embed.weight, gpt.encoder.net.embed.weight)


# ---- examine


def test_with_labels_the_numbers_are_those_of_evaluation(labelled):
    data, made, found = labelled
    (only,) = found.tables
    assert only.columns == ("kNN", "1 label", "5 labels")
    assert list(only.rows) == ["encoder", "raw pixels", "random encoder", "supervised", "chance"]
    direct = evaluation.label_efficiency(made.encoder, data, (1, 5), 3, penalties=(evaluation.FIXED_PENALTY,))
    assert only.rows["encoder"]["5 labels"].draws == pytest.approx(direct.fixed[5])
    raw = evaluation.label_efficiency(evaluation.raw_pixels, data, (1,), 3, penalties=(evaluation.FIXED_PENALTY,))
    assert only.rows["raw pixels"]["1 label"].draws == pytest.approx(raw.fixed[1])
    near = evaluation.knn(evaluation.features(made.encoder, data.train.images), data.train.labels,
                          evaluation.features(made.encoder, data.test.images), 20) == data.test.labels
    assert only.rows["encoder"]["kNN"].interval == report.share_interval(int(near.sum()), len(near))
    assert only.rows["chance"]["kNN"].mean == 0.5 and "supervised" in only.rows
    assert json.loads(json.dumps(found.numbers))["on"] == "test"


def test_looking_changes_nothing(labelled):
    data, made, _ = labelled
    made._batch = 7
    state = {name: value.clone() for name, value in made.state_dict().items()}
    torch.manual_seed(11)
    before = torch.get_rng_state()
    report.examine(made, data, labels=(1,), draws=2, supervised=False)
    assert made._batch == 7 and made.training
    assert all(torch.equal(state[name], value) for name, value in made.state_dict().items())
    assert torch.equal(before, torch.get_rng_state())


def test_without_labels_it_looks_for_pictures(tmp_path):
    fill(tmp_path, 60)
    data = load(f"folder:{tmp_path}", size=16)
    found = report.examine(simclr(data), data)
    (only,) = found.tables
    assert only.columns == ("found again",) and list(only.rows) == ["encoder", "raw pixels", "random encoder", "chance"]
    assert only.rows["chance"]["found again"].mean == pytest.approx(1 / len(data.test))
    assert found.pictures["neighbours"].startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="labels: got .* has no classes"):
        report.examine(simclr(data), data, labels=(1,))


def test_a_class_without_training_pictures_is_no_end(labelled):
    data, made, _ = labelled
    train = data.splits["train"]
    lonely = replace(data, splits={**data.splits, "train": train[data.labels[train] == 0]})
    found = report.examine(made, lonely, supervised=False)
    assert found.tables[0].columns == ("found again",)
    assert any(line.startswith("Nothing was measured with labels: a class has no training sample") for line in found.findings)


def test_one_folder_and_many_small_ones_are_no_classes(tmp_path):
    fill(tmp_path / "one" / "2023", 40)
    for day in range(45):
        fill(tmp_path / "many" / f"{day:03}", 1 + day % 2, start=2 * day)
    one, many = (load(f"folder:{tmp_path / name}", size=16) for name in ("one", "many"))
    for data in (one, many):
        found = report.examine(simclr(data), data, supervised=False)
        assert [table.title for table in found.tables] == ["Is a picture found again?"]
    assert any("nothing to tell apart" in line for line in report.suggest(one).why)
    assert any("merge it, or leave it out" in line for line in report.suggest(many).why)
    lab = Lab("simclr", many, steps=2, batch_size=8)
    lab.start()
    assert lab.join(60) and lab.state == "finished"


@pytest.mark.parametrize("options, words_", [({"on": "train"}, "on: got"), ({"draws": 1}, "draws: got 1"), ({"labels": (0,)}, "labels: got"),
                                             ({"labels": (500,)}, "labels: got 500")])
def test_examine_refuses(labelled, options, words_):
    data, made, _ = labelled
    with pytest.raises(ValueError, match=words_):
        report.examine(made, data, **options)


def test_examine_refuses_too_little_and_the_wrong_kind(tmp_path, labelled, text):
    fill(tmp_path, 8)
    few = load(f"folder:{tmp_path}", size=16)
    with pytest.raises(ValueError, match="with 8 samples, .* takes 30 or more"):
        report.examine(simclr(few), few)
    with pytest.raises(ValueError, match="which is text; SimCLR learns from images"):
        report.examine(labelled[1], text)


# ---- text and pairs


def test_a_text_of_ones_own(tmp_path, text):
    data = text
    gpt = objectives.create("gpt", encoders.create("transformer", data, dim=16, depth=1, heads=2, causal=True))
    found = report.examine(gpt, data)
    (only,) = found.tables
    assert list(only.rows) == ["model", "untrained", "7-gram of letters", "chance"] and not only.higher
    rows = data.splits["test"].tensor_split(10)
    block = replace(data, splits={**data.splits, "test": rows[0]})
    expected = evaluation.bits_per_character(gpt, block)
    assert only.rows["model"]["bits a character"].draws[0] == pytest.approx(expected)
    letters = "".join(part for part, _ in evaluation.language.stream_texts(block, "test"))
    assert only.rows["chance"]["bits a character"].draws[0] == pytest.approx(math.log2(data.vocabulary) * len(rows[0]) * 32 / len(letters))
    assert found.copies is None and "It goes on" in found.samples and "features" in found.diagnosis
    assert report.write(found, tmp_path / "r.html").read_text("utf-8").count("bits a character") >= 1
    assert report.suggest(data).objective == "gpt"


def test_pairs_of_ones_own(tmp_path):
    fill(tmp_path, 60)
    lines = [f"{number:03}.bmp,thing number {number}" for number in range(60)]
    (tmp_path / "list.csv").write_text("\n".join(["file,caption", *lines]), encoding="utf-8")
    data = load(f"pairs:{tmp_path / 'list.csv'}", size=16, context=8)
    clip = objectives.create("clip", encoders.create("conv", data, width=4), text=objectives.text_tower_for(data, dim=16, depth=1, heads=2))
    found = report.examine(clip, data)
    (only,) = found.tables
    direct = evaluation.cross_modal(clip, data)
    assert only.rows["model"]["words to picture, first 5"].mean == pytest.approx(direct.text_to_image.recall(5))
    assert only.rows["chance"]["picture to words, first 1"].mean == pytest.approx(1 / 60)
    assert report.suggest(data).objective == "clip" and report.write(found, tmp_path / "r.html").exists()


# ---- suggestions


def test_suggestions_read_the_pictures(tmp_path):
    fill(tmp_path / "a", 40)
    fill(tmp_path / "b", 12, start=50)
    data = load(f"folder:{tmp_path}", size=16)
    found = report.suggest(data)
    assert found.objective == "simclr" and found.knobs == {}
    assert any("2 classes" in line for line in found.why) and "Ask yourself" in repr(found) and "<li>" in found._repr_html_()
    grey = replace(data, images=torch.randint(0, 256, (len(data), 1, 16, 16), dtype=torch.uint8).expand(-1, 3, -1, -1))
    assert report.suggest(grey).knobs == {"saturation": 0.0, "hue": 0.0, "greyscale": 0.0}
    noise = replace(data, images=torch.randint(0, 256, (len(data), 3, 16, 16), dtype=torch.uint8), class_names=())
    assert report.suggest(noise).knobs == {} and any("No labels" in line for line in report.suggest(noise).why)
    made = simclr(data)
    made.set(**found.knobs)                                                          # they are knobs
    with pytest.raises(ValueError, match="no training part"):
        report.suggest(load("openclipart"))


# ---- folders as people have them


def damaged(root):
    """The issue's list, with 40 good pictures."""
    fill(root, 40)
    picture = drawing(1000, side=120)
    (root / "empty.jpg").write_bytes(b"")
    picture.save(root / "whole.jpg", quality=95)
    (root / "truncated.jpg").write_bytes((root / "whole.jpg").read_bytes()[:900])
    Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257).save(root / "sixteen.png")
    picture.quantize(8).save(root / "palette.gif")
    picture.convert("CMYK").save(root / "cmyk.jpg")
    picture.save(root / "moving.gif", save_all=True, append_images=[drawing(1001, side=120)], duration=100)
    (root / "text.png").write_text("no picture", encoding="utf-8")
    return {"empty.jpg": "an empty file", "text.png": "not a picture that Pillow can read", "truncated.jpg": "truncated"}


def test_a_damaged_folder_ends_in_a_page_that_says_what_was_skipped(tmp_path):
    root = tmp_path / "mine"
    bad = damaged(root)
    data = load(f"folder:{root}", size=16)
    assert len(data) == 45 and {name for name, _ in data.skipped} == set(bad)
    made = simclr(data)
    page = report.write(report.examine(made, data), tmp_path / "report.html")
    text = page.read_text("utf-8")
    for name, reason in bad.items():
        assert name in text and reason in text
    assert "3 files could not be used" in text and "All 3" in text


def test_saving_again_makes_copies_that_are_found(tmp_path):
    for number in range(30):
        drawing(number, side=64).save(tmp_path / f"{number:03}.bmp")
    assert nb17.save_again(tmp_path, share=0.5) == 15
    data = load(f"folder:{tmp_path}", size=32)
    assert len(data) == 45 and report.near_copies(data)["copies"] > 0
    names = sorted(path.stem for path in tmp_path.glob("*.jpg"))
    assert all(Image.open(tmp_path / f"{name}.jpg").size == (48, 48) for name in names)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no name there")
def test_a_pipe_does_not_make_it_wait(tmp_path):
    fill(tmp_path, 12)
    os.mkfifo(tmp_path / "pipe.png")
    assert load(f"folder:{tmp_path}", size=8).skipped == [("pipe.png", "not a file")]


def test_pictures_that_do_not_fit_into_the_memory_are_refused_first(tmp_path, monkeypatch):
    fill(tmp_path, 12)
    monkeypatch.setattr(folder, "free_memory", lambda: 12 * 3 * 64 * 64)             # once, not twice
    monkeypatch.setattr(folder, "_read", lambda *_: pytest.fail("it reads"))
    with pytest.raises(ValueError, match="size: got 64, at which 12 files take .* takes a smaller one"):
        datasets.load(f"folder:{tmp_path}", size=64)


def test_rows_close_up_where_files_are_skipped(tmp_path):
    fill(tmp_path, 20)
    for number in (0, 7, 19):
        (tmp_path / f"{number:03}.bmp").write_bytes(b"no picture")
    data = load(f"folder:{tmp_path}", size=20)
    names = [number for number in range(20) if number not in (0, 7, 19)]
    for row, number in enumerate(names):
        assert np.array_equal(data.images[row].permute(1, 2, 0).numpy(), np.asarray(drawing(number)))


@pytest.mark.slow
def test_the_memory_a_large_folder_takes(tmp_path):
    """3,000 pictures at 96 pixels are 83 MB: reading them takes hardly more than that."""
    picture = drawing(0, side=96)
    for number in range(3000):
        picture.putpixel((number % 96, number // 96), (number % 256, 0, 0))
        picture.save(tmp_path / f"{number}.bmp")
    code = ("import resource, sslab, torch, warnings\nfrom PIL import Image\nwarnings.simplefilter('ignore')\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
            f"sslab.load('folder:{tmp_path}', size=8)\nbefore = peak()\n"
            f"data = sslab.load('folder:{tmp_path}', size=96)\nprint(peak() - before, len(data))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[1]) == 3000 and float(out[0]) < 1.3 * 3000 * 3 * 96 * 96 / 2**20


@pytest.mark.slow
def test_the_example_folder_is_what_it_says(tmp_path):
    root = folder.write_example(tmp_path / "art")
    with pytest.warns(UserWarning, match="3 of 1079 files skipped"):
        data = datasets.load(f"folder:{root}")
    assert [name.split("/")[1] for name, _ in data.skipped] == ["cut_short.jpg", "empty.png", "text.png"]
    assert data.class_names == tuple(sorted(load("openclipart").class_names)) and len(data) == 1076
    assert len({Image.open(path).size for path in (root / "food").iterdir()}) > 20
    again = folder.write_example(tmp_path / "again")
    assert [(path.name, path.read_bytes()) for path in sorted((root / "signs").iterdir())] == [
        (path.name, path.read_bytes()) for path in sorted((again / "signs").iterdir())]
    with pytest.raises(ValueError, match="has something in it"):
        folder.write_example(root)


# ---- the page


def history(count=30):
    return [{"step": step, "loss": 4.0 - step / count, "effective_rank": 10.0 if step % 5 == 0 else None} for step in range(count)]


def test_the_page_needs_nothing_else_and_nothing_in_it_is_code(labelled, tmp_path):
    _, _, found = labelled
    page = report.write(found, tmp_path / "r.html", history(), {"note": "<script>alert(1)</script>"}, {"chance": 3.9})
    text = page.read_text("utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:image/png;base64,)", text) and "http" not in text and "<script" not in text
    assert "dogs &amp; &lt;b&gt;" not in found.dataset.card.title
    assert text.count("<img") == 2 and "&lt;script&gt;" in text and "@page" in text
    for line in found.findings:
        assert html.escape(line) in text
    for section in ("What was found", "What a few labels are worth", "Nearest neighbours", "Training", "Diagnosis", "Data", "Settings",
                    "What this does not say"):
        assert f"<h2>{section}</h2>" in text
    assert found._repr_html_().count("<img") == 1


def test_nothing_is_overwritten(labelled, tmp_path):
    _, _, found = labelled
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="is not overwritten"):
        report.write(found, path)
    assert path.read_text() == "mine"
    with pytest.raises(ValueError, match="takes a file in a folder that is there"):
        report.write(found, tmp_path / "nowhere" / "r.html")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_is_written_in_escapes(labelled, tmp_path):
    data, _, found = labelled
    odd = os.fsdecode(b"caf\xe9<i>.jpg")
    page = report.write(replace(found, dataset=replace(data, skipped=[(odd, "an empty file")])), tmp_path / "r.html")
    assert "caf\\udce9&lt;i&gt;.jpg" in page.read_text("utf-8")


def test_many_skipped_files_are_counted_not_printed(labelled, tmp_path):
    data, _, found = labelled
    skipped = [(f"{number}.mov", "not a picture that Pillow can read") for number in range(5000)]
    text = report.write(replace(found, dataset=replace(data, skipped=skipped)), tmp_path / "r.html").read_text("utf-8")
    assert "5,000: not a picture that Pillow can read (0.mov, 1.mov, 2.mov, and 4,997 more)" in text and "and 3,000 more</li>" in text


@pytest.mark.browser
def test_it_prints_on_two_sheets_and_asks_for_nothing(browser, labelled, tmp_path):
    data, _, found = labelled
    skipped = [(f"folder/{'long name ' * 8}{number}.mov", f"reason {'abcdefgh'[number % 8]}") for number in range(400)]
    found = replace(found, dataset=replace(data, skipped=skipped))
    path = report.write(found, tmp_path / "r.html", history(), {f"knob {number}": number for number in range(40)}, {"chance": 3.9})
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    sheets = len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(prefer_css_page_size=True)))
    page.close()
    assert 1 <= sheets <= 2 and [url for url in asked if not url.startswith(("file:", "data:"))] == []


# ---- the command


def test_sslab_report(tmp_path):
    fill(tmp_path / "data" / "a", 30)
    fill(tmp_path / "data" / "b", 30, start=100)
    run = tmp_path / "run"

    def sslab(*given):
        return CliRunner().invoke(cli.main, [str(word) for word in given])

    asked = ["train", "simclr", "--data", f"folder:{tmp_path / 'data'}", "--data-option", "size=16", "--steps", 4, "--batch-size", 8,
             "--precision", "float32", "--device", "cpu", "--checkpoint", run, "--set", "flip=0"]
    assert sslab(*asked).exit_code == 0
    done = sslab("report", run, "--labels", "1,5", "--draws", 2, "--no-supervised")
    assert done.exit_code == 0, done.output
    text = (run / "report.html").read_text("utf-8")
    assert "flip 0" in text and "steps taken 4" in text and "<h2>Training</h2>" in text and "Kept" not in text
    (entry,) = json.loads((run / "evaluation.json").read_text())["evaluations"]
    assert entry["on"] == "test" and entry["report"].endswith("report.html") and entry["tables"][0]["rows"]["encoder"]
    again = sslab("report", run)
    assert again.exit_code == 2 and "--output" in again.output and "not overwritten" in again.output
    other = sslab("report", run, "--output", tmp_path / "2.html", "--labels", "1", "--draws", 2, "--no-supervised")
    assert other.exit_code == 0 and "Test was read before for this run (1 times" in other.output
    assert sslab("evaluate", run, "--labels", "1", "--draws", 2).exit_code == 0      # reads the entries that report wrote
    for wrong, said in ((["report", tmp_path / "none"], "run.json"), (["report", run, "--output", tmp_path / "x" / "y.html"], "--output: got"),
                        (["report", run, "--output", tmp_path / "3.html", "--labels", "900"], "--labels: got 900")):
        found = sslab(*wrong)
        assert found.exit_code == 2 and said in found.output, found.output
