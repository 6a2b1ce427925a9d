import math
from collections import Counter
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sslab import encoders, objectives
from sslab.datasets.base import Card, split_in_order
from sslab.datasets.text import TextDataset
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, train_tokenizer
from sslab.evaluation import language, words
from sslab.evaluation.labels import FIXED_PENALTY, draw_labels
from sslab.evaluation.language import (
    bits_per_character,
    fill_in,
    generate,
    generate_steps,
    hidden_words,
    masked_accuracy,
    next_probabilities,
    perplexity,
    score_text,
    word_ranks,
)
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.ngrams import count_words

VOCABULARY, CONTEXT = 11, 6


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- stand-ins: what they say can be worked out without them


class Averages(nn.Module):
    """A causal encoder: what is said of a token is the mean of the tokens' vectors so far. Its cache is a sum and a count."""

    def __init__(self, vocabulary=VOCABULARY, context=CONTEXT, dim=8):
        super().__init__()
        self.vocabulary, self.context = vocabulary, context
        self.embed = nn.Embedding(vocabulary, dim)
        self.read = nn.Linear(dim, vocabulary)
        self.lengths = []                                            # of everything that was read
        nn.init.normal_(self.embed.weight, generator=rng(1))
        nn.init.normal_(self.read.weight, std=0.5, generator=rng(2))

    def new_cache(self):
        return {"sum": 0.0, "count": 0}

    def hidden(self, tokens, causal=None, segments=None, cache=None):
        past = self.new_cache() if cache is None else cache
        self.lengths.append((tokens.shape[1], past["count"]))
        total = past["sum"] + self.embed(tokens).cumsum(dim=1)       # [B, T, D]
        count = past["count"] + torch.arange(1, tokens.shape[1] + 1)
        assert int(count[-1]) <= self.context
        past["sum"], past["count"] = total[:, -1:], int(count[-1])
        return total / count[:, None]

    def scores(self, hidden):
        return self.read(hidden)


class FakeGPT(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.encoder, self.causal = Averages(**options), True

    def logits(self, tokens):
        return self.encoder.scores(self.encoder.hidden(tokens, causal=self.causal))


class Fixed(nn.Module):
    """Says the same at every place, [V]; as a chain, what it says depends on the token just read, [V, V]."""

    causal = False

    def __init__(self, logits, context=64):
        super().__init__()
        self.table = nn.Parameter(torch.as_tensor(logits).float())
        self.encoder = SimpleNamespace(context=context, vocabulary=self.table.shape[-1])
        self.seen = []

    def logits(self, tokens):
        self.seen.append(tokens)
        return self.table[tokens] if self.table.ndim == 2 else self.table.expand(*tokens.shape, -1)


TRAIN = ["The cat sat on the mat. " * 30, "A dark and stormy night; the rain fell in torrents. " * 20]


@cache
def passages(kind="bpe", context=16):
    """A small dataset of running text."""
    tokenizer = train_tokenizer(kind, 300, TRAIN)
    rows = []
    for texts in (TRAIN, ["The rain sat on the mat. " * 8], ["It was a dark night, said the cat. " * 5, "The mat. " * 9]):
        stream = np.concatenate([np.append(code, SEP) for code in tokenizer.encode_corpus(texts)])
        rows.append(torch.from_numpy(stream[: len(stream) // context * context].reshape(-1, context)))
    tokens = torch.cat(rows)
    return TextDataset("toy", [], tokens, torch.full((len(tokens),), -1), (), split_in_order(*map(len, rows)),
                       Card("", "", "", ""), tokenizer, True)


ANIMALS, PLANTS = ["cat", "dog", "horse", "mouse", "duck"], ["oak", "rose", "fern", "moss", "tulip"]


@cache
def glosses(kind="wordpiece", context=16, seed=0):
    """A small dataset of definitions, a text a row: of animals (0) and plants (1), and some of neither (-1)."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(240):
        label = i % 3 - 1
        name = random.choice([ANIMALS, PLANTS, ["stone", "idea"]][label])
        verb = random.choice([["runs", "eats"], ["grows", "blooms"], ["is", "seems"]][label])
        texts.append(f"a {random.choice(['small', 'large', 'old'])} {name} that {verb} in (or near) the {random.choice(['house', 'Garden'])}")
        labels.append(label)
    tokenizer = train_tokenizer(kind, 300, texts)
    data = TextDataset("toy", texts, torch.zeros(240, context), torch.tensor(labels), ("animal", "plant"),
                       split_in_order(150, 45, 45), Card("", "", "", ""), tokenizer, False)
    data.tokens = data.encode(texts)
    return data


# ---- probabilities to draw from


HALF = torch.tensor([0.3, 0.5, 0.2]).log()


@pytest.mark.parametrize("settings, expected", [
    ({}, [0.3, 0.5, 0.2]),
    ({"temperature": 0}, [0, 1, 0]),
    ({"temperature": 0.5}, [0.09 / 0.38, 0.25 / 0.38, 0.04 / 0.38]),
    ({"temperature": 1e-30}, [0, 1, 0]),
    ({"temperature": 1e30}, [1 / 3, 1 / 3, 1 / 3]),
    ({"top_k": 1}, [0, 1, 0]),
    ({"top_k": 2}, [0.375, 0.625, 0]),
    ({"top_k": 99}, [0.3, 0.5, 0.2]),
    ({"top_p": 1.0}, [0.3, 0.5, 0.2]),
    ({"top_p": 0.81}, [0.3, 0.5, 0.2]),
    ({"top_p": 0.8}, [0.375, 0.625, 0]),                             # 0.5 + 0.3 reaches it
    ({"top_p": 0.5}, [0, 1, 0]),
    ({"top_p": 0.01}, [0, 1, 0]),                                    # at least one
    ({"top_k": 2, "top_p": 0.6}, [0, 1, 0]),                         # after top-k the first holds 0.625
    ({"temperature": 0.5, "top_p": 0.65}, [0, 1, 0]),                # sharper, the first holds 0.658
])  # fmt: skip
def test_probabilities_by_hand(settings, expected):
    got = next_probabilities(HALF, **settings)
    torch.testing.assert_close(got, torch.tensor(expected).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(next_probabilities(torch.stack([HALF, HALF + 7])[None], **settings)[0, 1], got)


def test_equal_tokens_and_impossible_ones():
    assert next_probabilities(torch.zeros(4), top_k=2).tolist() == [0.5, 0.5, 0, 0]
    assert next_probabilities(torch.zeros(4), top_p=0.5).tolist() == [0.5, 0.5, 0, 0]
    assert next_probabilities(torch.zeros(4), temperature=0).tolist() == [1, 0, 0, 0]
    assert next_probabilities(torch.tensor([0.0, -math.inf, 0.0]), 0.1, top_p=0.9).tolist() == [0.5, 0, 0.5]
    logits = torch.randn(50, 30, generator=rng()).half()
    before = logits.clone()
    for settings in ({"top_k": 7}, {"top_p": 0.9}, {"temperature": 3.0, "top_k": 5, "top_p": 0.5}):
        share = next_probabilities(logits, **settings)
        torch.testing.assert_close(share.sum(dim=-1), torch.ones(50).double())
        assert torch.equal(logits, before)


def test_top_p_is_the_smallest_set():
    for row in torch.randn(30, 12, generator=rng(3)).double():
        p, kept = row.softmax(0), next_probabilities(row, top_p=0.7) > 0
        assert p[kept].sum() >= 0.7 - 1e-6 and p[kept].sum() - p[kept].min() < 0.7
        assert p[kept].min() > p[~kept].max()


# ---- generation


@pytest.mark.parametrize("settings", [{"temperature": 0}, {}, {"temperature": 2.0, "top_k": 4}, {"top_p": 0.8}])
@pytest.mark.parametrize("prompt", [[5], [5, 6, 7, 8], list(range(10)), [[5, 6], [7, 8]]])
def test_cache_changes_nothing(settings, prompt):
    gpt = FakeGPT()
    with_cache, without = (generate(gpt, prompt, 20, **settings, generator=rng(2), cache=cache) for cache in (True, False))
    assert torch.equal(with_cache, without)
    assert with_cache.shape[-1] == torch.tensor(prompt).shape[-1] + 20 and with_cache.ndim == torch.tensor(prompt).ndim
    assert settings.get("temperature", 1) == 0 or len(with_cache[..., -20:].unique()) > 3
    assert torch.equal(with_cache[..., : torch.tensor(prompt).shape[-1]], torch.tensor(prompt))


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("prompt", [[5], [[5, 6, 7], [8, 9, 5]], list(range(11))])
def test_cache_changes_nothing_in_the_real_model(positions, prompt):
    torch.manual_seed(0)
    gpt = objectives.create("gpt", encoders.create("transformer", (VOCABULARY, 8), dim=16, depth=2, heads=2, causal=True, padded=False,
                                                   positions=positions))
    for parameter in gpt.parameters():
        parameter.data *= 3                                          # far from uniform
    with_cache, without = (generate(gpt, prompt, 30, generator=rng(2), cache=cache) for cache in (True, False))
    assert torch.equal(with_cache, without) and len(with_cache.unique()) > 3


def test_greedy_equals_a_plain_loop():
    """The plain loop has the windows that the docstring promises: full, then its newer half."""
    gpt = FakeGPT()
    tokens, window = [5, 6], [5, 6]
    for _ in range(25):
        e = gpt.encoder
        token = int(e.read(e.embed(torch.tensor(window)).mean(0)).argmax())
        tokens.append(token)
        window = [*window, token]
        if len(window) > CONTEXT:
            window = window[-(CONTEXT // 2):]
    assert generate(gpt, [5, 6], 25, temperature=0).tolist() == tokens


def test_windows_with_a_cache():
    gpt = FakeGPT()
    generate(gpt, list(range(9)), 9)
    read = gpt.encoder.lengths                                       # (new tokens, those in the cache)
    assert read[0] == (CONTEXT, 0)                                   # a prompt too long is cut
    assert read[1:5] == [(3, 0), (1, 3), (1, 4), (1, 5)] and read[5:9] == [(3, 0), (1, 3), (1, 4), (1, 5)]


def test_draws_have_the_probabilities():
    p = torch.tensor([0.05, 0.6, 0.3, 0.05])
    drawn = generate(Fixed(p.log()), [[0]] * 5000, 4, generator=rng(7))[:, 1:]
    share = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    assert ((share - p).abs() < 4 * (p * (1 - p) / drawn.numel()).sqrt()).all()
    assert set(generate(Fixed(p.log()), [[0]] * 500, 4, top_k=2, generator=rng(7))[:, 1:].unique().tolist()) == {1, 2}


def test_the_generator_decides():
    gpt = FakeGPT()
    once, twice, other = (generate(gpt, [5], 20, generator=rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, twice) and not torch.equal(once, other)
    rows = generate(gpt, [[5], [5]], 20, generator=rng(1))
    assert not torch.equal(rows[0], rows[1])                         # each row has its own draws


def test_steps_say_what_was_drawn_from():
    gpt = FakeGPT()
    steps = list(generate_steps(gpt, [5], 4, generator=rng(1)))
    assert [int(token) for token, _ in steps] == generate(gpt, [5], 4, generator=rng(1))[1:].tolist()
    torch.testing.assert_close(steps[0][1][0], gpt.logits(torch.tensor([[5]]))[0, -1].double().softmax(0).detach())


def test_nothing_to_add_and_modes_are_left_alone():
    gpt = FakeGPT().train()
    assert generate(gpt, [5, 6], 0).tolist() == [5, 6]
    generate(gpt, torch.tensor([5, 6], dtype=torch.int16), 3)
    assert gpt.training and all(parameter.grad is None for parameter in gpt.parameters())


def test_without_a_causal_mask_nothing_is_cached():
    gpt = FakeGPT()
    gpt.causal = False
    generate(gpt, [5], 5)
    assert all(past == 0 for _, past in gpt.encoder.lengths)


def test_a_shorter_context_is_kept_to():
    gpt = FakeGPT()
    gpt.context = 4
    generate(gpt, [5], 12, cache=False)
    assert max(length for length, _ in gpt.encoder.lengths) == 4


def nan_gpt():
    gpt = FakeGPT()
    gpt.encoder.read.bias.data[0] = math.nan
    return gpt


# ---- held-out text


@pytest.mark.parametrize("stride", [None, 1, 5, 16])
def test_chain_costs_what_it_costs_by_hand(stride):
    """A model that looks back by one token costs the same at any stride but where a window begins it sees less: never here."""
    data = passages()
    table = torch.randn(data.vocabulary, data.vocabulary, generator=rng())
    score = score_text(Fixed(table, context=16), data, "test", stride=stride, batch_size=3)
    log_p, nats, before = table.double().log_softmax(1), 0.0, SEP
    for token in data.test.tokens.flatten().tolist():
        nats -= float(log_p[before, token])
        before = token
    assert score.nats == pytest.approx(nats, rel=1e-6)
    assert score.tokens == data.test.tokens.numel()
    assert score.characters == len(data.decode(data.test.tokens.flatten()))


@pytest.mark.parametrize("stride", [1, 2, 4, 6])
def test_context_that_each_token_gets(stride):
    """Against plain loops: a token is scored in the first window that reaches it."""
    data = passages(context=8)
    gpt = FakeGPT(vocabulary=data.vocabulary)
    stream = data.test.tokens.flatten().tolist()
    read = [SEP, *stream][:-1]
    nats, scored, end = 0.0, 0, CONTEXT
    gpt.requires_grad_(False)
    while scored < len(stream):
        end = min(end, len(stream))
        logits = gpt.logits(torch.tensor([read[end - CONTEXT: end]]))[0].double().log_softmax(1)
        nats -= sum(float(logits[t - (end - CONTEXT), stream[t]]) for t in range(scored, end))
        scored, end = end, end + stride
    assert score_text(gpt, data, "test", stride=stride).nats == pytest.approx(nats, rel=1e-6)


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_equally_likely_tokens(kind):
    data = passages(kind)
    gpt = Fixed(torch.zeros(data.vocabulary))
    assert perplexity(gpt, data, "test") == pytest.approx(data.vocabulary)
    n, text = data.test.tokens.numel(), data.decode(data.test.tokens.flatten())
    characters = len(text.replace("[UNK]", "?"))
    assert bits_per_character(gpt, data, "test") == pytest.approx(n * math.log2(data.vocabulary) / characters)


def test_some_windows_estimate_the_whole():
    data = passages()
    gpt = Fixed(torch.randn(data.vocabulary, generator=rng()), context=16)
    whole, some = score_text(gpt, data, "train"), score_text(gpt, data, "train", windows=20)
    assert some.tokens < 0.5 * whole.tokens
    assert some.perplexity == pytest.approx(whole.perplexity, rel=0.2)
    assert some.bits_per_character == pytest.approx(whole.bits_per_character, rel=0.2)
    assert score_text(gpt, data, "train", windows=10**6) == whole


def test_texts_in_rows_are_scored_alone():
    data = glosses()
    table = torch.randn(data.vocabulary, data.vocabulary, generator=rng())
    log_p, nats, tokens = table.double().log_softmax(1), 0.0, 0
    for row in data.validation.tokens.tolist():
        for before, token in pairwise(row):
            if token != PAD:
                nats, tokens = nats - float(log_p[before, token]), tokens + 1
    score = score_text(Fixed(table), data, "validation")
    assert score.nats == pytest.approx(nats, rel=1e-6) and score.tokens == tokens
    assert score.characters == sum(len(data.decode(row)) for row in data.validation.tokens)


def test_the_real_model_is_scored():
    torch.manual_seed(0)
    data = passages()
    gpt = objectives.create("gpt", encoders.create("transformer", data, dim=16, depth=1, heads=2, causal=True))
    assert perplexity(gpt, data, "test") == pytest.approx(data.vocabulary, rel=0.3)              # untrained: no better than chance
    gpt.encoder.net.embed.weight.data.zero_()                        # tied: all scores are 0
    assert perplexity(gpt, data, "test") == pytest.approx(data.vocabulary)


# ---- hidden words


def test_hidden_words_of_rows():
    data = glosses()
    hidden = hidden_words(data, "test", words=None)
    texts = [data.texts[i].lower() for i in data.test.indices.tolist()]
    assert len(hidden) == sum(len(text.replace("(", "").replace(")", "").split()) for text in texts)
    for each in hidden:
        text = texts[each.row].replace("(", "( ").replace(")", " )").split()
        at = [i for i, word in enumerate(text) if word == each.word]
        assert any((text[i - 1] if i else "", (text + [""])[i + 1]) == (each.left, each.right) for i in at)
        whole = list(each.tokens)
        assert whole.count(MASK) == len(each.pieces) and set(whole[each.place: each.place + len(each.pieces)]) == {MASK}
        whole[each.place: each.place + len(each.pieces)] = each.pieces
        assert whole == [token for token in data.test.tokens[each.row].tolist() if token != PAD]
    assert {each.left for each in hidden} >= {"", "(", ")"} or {"", "("} <= {each.left for each in hidden}


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_hidden_words_of_running_text(kind):
    data = passages(kind, context=32)
    hidden = hidden_words(data, "test", words=None)
    assert len(hidden) > 20
    for each in hidden:
        whole = list(each.tokens)
        whole[each.place: each.place + len(each.pieces)] = each.pieces
        row = data.decode(data.test.tokens[each.row])
        assert data.decode(torch.tensor(whole)).startswith(row[:25]) and each.word in row
        assert data.decode(torch.tensor(each.pieces)).strip() == each.word
        assert not row.startswith(each.word) or row.count(each.word) > 1
        assert CLS not in whole and len(whole) <= 32


def test_draws_of_hidden_words():
    data = glosses()
    one, same, other = (hidden_words(data, "test", 50, seed) for seed in (0, 0, 1))
    assert one == same != other and len(one) == 50
    assert all(len(each.pieces) == 1 for each in hidden_words(data, "test", 50, one_piece=True))
    short = hidden_words(data, "test", 50, context=8)
    assert max(len(each.tokens) for each in short) <= 8 and all(each.tokens[-1] == SEP for each in short)


def test_accuracy_of_models_that_do_not_read():
    """One that always says the same words is right as often as they come; counting frequencies is the same model."""
    data = glosses()
    hidden = hidden_words(data, "test", words=None, one_piece=True)
    the = int(data.encode(["the"])[0, 1])
    logits = torch.zeros(data.vocabulary)
    logits[the] = 1
    share = sum(each.word == "the" for each in hidden) / len(hidden)
    assert masked_accuracy(Fixed(logits), data, hidden=hidden, top=(1,)) == {1: pytest.approx(share)}

    counts = count_words(data, one_piece=True)
    ids = {word: data.tokenizer.encode_corpus([word])[0].tolist() for word in counts.units if counts.guessable[counts.ids[word]]}
    assert all(len(pieces) == 1 for pieces in ids.values())
    logits = torch.full((data.vocabulary,), -30.0)
    for word, (piece,) in ids.items():
        logits[piece] = math.log(counts.frequent[counts.ids[word]]) - 1e-4 * counts.ids[word]        # equals: in their order
    found, counted = masked_accuracy(Fixed(logits), data, hidden=hidden, top=(1, 3, 5)), counts.accuracy(hidden, (1, 3, 5))
    assert found == pytest.approx(counted["most frequent"])
    assert min(counted["both neighbours"][1], counted["left neighbour"][1]) > 2 * counted["most frequent"][1]


def test_every_piece_must_be_right():
    hidden = [language.HiddenWord(0, "x", "", "", (2, 4, 4, 3), 1, (5, 6)), language.HiddenWord(0, "y", "", "", (2, 7, 4, 3), 2, (5,))]
    logits = torch.zeros(10)
    logits[[5, 8, 6]] = torch.tensor([3.0, 2.0, 1.0])
    assert word_ranks(Fixed(logits), hidden).tolist() == [3, 1]
    assert masked_accuracy(Fixed(logits), None, hidden=hidden, top=(1, 2, 3)) == {1: 0.5, 2: 0.5, 3: 1.0}


def test_masked_accuracy_of_the_real_model():
    data = glosses()
    bert = objectives.create("bert", encoders.create("transformer", data, dim=16, depth=1, heads=2, **{
        option: value for option, value in objectives.language.BERT.architecture.items() if option != "name"}))
    found = masked_accuracy(bert, data, "test", words=40)
    assert 0 <= found[1] <= found[5] <= 1
    assert len(fill_in(bert, data, "a small [MASK] that runs", top=3)) == 3


# ---- filling in


@pytest.mark.parametrize("make, text, expected", [
    (glosses, "a small [MASK] that runs", "[CLS] a small [MASK] that runs [SEP]"),
    (glosses, "[MASK]", "[CLS] [MASK] [SEP]"),
    (glosses, "in ([MASK]) near", "[CLS] in ( [MASK] ) near [SEP]"),
    (passages, "the cat sat on the [MASK].", "the cat sat on the [MASK]."),
    (passages, "[MASK] sat", "[MASK] sat"),
    (lambda: passages("characters"), "the c[MASK]t sat", "the c[MASK]t sat"),
    (lambda: passages("characters"), "the [MASK]at", "the [MASK]at"),
])  # fmt: skip
def test_the_mask_stands_where_it_was_put(make, text, expected):
    data = make()
    bert = Fixed(torch.zeros(data.vocabulary))
    fill_in(bert, data, text)
    (tokens,) = bert.seen[0].tolist()
    if not data.continuous:                                          # the dataset's own encoding knows the mark
        assert tokens == [token for token in data.encode([text])[0].tolist() if token != PAD]
    left, right = expected.replace("[CLS]", "").replace("[SEP]", "").split("[MASK]")
    place = tokens.index(MASK)
    if data.continuous:
        left = left.rstrip(" ") if data.tokenizer.kind == "bpe" else left
        assert data.decode(torch.tensor(tokens[:place])) == left
        assert data.decode(torch.tensor(tokens[place + 1:])) == right
    assert PAD not in tokens


def test_fill_in_lists_words_with_their_probabilities():
    data = glosses()
    logits = torch.zeros(data.vocabulary)
    cat, the = (int(data.encode([word])[0, 1]) for word in ("cat", "the"))
    logits[[cat, the, PAD, MASK]] = torch.tensor([3.0, 2.0, 9.0, 9.0])
    share = logits.softmax(0)
    assert fill_in(Fixed(logits), data, "the [MASK]", top=2) == [(data.decode(torch.tensor([cat])), pytest.approx(float(share[cat]))),
                                                                 ("the", pytest.approx(float(share[the])))]
    assert len(fill_in(Fixed(logits), data, "the [MASK]", top=10**6)) == data.vocabulary - 5


@pytest.mark.parametrize("text", ["old " * 50 + "[MASK]", "[MASK]" + " old" * 50, "old " * 50 + "[MASK]" + " old" * 50])
def test_a_text_too_long_is_cut_around_the_mask(text):
    data = glosses()
    bert = Fixed(torch.zeros(data.vocabulary), context=10)
    fill_in(bert, data, text)
    (tokens,) = bert.seen[0].tolist()
    assert len(tokens) == 10 and tokens.count(MASK) == 1 and tokens[0] == CLS and tokens[-1] == SEP


# ---- words as features


def test_tf_idf_by_hand():
    data = glosses()
    x = words.tf_idf(data)["test"].toarray()
    train = [Counter(data.texts[i].lower().replace("(", "").replace(")", "").split()) for i in data.train.indices.tolist()]
    seen = Counter(word for text in train for word in text)
    text = Counter(data.texts[int(data.test.indices[0])].lower().replace("(", "").replace(")", "").split())
    weights = {word: (1 + math.log(n)) * (math.log((1 + len(train)) / (1 + seen[word])) + 1) for word, n in text.items() if seen[word] > 1}
    length = math.sqrt(sum(weight**2 for weight in weights.values()))
    np.testing.assert_allclose(np.sort(x[0][x[0] > 0]), np.sort([weight / length for weight in weights.values()]), rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_sparse_fit_has_the_minimum_of_the_dense_one(classes):
    data = glosses()
    x = words.tf_idf(data)["train"]
    labels = data.train.labels + classes - 2                         # with three, what is neither is a class too
    rows = draw_labels(labels, 10, 0)
    y = labels[rows]
    columns, weights, biases = words._fits(x[rows.numpy()], y.numpy(), [1e-2, 1e-3])
    dense = torch.from_numpy(x[rows.numpy()].toarray())
    w, b = fit_logistic(dense.double(), y, [1e-2, 1e-3], tolerance=1e-8)

    def cost(weight, bias, penalty):
        z = dense.double() @ weight.double() + bias.double()
        return float(torch.nn.functional.cross_entropy(z, y) + penalty / 2 * weight.double().square().sum())

    for j, penalty in enumerate([1e-2, 1e-3]):
        ours = torch.zeros(dense.shape[1], int(y.max()) + 1)
        ours[columns] = torch.from_numpy(weights[:, j]).float()
        assert cost(ours, torch.from_numpy(biases[j]), penalty) == pytest.approx(cost(w[j], b[j], penalty), rel=2e-3)


def test_lsa_is_the_singular_value_decomposition():
    data = glosses()
    features = words.tf_idf(data)
    z = words.lsa(features, 4)
    u, s, vt = np.linalg.svd(features["train"].toarray().astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(z["train"][:, :2].numpy()), np.abs(u[:, :2] * s[:2]), atol=2e-3)
    np.testing.assert_allclose(np.abs(z["test"][:, :2].numpy()), np.abs(features["test"].toarray() @ vt[:2].T), atol=2e-3)


def test_controls_learn_what_words_say():
    data = glosses()
    data = TextDataset(**{**{name: getattr(data, name) for name in ("name", "texts", "tokens", "class_names", "splits", "card", "tokenizer",
                                                                    "continuous")},
                          "labels": torch.where((data.labels < 0) & (torch.arange(240) >= 150), 0, data.labels)})
    found = words.word_controls(data, (1, 20), seeds=4, penalties=(0.1, 1.0), on="validation", parts=True)
    assert list(found) == ["TF-IDF", "TF-IDF + LSA", "TF-IDF of parts of words"]
    for name, each in found.items():
        assert each.name == name
        assert each.fixed.keys() == each.generous.keys() == {1, 20} and len(each.fixed[1]) == 4
        assert each.mean(20) >= each.mean(1) and each.mean(20) > 0.6                 # a third of the labels are wrong here
    again = words.tf_idf_efficiency(data, (1, 20), 4, (0.1, 1.0), "validation")
    assert again == found["TF-IDF"]


def test_fixed_penalty_is_measured_against_a_length():
    """A length of 10 with penalty 0.1 is a penalty of 0.001 for vectors of length 1."""
    data = glosses()
    x = words.tf_idf(data)["train"]
    rows = draw_labels(data.train.labels, 10, 0)
    y = data.train.labels[rows]
    w, _ = fit_logistic(10 * torch.from_numpy(x[rows.numpy()].toarray()), y, [FIXED_PENALTY])
    v, _ = fit_logistic(torch.from_numpy(x[rows.numpy()].toarray()), y, [FIXED_PENALTY / 100])
    torch.testing.assert_close(10 * w, v, atol=2e-2, rtol=0)


# ---- wrong input


@pytest.mark.parametrize("wrong, message", [
    (lambda: next_probabilities(HALF, temperature=-1), "temperature: got -1"),
    (lambda: next_probabilities(HALF, temperature=math.nan), "temperature: got nan"),
    (lambda: next_probabilities(HALF, top_k=0), "top_k: got 0"),
    (lambda: next_probabilities(HALF, top_k=1.5), "top_k: got 1.5"),
    (lambda: next_probabilities(HALF, top_p=0.0), "top_p: got 0.0"),
    (lambda: next_probabilities(HALF, top_p=1.1), "top_p: got 1.1"),
    (lambda: generate(FakeGPT(), [], 3), r"prompt: got shape \[0\]"),
    (lambda: generate(FakeGPT(), [VOCABULARY], 3), "prompt: got tokens from 11 to 11, takes 0 to 10"),
    (lambda: generate(FakeGPT(), [-1], 3), "prompt: got tokens from -1"),
    (lambda: generate(FakeGPT(), [1], -3), "length: got -3"),
    (lambda: generate(FakeGPT(), [1], 3, top_p=2), "top_p: got 2"),
    (lambda: generate_steps(FakeGPT(), [1], 3, top_p=2), "top_p: got 2"),          # before the first step
    (lambda: generate(nan_gpt(), [1], 3), "gpt: got scores that are not finite"),
    (lambda: score_text(FakeGPT(), passages(), "exam"), "part: got 'exam'"),
    (lambda: score_text(FakeGPT(), passages(), stride=7), "stride: got 7, takes 1 to the context's length"),
    (lambda: score_text(FakeGPT(), passages(), windows=0), "windows: got 0"),
    (lambda: hidden_words(glosses(), words=0), "words: got 0"),
    (lambda: masked_accuracy(Fixed(torch.zeros(9)), glosses(), hidden=[]), "hidden: got no words"),
    (lambda: masked_accuracy(Fixed(torch.zeros(9)), glosses(), top=(0,)), "top: got"),
    (lambda: word_ranks(Fixed(torch.zeros(9), context=3), [language.HiddenWord(0, "x", "", "", (2, 4, 4, 3), 1, (5,))]), "hidden: got a text of 4"),
    (lambda: fill_in(Fixed(torch.zeros(9)), glosses(), "no mask"), r"text: got 0 times \[MASK\]"),
    (lambda: fill_in(Fixed(torch.zeros(9)), glosses(), "[MASK] [MASK]"), r"text: got 2 times \[MASK\]"),
    (lambda: fill_in(Fixed(torch.zeros(9)), glosses(), "[MASK]", top=0), "top: got 0"),
    (lambda: words.lsa(words.tf_idf(glosses()), 10**6), "components: got 1000000"),
    (lambda: words.word_controls(glosses(), (1000,)), "per_class: got 1000"),
    (lambda: words.tf_idf(glosses(), "word"), "unit: got 'word', takes one of words, parts of words"),
    (lambda: words.word_controls(glosses(), on="train"), "on: got 'train'"),
])  # fmt: skip
def test_wrong_input_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
