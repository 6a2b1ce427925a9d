import importlib.util
import io
import itertools
import math
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

from sslab import encoders, figures, objectives
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, SPECIALS

WORDS = [*SPECIALS, " the", " cat", " sat", " on", "ing", ","]         # written as BPE does
THE, CAT, SAT, ON, ING, COMMA = range(5, 11)
BLUE, GREEN, RED = figures.COLOURS[0], figures.COLOURS[2], figures.COLOURS[3]


def drawn(figure):
    """The figure rendered, so that what only fails then fails here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), dpi=40)
    return figure


def said(axis):
    return [text.get_text() for text in axis.texts]


def boxes(axis):
    return [patch for patch in axis.patches if isinstance(patch, Rectangle)]


# ---- word_bars


def test_word_bars_are_to_one_scale_with_the_truth_in_green():
    figure = drawn(figures.word_bars({"counts": [("the", 0.05), ("of", 0.0004)], "BERT": [(" mat", 0.5), ("##bed", 0.25)]},
                                     text="the cat sat on the [MASK]", truth="mat"))
    counts, bert = figure.axes
    assert [bar.get_width() for bar in bert.patches] == [0.5, 0.25]
    assert [to_hex(bar.get_facecolor()).upper() for bar in bert.patches] == [GREEN, BLUE]
    assert [label.get_text() for label in bert.get_yticklabels()] == ["mat", "bed"]
    assert said(bert) == ["50 %", "25 %"] and said(counts) == ["5.0 %", "<0.1 %"]
    assert counts.get_xlim() == bert.get_xlim() and bert.get_xlim()[1] > 0.5
    assert bert.get_ylim()[0] > bert.get_ylim()[1]                    # the first word on top
    assert "“mat” is not among them" in counts.get_xlabel() and "not among" not in bert.get_xlabel()
    assert figure.get_suptitle() == "the cat sat on the [MASK]"


def test_word_bars_show_dollars_as_they_are():
    figure = drawn(figures.word_bars({"$a$": [("$\\bad{$", 0.5)]}, text="$x", truth="$\\bad{$"))
    assert figure.axes[0].get_yticklabels()[0].get_text() == "$\\bad{$"


@pytest.mark.parametrize("predictions", [{}, {"a": []}, {"a": [("x", 1.5)]}, {"a": [("x", float("nan"))]}])
def test_word_bars_refuse_what_is_no_prediction(predictions):
    with pytest.raises(ValueError, match="^predictions: got"):
        figures.word_bars(predictions)


# ---- next_words


def rows(seed=0, length=6):
    p = torch.rand(length, len(WORDS), generator=torch.Generator().manual_seed(seed)) + 0.05
    return p / p.sum(dim=1, keepdim=True)


TEXT = torch.tensor([THE, CAT, SAT, ING, COMMA, THE])


def test_next_words_compare_each_word_with_the_row_before_it():
    p = rows()
    axis = drawn(figures.next_words(TEXT, p, WORDS)).axes[0]
    bits = [-math.log2(float(p[t - 1, TEXT[t]])) for t in range(1, 6)]              # by hand
    mean, limit = sum(bits) / 5, math.log2(len(WORDS))
    assert axis.get_title().startswith(f"5 tokens, {mean:.1f} bits each on average: as hard as choosing among {2 ** mean:,.1f};")
    assert axis.get_title().endswith(f"without a clue {limit:.1f}, among 11")
    first, *others = boxes(axis)
    assert to_rgb(first.get_facecolor()) == pytest.approx((0.85,) * 3)              # given, not foretold
    for box, cost in zip(others, bits, strict=True):
        share = min(cost / limit, 1)
        wanted = [1 - share + share * c for c in to_rgb(RED)]
        assert to_rgb(box.get_facecolor()) == pytest.approx(wanted, abs=0.01)
    cut = figures.next_words(TEXT, p[:-1], WORDS).axes[0]                            # the last row is of no word here
    assert said(cut) == said(axis)


def test_next_words_list_the_word_and_the_likeliest_others():
    p = rows(1)
    p[1, [CAT, SAT, ON, ING]] = torch.tensor([0.5, 0.3, 0.1, 0.06])
    p[1] = p[1] / p[1].sum()
    axis = figures.next_words(TEXT, p, WORDS, under=[2], others=2).axes[0]
    listed = [text for text in axis.texts if text.get_fontsize() < 9]
    order = sorted((i for i in range(len(WORDS)) if i != SAT), key=lambda i: -float(p[1, i]))[:2]
    wanted = [SAT, *order]
    assert [text.get_text().split()[0] for text in listed] == [WORDS[i].strip() for i in wanted]
    assert listed[0].get_fontweight() == "bold"
    for text, i in zip(listed, wanted, strict=True):
        assert float(text.get_text().split()[1]) == pytest.approx(100 * float(p[1, i]), abs=0.51)
    bits = figures.next_words(TEXT, p, WORDS, under=[2], others=0, bits=True).axes[0]
    assert said(bits)[-4].split() == ["sat", f"{-math.log2(float(p[1, SAT])):.1f}", "bits"]
    assert not [text for text in figures.next_words(TEXT, p, WORDS, under=()).axes[0].texts if text.get_fontsize() < 9]


def test_next_words_stand_as_the_text_does():
    axis = figures.next_words(TEXT, rows(), WORDS, under=()).axes[0]
    found = [(box.get_x(), box.get_width()) for box in boxes(axis)]
    assert found == [(0, 3), (4, 3), (8, 3), (11, 3), (14, 1), (16, 3)]              # "the cat sating, the"
    pieces = [*SPECIALS, "the", "##ing", "."]
    p = torch.full((3, 8), 1 / 8)
    found = [box.get_x() for box in boxes(figures.next_words([5, 6, 7], p, pieces, under=()).axes[0])]
    assert found == [0, 3, 7]
    letters = [*SPECIALS, " ", "a", "\n"]
    axis = figures.next_words([6, 5, 7], p, letters, under=()).axes[0]
    assert [box.get_x() for box in boxes(axis)] == [0, 1, 2] and said(axis) == ["a", "␣", "↵"]


def test_next_words_wrap_and_their_lists_never_overlap():
    tokens = torch.tensor([THE, CAT, SAT, ON, ING, COMMA] * 8)
    p = rows(2, len(tokens))
    for under in (None, [1, 2, 3, 4, 30, 31, 47]):
        axis = drawn(figures.next_words(tokens, p, WORDS, under=under, columns=40)).axes[0]
        assert len(boxes(axis)) == len(tokens)
        assert all(box.get_x() + box.get_width() <= 40 for box in boxes(axis))
        entries = sorted((text.get_position()[1], text.get_position()[0], len(text.get_text()) * 7.5 / 9)
                         for text in axis.texts if text.get_fontsize() < 9)
        for (y, x, wide), (next_y, next_x, _) in itertools.pairwise(entries):
            assert y != next_y or x + wide < next_x
        assert all(x + wide <= 40 for _, x, wide in entries)
        if under:
            assert len(entries) == 4 * len(under)                    # none was left out


def test_next_words_say_what_was_held_impossible():
    p = torch.full((2, 11), 0.0)
    p[0, CAT], p[1, ON] = 1.0, 1.0
    title = drawn(figures.next_words([THE, CAT, SAT], p, WORDS)).axes[0].get_title().replace("\n", " ")
    assert title.startswith("2 tokens, 0.0 bits each on average: as hard as choosing among 1.0 (without 1 held impossible)")


def test_next_words_take_what_a_gpt_says():
    options = {name: value for name, value in objectives.GPT.architecture.items() if name != "name"}
    gpt = objectives.GPT(encoders.create("transformer", (len(WORDS), 8), dim=16, depth=1, heads=2, **options))
    p = gpt.logits(TEXT[None])[0].softmax(dim=-1)
    assert len(boxes(figures.next_words(TEXT, p, WORDS).axes[0])) == 6


@pytest.mark.parametrize(("change", "names"), [
    ({"tokens": TEXT[:1]}, "tokens, probabilities, pieces"), ({"tokens": TEXT[:4]}, "tokens, probabilities, pieces"),
    ({"tokens": TEXT + 6}, "tokens"), ({"pieces": WORDS[:-1]}, "tokens, probabilities, pieces"),
    ({"probabilities": rows() * 2}, "probabilities"), ({"probabilities": rows().log()}, "probabilities"),
    ({"under": [0]}, "under"), ({"under": [6]}, "under"), ({"others": -1}, "others"), ({"columns": 5}, "others, columns"),
])
def test_next_words_refuse(change, names):
    with pytest.raises(ValueError, match=f"^{names}.*got .* takes "):
        figures.next_words(**{"tokens": TEXT, "probabilities": rows(), "pieces": WORDS, **change})


# ---- sampling


def by_hand(logits, temperature, top_k, top_p):
    """Places that may be drawn, likeliest first, and every probability before the cut."""
    x = np.exp((logits - logits.max()) / temperature)
    p = x / x.sum()
    order = np.argsort(-p, kind="stable")[:top_k]
    kept, held = [], 0.0
    for i in order:
        kept.append(int(i))
        held += p[i] / p[order].sum()
        if held >= top_p:
            break
    return kept, p


@pytest.mark.parametrize(("top_k", "top_p"), [(5, 0.8), (4, 1.0), (11, 0.5)])
def test_sampling_marks_what_may_be_drawn(top_k, top_p):
    logits = np.random.default_rng(0).normal(size=11) * 2
    figure = drawn(figures.sampling(torch.tensor(logits), (0.5, 2.0), WORDS, top_k=top_k, top_p=top_p, shown=7))
    for axis, temperature in zip(figure.axes, (0.5, 2.0), strict=True):
        kept, p = by_hand(logits, temperature, top_k, top_p)
        order = np.argsort(-logits)
        assert [bar.get_height() for bar in axis.patches] == pytest.approx(p[order[:7]].tolist())
        assert [to_hex(bar.get_facecolor()).upper() == BLUE for bar in axis.patches] == [int(i) in kept for i in order[:7]]
        title = axis.get_title(loc="left")
        assert title.startswith(f"temperature {temperature:g}: {len(kept)} of 11 tokens can be drawn (")
        shares = [float(x) for x in re.findall(r"\(<?([\d.]+) %\)", title)]
        assert shares == pytest.approx([100 * p[kept].sum(), 100 * p[order[7:]].sum()], abs=0.51)
        places = [line.get_xdata()[0] for line in axis.lines]
        assert places == [cut - 0.5 for cut in (top_k, len(kept)) if cut <= 7]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [WORDS[i].strip() for i in order[:7]]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_sampling_says_where_a_cut_is_that_is_not_shown():
    axis = figures.sampling(torch.zeros(11), (1.0,), WORDS, top_k=8, shown=4).axes[0]
    assert said(axis) == [" top-k 8: after 8 tokens →"] and not axis.lines
    assert axis.get_title(loc="left") == "temperature 1: 8 of 11 tokens can be drawn (73 %); not shown: 7 (64 %)"


def test_sampling_at_temperature_0_draws_one_token():
    cold, warm = drawn(figures.sampling(torch.tensor([0.0, 3.0, 1.0, *[0.0] * 8]), (0, 1), WORDS)).axes
    assert [bar.get_height() for bar in cold.patches][:2] == [1, 0] and "1 of 11" in cold.get_title(loc="left")
    assert cold.get_ylim()[1] > 1 > warm.get_ylim()[1]


@pytest.mark.parametrize(("change", "name"), [
    ({"logits": torch.zeros(2, 11)}, "logits"), ({"logits": torch.zeros(10)}, "logits"), ({"temperatures": ()}, "temperatures"),
    ({"logits": torch.full((11,), math.nan)}, "logits"), ({"temperatures": (-1,)}, "temperature"), ({"top_k": 0}, "top_k"),
    ({"top_p": 0.0}, "top_p"), ({"shown": 0}, "temperatures, shown"),
])
def test_sampling_refuses(change, name):
    with pytest.raises(ValueError, match=f"^{name}.*got .* takes "):
        figures.sampling(**{"logits": torch.zeros(11), "temperatures": (1.0,), "pieces": WORDS, **change})


# ---- progress


def test_progress_rings_where_a_curve_stays_below_a_line():
    curves = {"GPT": ([0, 10, 20, 30, 40], [5.0, 2.4, 2.6, 2.0, 1.9]), "other": ([0, 40], [5.0, 4.0])}
    axis = drawn(figures.progress(curves, {"n-gram": 2.5, "chance": 5.5})).axes[0]
    rings = [tuple(float(v[0]) for v in line.get_data()) for line in axis.lines if len(line.get_xdata()) == 1]
    assert rings == [(30.0, 2.0)]                                    # not at 10, where it came back; never below: none
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "GPT: 1.90 at the end", "other: 4.00 at the end", "below a line from here on"]
    levels = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]
    assert levels == [2.5, 5.5] and axis.get_ylabel() == "bits per character"


def test_progress_of_what_rises():
    axis = drawn(figures.progress({"model": ([1, 2, 3, 4], [0.1, 0.35, 0.25, 0.4])}, {"counting": 0.3, "chance": 0.05}, rising=True)).axes[0]
    rings = [line for line in axis.lines if line.get_fillstyle() == "none" and len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(4, 0.4)]
    assert "above a line" in axis.get_legend().get_texts()[-1].get_text()


def test_progress_names_of_lines_keep_apart():
    axis = figures.progress({"a": ([1, 2], [3.0, 1.0])}, {"x": 2.0, "y": 2.01, "z": 2.0}, xlabel="seconds", logarithmic=True).axes[0]
    low, high = axis.get_ylim()
    places = sorted(text.xy[1] for text in axis.texts)
    assert all(b - a >= 0.0599 * (high - low) for a, b in itertools.pairwise(places))
    assert axis.get_xscale() == "log" and axis.get_xlabel() == "seconds" and set(said(axis)) == {"x: 2.00", "y: 2.01", "z: 2.00"}


@pytest.mark.parametrize("curves", [{}, {"a": ([], [])}, {"a": ([1, 2], [1.0])}])
def test_progress_refuses(curves):
    with pytest.raises(ValueError, match="^curves: got .* takes "):
        figures.progress(curves)


# ---- masks


def test_masks_tell_what_is_asked_for_and_what_is_seen():
    text = torch.tensor([CLS, THE, CAT, SAT, SEP, PAD])
    static = torch.tensor([[CLS, THE, MASK, SAT, SEP, PAD]] * 3)
    moving = torch.tensor([[CLS, MASK, CAT, SAT, SEP, PAD], [CLS, THE, ON, SAT, SEP, PAD], [CLS, THE, CAT, SAT, SEP, PAD]])
    asked = torch.zeros(3, 6, dtype=torch.bool)
    one, each = asked.clone(), asked.clone()
    one[:, 2] = True
    each[[0, 1, 2], [1, 2, 3]] = True
    figure = drawn(figures.masks(WORDS, text, {"static": static, "dynamic": moving}, {"static": one, "dynamic": each}))
    axis = figure.axes[0]
    assert "static: 1 of 3 tokens are asked for in 3 epochs" in said(axis)
    assert "dynamic: 3 of 3 tokens are asked for in 3 epochs" in said(axis)
    kinds = [to_hex(box.get_facecolor()).upper() for box in boxes(axis)]
    assert kinds == [RED] * 3 + [RED, BLUE, GREEN]                   # hidden; hidden, another word, left
    words = [text for text in axis.texts if text.get_family() == ["monospace"]]
    assert len(words) == 7 * 5 and "[PAD]" not in said(axis)         # 5 columns: the text, and 2 times 3 rows
    assert said(axis).count("epoch 3") == 2 and said(axis).count("[MASK]") == 4


def test_masks_of_a_model_are_static_or_not():
    pieces = [*SPECIALS, *(f"w{i}" for i in range(40))]
    text = torch.tensor([CLS, *range(5, 25), SEP])
    titles = {}
    for name, dynamic in {"static": False, "dynamic": True}.items():
        bert = objectives.RoBERTa(encoders.create("transformer", (45, 22), dim=16, depth=1, heads=2), dynamic=dynamic)
        hidden = [bert.hide(text[None], torch.Generator().manual_seed(epoch)) for epoch in range(5)]
        seen, chosen = (torch.cat(part) for part in zip(*hidden, strict=True))
        titles[name] = said(figures.masks(pieces, text, {name: seen}, {name: chosen}).axes[0])
        assert f"{name}: {int(chosen.any(dim=0).sum())} of 20 tokens are asked for in 5 epochs" in titles[name]
    assert "static: 3 of 20 tokens are asked for in 5 epochs" in titles["static"]    # 15 % of 20
    assert "dynamic: 3 of 20 tokens are asked for in 5 epochs" not in titles["dynamic"]


@pytest.mark.parametrize(("change", "name"), [
    ({"seen": {}}, "seen, chosen"), ({"chosen": {"b": torch.ones(2, 3).bool()}}, "seen, chosen"),
    ({"chosen": {"a": torch.ones(2, 3)}}, "tokens, seen, chosen"), ({"chosen": {"a": torch.ones(1, 3).bool()}}, "tokens, seen, chosen"),
    ({"tokens": torch.tensor([5, 6])}, "tokens, seen, chosen"), ({"seen": {"a": torch.full((2, 3), 11)}}, "tokens"),
    ({"tokens": torch.zeros(3, dtype=torch.long)}, "tokens"),
])
def test_masks_refuse(change, name):
    right = {"pieces": WORDS, "tokens": torch.tensor([5, 6, 7]), "seen": {"a": torch.full((2, 3), 5)},
             "chosen": {"a": torch.ones(2, 3).bool()}}
    with pytest.raises(ValueError, match=f"^{name}: got .* takes "):
        figures.masks(**{**right, **change})


# ---- attention_words


def test_attention_words_grey_what_may_not_be_looked_at():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    causal = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), -math.inf).softmax(dim=1)
    figure = drawn(figures.attention_words({"causal": causal, "two-sided": scores.softmax(dim=1)}, [" the", " cat", "$s$", "##ing"]))
    left, right = figure.axes[:2]
    grey = {(round(box.get_x() + 0.5), round(box.get_y() + 0.5)) for box in boxes(left)}
    assert grey == {(column, row) for row in range(4) for column in range(4) if column > row} and not boxes(right)
    assert left.get_xlabel() == "0 % goes to later words"
    later = sum(float(scores.softmax(dim=1)[i, j]) for i in range(4) for j in range(i + 1, 4)) / 4
    assert right.get_xlabel().split()[0] == f"{100 * later:.0f}"
    assert torch.tensor(left.images[0].get_array()).float().allclose(causal)
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert [label.get_text() for label in left.get_yticklabels()] == ["the", "cat", "$s$", "ing"]
    assert len(said(left)) == 10 and said(left)[0] == "100"


def test_attention_words_take_what_a_transformer_gives():
    net = encoders.create("transformer", (11, 8), dim=16, depth=1, heads=2, causal=True).net
    weights = net.attention(TEXT[None])[0].mean(dim=0)
    figure = figures.attention_words(weights, [WORDS[i] for i in TEXT])
    assert len(boxes(figure.axes[0])) == 15
    words = {"a": ["x"], "b": ["y"]}
    both = figures.attention_words({"a": torch.ones(1, 1), "b": torch.ones(1, 1)}, words)
    assert [axis.get_yticklabels()[0].get_text() for axis in both.axes[:2]] == ["x", "y"]


@pytest.mark.parametrize(("weights", "words", "name"), [
    (torch.eye(3), ["a", "b"], "weights, words"), (torch.eye(2)[None], ["a", "b"], "weights, words"), ({}, [], "weights, words"),
    (2 * torch.eye(2), ["a", "b"], "weights"), ({"x": torch.eye(1)}, {"y": ["a"]}, "weights, words"),
])
def test_attention_words_refuse(weights, words, name):
    with pytest.raises(ValueError, match=f"^{name}: got .* takes "):
        figures.attention_words(weights, words)


# ---- the benchmark's plain network


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_text", Path(__file__).parent.parent / "benchmarks" / "text.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plain_network_is_as_large_as_ours_and_sees_the_past_only(benchmark):
    ours = encoders.create("transformer", (50, 8), causal=True, positions="rotary", **benchmark.SIZE)
    plain = benchmark.PlainGPT(50, 8, **benchmark.SIZE)
    count = [sum(p.numel() for p in module.parameters()) for module in (plain, ours)]
    assert count[0] == count[1] + 8 * benchmark.SIZE["dim"]          # and its learned positions
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 5:] = 40
    a, b = plain(tokens)[0], plain(changed)[0]
    assert torch.allclose(a[:5], b[:5], atol=1e-5) and not torch.allclose(a[5], b[5], atol=1e-3)


def test_the_plain_network_computes_what_ours_does(benchmark):
    ours = encoders.create("transformer", (50, 8), causal=True, positions="learned", **benchmark.SIZE).net
    plain = benchmark.PlainGPT(50, 8, **benchmark.SIZE)
    with torch.no_grad():
        plain.words.weight.copy_(ours.embed.weight)
        plain.places.weight.copy_(ours.place)
        for mine, theirs in zip(ours.blocks, plain.blocks, strict=True):
            parts = zip((theirs.query, theirs.key, theirs.value), mine.qkv.weight.chunk(3), mine.qkv.bias.chunk(3), strict=True)
            for layer, weight, bias in parts:
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            for name in ("norm1", "norm2", "out", "mlp"):
                getattr(theirs, name).load_state_dict(getattr(mine, name).state_dict())
        plain.norm.load_state_dict(ours.norm.state_dict())
        tokens = torch.randint(5, 50, (3, 8), generator=torch.Generator().manual_seed(0))
        assert torch.allclose(plain(tokens), ours.scores(ours.hidden(tokens)), atol=1e-4)


def test_every_contestant_takes_its_step_and_the_ratios_stand_the_right_way(benchmark):
    tokens = torch.randint(5, 50, (6, 8), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    split = SimpleNamespace(inputs=tokens, tokens=tokens, labels=torch.zeros(6))
    dataset = SimpleNamespace(vocabulary=50, context=8, padded=False, continuous=True, train=split)
    cpu = torch.device("cpu")
    for name in ("float32", "bf16"):
        works = benchmark.contestants(dataset, benchmark.Precision(name, channels_last=False), 2, cpu)
        times = benchmark.take_turns(works, 1, 1, 1, cpu)
        assert list(times) == ["end to end", "network alone", "plain", "plain alone"]
        assert all(len(each) == 1 and min(each) > 0 for each in times.values())
    assert benchmark.ratio([2.0, 4.0, 9.0], [1.0, 1.0, 3.0]) == 3.0
