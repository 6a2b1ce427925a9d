import math
from collections import Counter, defaultdict
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sslab.datasets.base import Card, split_in_order
from sslab.datasets.text import TextDataset
from sslab.datasets.tokenizer import SEP, train_tokenizer
from sslab.evaluation.ngrams import NGram, TextNGram, WordCounts, count_words

LETTERS = "abracadabr"


def numbers(text):
    return [ord(letter) - ord("a") for letter in text]


def random_text(n, vocabulary, seed=0):
    """A chain in which a token depends on the two before it."""
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.full(vocabulary, 0.3), size=(vocabulary, vocabulary))
    text = [0, 0]
    for _ in range(n - 2):
        text.append(int(random.choice(vocabulary, p=table[text[-2], text[-1]])))
    return text


# ---- n-grams


def naive_kneser_ney(text, vocabulary, order, discounts):
    """p(w | past) with dictionaries, from the definition: counts at the longest context, different left neighbours below."""
    counts = [Counter() for _ in range(order + 1)]
    for k in range(order + 1):
        if k == order:
            for t in range(k, len(text)):
                counts[k][tuple(text[t - k: t + 1])] += 1
        else:
            before = defaultdict(set)
            for t in range(k + 1, len(text)):
                before[tuple(text[t - k: t + 1])].add(text[t - k - 1])
            counts[k].update({gram: len(seen) for gram, seen in before.items()})

    def p(w, past, k):
        if k < 0:
            return 1 / vocabulary
        context = tuple(past[len(past) - k:])
        if len(past) < k:
            return p(w, past, k - 1)
        after = [counts[k][(*context, v)] for v in range(vocabulary)]
        total = sum(after)
        if total == 0:
            return p(w, past, k - 1)
        off = [0, *discounts[k]]
        held_back = sum(off[min(c, 3)] for c in after)
        return (after[w] - off[min(after[w], 3)] + held_back * p(w, past, k - 1)) / total

    return lambda w, past: p(w, past, order)


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_equals_dictionaries(order):
    text, held = random_text(300, 5), random_text(60, 5, seed=1)
    model = NGram(text, 5, order)
    naive = naive_kneser_ney(text, 5, order, model.discounts.tolist())
    ours = model.log_probabilities(held)
    theirs = [math.log(naive(w, held[:t])) for t, w in enumerate(held)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_ten_letters_by_hand():
    text = numbers("ababac")                             # a: b b c; b: a a. Before a stands b, before b a, before c a
    model = NGram(text, 3, 1, discounts=0.5)
    below = (1 - 0.5) / 3 + 0.5 * 3 / 3 / 3              # each letter has one kind of letter before it
    after_a = [0.5 * 2 / 3 * below, (2 - 0.5) / 3 + 0.5 * 2 / 3 * below, (1 - 0.5) / 3 + 0.5 * 2 / 3 * below]
    np.testing.assert_allclose(model.next_probabilities(numbers("a")), after_a)
    assert np.isclose(after_a[1], 0.6111111)
    np.testing.assert_allclose(model.next_probabilities(numbers("c")), [below] * 3)      # nothing ever followed c


def test_order_0_is_the_entropy_of_the_letters():
    text = numbers(LETTERS)                              # a 4, b 2, r 2, c 1, d 1
    model = NGram(text, 26, 0, discounts=0.0)
    shares = [0.4, 0.2, 0.2, 0.1, 0.1]
    assert np.isclose(-model.log_probabilities(text).mean(), -sum(p * math.log(p) for p in shares))


def test_a_rule_costs_nothing():
    text = [0, 1, 2, 3] * 500
    assert -NGram(text, 4, 1, discounts=0.1).log_probabilities(text)[1:].mean() < 0.001


@pytest.mark.parametrize("order", [0, 1, 3, 6])
@pytest.mark.parametrize("discounts", [None, 0.0, 1.0, "fitted"])
def test_probabilities_sum_to_1(order, discounts):
    text = random_text(400, 6)
    model = NGram(text, 7, order, None if discounts == "fitted" else discounts)          # 6 never occurs
    if discounts == "fitted":
        model.fit(random_text(200, 6, seed=2))
    for past in ([], [3], text[:9], [6, 6, 6], [6, 6, *text[:2]], text[50:60]):
        p = model.next_probabilities(past)
        assert p.shape == (7,) and p.min() >= 0 and np.isclose(p.sum(), 1)


@pytest.mark.parametrize("order", [0, 2, 5])
def test_step_by_step_and_at_once_agree(order):
    model, held = NGram(random_text(500, 6), 6, order), random_text(40, 6, seed=3)
    step = [model.next_probabilities(held[:t])[w] for t, w in enumerate(held)]
    np.testing.assert_allclose(np.exp(model.log_probabilities(held)), step)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_texts_shorter_than_the_order(n):
    model, held = NGram(random_text(100, 5), 5, 4), random_text(10, 5)[:n]
    assert model.log_probabilities(held).shape == (n,)


def test_fitted_discounts_are_better_and_in_their_range():
    text, validation, test = (random_text(n, 12, seed=0) for n in (3000, 5000, 8000))
    validation, test = validation[3000:], test[5000:]                # one chain, three stretches
    model = NGram(text, 12, 4)
    before_validation, before = model.log_probabilities(validation).mean(), model.log_probabilities(test).mean()
    model.fit(validation)
    assert model.log_probabilities(validation).mean() > before_validation
    assert model.log_probabilities(test).mean() > before
    assert (model.discounts > 0).all() and (model.discounts < [1, 2, 3]).all()


def test_longer_contexts_find_the_rule():
    text = random_text(30_000, 8)
    train, held = text[:20_000], text[20_000:]
    cost = [-NGram(train, 8, order).fit(held[:5000]).log_probabilities(held[5000:]).mean() for order in (0, 1, 2, 4)]
    assert cost[0] > cost[1] > cost[2] + 0.1                         # the chain looks back by two
    assert cost[3] < cost[2] + 0.1                                   # more does little harm


def test_samples_follow_the_rule_and_the_seed():
    model = NGram([0, 1, 2, 3] * 100, 4, 2, discounts=0.0)
    assert model.sample([0, 1], 6) == [2, 3, 0, 1, 2, 3]
    model = NGram(random_text(500, 6), 6, 2)
    assert model.sample([], 30, seed=1) == model.sample([], 30, seed=1) != model.sample([], 30, seed=2)


def test_many_symbols_and_long_contexts_do_not_overflow():
    text = np.random.default_rng(0).integers(0, 30_000, 5000)
    model = NGram(np.concatenate([text, text]), 30_000, 6, discounts=0.5)
    assert -model.log_probabilities(text)[6:].mean() < 1.0


@pytest.mark.parametrize("wrong, message", [
    (lambda: NGram([0, 1], 2, 2), "tokens: got 2, takes more than the order"),
    (lambda: NGram([0, 5], 2, 0), "tokens: got shape"),
    (lambda: NGram([[0, 1]], 2, 0), "tokens: got shape"),
    (lambda: NGram([0, 1], 2, -1), "order: got -1"),
    (lambda: NGram([0, 1], 2, 0.5), "order: got 0.5"),
    (lambda: NGram([0, 1], 2, 0, discounts=1.5), "discounts: got 1.5"),
    (lambda: NGram([0, 1], 2, 0).log_probabilities([2]), "tokens: got"),
    (lambda: TextNGram(passages(), 2, "letters"), "unit: got 'letters'"),
    (lambda: WordCounts(["...", "!"]), "texts: got none"),
    (lambda: WordCounts(["a cat"], among=["dog"]), "among: got no word"),
    (lambda: WordCounts(["a cat"]).accuracy([]), "hidden, top: got 0 words"),
    (lambda: WordCounts(["a cat"]).fit([hidden("dog")]), "hidden: got no word"),
])  # fmt: skip
def test_wrong_input_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


# ---- n-grams of a dataset


@cache
def passages(kind="bpe", context=16, held="It was a dark night, and the Märchen was told: the cat sat."):
    """A small dataset of running text: three parts, two texts each."""
    train = ["The cat sat on the mat. " * 30, "A dark and stormy night; the rain fell in torrents. " * 20]
    tokenizer = train_tokenizer(kind, 300, train)
    rows = []
    for texts in (train, ["The rain sat on the mat. " * 8, "The night fell. " * 8], [held * 4, "The cat fell. " * 8]):
        stream = np.concatenate([np.append(code, SEP) for code in tokenizer.encode_corpus(texts)])
        rows.append(torch.from_numpy(stream[: len(stream) // context * context].reshape(-1, context)))
    tokens = torch.cat(rows)
    return TextDataset("toy", [], tokens, torch.full((len(tokens),), -1), (), split_in_order(*map(len, rows)),
                       Card("", "", "", ""), tokenizer, True)


@pytest.mark.parametrize("unit", ["characters", "tokens"])
def test_text_score_adds_up(unit):
    data = passages()
    model = TextNGram(data, 3, unit)
    score = model.score("test")
    stream = data.test.tokens.flatten().long()
    text = data.decode(stream)                                       # the end of a text is no character
    ends = int((stream == SEP).sum())
    assert ends >= 1 and score.characters == len(text)
    assert score.tokens == (len(stream) if unit == "tokens" else len(text) + ends)
    assert np.isclose(score.bits_per_character, score.nats / math.log(2) / len(text))
    if unit == "tokens":
        past, nats = [SEP], 0.0
        for token in stream.tolist():
            nats -= math.log(model.model.next_probabilities(past)[token])
            past.append(token)
        assert np.isclose(score.nats, nats)
        assert np.isclose(score.perplexity, math.exp(nats / len(stream)))


def test_characters_cost_the_same_whatever_the_tokeniser():
    """The same characters held out: rows differ, the model of characters does not see where."""
    scores = []
    for kind in ("bpe", "characters"):
        data = passages(kind, context=8, held="The rain sat on the night.")
        scores.append(TextNGram(data, 3).score("test").bits_per_character)
    assert abs(scores[0] - scores[1]) < 0.1                          # a window's rest is dropped, a few characters


def test_characters_never_seen_cost_and_are_counted():
    data = passages()
    assert "ä" in data.decode(data.test.tokens.flatten())
    model = TextNGram(data, 2)
    assert "ä" not in model.letters and math.isfinite(model.score("test").nats)


def test_samples_of_a_text():
    model = TextNGram(passages(), 4)
    assert model.sample("The cat s", 3) == "at "
    assert isinstance(TextNGram(passages(), 2, "tokens").sample("The cat", 5), str)


# ---- words between their neighbours

TEXTS = ["the cat sat on the mat", "the cat ate the rat", "a dog sat on the cat", "the dog ate the cat; the end"]


def hidden(word, left="", right=""):
    return SimpleNamespace(word=word, left=left, right=right)


def test_words_by_hand():
    counts = WordCounts(TEXTS)
    counts.strengths = (1.0, 1.0, 1.0)
    total = {"the": 8, "cat": 4, "sat": 2, "on": 2, "ate": 2, "dog": 2, "mat": 1, "rat": 1, "a": 1, "end": 1}
    n = sum(total.values())
    p = dict(zip(counts.units, counts.probabilities(), strict=True))
    assert p["the"] == 8 / n and p[";"] == 0 and p[""] == 0          # marks are seen beside words, and not guessed
    after = dict(zip(counts.units, counts.probabilities("the"), strict=True))
    assert np.isclose(after["cat"], (4 + 4 / n) / 9) and np.isclose(after["sat"], (0 + 2 / n) / 9)
    both = counts.probabilities("the", "ate")
    next_ate = (2 + 1) / (n + 1 + 12)                                # 26 words and marks, 12 units with "" counted
    q = {w: (c_after + total[w] / n) / 9 * (c_right + next_ate) / (total[w] + 1)
         for w, c_after, c_right in [(w, {"cat": 4, "mat": 1, "rat": 1, "dog": 1, "end": 1}.get(w, 0),
                                      {"cat": 1, "dog": 1}.get(w, 0)) for w in total]}
    expected = {w: ({"cat": 1, "dog": 1}.get(w, 0) + q[w] / sum(q.values())) / 3 for w in total}
    got = dict(zip(counts.units, both, strict=True))
    for word in total:
        assert np.isclose(got[word], expected[word]), word


def test_word_probabilities_sum_to_1():
    counts = WordCounts(TEXTS)
    for left, right in [(None, None), ("the", None), ("zebra", None), ("", "cat"), ("the", "ate"), ("zebra", "ate"),
                        ("the", "zebra"), ("zebra", "zebra"), ("the", ""), (";", "end")]:
        p = counts.probabilities(left, right)
        assert np.isclose(p.sum(), 1) and p.min() >= 0


def test_unknown_neighbours_fall_back():
    counts = WordCounts(TEXTS)
    np.testing.assert_allclose(counts.probabilities("zebra"), counts.frequent)
    np.testing.assert_allclose(counts.probabilities("the", "zebra"), counts.probabilities("the"))


def test_accuracy_by_hand():
    counts = WordCounts(TEXTS)
    words = [hidden("the", "on", "mat"), hidden("sat", "cat", "on"), hidden("end", "the", ""), hidden("zebra", "the", "")]
    found = counts.accuracy(words, top=(1, 2, 100))
    assert found["most frequent"] == {1: 0.25, 2: 0.25, 100: 0.75}
    assert found["left neighbour"][1] == 0.25                        # after cat: sat, ate and ; once each, ate comes first
    assert found["left neighbour"][2] == 0.5
    assert found["both neighbours"] == {1: 0.5, 2: 0.75, 100: 0.75}  # the end: cat, mat, rat and end once each, cat comes first
    assert counts.guess("on", top=1)[0][0] == "the"


def test_only_words_that_may_be_guessed():
    counts = WordCounts(TEXTS, among=["cat", "dog", "the"])
    assert counts.accuracy([hidden("mat", "the", "")], (100,))["left neighbour"][100] == 0
    assert {word for word, p in counts.guess("the", top=50) if p > 0} == {"cat", "dog", "the"}


def test_case_is_kept_on_demand():
    kept, dropped = WordCounts(["The the The"], lower=False), WordCounts(["The the The"])
    assert kept.guess("", top=1)[0] == ("The", pytest.approx(kept.probabilities("").max()))
    assert dropped.units == ["", "the"]


def test_strengths_are_fitted():
    """Words drawn at random: a neighbour says nothing, so a sighting beside it counts little. And the other way round."""
    random = np.random.default_rng(0)
    names = [f"w{i}" for i in range(30)]
    noise = [" ".join(random.choice(names, 20)) for _ in range(40)]
    chain = [" ".join(names[(start + i) % 30] for i in range(20)) for start in random.integers(0, 30, 40)]

    def some(texts):
        return [hidden(*text.split()[1:2], text.split()[0], text.split()[2]) for text in texts]

    by_chance = WordCounts(noise[:30]).fit(some(noise[30:]))
    by_rule = WordCounts(chain[:30]).fit(some(chain[30:]))
    near = [each.accuracy(some(texts[30:]))["left neighbour"][1] for each, texts in ((by_chance, noise), (by_rule, chain))]
    assert near[0] < 0.3 and near[1] == 1
    for counts, texts in ((by_chance, noise), (by_rule, chain)):
        fitted = counts.accuracy(some(texts[30:]), (1, 5, 10))
        counts.strengths = (1e6, 1e6, 1e6)                           # neighbours count for nothing
        assert sum(fitted["both neighbours"].values()) >= sum(counts.accuracy(some(texts[30:]), (1, 5, 10))["both neighbours"].values())


def test_counting_a_dataset():
    counts = count_words(passages())
    assert not counts.lower and {"The", "the", "rain"} <= set(counts.units)
    assert counts.guess("on", "mat", top=1)[0][0] == "the"
    only = count_words(passages(), one_piece=True)
    assert 0 < only.guessable.sum() <= counts.guessable.sum()
