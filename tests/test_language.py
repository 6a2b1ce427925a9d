"""BERT, RoBERTa and GPT: losses against loops in float64, the tasks they make, knobs, and what tiny ones learn."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sslab import encoders, objectives, training
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, UNK
from sslab.encoders import transformer
from sslab.objectives import masked_tokens, next_token
from sslab.objectives.language import WORDS, _hashed, next_targets
from sslab.testing import check_objective

V, T = 50, 16
NAMES = ("bert", "roberta", "gpt")
ARCHITECTURES = {"bert": {"segments": True}, "roberta": {"segments": True}, "gpt": {"causal": True}}


def make(name, continuous=False, vocabulary=V, context=T, knobs=None, **options):
    torch.manual_seed(0)
    options = {"dim": 16, "depth": 2, "heads": 2, **ARCHITECTURES[name], **options}
    encoder = encoders.create("transformer", (vocabulary, context), padded=not continuous, continuous=continuous, **options)
    return objectives.create(name, encoder, **(knobs or {}))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def passages(rows=8, length=T, vocabulary=V, seed=0):
    return torch.randint(WORDS, vocabulary, (rows, length), generator=seeded(seed))


def glosses(rows=8, length=T, vocabulary=V, seed=0):
    """[CLS] words [SEP] [PAD] ..."""
    tokens = passages(rows, length, vocabulary, seed)
    end = torch.randint(2, length, (rows, 1), generator=seeded(seed + 1))
    place = torch.arange(length)
    return tokens.masked_fill(place == 0, CLS).masked_fill(place == end, SEP).masked_fill(place > end, PAD)


# ---- the losses


def naive_entropy(logits, target):
    """- log of the softmax's share of the target, in Python floats."""
    top = max(logits)
    return math.log(sum(math.exp(v - top) for v in logits)) + top - logits[target]


@pytest.fixture
def said():
    """Logits float64 [3, 5, 7], tokens [3, 5]."""
    return 3 * torch.randn(3, 5, 7, generator=seeded(), dtype=torch.float64), torch.randint(1, 7, (3, 5), generator=seeded(1))


def test_masked_tokens_is_the_naive_mean(said):
    logits, tokens = said
    mask = torch.rand(3, 5, generator=seeded(2)) < 0.4
    errors = [naive_entropy(logits[b, t].tolist(), int(tokens[b, t])) for b, t in mask.nonzero().tolist()]
    assert float(masked_tokens(logits, tokens, mask)) == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert float(masked_tokens(logits, tokens.to(torch.int16), mask)) == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert float(masked_tokens(logits, tokens, mask & False)) == 0


@pytest.mark.parametrize("shift", [True, False])
def test_next_token_is_the_naive_mean(said, shift):
    logits, tokens = said
    tokens[0, 3:] = PAD
    tokens[2, 2] = PAD
    errors = [naive_entropy(logits[b, t].tolist(), int(tokens[b, t + shift]))
              for b in range(3) for t in range(5 - shift) if tokens[b, t + shift] != PAD]
    assert len(errors) == (9 if shift else 12)
    assert float(next_token(logits, tokens, shift=shift)) == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert float(next_token(logits, tokens * 0)) == 0


def test_losses_by_hand():
    """Two words: logits 0 and log 3 are shares of 1/4 and 3/4."""
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(3), 0.0]]])
    tokens = torch.tensor([[1, 1]])
    assert float(masked_tokens(logits, tokens, torch.tensor([[True, False]]))) == pytest.approx(-math.log(0.75))
    assert float(masked_tokens(logits, tokens, torch.tensor([[True, True]]))) == pytest.approx(-math.log(3 / 16) / 2)
    assert float(next_token(logits, tokens)) == pytest.approx(-math.log(0.75))
    assert next_targets(torch.tensor([[7, 8, PAD, 9]])).tolist() == [[8, -100, 9, -100]]


def test_uniform_logits_cost_log_v(said):
    logits, tokens = torch.full_like(said[0], 2.0), said[1]
    assert float(next_token(logits, tokens)) == pytest.approx(math.log(7))
    assert float(masked_tokens(logits, tokens, tokens > 3)) == pytest.approx(math.log(7))


def test_losses_have_the_right_gradient_and_type(said):
    logits, tokens = said
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: next_token(z, tokens), logits)
    assert torch.autograd.gradcheck(lambda z: masked_tokens(z, tokens, tokens > 3), logits)
    for dtype in (torch.bfloat16, torch.float16):
        for value in (next_token((50 * logits).to(dtype), tokens), masked_tokens((50 * logits).to(dtype), tokens, tokens > 3)):
            assert value.dtype == torch.float32 and value.isfinite()
    assert next_token(logits, tokens).dtype == torch.float64


def test_losses_name_what_is_wrong(said):
    logits, tokens = said
    with pytest.raises(ValueError, match=r"logits, tokens: got shapes \[3, 5, 7\] and \[3, 4\]"):
        next_token(logits, tokens[:, 1:])
    with pytest.raises(TypeError, match="tokens: .* takes whole numbers"):
        next_token(logits, tokens.float())
    with pytest.raises(TypeError, match=r"mask: got int64 \[3, 5\], takes bool"):
        masked_tokens(logits, tokens, tokens)
    with pytest.raises(ValueError, match=r"logits, tokens, mask: got shapes .* and \[5\]"):
        masked_tokens(logits, tokens, tokens[0] > 3)


# ---- the contract


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("continuous", [False, True])
def test_language_objectives_keep_the_contract(name, continuous):
    assert len(check_objective(lambda: make(name, continuous), vocabulary=V, context=T)) == 8


def test_gpt_with_rotary_positions_keeps_the_contract():
    assert len(check_objective(lambda: make("gpt", True, positions="rotary"), vocabulary=V, context=T)) == 8


def test_check_objective_needs_a_word():
    with pytest.raises(ValueError, match="vocabulary, context: got 5, 16, takes 6 or more, 3 or more"):
        check_objective(lambda: make("gpt"), vocabulary=5)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a GPU wait for its host: reading a number, and shapes that depend on data."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2"), name
        assert not (name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])), "bool index"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("continuous", [False, True])
def test_no_step_waits_for_the_device(name, continuous, monkeypatch):
    monkeypatch.setattr(transformer, "shapes_may_vary", lambda x: False)         # as on a GPU
    objective = make(name, continuous)
    batch = passages() if continuous else glosses()
    with NoWaiting():
        loss = objective(objective.make_views(batch, seeded()))
        loss.total.backward()
        with pytest.raises(AssertionError, match="_local_scalar_dense"):
            loss.total.item()


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("continuous", [False, True])
def test_a_step_is_the_same_where_shapes_may_not_vary(name, continuous, monkeypatch):
    batch, results = passages(40) if continuous else glosses(40), []
    for vary in (True, False):
        monkeypatch.setattr(transformer, "shapes_may_vary", lambda x, vary=vary: vary)
        objective = make(name, continuous).double()
        loss = objective(objective.make_views(batch, seeded()))
        loss.total.backward()
        results.append((loss, {key: p.grad for key, p in objective.named_parameters() if p.grad is not None}))
    (a, gradients), (b, others) = results
    assert a.total.item() == pytest.approx(b.total.item(), abs=1e-10) and gradients.keys() == others.keys()
    assert {key: float(t) for key, t in a.terms.items()} == pytest.approx({key: float(t) for key, t in b.terms.items()})
    torch.testing.assert_close(a.embedding, b.embedding)
    assert all(torch.allclose(gradients[key], others[key], atol=1e-10) for key in gradients)


# ---- masks


def test_masked_share_and_what_it_becomes_are_within_four_sigma():
    objective = make("roberta", True, vocabulary=3000, context=128)
    tokens = passages(400, 128, 3000)
    seen, true, chosen = objective.make_views(tokens, seeded())
    assert torch.equal(true, tokens) and torch.equal(seen[~chosen], tokens[~chosen])
    n = int(chosen.sum())

    def within(count, of, share):
        return abs(count - share * of) < 4 * math.sqrt(of * share * (1 - share))

    assert within(n, tokens.numel(), 0.15)
    became, was = seen[chosen], tokens[chosen]
    other = (became != MASK) & (became != was)
    assert within(int((became == MASK).sum()), n, 0.8)
    assert within(int(other.sum()), n, 0.1 * 2994 / 2995) and within(int((became == was).sum()), n, 0.1 + 0.1 / 2995)
    assert int(seen[chosen & (seen != MASK)].min()) >= WORDS and int(became[other].max()) > 2900
    by_place = chosen.sum(dim=0)                                     # every place alike
    assert all(within(int(count), 400, 0.15) for count in by_place)


@pytest.mark.parametrize("share", [0.02, 0.15, 0.5, 0.95])
@pytest.mark.parametrize("dynamic", [True, False])
def test_the_share_is_right_in_short_texts_too(share, dynamic):
    """12 words: 0.15 of them is 1.8, so that 1 is chosen in a fifth of the texts, 2 in the others."""
    objective = make("roberta", knobs={"mask_share": share, "dynamic": dynamic})
    tokens = passages(4000, 14)
    tokens[:, 0], tokens[:, -1] = CLS, SEP
    _, _, chosen = objective.make_views(tokens, seeded())
    low = math.floor(12 * share)
    counts = Counter(chosen.sum(dim=1).tolist())
    assert set(counts) <= {max(low, 1), low + 1}
    rest = 12 * share - low
    if low:
        assert abs(counts[low + 1] / 4000 - rest) <= 4 * math.sqrt(rest * (1 - rest) / 4000)
    assert not chosen[:, [0, -1]].any()


def test_special_tokens_are_never_chosen_and_a_row_has_one():
    objective = make("bert", knobs={"mask_share": 0.95})
    tokens = glosses(200)
    tokens[0] = PAD
    tokens[1, :3] = torch.tensor([CLS, UNK, SEP])
    tokens[1, 3:] = PAD
    for dynamic in (True, False):
        for share in (0.02, 0.95):
            objective.set(mask_share=share, dynamic=dynamic)
            seen, _, chosen = objective.make_views(tokens, seeded())
            assert not (chosen & ((tokens == PAD) | (tokens == CLS) | (tokens == SEP))).any()
            assert chosen[1:].any(dim=1).all() and not chosen[0].any() and chosen[1].tolist() == [False, True] + [False] * 14
            assert torch.equal(seen[~chosen], tokens[~chosen])


@pytest.mark.parametrize("knobs, masks, randoms", [
    ({"replaced": 1.0}, 1, 0), ({"replaced": 0.0, "random": 1.0}, 0, 1), ({"replaced": 0.0, "random": 0.0}, 0, 0),
    ({"replaced": 0.5, "random": 1.0}, 0.5, 0.5)])
def test_what_hidden_words_become_is_a_knob(knobs, masks, randoms):
    objective = make("roberta", True, vocabulary=3000, context=100, knobs={"mask_share": 0.5, **knobs})
    tokens = passages(100, 100, 3000)
    seen, _, chosen = objective.make_views(tokens, seeded())
    became = seen[chosen]
    assert float((became == MASK).float().mean()) == pytest.approx(masks, abs=0.03)
    assert float(((became != MASK) & (became != tokens[chosen])).float().mean()) == pytest.approx(randoms, abs=0.03)


def test_static_masks_stay_and_dynamic_ones_change():
    tokens = glosses(64)
    order = torch.randperm(64, generator=seeded(5))
    for name, stays in (("bert", True), ("roberta", False)):
        objective = make(name)
        assert objective.dynamic is not stays
        first = objective.make_views(tokens, seeded(1))
        later = objective.make_views(tokens[order], seeded(2))       # another epoch, in another order
        assert torch.equal(first[0][order], later[0]) == torch.equal(first[2][order], later[2]) == stays
        again = objective.make_views(tokens, seeded(1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_different_texts_have_different_static_masks():
    tokens = passages(1, 128, 2000).repeat(50, 1)
    tokens[torch.arange(50), torch.arange(50)] = 2001                # one token apart
    u = _hashed(tokens, 4)
    assert u.dtype == torch.float32 and float(u.min()) >= 0 and float(u.max()) < 1
    assert len(u.flatten().unique()) > 0.99 * u.numel()
    assert float(u.mean()) == pytest.approx(0.5, abs=4 / math.sqrt(12 * u.numel()))
    assert float(u.var()) == pytest.approx(1 / 12, abs=0.003)
    rows = u.transpose(0, 1).flatten(1)                              # [50, 4 * 128]
    correlation = torch.corrcoef(rows) - torch.eye(50)
    assert float(correlation.abs().max()) < 5 / math.sqrt(512)
    assert float(torch.corrcoef(u.flatten(1)).triu(1).abs().max()) < 5 / math.sqrt(6400)


@pytest.mark.parametrize("name, continuous", [("bert", False), ("bert", True), ("roberta", True)])
@pytest.mark.parametrize("share", [0.02, 0.15, 0.37, 0.95])
def test_scores_are_computed_where_they_count(name, continuous, share):
    """The loss at a few places a row is that of all places with a mask: none is forgotten."""
    objective = make(name, continuous, knobs={"mask_share": share}).eval()
    tokens = passages(64) if continuous else glosses(64)
    seen, true, chosen, *pair = objective.make_views(tokens, seeded())
    loss = objective((seen, true, chosen, *pair))
    hidden = objective.encoder.hidden(seen, segments=pair[0] if pair else None)
    logits = objective.encoder.scores(hidden)
    words = loss.terms["masked tokens"] if pair else loss.total
    torch.testing.assert_close(words, masked_tokens(logits, true, chosen))
    rank = (logits > logits.gather(2, true[..., None])).sum(dim=2)[chosen]
    assert float(loss.terms["accuracy"]) == pytest.approx(float((rank == 0).float().mean()))
    assert float(loss.terms["top 5"]) == pytest.approx(float((rank < 5).float().mean()))
    real = (seen != PAD).float()[..., None]
    torch.testing.assert_close(loss.embedding, (hidden * real).sum(dim=1) / real.sum(dim=1))
    assert loss.projection is None
    if not pair:
        torch.testing.assert_close(objective.logits(seen.to(torch.int16)), logits)


def test_loss_on_all_counts_what_can_be_seen_too():
    objective = make("bert", knobs={"loss_on": "all"}).eval()
    tokens = glosses(32)
    seen, true, chosen = objective.make_views(tokens, seeded())
    loss, logits = objective((seen, true, chosen)), objective.logits(seen)
    words = (true != PAD) & (true != CLS) & (true != SEP)
    torch.testing.assert_close(loss.total, masked_tokens(logits, true, words))
    right = (logits.argmax(dim=2) == true)[chosen]                   # accuracy stays that of hidden words
    assert float(loss.terms["accuracy"]) == pytest.approx(float(right.float().mean()))


# ---- sentence pairs


def test_sentence_pairs_are_labelled_right():
    objective = make("bert", True, vocabulary=3000, context=21)
    assert objective.sentence_pair and not make("roberta", True).sentence_pair
    tokens = passages(2000, 21, 3000)
    seen, true, chosen, segments, follows = objective.make_views(tokens, seeded())
    assert true.shape == seen.shape == chosen.shape == segments.shape == (2000, 21) and follows.shape == (2000,)
    first, second = true[:, 1:10], true[:, 11:20]
    assert torch.equal(first, tokens[:, :9])
    assert torch.equal((second == tokens[:, 9:18]).all(dim=1), follows.bool())
    others = {tuple(row) for row in tokens[:, 9:18].tolist()}
    assert all(tuple(row) in others for row in second.tolist())
    assert abs(float(follows.sum()) - 1000) < 4 * math.sqrt(500)
    for place, token in ((0, CLS), (10, SEP), (20, SEP)):
        assert (seen[:, place] == token).all() and not chosen[:, place].any()
    assert segments[0].tolist() == [0] * 11 + [1] * 10


def test_static_masks_stay_when_the_partner_changes():
    objective = make("bert", True)
    tokens = passages(64)
    half = (T - 3) // 2
    pieces, seen_as = torch.cat([tokens[:, :half], tokens[:, half: 2 * half]]), {}
    one, other = (objective.make_views(tokens, seeded(seed)) for seed in (1, 2))
    assert not torch.equal(one[4], other[4])
    for seen, true, *_ in (one, other):
        for part in (slice(1, half + 1), slice(half + 2, 2 * half + 2)):
            for a, b in zip(true[:, part].tolist(), seen[:, part].tolist(), strict=True):
                assert seen_as.setdefault(tuple(a), b) == b
    assert len(seen_as) <= len(pieces)


def test_sentence_pair_loss_and_levels():
    objective = make("bert", True)
    assert objective.reference_levels() == {"chance": pytest.approx(math.log(V) + math.log(2))}
    views = objective.make_views(passages(), seeded())
    with torch.no_grad():
        objective.follows.weight.zero_()
        objective.follows.bias.zero_()
        objective.encoder.net.embed.weight.zero_()
        loss = objective(views)
    assert float(loss.terms["sentence pair"]) == pytest.approx(math.log(2))
    assert float(loss.total) == pytest.approx(objective.reference_levels()["chance"], abs=1e-5)
    with torch.no_grad():
        objective.follows.bias.fill_(1.5)
    shares = [1 / (1 + math.exp(-1.5)) if follows else 1 - 1 / (1 + math.exp(-1.5)) for follows in views[4].tolist()]
    assert objective(views).terms["sentence pair"].item() == pytest.approx(-sum(map(math.log, shares)) / 8, rel=1e-5)
    alone = objective.make_views(passages(1), seeded())
    assert alone[4].tolist() == [1.0]                                # nobody to swap with


def test_glosses_have_no_sentence_pairs():
    objective = make("bert", knobs={"sentence_pair": False})
    assert "sentence_pair" not in objective.knobs and len(objective.make_views(glosses(), seeded())) == 3
    with pytest.raises(ValueError, match="sentence_pair: got True, takes False unless rows are pieces of long texts"):
        objective.set(sentence_pair=True)
    with pytest.raises(ValueError, match="sentence_pair: got True"):
        make("bert", True, segments=False, knobs={"sentence_pair": True})
    with pytest.raises(ValueError, match="sentence_pair: got True"):
        make("bert", True, context=4, knobs={"sentence_pair": True})


# ---- knobs


def test_from_bert_to_roberta_by_knobs():
    bert, roberta = make("bert", True, knobs={"dynamic": True, "sentence_pair": False}), make("roberta", True)
    assert bert.values() == roberta.values() and bert.knobs.keys() == roberta.knobs.keys()
    for ours, theirs in zip(bert.make_views(passages(), seeded()), roberta.make_views(passages(), seeded()), strict=True):
        assert torch.equal(ours, theirs)
    changed = {name for name in bert.knobs if bert.knobs[name].default != roberta.knobs[name].default}
    assert changed == {"dynamic", "sentence_pair"}


@pytest.mark.parametrize("name", NAMES)
def test_context_cuts_long_texts_into_more_rows_and_short_texts_off(name):
    knob = make(name).knobs["context"]
    assert (knob.default, knob.low, knob.high, knob.integer) == (T, 8, T, True)
    assert make(name, context=6).values()["context"] == 6
    tokens = passages(3, 17)
    objective = make(name, True, context=17, knobs={"context": 8})
    assert objective.rows(tokens).tolist() == [row[start: start + 8] for row in tokens.tolist() for start in (0, 8)]
    assert len(objective.make_views(tokens, seeded())[0]) == 6
    objective = make(name, False, context=17, knobs={"context": 8})
    assert torch.equal(objective.rows(tokens.to(torch.int16)), tokens[:, :8])
    assert objective(objective.make_views(tokens, seeded())).embedding.shape == (3, 16)
    with pytest.raises(ValueError, match="context: got 18, takes a whole number from 8 to 17"):
        objective.set(context=18)


def test_gpts_switches_change_what_is_seen_and_asked():
    objective = make("gpt", True).eval()
    tokens = passages()
    views = objective.make_views(tokens, seeded())
    assert len(views) == 1 and torch.equal(views[0], tokens)
    logits = objective.encoder.scores(objective.encoder.hidden(tokens))
    loss = objective(views)
    torch.testing.assert_close(loss.total, next_token(logits, tokens))
    torch.testing.assert_close(objective.logits(tokens), logits)
    right = (logits[:, :-1].argmax(dim=2) == tokens[:, 1:]).float().mean()
    assert float(loss.terms["accuracy"]) == pytest.approx(float(right))
    objective.set(shift=False)
    torch.testing.assert_close(objective(views).total, next_token(logits, tokens, shift=False))
    objective.set(shift=True, causal=False)
    peeking = objective.encoder.scores(objective.encoder.hidden(tokens, causal=False))
    torch.testing.assert_close(objective(views).total, next_token(peeking, tokens))
    torch.testing.assert_close(objective.logits(tokens), peeking)
    assert not torch.allclose(peeking, logits)


def test_gpts_logits_know_nothing_of_what_comes():
    objective = make("gpt").eval()
    tokens, other = passages(), passages(seed=7)
    for causal in (True, False):
        objective.set(causal=causal)
        for t in (0, 6, T - 2):
            mixed = torch.cat([tokens[:, : t + 1], other[:, t + 1:]], dim=1)
            same = torch.equal(objective.logits(tokens)[:, : t + 1], objective.logits(mixed)[:, : t + 1])
            assert same == causal


@pytest.mark.parametrize("name", ["roberta", "gpt"])
def test_padding_changes_no_loss(name):
    short, long = make(name, context=8).eval(), make(name, context=T, positions="learned").eval()
    with torch.no_grad():
        long.encoder.net.place[:8] = short.encoder.net.place
        for to, source in zip([long.encoder.net.embed, long.encoder.net.norm, long.encoder.net.blocks],
                              [short.encoder.net.embed, short.encoder.net.norm, short.encoder.net.blocks], strict=True):
            to.load_state_dict(source.state_dict())
        if name == "roberta":
            long.encoder.net.segment.copy_(short.encoder.net.segment)
    tokens = glosses(8, 8)
    padded = torch.cat([tokens, torch.full((8, T - 8), PAD)], dim=1)
    views = short.make_views(tokens, seeded())
    wide = tuple(torch.cat([view, view.new_full((8, T - 8), PAD)], dim=1) for view in views)
    assert torch.equal(wide[1 if name == "roberta" else 0], padded)
    a, b = short(views), long(wide)
    torch.testing.assert_close(a.total, b.total)
    torch.testing.assert_close(a.embedding, b.embedding)
    assert all(float(a.terms[term]) == pytest.approx(float(b.terms[term])) for term in a.terms)


# ---- levels


def entropy(tokens):
    counts = Counter(tokens)
    return -sum(n / len(tokens) * math.log(n / len(tokens)) for n in counts.values())


def test_the_unigram_level_is_the_entropy_of_the_answers_seen():
    gpt = make("gpt")
    assert gpt.reference_levels() == {"chance": pytest.approx(math.log(V))}
    batches = [glosses(8, seed=seed) for seed in (0, 2)]
    for batch in batches:
        gpt(gpt.make_views(batch, seeded()))
    gpt.eval()(gpt.make_views(glosses(8, seed=4), seeded()))         # in eval mode nothing is counted
    answers = [token for batch in batches for row in batch.tolist() for token in row[1:] if token != PAD]
    assert gpt.reference_levels()["unigram"] == pytest.approx(entropy(answers))
    bert = make("roberta")
    _, true, chosen = views = bert.make_views(batches[0], seeded())
    bert(views)
    assert bert.reference_levels()["unigram"] == pytest.approx(entropy(true[chosen].tolist()))


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_reached_by_a_network_that_says_nothing(name):
    objective = make(name)
    with torch.no_grad():
        objective.encoder.net.embed.weight.zero_()
        total = objective(objective.make_views(glosses(), seeded())).total
    assert float(total) == pytest.approx(objective.reference_levels()["chance"], abs=1e-5)


# ---- encoders that do not fit


def test_wrong_encoders_are_named():
    with pytest.raises(ValueError, match="encoder: got conv, takes one that reads text"):
        objectives.create("gpt", encoders.create("conv", (1, 28), width=8))
    with pytest.raises(ValueError, match="encoder: got one with causal=False, GPT takes causal=True"):
        make("gpt", causal=False)
    with pytest.raises(ValueError, match="encoder: got one with causal=True, BERT takes causal=False"):
        make("bert", causal=True)


def test_encoder_for_reads_the_dataset():
    dataset = SimpleNamespace(vocabulary=V, context=T, padded=True, continuous=False)
    for name in NAMES:
        encoder = objectives.encoder_for(name, dataset)
        assert encoder.name == "transformer" and encoder.net.causal == (name == "gpt") and encoder.net.padded
        assert (encoder.net.angles is not None) == (name == "gpt") and (encoder.net.segment is None) == (name == "gpt")
        assert objectives.create(name, encoder, views=objectives.views_for(name, "wordnet")).encoder is encoder
        with pytest.raises(ValueError, match="encoder: got 'vit'"):
            objectives.encoder_for(name, dataset, "vit")
    with pytest.raises(ValueError, match="dataset: got texts"):
        objectives.encoder_for("simclr", dataset)


# ---- training


def data(tokens):
    return SimpleNamespace(train=SimpleNamespace(inputs=tokens.to(torch.int16)))


QUICK = {"precision": "float32", "device": "cpu", "batch_size": 32, "weight_decay": 0.0}


def last_loss(objective, tokens, **options):
    steps = list(training.train(objective, data(tokens), **{**QUICK, **options}))
    return sum(float(step.loss) for step in steps[-5:]) / 5


def test_the_loop_feeds_tokens_as_int64_and_falls_back_to_images():
    kinds = set()

    class Watched(objectives.GPT):
        def make_views(self, batch, generator):
            kinds.add(batch.dtype)
            return super().make_views(batch, generator)

    def weights(part):
        torch.manual_seed(0)
        encoder = encoders.create("transformer", (V, T), dim=16, depth=1, heads=2, causal=True)
        objective = Watched(encoder)
        list(training.train(objective, SimpleNamespace(train=part), steps=2, **QUICK))
        return encoder.net.embed.weight

    tokens = glosses(40).to(torch.int16)
    one, other = weights(SimpleNamespace(inputs=tokens)), weights(SimpleNamespace(images=tokens))
    assert torch.equal(one, other) and kinds == {torch.int64}
    with pytest.raises(ValueError, match=r"batch_size: got 32, takes at most the number of training texts \(5\)"):
        training.train(make("gpt"), data(glosses(5)), **QUICK)


def test_precision_is_measured_on_tokens():
    found = training.choose_precision(make("bert").encoder, glosses(32), torch.device("cpu"))
    assert found.name in ("float32", "bf16") and found.views_per_second > 0


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_tiny_gpt_learns_a_period(positions):
    phase = torch.arange(256)[:, None] % 6
    tokens = WORDS + (phase + torch.arange(12)) % 6                  # [256, 12]: the first token tells all others
    objective = make("gpt", True, vocabulary=11, context=12, dim=32, positions=positions)
    assert last_loss(objective, tokens, steps=100, learning_rate=1e-2) < 0.05
    said = objective.eval().logits(tokens[:6]).argmax(dim=2)
    assert torch.equal(said[:, :-1], tokens[:6, 1:])


def test_on_random_tokens_only_a_model_that_cheats_learns():
    tokens = passages(2048, 8, WORDS + 8)
    options = {"vocabulary": WORDS + 8, "context": 8, "dim": 32, "depth": 1}
    honest = last_loss(make("gpt", True, **options), tokens, steps=100, learning_rate=1e-2)
    cheat = last_loss(make("gpt", True, **options, knobs={"causal": False}), tokens, steps=150, learning_rate=1e-2)
    unshifted = last_loss(make("gpt", True, **options, knobs={"shift": False}), tokens, steps=60, learning_rate=1e-2)
    assert abs(honest - math.log(8)) < 0.1 and cheat < 0.3 and unshifted < 0.1


def test_a_tiny_bert_fills_in_what_follows_from_the_rest():
    """A word and its repetition: what is hidden can be seen at the other place, but not where both are hidden."""
    half = passages(1024, 6, WORDS + 12)
    tokens = torch.cat([half, half], dim=1)
    objective = make("roberta", True, vocabulary=WORDS + 12, context=12, dim=32)
    assert last_loss(objective, tokens, steps=150, learning_rate=1e-2) < 0.8 < math.log(12)


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_for_text(name, monkeypatch):
    monkeypatch.setenv("SSLAB_MODE", "class")
    recipe = training.recipe(name, "passages")
    assert recipe["steps"] * recipe["batch_size"] > 10_000
    assert training.recipe("roberta", "wordnet")["batch_size"] > training.recipe("bert", "wordnet")["batch_size"]
