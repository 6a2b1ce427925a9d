"""A person's own pictures: every kind of file, what is skipped, and splits that stay."""

import io
import os
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from sslab import datasets
from sslab.datasets.folder import _files


def picture(seed, width=40, height=40):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def fill(root, count, prefix="", start=0):
    (root / prefix).mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        picture(number, 8, 8).save(root / prefix / f"{number:05}.bmp")


def load(root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load(f"folder:{root}", **options)


def pixels(data, index=0):
    return data.images[index].permute(1, 2, 0).numpy()


# ---- classes, order, files

def test_classes_are_the_first_folders(tmp_path):
    fill(tmp_path, 4, "dogs")
    fill(tmp_path, 3, "cats/2021/spring", start=10)
    fill(tmp_path, 2, "cats", start=20)
    data = load(tmp_path)
    assert data.class_names == ("cats", "dogs") and data.labels.tolist() == [0] * 5 + [1] * 4
    assert data.images.shape == (9, 3, 32, 32) and data.images.dtype == torch.uint8
    assert data.labels.dtype == torch.int64 and data.skipped == []
    assert "4 to 5 pictures a class" in data.card.notes
    assert sorted(torch.cat(list(data.splits.values())).tolist()) == list(range(9))


def test_without_subfolders_there_are_no_labels(tmp_path):
    fill(tmp_path, 5)
    data = load(tmp_path, size=8)
    assert data.class_names == () and data.num_classes == 0 and data.labels.tolist() == [-1] * 5
    for index in range(5):                                                       # in the order of their names
        assert np.array_equal(pixels(data, index), np.asarray(picture(index, 8, 8)))
    assert "no labels" in repr(data) and "data:image/png" in data._repr_html_()


@pytest.mark.filterwarnings("ignore:.*different pictures are few")
def test_pictures_beside_class_folders_and_hidden_files_are_left_out(tmp_path):
    fill(tmp_path, 3, "cats")
    fill(tmp_path, 1, start=9)
    fill(tmp_path, 2, ".thumbnails")
    fill(tmp_path, 2, "__MACOSX")
    (tmp_path / "cats" / ".DS_Store").write_bytes(b"x")
    with pytest.warns(UserWarning, match="1 of 4 files skipped: 00009.bmp: lies beside the class folders"):
        data = datasets.load(f"folder:{tmp_path}")
    assert len(data) == 3 and data.skipped == [("00009.bmp", "lies beside the class folders")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_and_circles_end(tmp_path):
    fill(tmp_path / "elsewhere", 3)
    (tmp_path / "mine" / "own").mkdir(parents=True)
    fill(tmp_path / "mine", 2, "own", start=5)
    os.symlink(tmp_path / "elsewhere", tmp_path / "mine" / "linked")
    os.symlink(tmp_path / "mine", tmp_path / "mine" / "own" / "circle")
    data = load(tmp_path / "mine")
    assert data.class_names == ("linked", "own") and data.labels.tolist() == [0] * 3 + [1] * 2


def test_home_and_names_in_any_script(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    fill(tmp_path / "Bilder: Ferien", 3, "Füchse 狐")
    assert load("~/Bilder: Ferien").class_names == ("Füchse 狐",)


# ---- every kind of file

def test_the_shorter_side_is_resized_and_the_middle_kept(tmp_path):
    picture(1, 100, 60).save(tmp_path / "a_wide.png")
    picture(2, 48, 160).save(tmp_path / "b_tall.png")
    picture(3, 5, 5).save(tmp_path / "c_small.png")
    picture(4, 300, 1).save(tmp_path / "d_line.png")
    data = load(tmp_path, size=24)
    assert len(data) == 4
    for index, (size, resized, box) in enumerate((
        ((100, 60), (40, 24), (8, 0, 32, 24)),
        ((48, 160), (24, 80), (0, 28, 24, 52)),
        ((5, 5), (24, 24), None),
    )):  # fmt: skip
        expected = picture(index + 1, *size).resize(resized, Image.Resampling.BICUBIC).crop(box)
        assert np.abs(pixels(data, index).astype(int) - np.asarray(expected)).max() <= 1


def test_resizing_is_antialiased(tmp_path):
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255                                                          # aliases to black or white
    Image.fromarray(stripes).save(tmp_path / "a.png")
    Image.fromarray(stripes).save(tmp_path / "b.jpg", quality=95)
    data = load(tmp_path, size=16)
    assert (data.images.float() - 127.5).abs().max() < 3


def test_a_large_jpeg_is_close_to_its_full_decoding(tmp_path):
    smooth = picture(5, 6, 5).resize((1200, 1000), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    expected = smooth.crop((100, 0, 1100, 1000)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(pixels(load(tmp_path)).astype(int) - np.asarray(expected)).mean() < 2


def half_clear():
    """Left half red, right half fully transparent (over blue, which must not show)."""
    values = np.zeros((16, 16, 4), np.uint8)
    values[:, :8] = (255, 0, 0, 255)
    values[:, 8:] = (0, 0, 255, 0)
    return Image.fromarray(values)


def palette_gif(path):
    image = Image.new("P", (16, 16), 0)
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    image.paste(1, (8, 0, 16, 16))
    image.save(path, transparency=1)


def animation(path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


def turned(path):
    """Stored lying: what is red on the left as stored is at the top once turned as EXIF (6) says."""
    image = Image.new("RGB", (16, 16), "white")
    image.paste("red", (0, 0, 8, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def sixteen_bits(path):
    Image.fromarray(np.full((16, 16), 51_400, np.uint16)).save(path)                # 200 and 200/256


def floats(path):
    Image.fromarray(np.repeat(np.float32([-3, 9]), 128).reshape(16, 16)).save(path)


RED, WHITE, GREY = (255, 0, 0), (255, 255, 255), (200, 200, 200)


@pytest.mark.parametrize("name, save, upper_left, lower_right", [
    ("alpha.png", lambda path: half_clear().save(path), RED, WHITE),
    ("alpha.webp", lambda path: half_clear().save(path, lossless=True), RED, WHITE),
    ("grey_alpha.png", lambda path: Image.new("LA", (16, 16), (0, 0)).save(path), WHITE, WHITE),
    ("palette.gif", palette_gif, RED, WHITE),
    ("palette.png", lambda path: Image.new("RGB", (16, 16), "red").quantize(4).save(path), RED, RED),
    ("animated.gif", animation, RED, RED),
    ("animated.png", animation, RED, RED),
    ("cmyk.jpg", lambda path: Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path), RED, RED),
    ("grey.jpg", lambda path: Image.new("L", (16, 16), 200).save(path), GREY, GREY),
    ("deep.png", sixteen_bits, GREY, GREY),
    ("deep.tiff", sixteen_bits, GREY, GREY),
    ("bits.png", lambda path: Image.new("1", (16, 16), 1).save(path), WHITE, WHITE),
    ("turned.jpg", turned, RED, WHITE),
    ("turned.png", turned, RED, WHITE),
    ("floats.tiff", floats, (0, 0, 0), WHITE),
    ("wrong_ending.txt", lambda path: Image.new("RGB", (16, 16), "red").save(path, "PNG"), RED, RED),
])  # fmt: skip
def test_modes(tmp_path, name, save, upper_left, lower_right):
    save(tmp_path / name)
    data = load(tmp_path, size=16)
    assert data.skipped == [] and data.images.shape == (1, 3, 16, 16)
    seen = pixels(data).astype(int)
    assert np.abs(seen[1, 1] - upper_left).max() <= 16 and np.abs(seen[14, 14] - lower_right).max() <= 16
    if name.startswith("turned"):
        assert np.abs(seen[1, 14] - RED).max() <= 16                                # red along the top


@pytest.mark.filterwarnings("ignore:.*different pictures are few")
def test_unreadable_files_are_listed_and_not_fatal(tmp_path):
    fill(tmp_path, 5)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    whole = io.BytesIO()
    picture(7, 200, 200).save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:5000])
    (tmp_path / "header.png").write_bytes(whole.getvalue()[:20])
    picture(8, 200, 200).save(whole := io.BytesIO(), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:3000])
    with pytest.warns(UserWarning, match="5 of 10 files skipped: cut.jpg") as caught:
        data = datasets.load(f"folder:{tmp_path}")
    assert sum("skipped" in str(item.message) for item in caught) == 1              # said once
    assert len(data) == 5
    reasons = dict(data.skipped)
    assert list(reasons) == ["cut.jpg", "cut.png", "empty.png", "header.png", "notes.txt"]
    assert reasons["empty.png"] == "an empty file"
    assert reasons["notes.txt"] == "not a picture that Pillow can read"
    assert "truncated" in reasons["cut.jpg"] and all(reasons.values())
    assert "5 files skipped" in repr(data)


# ---- what is refused

def test_refused(tmp_path):
    with pytest.raises(ValueError, match="which is not there"):
        datasets.load(f"folder:{tmp_path}/nowhere")
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(ValueError, match="which is a file"):
        datasets.load(f"folder:{tmp_path}/file.txt")
    with pytest.raises(ValueError, match=r"without pictures: none of 1 files can be read \(file.txt: not"):
        datasets.load(f"folder:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="without pictures: it is empty"):
        datasets.load(f"folder:{tmp_path}/empty")
    for size in (0, 7, 2000, 32.0, "big"):
        with pytest.raises(ValueError, match="size: got"):
            datasets.load(f"folder:{tmp_path}", size=size)


# ---- splits

def parts(data, root):
    """A file's name -> its split."""
    names = [name for name in _files(root) if name not in dict(data.skipped)]
    return {names[index]: part for part, indices in data.splits.items() for index in indices.tolist()}


def test_adding_renaming_and_removing_moves_no_other_picture(tmp_path):
    fill(tmp_path, 300)
    before = parts(load(tmp_path, size=8), tmp_path)
    shares = [list(before.values()).count(name) / 300 for name in ("train", "validation", "test")]
    assert np.abs(np.array(shares) - (0.7, 0.1, 0.2)).max() < 0.08                  # 3 sigma
    fill(tmp_path, 50, start=1000)
    (tmp_path / "00007.bmp").unlink()
    (tmp_path / "00008.bmp").rename(tmp_path / "zz.bmp")
    after = parts(load(tmp_path, size=8), tmp_path)
    assert after.pop("zz.bmp") == before.pop("00008.bmp")
    del before["00007.bmp"]
    assert before == {name: part for name, part in after.items() if name in before}
    other_size = parts(load(tmp_path, size=16), tmp_path)
    del other_size["zz.bmp"]
    assert other_size == after


def test_copies_of_a_file_are_in_one_split(tmp_path):
    fill(tmp_path, 40, "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    where = parts(load(tmp_path, size=8), tmp_path)
    assert all(where[f"a/{name}"] == where[f"b/{name}"] for name in os.listdir(tmp_path / "a"))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 8])
def test_few_pictures_still_give_three_splits(tmp_path, count):
    for start in range(0, 50, 10):                                                  # five different sets
        root = tmp_path / str(start)
        fill(root, count, start=start)
        data = load(root, size=8)
        assert min(map(len, data.splits.values())) >= 1
        assert sorted(torch.cat(list(data.splits.values())).tolist()) == list(range(count))


@pytest.mark.parametrize("copies", [1, 5])
@pytest.mark.parametrize("count", [1, 2])
def test_too_few_pictures_are_all_in_train_and_it_is_said(tmp_path, count, copies):
    for copy in range(copies):
        fill(tmp_path, count, str(copy))
    with pytest.warns(UserWarning, match=f"{count} different pictures are too few for three splits"):
        data = datasets.load(f"folder:{tmp_path}")
    assert [len(indices) for indices in data.splits.values()] == [count * copies, 0, 0]
    assert "too few" in data.card.notes and len(data.validation.images) == 0


def test_two_readings_are_equal(tmp_path):
    fill(tmp_path, 30, "a")
    fill(tmp_path, 30, "b", start=50)
    first, second = load(tmp_path), load(tmp_path)
    assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    assert all(torch.equal(first.splits[name], second.splits[name]) for name in first.splits)
