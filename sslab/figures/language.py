"""Figures of language: what stands in a blank, what comes next, what is drawn, what is hidden, where a word looks."""

import math
import textwrap
from collections.abc import Sequence

import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from sslab.datasets.tokenizer import MASK, PAD, SPECIALS, in_text
from sslab.figures import describe
from sslab.figures.style import COLOURS, ROLES, ink, new_figure

TYPE, SMALL = 9, 7.5                                                 # of words that stand in rows, in points
INCH = 0.602 * TYPE / 72                                             # how wide a letter of the monospaced font is
CHANGES = (("[MASK]", COLOURS[3]), ("another word", COLOURS[0]), ("left as it is", COLOURS[2]))
PLAIN = {"parse_math": False}                                        # a $ in a text is a $


def word_bars(predictions: dict[str, Sequence[tuple[str, float]]], text: str = "", truth: str | None = None):
    """The likeliest words for a blank, a panel for each model, all to the same scale.

    Args:
        predictions: title -> (word, probability) pairs, the likeliest first, as `evaluation.fill_in` and
            `WordCounts.guess` give them.
        text: what they fill in, written above.
        truth: the word that stood there: its bar is green; where it is missing, the panel says so.
    Raises:
        ValueError: no panel, a panel without words, or what is no probability.
    """
    if not predictions or not all(predictions.values()):
        raise ValueError(f"predictions: got {dict(predictions)!r}, takes {{title: [(word, probability), ...]}}, at least one pair each")
    highest = 0.0
    for title, pairs in predictions.items():
        for word, p in pairs:
            if not 0 <= p <= 1:
                raise ValueError(f"predictions: got {p!r} for {word!r} in {title!r}, takes probabilities from 0 to 1")
            highest = max(highest, float(p))
    most = max(map(len, predictions.values()))
    figure, axes = new_figure(columns=len(predictions), width=max(2.6, 6.0 / len(predictions)), height=0.3 * most + 1.0)
    for axis, (title, pairs) in zip(axes, predictions.items(), strict=True):
        words = [_visible(word) for word, _ in pairs]
        right = [truth is not None and word == _visible(truth) for word in words]
        axis.barh(range(len(pairs)), [p for _, p in pairs], color=[COLOURS[2] if hit else COLOURS[0] for hit in right])
        for place, (_, p) in enumerate(pairs):
            axis.text(p + 0.02 * highest, place, _percent(p), va="center", fontsize=8, color="0.3")
        axis.set_yticks(range(len(pairs)), words, **PLAIN)
        for label, hit in zip(axis.get_yticklabels(), right, strict=True):
            label.set_fontweight("bold" if hit else "normal")
        missing = truth is not None and not any(right)
        axis.set_xlabel("probability" + f"\n“{truth}” is not among them" * missing, **PLAIN)
        axis.set_title(title)
        axis.set(xlim=(0, 1.28 * highest or 1), ylim=(most - 0.4, -0.6))
        axis.xaxis.set_major_locator(_few_ticks())
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    if text:
        figure.suptitle(text, **PLAIN)
    said = {title: ", ".join(f"{_visible(word)} {_percent(p)}" for word, p in pairs) for title, pairs in predictions.items()}
    lacks = [title for title, pairs in predictions.items() if truth is not None and _visible(truth) not in [_visible(word) for word, _ in pairs]]
    return figure.says("Bars: the likeliest words for a blank" + f" in “{text}”" * bool(text), *(f"{title}: {each}" for title, each in said.items()),
                       "" if truth is None else f"It was “{truth}”" + (f", which is not among them in {describe.listed(lacks)}" if lacks else ""))


def next_words(tokens: Tensor, probabilities: Tensor, pieces: Sequence[str], under: Sequence[int] | None = None,
               others: int = 3, bits: bool = False, columns: int = 90):
    """A text as a row of words, each as dark as it was a surprise: p(x_t | x_1 ... x_t-1), and what else was likely.

    White is certain, the darkest colour no better than guessing among all tokens. The first token was given.
    Under some of the words: themselves with the share they got, and the likeliest other ones; "-ing" goes on a word.

    Args:
        tokens: the text, [T], T from 2.
        probabilities: [T, V], or [T - 1, V]. Row t is of the token at t + 1, as `gpt.logits(tokens).softmax(-1)` has it.
        pieces: what the tokens stand for, V strings, as `tokenizer.pieces` has them.
        under: places of the words, from 1, that get a list of others; as many as there is room for if None.
        others: how many. bits: the scale and the shares in bits, -log2 p. columns: letters in a line.
    Raises:
        ValueError: shapes that do not fit, rows that do not sum to 1, a place outside the text.
    """
    tokens, p = torch.as_tensor(tokens).long().cpu(), torch.as_tensor(probabilities).detach().double().cpu()
    length, size = len(tokens), len(pieces)
    if tokens.ndim != 1 or length < 2 or p.shape not in ((length, size), (length - 1, size)):
        raise ValueError(f"tokens, probabilities, pieces: got {list(tokens.shape)}, {list(p.shape)} and {size} pieces, "
                         "takes [T], [T, V] or [T - 1, V], and V, T from 2")
    _check_tokens(tokens, size)
    _check_rows(p, "probabilities")
    if others < 0 or columns < 30:
        raise ValueError(f"others, columns: got {others} and {columns}, takes 0 or more others, and 30 columns or more")
    if under is not None and not all(0 < place < length for place in under):
        raise ValueError(f"under: got {list(under)}, takes places from 1 to {length - 1}")
    p, given = p[: length - 1], p[: length - 1].gather(1, tokens[1:, None])[:, 0]    # [T - 1, V], [T - 1]
    cost = -given.clamp(min=1e-300).log2()                                           # [T - 1], bits
    lists = {}
    for place in range(1, length) if under is None else sorted(set(under)):
        order = [i for i in p[place - 1].argsort(descending=True, stable=True)[: others + 1].tolist() if i != tokens[place]]
        found = [int(tokens[place]), *order[:others]]
        names = [_listed(pieces[i], before)[:14] for i, before in zip(found, _begins(pieces, found), strict=True)]
        amounts = [_amount(float(p[place - 1, i]), bits) for i in found]
        lists[place] = [f"{name:<{max(map(len, names))}} {amount:>{max(map(len, amounts))}}"
                        for name, amount in zip(names, amounts, strict=True)]
    words, begins = [_visible(pieces[token]) for token in tokens], _begins(pieces, tokens.tolist())
    spots, listed, lines = _set_type(words, begins, lists, columns, moved=under is not None)
    step = 1.5 + (0.9 * (1 + others) if listed else 0)                               # from one line to the next
    figure, (axis,) = new_figure(width=columns * INCH + 0.3, height=0.2 * step * lines + 1.2)
    shades, limit = _shades("white", COLOURS[3]), math.log2(size)
    for place, (line, x) in enumerate(spots):
        wide, y = len(words[place]), line * step
        shade = float(cost[place - 1]) / limit if place else 0.0
        axis.add_patch(Rectangle((x, y), wide, 1, facecolor=shades(min(shade, 1.0)) if place else "0.85", edgecolor="none"))
        axis.text(x + wide / 2, y + 0.52, words[place], ha="center", va="center", family="monospace", fontsize=TYPE,
                  **PLAIN)
        if place in listed:
            axis.plot([x + 0.15, x + 0.15], [y + 1, y + 1.25 + 0.9 * len(lists[place])], color="0.6", linewidth=0.8)
            for number, entry in enumerate(lists[place]):
                axis.text(x + 0.7, y + 1.6 + 0.9 * number, entry, va="center", family="monospace", fontsize=SMALL,
                          color="0.35" if number else "black", fontweight="normal" if number else "bold", **PLAIN)
    axis.set(xlim=(0, columns), ylim=(lines * step, -0.2))
    axis.set_axis_off()
    possible = cost[given > 0]
    said = f"{length - 1} tokens"
    if len(possible):
        mean = float(possible.mean())
        said += f", {mean:.1f} bits each on average: as hard as choosing among {2 ** mean:,.{1 if mean < 5 else 0}f}"
    if len(possible) < len(cost):
        said += f" (without {len(cost) - len(possible)} held impossible)"
    axis.set_title(textwrap.fill(f"{said}; without a clue {limit:.1f}, among {size:,}", columns + 10), fontsize=TYPE)
    _surprise_bar(figure, axis, shades, limit, bits)
    hardest = [place for place in cost.argsort(descending=True, stable=True).tolist()[:3]]
    return figure.says("A text, each word as dark as it was a surprise: " + _joined(words, begins), said,
                       "The greatest surprises: " + ", ".join(f"“{words[place + 1]}” {_amount(float(given[place]), bits)}" for place in hardest))


def sampling(logits: Tensor, temperatures: Sequence[float], pieces: Sequence[str], top_k: int | None = None,
             top_p: float | None = None, shown: int = 20):
    """The next token's distribution at some temperatures, the likeliest tokens first, with what may be drawn in blue.

    Args:
        logits: [V]. temperatures: from 0, a panel each, all but 0 to the same scale.
        pieces: what the tokens stand for, V strings.
        top_k, top_p: as in `evaluation.next_probabilities`: first the k likeliest, of these the likeliest that hold p.
        shown: tokens that are drawn; how much all others have is written.
    Raises:
        ValueError: logits that are not [V], no temperature, or a setting out of its range.
    """
    from sslab.evaluation.language import next_probabilities

    logits = torch.as_tensor(logits).detach().double().cpu()
    if logits.ndim != 1 or len(logits) != len(pieces) or not len(pieces) or bool(logits.isnan().any()):
        raise ValueError(f"logits, pieces: got {list(logits.shape)} with {int(logits.isnan().sum())} NaN and {len(pieces)} "
                         "pieces, takes numbers [V], and V pieces")
    if not len(temperatures) or shown < 1:
        raise ValueError(f"temperatures, shown: got {list(temperatures)} and {shown}, takes at least one temperature and one token")
    order = logits.argsort(descending=True, stable=True)                             # [V]
    first = order[:shown]
    figure, axes = new_figure(rows=len(temperatures), width=7.5, height=1.75)
    rows = [(next_probabilities(logits, t), next_probabilities(logits, t, top_k), next_probabilities(logits, t, top_k, top_p))
            for t in temperatures]
    highest = max((float(p.max()) for t, (p, _, _) in zip(temperatures, rows, strict=True) if t > 0), default=1.0)
    for axis, temperature, (p, by_k, kept) in zip(axes, temperatures, rows, strict=True):
        drawn = [bool(kept[i] > 0) for i in first]
        axis.bar(range(len(first)), p[first].tolist(), color=[COLOURS[0] if may else "0.8" for may in drawn])
        after_k, after_p = int((by_k > 0).sum()), int((kept > 0).sum())
        cuts = [(f"top-k {top_k}", after_k, COLOURS[3])] if top_k is not None else []
        cuts += [(f"top-p {top_p:g}", after_p, COLOURS[2])] if top_p is not None else []
        for number, (name, count, colour) in enumerate(cuts):
            if count > len(first):
                name, count = f"{name}: after {count:,} tokens →", None
            else:
                axis.axvline(count - 0.5, color=colour, linestyle="--" if number else "-", linewidth=1.5)
            axis.annotate(f" {name}", (len(first) - 0.5 if count is None else count - 0.5, 0.92 - 0.17 * number),
                          xycoords=("data", "axes fraction"), va="top", fontsize=9, color=ink(colour),
                          ha="right" if count is None or count > 0.8 * len(first) else "left")
        rest = len(order) - len(first)
        held, beyond = float(p[kept > 0].sum()), float(p[order[len(first):]].sum())
        axis.set_title(f"temperature {temperature:g}: {after_p:,} of {len(order):,} tokens can be drawn ({_percent(held)})"
                       + f"; not shown: {rest:,} ({_percent(beyond)})" * (rest > 0), fontsize=9, loc="left")
        top = highest if temperature else 1.0
        axis.set(xlim=(-0.6, len(first) - 0.4), ylim=(0, 1.08 * top), ylabel="probability")
        axis.set_xticks(range(len(first)), [])
    axes[-1].set_xticks(range(len(first)), [_visible(pieces[i]) for i in first], rotation=60, ha="right", rotation_mode="anchor", **PLAIN)
    likeliest = ", ".join(f"“{_visible(pieces[i])}”" for i in first[:5])
    cut = describe.listed(f"{name} {value:g}" for name, value in (("top-k", top_k), ("top-p", top_p)) if value is not None)
    return figure.says(f"Bars: the next token's probabilities, the likeliest first ({likeliest}, ...)" + f", cut by {cut}" * bool(cut), *(
        f"Temperature {t:g}: {int((kept > 0).sum()):,} of {len(order):,} tokens can be drawn, which hold {_percent(float(p[kept > 0].sum()))}; "
        f"the likeliest has {_percent(float(p.max()))}" for t, (p, _, kept) in zip(temperatures, rows, strict=True)))


def progress(curves: dict[str, tuple[Sequence[float], Sequence[float]]], lines: dict[str, float] | None = None,
             ylabel: str = "bits per character", xlabel: str = "step", logarithmic: bool = False,
             rising: bool = False):
    """Curves on their way past the models they are compared with; a ring marks from where on one stays beyond a line.

    Args:
        curves: name -> (steps or seconds [n], values [n]).
        lines: name -> value: what counts only, chance.
        logarithmic: the axis of steps.
        rising: more is better, as with accuracies; else less is, and the curves go down.
    Raises:
        ValueError: no curve, or one without points or with as many x as not y.
    """
    for name, (x, y) in curves.items():
        if len(x) != len(y) or not len(x):
            raise ValueError(f"curves: got {len(x)} x and {len(y)} y for {name!r}, takes as many of both, from 1")
    if not curves:
        raise ValueError("curves: got none, takes at least one")
    lines, passed = lines or {}, []
    figure, (axis,) = new_figure(width=7, height=3.6)
    for number, (name, (x, y)) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(x, y, color=colour, linewidth=1.8, marker="o" if len(x) < 40 else None, markersize=3,
                  linestyle="-" if number < len(COLOURS) else "--", label=f"{name}: {float(y[-1]):.2f} at the end")
        for line, level in lines.items():
            short = [place for place, value in enumerate(y) if not (value > level if rising else value < level)]
            since = short[-1] + 1 if short else 0
            if 0 < since < len(y):
                axis.plot(x[since], y[since], "o", markersize=9, fillstyle="none", color=colour, markeredgewidth=1.5)
                passed.append(f"{name} stays {'above' if rising else 'below'} {line} from {describe.number(x[since])} on")
    for name, level in lines.items():
        axis.axhline(level, color=ROLES.get(name, ("0.4",))[0], linestyle=":")
    if logarithmic:
        axis.set_xscale("log")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.margins(y=0.08)
    low, high = axis.get_ylim()
    place = -math.inf
    for name, level in sorted(lines.items(), key=lambda line: line[1]):              # a name does not cover the one below it
        place = max(level, place + 0.06 * (high - low))
        axis.annotate(f"{name}: {level:.2f}", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9,
                      color=ink(ROLES.get(name, ("0.4",))[0]), annotation_clip=False)
    if passed:
        axis.plot([], [], "o", markersize=9, fillstyle="none", color="0.4", markeredgewidth=1.5, label=f"{'above' if rising else 'below'} a line from here on")
    axis.legend(loc="upper left" if rising else "upper right", facecolor="white", edgecolor="none", framealpha=0.9)
    return figure.says(f"Lines: {ylabel} by {xlabel}", *(describe.curve(name, list(x), list(y)) for name, (x, y) in curves.items()), describe.levels(lines),
                       *passed)


def masks(pieces: Sequence[str], tokens: Tensor, seen: dict[str, Tensor], chosen: dict[str, Tensor]):
    """One text through some epochs: which words are asked for, and what stands there instead.

    The words of the text on top; below, for each way of masking, a row for what the network sees in each epoch. Grey words
    are not asked for.

    Args:
        pieces: what the tokens stand for, V strings, as `tokenizer.pieces` has them.
        tokens: the text, [T]; [PAD] is left out.
        seen: title -> [E, T], row e what stands there in epoch e. chosen: title -> bool [E, T], True where it is asked for.
    Raises:
        ValueError: titles or shapes that do not fit, a mask that is not bool, a text of [PAD] alone.
    """
    tokens = torch.as_tensor(tokens).long().cpu()
    if not seen or list(seen) != list(chosen):
        raise ValueError(f"seen, chosen: got titles {list(seen)} and {list(chosen)}, takes the same ones, at least one")
    for title, a in seen.items():
        b = chosen[title]
        if tokens.ndim != 1 or a.ndim != 2 or a.shape != b.shape or a.shape[1:] != tokens.shape or b.dtype != torch.bool:
            raise ValueError(f"tokens, seen, chosen: got {list(tokens.shape)}, {list(a.shape)} and {b.dtype} {list(b.shape)} "
                             f"for {title!r}, takes [T], [E, T] and bool [E, T]")
        _check_tokens(a, len(pieces))
    _check_tokens(tokens, len(pieces))
    columns = (tokens != PAD).nonzero()[:, 0].tolist()
    if not columns:
        raise ValueError("tokens: got nothing but [PAD], takes a text")
    names = [_visible(piece) if piece not in SPECIALS else piece for piece in pieces]
    wide = [max(len(names[i]) for i in {int(tokens[t]), *(int(row[t]) for each in seen.values() for row in each)}) for t in columns]
    left = len("epoch 10 ")
    starts = [left + sum(wide[:n]) + n for n in range(len(wide) + 1)]
    total = sum(len(each) + 1.7 for each in seen.values()) + 1.6
    figure, (axis,) = new_figure(width=max(starts[-1], 60) * INCH + 0.3, height=0.23 * total + 0.5)
    _row(axis, 0, starts, wide, [(names[int(tokens[t])], None, "black") for t in columns], "text")
    y = 1.6
    for title, rows in seen.items():
        asked = int((chosen[title].any(dim=0) & in_text(tokens)).sum())
        axis.text(0, y + 0.4, f"{title}: {asked} of {int(in_text(tokens).sum())} tokens are asked for in {len(rows)} epochs",
                  va="center", fontsize=TYPE, fontweight="bold", **PLAIN)
        for epoch, row in enumerate(rows):
            y += 1
            cells = []
            for t in columns:
                now, was = int(row[t]), int(tokens[t])
                kind = 0 if now == MASK else 1 if now != was else 2
                cells.append((names[now], CHANGES[kind][1] if chosen[title][epoch, t] else None, "0.45"))
            _row(axis, y + 0.1, starts, wide, cells, f"epoch {epoch + 1}")
        y += 1.7
    axis.set(xlim=(0, max(starts[-1], 60)), ylim=(y - 0.2, -0.3))
    axis.set_axis_off()
    figure.legend([Rectangle((0, 0), 1, 1, color=colour, alpha=0.4) for _, colour in CHANGES], [name for name, _ in CHANGES],
                  loc="outside lower center", ncols=3, frameon=False, title="asked for, and seen as")
    said = {title: f"{int((chosen[title].any(dim=0) & in_text(tokens)).sum())} of {int(in_text(tokens).sum())} tokens are asked for in "
                   f"{describe.count(len(rows), 'epoch')}; in the first: " + describe.listed(_visible(pieces[int(tokens[t])]) for t in columns
                                                                                 if bool(chosen[title][0, t])) for title, rows in seen.items()}
    return figure.says("One text through some epochs, the words that are asked for in boxes: " + " ".join(names[int(tokens[t])] for t in columns),
                       *(f"{title}: {each}" for title, each in said.items()))


def attention_words(weights: dict[str, Tensor] | Tensor, words: dict[str, Sequence[str]] | Sequence[str]):
    """Where each word (row) looks: how much it takes from each other one (column). Grey: it may not look there.

    Args:
        weights: [T, T], rows sum to 1, or title -> [T, T], a panel each to the same scale; such as the mean over the heads
            of `encoder.net.attention(tokens)`.
        words: T strings, for all panels or by title.
    Raises:
        ValueError: shapes that do not fit, or rows that do not sum to 1.
    """
    panels = weights if isinstance(weights, dict) else {"": weights}
    panels = {title: torch.as_tensor(each).detach().double().cpu() for title, each in panels.items()}
    if not panels or (isinstance(words, dict) and list(words) != list(panels)):
        raise ValueError(f"weights, words: got titles {list(panels)} and {list(words)}, takes the same ones, at least one")
    for title, table in panels.items():
        names = words[title] if isinstance(words, dict) else words
        if table.shape != (len(names), len(names)) or not len(names):
            raise ValueError(f"weights, words: got {list(table.shape)} and {len(names)} words for {title!r}, takes [T, T] and T")
        _check_rows(table, "weights")
    side = max(len(table) for table in panels.values())
    highest, said = max(float(table.max()) for table in panels.values()), {}
    figure, axes = new_figure(columns=len(panels), width=0.36 * side + 1.5, height=0.36 * side + 1.4)
    for axis, (title, table) in zip(axes, panels.items(), strict=True):
        names = [_visible(name) for name in (words[title] if isinstance(words, dict) else words)]
        shown = axis.imshow(table.numpy(), cmap="Blues", vmin=0, vmax=highest)
        for row, column in (table == 0).nonzero().tolist():
            axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="0.88", edgecolor="white", linewidth=0.5))
        if len(names) <= 12:
            for row, column in (table > 0).nonzero().tolist():
                share = float(table[row, column])
                axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5,
                          color="white" if share > 0.55 * highest else "0.3")
        axis.set_xticks(range(len(names)), names, rotation=60, ha="left", rotation_mode="anchor", **PLAIN)
        axis.set_yticks(range(len(names)), names, **PLAIN)
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        later = float(table.triu(1).sum() / table.sum())
        strongest = table.flatten().argsort(descending=True, stable=True)[:3].tolist()
        said[title] = f"{_percent(later)} goes to later words; the strongest: " + ", ".join(
            f"{names[k // len(table)]} to {names[k % len(table)]} {_percent(float(table.flatten()[k]))}" for k in strongest)
        axis.set_xlabel(f"{_percent(later)} goes to later words")
        axis.set_title(title, **PLAIN)
    figure.colorbar(shown, ax=list(axes), label="share of what a word takes in", shrink=0.7, format=lambda value, _: f"{100 * value:.3g} %")
    return figure.says("Matrix of where each word, a row, looks", *(describe.panels(said)))


# ---- words in rows


def _set_type(words: list[str], begins: list[bool], lists: dict[int, list[str]], columns: int,
              moved: bool) -> tuple[list[tuple[int, float]], set[int], int]:
    """Where each word stands, as (line, column), which of the lists are drawn below them, and how many lines there are.

    Lists never overlap. moved: words make room for them; else a list without room is left out.
    """
    spots, listed, line, x, free = [], set(), 0, 0, 0.0
    for place, word in enumerate(words):
        start = x + (begins[place] and x > 0)
        below = max((len(entry) for entry in lists.get(place, [])), default=0) * SMALL / TYPE + 2
        if moved and place in lists:
            start = max(start, math.ceil(free))
        wide = max(len(word), below) if moved and place in lists else len(word)
        if start and start + wide > columns:
            line, start, free = line + 1, 0, 0.0
        if place in lists and (moved or (start >= free and start + below <= columns)):
            listed.add(place)
            free = start + below
        spots.append((line, start))
        x = start + len(word)
    return spots, listed, line + 1


def _row(axis, y: float, starts: list[int], wide: list[int], cells: list[tuple[str, str | None, str]], name: str) -> None:
    """A row of words, those with a colour in a box of it, and the row's name in front."""
    axis.text(0, y + 0.5, name, va="center", fontsize=SMALL, color="0.4")
    for start, width, (word, colour, plain) in zip(starts, wide, cells, strict=False):
        if colour:
            axis.add_patch(Rectangle((start - 0.2, y + 0.04), width + 0.4, 0.92, facecolor=colour, alpha=0.4, edgecolor="none"))
        axis.text(start + width / 2, y + 0.5, word, ha="center", va="center", family="monospace", fontsize=TYPE,
                  color="black" if colour else plain, **PLAIN)


def _joined(words: list[str], begins: list[bool]) -> str:
    """The words as they are read."""
    return "".join(" " * (begin and place > 0) + word for place, (word, begin) in enumerate(zip(words, begins, strict=True)))


def _visible(piece: str) -> str:
    """A piece without the mark that says how it joins; spaces, line breaks and what cannot be printed are seen."""
    piece = piece[2:] if piece.startswith("##") and len(piece) > 2 else piece
    piece = piece[1:] if piece.startswith(" ") and len(piece) > 1 else piece
    return "".join({" ": "␣", "\n": "↵", "\t": "→"}.get(c, c if c.isprintable() else "·") for c in piece)


def _listed(piece: str, begins: bool) -> str:
    """As it is seen, after a hyphen where it goes on a word."""
    seen = _visible(piece)
    return f"-{seen}" if not begins and len(piece) > 1 and seen[0].isalnum() else seen


def _begins(pieces: Sequence[str], tokens: Sequence[int]) -> list[bool]:
    """For each token whether a space comes before it: told from how the pieces are written."""
    plain = [piece for piece in pieces if piece not in SPECIALS]
    if any(piece.startswith("##") and len(piece) > 2 for piece in plain):            # WordPiece
        return [not pieces[token].startswith("##") for token in tokens]
    if any(piece.startswith(" ") and len(piece) > 1 for piece in plain):             # BPE
        return [pieces[token].startswith(" ") or pieces[token] in SPECIALS for token in tokens]
    return [max(map(len, plain), default=0) > 1] * len(tokens)                       # words; or characters, with their spaces


def _percent(p: float) -> str:
    if 0 < p < 0.0005:
        return "<0.1 %"
    return f"{100 * p:.0f} %" if p >= 0.0995 or p == 0 else f"{100 * p:.1f} %"


def _amount(p: float, bits: bool) -> str:
    return f"{-math.log2(max(p, 1e-300)):.1f} bits" if bits else _percent(p)


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def _shades(*colours: str):
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", colours)


def _surprise_bar(figure, axis, shades, limit: float, bits: bool) -> None:
    """The scale below: from certain to a blind guess."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(0, limit), shades), ax=axis, location="bottom", aspect=60, shrink=0.7, pad=0.02)
    marks = [(-math.log2(p), f"{100 * p:g} %") for p in (1, 0.1, 0.01, 0.001)]
    marks = [(float(b), f"{b}") for b in range(0, math.ceil(limit), 2)] if bits else marks
    marks = [(at, name) for at, name in marks if at < (0.95 if bits else 0.82) * limit] + [(limit, f"{limit:.1f}" if bits else "blind guess")]
    bar.set_ticks([at for at, _ in marks], labels=[name for _, name in marks])
    bar.set_label("surprise at the word, in bits" if bits else "probability of the word, from those before it")
    bar.outline.set_visible(False)


# ---- checks


def _check_tokens(tokens: Tensor, size: int) -> None:
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < size:
        raise ValueError(f"tokens: got {int(tokens.min())} to {int(tokens.max())}, takes 0 to {size - 1}, one of the pieces each")


def _check_rows(p: Tensor, name: str) -> None:
    """Refuse what are no shares."""
    sums = p.sum(dim=1)
    if not (bool((p >= 0).all()) and bool(((sums - 1).abs() < 0.01).all())):
        raise ValueError(f"{name}: got rows that sum to {float(sums.min()):.3g} to {float(sums.max()):.3g}, "
                         f"least number {float(p.min()):.3g}, takes shares from 0 whose rows sum to 1")
