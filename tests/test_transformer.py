"""The text encoder against loops in float64, torch's own layer, and what must not matter."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sslab import encoders
from sslab.datasets.tokenizer import CLS, PAD, SEP
from sslab.encoders.transformer import Block, Transformer, mean_over_tokens, rotary_angles, rotate

V, T, D, HEADS = 30, 9, 8, 2


def network(scale=1.5, **options):
    """A small network in float64, eval mode, with weights large enough that everything shows."""
    torch.manual_seed(0)
    net = Transformer(V, T, dim=D, depth=2, heads=HEADS, **options).double().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(p * scale + 0.1 * torch.randn_like(p))
    return net


def random_tokens(rows=3, length=T, seed=0):
    return torch.randint(5, V, (rows, length), generator=torch.Generator().manual_seed(seed))


# ---- the same network in loops over Python floats


def times(layer, x):
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def norm(layer, x):
    mean = sum(x) / len(x)
    spread = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + 1e-5)
    return [(v - mean) / spread * g + b for v, g, b in zip(x, layer.weight.tolist(), layer.bias.tolist(), strict=True)]


def turned(x, place):
    half = len(x) // 2
    out = list(x)
    for i in range(half):
        angle = place * 10000 ** (-2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[half + i] * math.sin(angle)
        out[half + i] = x[i] * math.sin(angle) + x[half + i] * math.cos(angle)
    return out


def naive_block(block, xs, seen, rotary):
    """xs: a list of vectors; seen(s, t): may place s look at place t? -> outputs, weights[head][s][t]."""
    width, dim = len(xs[0]) // block.heads, len(xs[0])
    qkv = [times(block.qkv, norm(block.norm1, x)) for x in xs]
    mixed, weights = [[] for _ in xs], []
    for head in range(block.heads):
        q, k, v = ([row[part * dim + head * width: part * dim + (head + 1) * width] for row in qkv] for part in range(3))
        if rotary:
            q, k = ([turned(row, place) for place, row in enumerate(rows)] for rows in (q, k))
        weights.append([])
        for s in range(len(xs)):
            raw = [math.exp(sum(a * b for a, b in zip(q[s], k[t], strict=True)) / math.sqrt(width)) if seen(s, t) else 0.0
                   for t in range(len(xs))]
            shares = [r / sum(raw) for r in raw]
            weights[-1].append(shares)
            mixed[s] += [sum(shares[t] * v[t][i] for t in range(len(xs))) for i in range(width)]
    out = []
    for x, m in zip(xs, mixed, strict=True):
        x = [a + b for a, b in zip(x, times(block.out, m), strict=True)]
        inner = [0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in times(block.mlp[0], norm(block.norm2, x))]
        out.append([a + b for a, b in zip(x, times(block.mlp[2], inner), strict=True)])
    return out, weights


def naive_network(net, tokens, causal, segments=None):
    """One row of tokens -> hidden states [T, D] and the last block's attention [heads, T, T]."""
    ids = tokens.tolist()
    xs = []
    for place, token in enumerate(ids):
        x = net.embed.weight[token].tolist()
        if net.place is not None:
            x = [a + b for a, b in zip(x, net.place[place].tolist(), strict=True)]
        if net.segment is not None:
            x = [a + b for a, b in zip(x, net.segment[int(segments[place])].tolist(), strict=True)]
        xs.append(x)

    def seen(s, t):
        return t <= s if causal else ids[t] != PAD

    for block in net.blocks:
        xs, weights = naive_block(block, xs, seen, net.angles is not None)
    return torch.tensor([norm(net.norm, x) for x in xs], dtype=torch.float64), torch.tensor(weights, dtype=torch.float64)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_whole_network_is_the_naive_one(positions, causal):
    net = network(positions=positions, causal=causal, segments=True)
    tokens = random_tokens()
    if not causal:
        tokens[1, 6:] = PAD
    segments = (torch.arange(T) >= 4).long().expand(3, -1)
    hidden, where = net.hidden(tokens, segments=segments), net.attention(tokens)
    for row in range(3):
        expected, _ = naive_network(net, tokens[row], causal, segments[row])
        torch.testing.assert_close(hidden[row], expected, atol=1e-6, rtol=1e-6)      # the angles are float32
        _, weights = naive_network(net, tokens[row], causal, 0 * segments[row])
        torch.testing.assert_close(where[row], weights, atol=1e-6, rtol=1e-6)
    words = net.scores(hidden)                                       # [3, T, V]
    by_hand = sum(a * b for a, b in zip(hidden[1, 2].tolist(), net.embed.weight[7].tolist(), strict=True))
    assert words.shape == (3, T, V) and words[1, 2, 7].item() == pytest.approx(by_hand)
    assert torch.equal(net.hidden(tokens), net.hidden(tokens, segments=0 * segments))


@pytest.mark.parametrize("causal", [False, True])
def test_a_block_is_torchs_own_layer(causal):
    torch.manual_seed(0)
    ours = Block(D, HEADS, depth=2).double()
    theirs = nn.TransformerEncoderLayer(D, HEADS, 4 * D, 0.0, "gelu", norm_first=True, batch_first=True).double()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.self_attn.out_proj = ours.out
    theirs.linear1, theirs.linear2, theirs.norm1, theirs.norm2 = ours.mlp[0], ours.mlp[2], ours.norm1, ours.norm2
    x = 3 * torch.randn(2, 7, D, dtype=torch.float64)
    hidden_from = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None     # theirs: True is not seen
    torch.testing.assert_close(ours(x, causal=causal), theirs(x, src_mask=hidden_from))


# ---- what must not matter, and what must


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_causal_network_knows_nothing_of_what_comes(positions):
    net = network(positions=positions, causal=True)
    tokens = random_tokens()
    for t in range(T - 1):
        other = tokens.clone()
        other[:, t + 1:] = random_tokens(seed=9)[:, t + 1:]
        before, after = net.scores(net.hidden(tokens)), net.scores(net.hidden(other))
        torch.testing.assert_close(before[:, : t + 1], after[:, : t + 1], atol=1e-12, rtol=0)
        assert (before[:, t + 1:] - after[:, t + 1:]).abs().max() > 1e-3
        peeking = (net.hidden(tokens, causal=False) - net.hidden(other, causal=False))[:, : t + 1]
        assert peeking.abs().amax(dim=(1, 2)).min() > 1e-6


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_padding_changes_nothing(causal, padded):
    net = network(causal=causal, padded=padded)
    tokens = random_tokens(length=5)
    filled = torch.cat([tokens, torch.full((3, 4), PAD)], dim=1)
    torch.testing.assert_close(net.hidden(filled)[:, :5], net.hidden(tokens), atol=1e-12, rtol=0)
    torch.testing.assert_close(net(filled), net(tokens), atol=1e-12, rtol=0)
    net.train()                                                      # dropout there is none; the mask only with padded
    same = torch.allclose(net.hidden(filled)[:, :5], net.hidden(tokens), atol=1e-12)
    assert same == (causal or padded)


def test_without_padding_the_mask_makes_no_difference():
    net = network(padded=False)
    tokens = random_tokens()
    masked = net.hidden(tokens)
    torch.testing.assert_close(net.train().hidden(tokens), masked)


def test_a_row_of_padding_is_finite():
    net = network()
    tokens = torch.stack([torch.full((T,), PAD), random_tokens(1)[0]])
    hidden = net.hidden(tokens)
    hidden.sum().backward()
    assert hidden.isfinite().all() and all(p.grad.isfinite().all() for p in net.parameters())
    assert torch.equal(net(tokens)[0], torch.zeros(D, dtype=torch.float64))


def test_mean_over_tokens_by_hand():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [50.0, 50.0]], [[1.0, 1.0], [2.0, 2.0], [6.0, 0.0]]])
    tokens = torch.tensor([[CLS, SEP, PAD], [7, 8, 9]])
    assert mean_over_tokens(hidden, tokens).tolist() == [[2.0, 4.0], [3.0, 1.0]]


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("pieces", [[1] * T, [4, 1, 1, 3], [T], [2, 7]])
def test_reading_with_a_cache_is_reading_all_at_once(positions, pieces):
    net = network(positions=positions, causal=True)
    tokens, cache, said = random_tokens(), net.new_cache(), []
    for piece in tokens.split(pieces, dim=1):
        said.append(net.hidden(piece, cache=cache))
    assert cache.length == T
    torch.testing.assert_close(torch.cat(said, dim=1), net.hidden(tokens), atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match=f"tokens: got rows of 1 after {T} in the cache, takes at most the context, {T}"):
        net.hidden(tokens[:, :1], cache=cache)


# ---- rotary positions


def test_rotary_scores_know_the_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(2, 16, dtype=torch.float64)
    angles = rotary_angles(64, 16).double()

    def score(s, t):
        return float(rotate(q[None], angles[s: s + 1])[0] @ rotate(k[None], angles[t: t + 1])[0])

    for distance in (0, 1, 7):
        scores = [score(t + distance, t) for t in range(0, 64 - distance, 9)]
        assert max(scores) - min(scores) < 1e-4                      # angles to float32's rounding
    assert score(0, 0) == pytest.approx(float(q @ k))
    assert abs(score(5, 3) - score(3, 5)) > 1e-3                     # and its sign
    assert rotate(q[None], angles[40:41]).norm() == pytest.approx(float(q.norm()))


def test_rotary_angles_by_hand():
    angles = rotary_angles(3, 4)
    torch.testing.assert_close(angles, torch.tensor([[0, 0], [1, 0.01], [2, 0.02]]))
    quarter = torch.tensor([[math.pi / 2]])
    torch.testing.assert_close(rotate(torch.tensor([[3.0, 4.0]]), quarter), torch.tensor([[-4.0, 3.0]]))


def test_a_text_later_in_the_window_is_read_the_same_with_rotary_positions():
    net = network(positions="rotary")
    tokens = random_tokens(length=4)
    alone = net._enter(tokens, False, None, 0)[0]

    def through(first):
        angles = net.angles[first: first + 4]
        return net.blocks[1](net.blocks[0](alone, angles), angles)

    torch.testing.assert_close(through(0), through(5), atol=1e-5, rtol=1e-5)


# ---- weights


def test_embeddings_and_scores_share_one_parameter():
    net = network()
    tables = [name for name, p in net.named_parameters() if V in p.shape]
    assert tables == ["embed.weight"] and not any("angles" in name for name in net.state_dict())
    hidden = torch.randn(4, D, dtype=torch.float64)
    assert torch.equal(net.scores(hidden), hidden @ net.embed.weight.T)
    with torch.no_grad():
        net.embed.weight.zero_()
    assert not net.scores(hidden).any()


@pytest.mark.parametrize("options", [{}, {"positions": "rotary", "causal": True}, {"segments": True}])
def test_parameters_by_formula(options):
    encoder = encoders.create("transformer", (2000, 128), **options)
    block = 2 * 2 * 128 + 4 * 128 * 128 + 4 * 128 + 8 * 128 * 128 + 5 * 128
    expected = 2000 * 128 + 4 * block + 2 * 128
    expected += 0 if options.get("positions") == "rotary" else 128 * 128
    expected += 2 * 128 if options.get("segments") else 0
    assert sum(p.numel() for p in encoder.parameters()) == expected


def test_it_begins_near_chance():
    torch.manual_seed(0)
    encoder = encoders.create("transformer", (2000, 32), causal=True)
    tokens = torch.randint(5, 2000, (8, 32))
    logits = encoder.scores(encoder.hidden(tokens))
    loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(2000), abs=0.25)    # half of the logits' variance above it


# ---- the encoder that `create` makes


def test_create_takes_what_the_dataset_knows():
    dataset = SimpleNamespace(vocabulary=60, context=12, padded=False, continuous=True)
    encoder = encoders.create("transformer", dataset, dim=16, depth=1, heads=2, positions="rotary").eval()
    assert (encoder.name, encoder.dim, encoder.vocabulary, encoder.context) == ("transformer", 16, 60, 12)
    assert encoder.continuous and not encoder.net.padded
    fresh = encoder.fresh()
    assert fresh.continuous and fresh.net.angles is not None and not torch.equal(fresh.net.embed.weight, encoder.net.embed.weight)
    tokens = torch.randint(5, 60, (2, 12))
    for kind in (torch.int16, torch.int32, torch.uint8):
        assert torch.equal(encoder(tokens.to(kind)), encoder(tokens))
    assert encoder(tokens).shape == (2, 16) and encoder.scores(encoder.hidden(tokens[:, :3])).shape == (2, 3, 60)
    assert "transformer" in encoders.names() and "60 tokens" in repr(encoder)


@pytest.mark.parametrize("options, message", [
    ({"dim": 30}, "dim: got 30, takes a multiple of 4 for 4 heads with learned"),
    ({"dim": 12, "heads": 4, "positions": "rotary"}, "dim: got 12, takes a multiple of 8"),
    ({"positions": "sine"}, "positions: got 'sine', takes one of learned, rotary"),
    ({"depth": 0}, "depth: got 0, takes a whole number above 0"),
    ({"depth": 1.5}, "depth: got 1.5"),
    ({"width": 3}, "options: got .*width"),
])
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.create("transformer", (20, 8), **options)


def test_images_and_texts_are_not_mixed_up():
    with pytest.raises(ValueError, match="dataset: got images, encoder 'transformer' takes texts"):
        encoders.create("transformer", SimpleNamespace(channels=1, size=28))
    with pytest.raises(ValueError, match="dataset: got texts, encoder 'conv' takes images"):
        encoders.create("conv", SimpleNamespace(vocabulary=9, context=8))


def test_wrong_tokens_are_named():
    net = network()
    for wrong in (torch.zeros(2, 3), torch.zeros(4, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        with pytest.raises(ValueError, match="tokens: got .* takes whole numbers"):
            net.hidden(wrong)
    with pytest.raises(ValueError, match="tokens: got rows of 10, takes at most the context, 9"):
        net.hidden(random_tokens(length=10))
    with pytest.raises(ValueError, match="cache: got one"):
        net.hidden(random_tokens(), cache=net.new_cache())
    with pytest.raises(ValueError, match="segments: got some"):
        net.hidden(random_tokens(), segments=random_tokens())
