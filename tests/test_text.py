"""Text: tokenisers against the library's own whole-text path and naive loops, splits without leaks, own files."""

import gzip
import itertools
import json
import lzma
import re
import shutil
import subprocess
import sys
import warnings
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Fast

from sslab import datasets
from sslab.datasets import bundled, pairs, text
from sslab.datasets.tokenizer import (
    CLS,
    MASK,
    PAD,
    SEP,
    SPECIALS,
    TOKENIZERS,
    UNK,
    Tokenizer,
    train_tokenizer,
)

HARD = [
    "The cat sat on the mat.", "", " ", "  two  spaces ", "a\n\nb \n c\td", "naïve café — “quoted” 50 °C £3", "x" * 300,
    "🙂 emoji 👩‍👩‍👧 and עברית", "\x02 control", "trailing ", "don't; e.g. I'll 1,000.50", "\r\nlines\r\n", " \u00a0 \u3000 ",
]  # fmt: skip


@pytest.fixture(scope="module")
def wordnet():
    return datasets.load("wordnet")


@pytest.fixture(scope="module")
def passages():
    return datasets.load("passages")


@pytest.fixture(scope="module")
def glosses():
    """1,500 definitions spread over the file, read without the package."""
    lines = gzip.decompress((bundled.data_folder() / "wordnet_glosses.tsv.gz").read_bytes()).decode().splitlines()
    return [line.split("\t")[2] for line in lines[::80]]


# ---- tokenisers


def test_the_marks_have_the_same_ids_in_every_tokeniser(glosses, wordnet, passages):
    assert (PAD, UNK, CLS, SEP, MASK) == (0, 1, 2, 3, 4)
    made = [train_tokenizer(kind, 400, glosses) for kind in TOKENIZERS]
    for tokenizer in [*made, wordnet.tokenizer, passages.tokenizer]:
        assert tuple(tokenizer.pieces[:5]) == SPECIALS and not tokenizer.starts[:5].any()
        assert tokenizer.encode("".join(SPECIALS)).tolist() == [0, 1, 2, 3, 4]
        assert len(tokenizer.pieces) == tokenizer.vocabulary == len(tokenizer.starts)
    assert [tokenizer.vocabulary for tokenizer in made[:2]] == [400, 400]
    assert (wordnet.vocabulary, passages.vocabulary) == (4_000, 2_000)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_training_twice_gives_the_same_tokeniser(kind, glosses):
    first = train_tokenizer(kind, 600, glosses)
    states = {first.dumps(), *(train_tokenizer(kind, 600, glosses).dumps() for _ in range(2))}
    assert len(states) == 1                                # the library's own WordPiece trainer gives three
    again = Tokenizer(kind, states.pop())
    assert again.pieces == first.pieces
    assert [again.encode(gloss).tolist() for gloss in glosses[:50]] == [first.encode(gloss).tolist() for gloss in glosses[:50]]


def test_bytes_come_back_exactly(glosses, passages):
    small = train_tokenizer("bpe", 300, ["only these words"])
    for tokenizer in (passages.tokenizer, small):
        for line in [*HARD, *glosses[:200]]:
            assert tokenizer.decode(tokenizer.encode(line)) == line
            assert UNK not in tokenizer.encode(line).tolist()
    rows = passages.encode(["To be, or not to be"])
    assert rows.shape == (1, 128) and rows.dtype == torch.int16 and passages.decode(rows[0]) == "To be, or not to be"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_the_quick_way_equals_the_librarys_way(kind, glosses, wordnet, passages):
    """encode_corpus encodes each different word once; the library, whole texts."""
    tokenizer = {"wordpiece": wordnet, "bpe": passages}[kind].tokenizer
    fast = Fast.from_str(tokenizer.dumps())
    lines = [*HARD, *glosses, " ".join(glosses)]
    rows = tokenizer.encode_corpus(lines)
    assert len(rows) == len(lines) and all(row.dtype == np.int16 for row in rows)
    for line, row in zip(lines, rows):
        assert row.tolist() == fast.encode(line, add_special_tokens=False).ids
    assert tokenizer.encode_corpus([]) == [] and tokenizer.encode_corpus([""])[0].tolist() == []


def test_wordpiece_is_the_longest_piece_first(wordnet):
    place = {piece: token for token, piece in enumerate(wordnet.tokenizer.pieces)}

    def naive(word):
        tokens, rest, prefix = [], word, ""
        while rest:
            end = next((end for end in range(len(rest), 0, -1) if prefix + rest[:end] in place), None)
            if end is None:
                return [UNK]
            tokens.append(place[prefix + rest[:end]])
            rest, prefix = rest[end:], "##"
        return tokens

    for word in ["cat", "sat", "photosynthesis", "unbelievably", "antidisestablishmentarianism", "zzxq", "19th"]:
        assert wordnet.tokenizer.encode(word).tolist() == naive(word)
        assert wordnet.tokenizer.encode(word.upper()).tolist() == naive(word)
    (word,) = wordnet.tokenizer.encode("☃").tolist()
    assert word == UNK
    assert wordnet.tokenizer.starts[place["the"]] and not wordnet.tokenizer.starts[place["##s"]]


def test_bpe_merges_the_most_frequent_pair():
    """The example by hand: in "low low low lower lower slow", " low" is joined before anything else."""
    tokenizer = train_tokenizer("bpe", 300, ["low low low lower lower slow slot"] * 10)
    learned = tokenizer.pieces[5 + 256:]
    assert learned[0] == "lo"                                    # 7 of them, more than any other pair
    assert learned[1] == "low" and " low" in learned[:4]
    assert sorted(tokenizer._bytes[5:261]) == sorted(bytes([byte]) for byte in range(256))


def test_characters_against_a_loop():
    lines = ["abba cab", "za\n🙂"]
    tokenizer = train_tokenizer("characters", 300, lines)
    letters = sorted(set("".join(lines)))
    assert tokenizer.pieces[5:] == letters
    for line in ["abz", "x🙂y", "", "é\n"]:
        expected = [5 + letters.index(c) if c in letters else UNK for c in line]
        assert tokenizer.encode(line).tolist() == expected
        assert tokenizer.decode(expected) == "".join(c if c in letters else "[UNK]" for c in line)
    many = train_tokenizer("characters", 300, ["".join(chr(0x4E00 + i) * (400 - i) for i in range(400))])
    assert many.vocabulary == 300 and many.pieces[-1] == chr(0x4E00 + 294)        # the rarest have no place


def test_marks_in_texts(wordnet, passages):
    (row,) = wordnet.encode(["the cat sat on the [MASK]."])
    assert row.tolist().count(MASK) == 1 and row[0] == CLS and wordnet.decode(row) == "the cat sat on the [MASK]."
    assert MASK not in wordnet.tokenizer.encode_corpus(["a [MASK] in a file is text"])[0].tolist()
    assert MASK not in passages.tokenizer.encode_corpus(["a [MASK] in a file is text"])[0].tolist()
    tokens = passages.tokenizer.encode("on the [MASK] today").tolist()
    words = passages.tokenizer.encode("on the").tolist(), passages.tokenizer.encode("x today").tolist()[1:]
    assert tokens == [*words[0], MASK, *words[1]]                   # the mask has the space, as a word has
    assert passages.decode(torch.tensor(tokens)) == "on the [MASK] today"


def test_wordpiece_puts_spaces_where_english_has_them(wordnet):
    line = "a bird's nest (or one-way trip); it is 1,000 miles, no?"
    assert wordnet.decode(wordnet.encode([line])[0]) == line.replace("1,000", "1, 000")


@pytest.mark.slow
def test_the_stored_tokenisers_are_those_of_the_training_split(tmp_path):
    for name, kinds in text.STORED.items():
        texts = text.training_texts(name, bundled.read(text.FILES[name]))
        for kind, vocabulary in kinds:
            stored = bundled.read(f"{name}_{kind}_{vocabulary}.json").decode()
            assert train_tokenizer(kind, vocabulary, texts).dumps() == stored


# ---- wordnet


def plain(definition):
    return "".join(c if c.isalnum() else " " for c in definition.lower()).split()


def test_wordnet_splits(wordnet):
    lines = gzip.decompress((bundled.data_folder() / "wordnet_glosses.tsv.gz").read_bytes()).decode().splitlines()
    lines = [line.split("\t") for line in lines]
    assert wordnet.texts == [line[2] for line in lines] and len(lines) == len(wordnet)
    assert [words for _, words, _ in text.wordnet_records()] == [line[1].split("|") for line in lines]
    assert len(wordnet) + 83 == 117_659 and "83 of 117,659" in wordnet.card.notes
    every = torch.cat(list(wordnet.splits.values()))
    assert torch.equal(every.sort()[0], torch.arange(len(wordnet)))
    largest = Counter(line[0] for line in lines if line[0].startswith("noun")).most_common(12)
    assert {f"noun.{name}" for name in wordnet.class_names} == {name for name, _ in largest}
    for name, count in (("validation", 250), ("test", 500)):
        assert torch.bincount(wordnet.labels[wordnet.splits[name]]).tolist() == [count] * 12
    for index in range(0, len(lines), 97):
        label = wordnet.labels[index].item()
        assert lines[index][0] == f"noun.{wordnet.class_names[label]}" if label >= 0 else (
            lines[index][0].removeprefix("noun.") not in wordnet.class_names)  # fmt: skip


def test_no_held_out_definition_is_in_train(wordnet):
    parts = {name: {tuple(plain(wordnet.texts[index])) for index in indices.tolist()}
             for name, indices in wordnet.splits.items()}  # fmt: skip
    assert not parts["train"] & parts["test"] and not parts["train"] & parts["validation"]
    assert not parts["validation"] & parts["test"]


def test_wordnet_rows(wordnet):
    tokens = wordnet.tokens.long()
    assert wordnet.tokens.dtype == torch.int16 and tokens.shape == (len(wordnet), 32)
    assert not wordnet.continuous and wordnet.padded and wordnet.context == 32 and wordnet.num_classes == 12
    assert (tokens[:, 0] == CLS).all() and ((tokens == SEP).sum(1) == 1).all() and not (tokens == MASK).any()
    ends = (tokens == SEP).int().argmax(1)
    after = torch.arange(32) > ends[:, None]
    assert torch.equal(tokens == PAD, after)
    assert (tokens == UNK).float().mean() < 1e-5
    index = wordnet.splits["test"][:20]
    assert torch.equal(wordnet.encode([wordnet.texts[i] for i in index.tolist()]), wordnet.test.tokens[:20])
    assert torch.equal(wordnet.test.inputs, wordnet.test.tokens) and len(wordnet.test) == 6_000


def test_slurs_are_left_out(wordnet):
    marked = [gloss for gloss in wordnet.texts if re.search(r"ethnic slur|(offensive|disparaging|obscene) (terms?|names?|words?) ", gloss)]
    assert marked == []


def test_rows_by_hand():
    codes = [np.array([7, 8], np.int16), np.array([], np.int16), np.arange(10, 20, dtype=np.int16)]
    assert text._rows(codes, 5, marks=True).tolist() == [[2, 7, 8, 3, 0], [2, 3, 0, 0, 0], [2, 10, 11, 12, 3]]
    assert text._rows(codes, 3).tolist() == [[7, 8, 0], [0, 0, 0], [10, 11, 12]]
    assert text._rows([], 4, marks=True).shape == (0, 4)


# ---- passages


def test_windows_by_hand():
    tokenizer = train_tokenizer("characters", 300, ["abcdefg"])
    whole = [text._Text(0, 0, "abc"), text._Text(1, 0, "ggg"), text._Text(0, 2, "fff"), text._Text(0, 0, "defg")]
    tokens, labels, parts, starts = text._windows(whole, tokenizer, 4)
    a, b, c, d, e, f, g = range(5, 12)
    assert tokens.tolist() == [[a, b, c, SEP], [d, e, f, g], [g, g, g, SEP], [f, f, f, SEP]]    # a SEP is left over
    assert (labels.tolist(), parts.tolist(), starts.tolist()) == ([0, 0, 1, 0], [0, 0, 0, 2], [0, 3, 1, 2])


def test_passages_are_whole_texts_in_order(passages):
    lines = lzma.decompress((bundled.data_folder() / "passages.tsv.xz").read_bytes()).decode().splitlines()
    records = [line.split("\t") for line in lines]
    assert (bundled.data_folder() / "passages.tsv.xz").stat().st_size <= 5_000_000
    where = defaultdict(set)
    for author, title, part, _ in records:
        where[author, title].add(part)
    assert all(len(parts) == 1 for parts in where.values()) and len(where) == len(records)
    for name, split in (("validation", passages.validation), ("test", passages.test)):
        for label, author in enumerate(passages.class_names):
            rows = split.tokens[split.labels == label]
            texts = [body for who, _, part, body in records if (who, part) == (author, name)]
            stream = "\n".join(passages.decode(tokens) for tokens in cut(rows.flatten()))
            whole = "\n".join(texts) + "\n"
            assert whole.startswith(stream) and 0 <= len(whole) - len(stream) < 128 * 12    # the last, short window
            assert (rows == SEP).sum() in (len(texts), len(texts) - 1)
    chapters = [title for author, title, part, _ in records if author == "Melville" and title.startswith("chapter")]
    assert chapters == sorted(chapters, key=lambda title: int(title.split("_")[1]))


def cut(tokens):
    """A stream at its [SEP]s: the texts, the last one perhaps unfinished."""
    ends = [-1, *(tokens == SEP).nonzero()[:, 0].tolist(), len(tokens)]
    return [tokens[first + 1:last] for first, last in itertools.pairwise(ends)]


def test_passages_rows(passages):
    assert passages.continuous and not passages.padded and passages.context == 128 and passages.num_classes == 4
    assert not torch.isin(passages.tokens, torch.tensor([PAD, UNK, CLS, MASK], dtype=torch.int16)).any()
    assert torch.equal(passages.factors["author"], passages.labels)
    assert torch.equal(torch.cat(list(passages.splits.values())).sort()[0], torch.arange(len(passages)))
    records = text.passages_records()
    for part, indices in passages.splits.items():
        for index in indices[::1009].tolist():
            author, _, of, body = records[passages.factors["text"][index]]
            assert (author, of) == (passages.class_names[passages.labels[index]], part)
            window = cut(passages.tokens[index])[0]                          # up to the end of the text it starts in
            assert passages.decode(window) in body
    assert passages.texts[5] == passages.decode(passages.tokens[5]) and len(passages.texts) == len(passages)
    assert passages.texts[5:7] == [passages.texts[5], passages.texts[6]]


def test_a_prompt_longer_than_a_row_keeps_its_end(passages):
    long = " ".join(f"word{number}" for number in range(200))
    (row,) = passages.encode([long])
    assert PAD not in row.tolist() and long.endswith(passages.decode(row))


def test_held_out_passages_repeat_little(passages):
    """Runs of 12 words of Austen's and Melville's held-out texts that are in train: under one in a thousand."""
    runs = {part: set() for part in text.PARTS}
    for author, _, part, body in text.passages_records():
        if author in ("Melville",):
            words = plain(body)
            runs[part].update(hash(tuple(words[i:i + 12])) for i in range(len(words) - 11))
    assert len(runs["test"] & runs["train"]) < 0.001 * len(runs["test"])


# ---- what both share


def test_the_rest_of_the_contract(wordnet, passages):
    for data in (wordnet, passages):
        assert data.name in repr(data) and len(repr(data)) < 250 and data.card.licence in data._repr_html_()
        assert data.labels.dtype == torch.int64 and all(len(values) == len(data) for values in data.factors.values())
        assert torch.equal(data.train.labels, data.labels[data.splits["train"]]) and data.skipped == []
        assert data.train is data.train and "rows" in repr(data.train)
        again = datasets.load(data.name)
        assert again is not data and again.tokens is data.tokens
    images = datasets.load("digits").test
    assert images.inputs is images.images
    assert datasets.names(kind="text") == ["wordnet", "passages"] and "digits" in datasets.names(kind="images")
    kinds = ("text", "images", "pairs", "test")
    assert sorted(datasets.names()) == sorted(name for kind in kinds for name in datasets.names(kind=kind))
    with pytest.raises(ValueError, match="kind: got 'words'"):
        datasets.names(kind="words")


@pytest.mark.parametrize("options, message", [
    ({"tokenizer": "words"}, "tokenizer: got 'words', takes one of wordpiece, bpe, characters"),
    ({"vocabulary": 20}, "vocabulary: got 20, takes a whole number from 300 to 32,000"),
    ({"vocabulary": 4000.0}, "vocabulary: got 4000.0"),
    ({"context": 4}, "context: got 4, takes a whole number from 8 to 1,024"),
    ({"context": True}, "context: got True"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["wordnet", "passages", "own"])
def test_wrong_options(name, options, message, tmp_path):
    (tmp_path / "a.txt").write_text("word " * 100)
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load(f"text:{tmp_path}" if name == "own" else name, **options)


def test_wrong_texts(wordnet):
    with pytest.raises(ValueError, match="texts: got 'a cat', takes a list of str"):
        wordnet.encode("a cat")
    with pytest.raises(ValueError, match="texts: got .3., takes a list of str"):
        wordnet.encode([3])
    with pytest.raises(ValueError, match=r"tokens: got shape \[2, 32\], takes one row"):
        wordnet.decode(wordnet.tokens[:2])
    assert wordnet.encode([]).shape == (0, 32)


@pytest.mark.parametrize("name", ["wordnet_glosses.tsv.gz", "passages_bpe_2000.json"])
def test_damaged_files_are_named(name, tmp_path, monkeypatch):
    for path in [*bundled.data_folder().glob("wordnet*"), *bundled.data_folder().glob("pass*"), bundled.data_folder() / "SHA256SUMS"]:
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("SSLAB_DATA", str(tmp_path))
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-100])
    with pytest.raises(datasets.DataFileError, match=f"{name} is damaged.*To restore it"):
        datasets.load(name.split("_")[0])


def test_importing_datasets_imports_no_tokenizers():
    code = "import sys, sslab.datasets; print({'tokenizers', 'huggingface_hub'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# ---- a person's own texts

STORY = [f"Line {number}: the {('quick', 'brown', 'fox')[number % 3]} went to town number {number}." for number in range(900)]


def own(path, **options):
    return datasets.load(f"text:{path}", **{"vocabulary": 300, "context": 16} | options)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_file(tmp_path, kind):
    path = tmp_path / "story.txt"
    path.write_text("\ufeff" + "\n".join(STORY), encoding="utf-8", newline="\r\n")
    data = own(path, tokenizer=kind)
    assert data.continuous and data.num_classes == 0 and (data.labels == -1).all() and data.name == f"text:{path}"
    sizes = [len(index) for index in data.splits.values()]
    assert all(abs(size / sum(sizes) - share) < 0.03 for size, share in zip(sizes, (0.8, 0.1, 0.1)))
    if kind != "wordpiece":                                              # train, then test, then validation
        whole = "".join(data.decode(getattr(data, part).tokens.flatten()) for part in ("train", "test", "validation"))
        first = data.decode(data.train.tokens.flatten())
        assert "\n".join(STORY).startswith(first) and "\r" not in whole and "\ufeff" not in whole
        assert len("\n".join(STORY)) - len(whole) < 3 * 16 * 8
        assert data.decode(data.validation.tokens.flatten()) in "\n".join(STORY[-110:])
        assert data.decode(data.test.tokens.flatten()) in "\n".join(STORY[-210:-80])


def test_a_tokeniser_of_ones_own_text_sees_only_its_training_part(tmp_path):
    (tmp_path / "a.txt").write_text("abc " * 1100 + "xyz " * 150, encoding="utf-8")
    data = own(tmp_path / "a.txt", tokenizer="characters")
    assert data.tokenizer.pieces[5:] == [" ", "a", "b", "c"] and (data.validation.tokens == UNK).any()


def test_a_folder_of_few_files(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "a.txt").write_text("\n".join(STORY))
    (folder / "deeper" / "b.TXT").write_text("\n".join(STORY[::-1]))
    (folder / "copy.txt").write_text("\n".join(STORY))
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden" / "c.txt").write_text("\n".join(STORY))
    with pytest.warns(UserWarning, match="3 of 5 files skipped: copy.txt: it is a copy of a.txt"):
        data = own(folder)
    assert data.skipped == [("copy.txt", "it is a copy of a.txt"), ("empty.txt", "it is empty"),
                            ("latin.txt", "it is not UTF-8 (byte 3): save it as UTF-8")]  # fmt: skip
    assert (data.train.tokens == SEP).sum() in (1, 2)     # two texts, each cut into three; the last end may be left over
    assert "Line 0:" in data.texts[0] and data.factors["text"].unique().tolist() == list(range(6))
    assert "3 files skipped" in repr(data)


def test_a_folder_of_many_files_holds_out_whole_files(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"file{number} " * 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = own(tmp_path)
        again = own(tmp_path)
    found = {part: set(re.findall(r"file\d+ ", "".join(data.texts[i] for i in index.tolist()))) for part, index in data.splits.items()}
    assert [len(files) for files in found.values()] == [16, 2, 2] and len(set.union(*found.values())) == 20
    assert torch.equal(data.tokens, again.tokens) and data.tokens is not again.tokens


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="path: got '.*nowhere', which is not there; takes text:PATH"):
        own(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="path: got '', which is empty; takes text:PATH"):
        datasets.load("text:")
    with pytest.raises(ValueError, match="no text that can be read; no file in it ends in .txt"):
        own(tmp_path)
    for name, content, reason in [("empty.txt", b"", "it is empty"), ("latin.txt", b"\xff\xfeh\x00", "it is not UTF-8")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"no text that can be read; {name}: {reason}"):
            own(tmp_path / name)
    (tmp_path / "short.txt").write_text("a few words are not enough for this")
    with pytest.raises(ValueError, match="too short: its train part has 30 characters, fewer than a window of 16"):
        own(tmp_path / "short.txt")


def test_the_stored_files_are_plain_json():
    names = [name for name in bundled.checksums() if name.endswith(".json") and name != "openclipart_meta.json"]
    stored = {**text.STORED, **pairs.STORED}
    assert sorted(names) == sorted(f"{data}_{kind}_{size}.json" for data, kinds in stored.items() for kind, size in kinds)
    for name in names:
        assert json.loads(bundled.read(name))["model"]["type"].lower() in name
