"""Figures of what a representation keeps and loses: known factors, and pairs of classes."""

import textwrap

import torch

from sslab.evaluation.factors import above_chance
from sslab.figures import describe
from sslab.figures.style import COLOURS, new_figure


def factor_heat_maps(tables: dict[str, dict[str, dict[str, float]]], chance: dict[str, float],
                     marked: dict[str, tuple[str, ...]] | None = None):
    """Heat maps of rows (what was trained) by factors: the probe's accuracy in %, coloured from chance to perfect.

    Args:
        tables: title -> {row: {factor: accuracy}}, such as {"z": ..., "h": ...}. The rows are those of the table that has
            most; one that a table lacks stays empty in it (no projector, no z).
        chance: factor -> accuracy of a guess; it stands under the factor's name.
        marked: row -> factors whose cells get a frame, in every table.
    """
    rows = list(max(tables.values(), key=len))
    factors = list(chance)
    figure, axes = new_figure(columns=len(tables), width=0.85 * len(factors) + 1.7, height=0.4 * len(rows) + 1.3)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        shade = torch.full((len(rows), len(factors)), torch.nan)
        for i, row in enumerate(rows):
            for j, factor in enumerate(factors):
                if row in table:
                    shade[i, j] = above_chance(table[row][factor], chance[factor])
                    ink = "white" if shade[i, j] > 0.55 else "black"
                    axis.text(j, i, f"{100 * table[row][factor]:.0f}", ha="center", va="center", color=ink, fontsize=10)
                if factor in (marked or {}).get(row, ()):
                    axis.add_patch(_frame(j, i))
        shown = axis.imshow(shade.clamp(min=0).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_title(title, pad=10)
        axis.set_xticks(range(len(factors)), [f"{name}\n(chance {100 * chance[name]:.0f})" for name in factors], fontsize=8)
        axis.set_yticks(range(len(rows)), rows if axis is axes[0] else [""] * len(rows))
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    bar = figure.colorbar(shown, ax=list(axes), shrink=0.8, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["chance", "half way", "perfect"])
    said = {title: describe.table(table, lambda factor, value: f"{100 * value:.0f}") for title, table in tables.items()}
    framed = "; ".join(f"{row}: {describe.listed(names)}" for row, names in (marked or {}).items())
    return figure.says(f"Heat maps: the probe's accuracy in per cent, rows by factors ({describe.listed(factors)})", *describe.panels(said),
                       "Chance: " + ", ".join(f"{name} {100 * level:.0f}" for name, level in chance.items()),
                       f"Framed: {framed}" if framed else "")


def _frame(column: int, row: int):
    """A frame round one cell of an image."""
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=COLOURS[3], linewidth=2)


def pairs(differences: dict[str, torch.Tensor], names: tuple[str, ...], marked: tuple[tuple[int, int], ...] = ()):
    """What happened to every pair of classes: a number in points for each, red is lost and blue is won.

    Args:
        differences: title -> [C, C], accuracy on pair (i, j) with something minus without it, as shares; the triangle
            below the diagonal is read.
        names: of the classes. marked: pairs that get a frame.
    """
    count = len(names)
    below = torch.ones(count, count).tril(-1).bool()
    figure, axes = new_figure(columns=len(differences), width=0.42 * count + 0.9, height=0.4 * count + 0.9)
    end = max(float(d[below].abs().max()) for d in differences.values()) or 0.01
    for axis, (title, difference) in zip(axes, differences.items(), strict=True):
        shade = difference.float().masked_fill(~below, torch.nan)
        shown = axis.imshow((100 * shade).numpy(), cmap="RdBu", vmin=-100 * end, vmax=100 * end)
        for i, j in below.nonzero().tolist():
            strong = abs(float(shade[i, j])) > 0.65 * end
            points = round(100 * float(shade[i, j]))
            axis.text(j, i, f"{points:+d}".replace("-", "\N{MINUS SIGN}") if points else "0", ha="center", va="center",
                      fontsize=8, color="white" if strong else "black")
        for one in marked:
            axis.add_patch(_frame(min(one), max(one)))
        axis.set_title("\n".join(textwrap.wrap(title, 40)))
        axis.set_xticks(range(count - 1), names[:-1])
        axis.set_yticks(range(1, count), names[1:])
        axis.set_xlim(-0.5, count - 1.5)
        axis.set_ylim(count - 0.5, 0.5)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.colorbar(shown, ax=list(axes), shrink=0.7, label="points of accuracy on the pair")
    return figure.says("Heat map: points of accuracy won or lost on each pair of classes",
                       *describe.panels({title: _won_and_lost(difference, names) for title, difference in differences.items()}),
                       f"Framed: {describe.listed(f'{names[i]} with {names[j]}' for i, j in marked)}" if marked else "")


def _won_and_lost(difference: torch.Tensor, names: tuple[str, ...], most: int = 3) -> str:
    """The pairs that lost most, those that won most, and how many did either."""
    rows, columns = torch.tril_indices(len(names), len(names), -1)
    points = (100 * difference[rows, columns].float()).round()       # [C (C - 1) / 2]
    order = points.argsort(stable=True).tolist()

    def said(chosen: list[int]) -> str:
        return ", ".join(f"{names[columns[k]]} with {names[rows[k]]} {describe.number(points[k])}" for k in chosen) or "none"

    return (f"{int((points < 0).sum())} pairs lost, most: {said([k for k in order[:most] if points[k] < 0])}; "
            f"{int((points > 0).sum())} won, most: {said([k for k in order[:-most - 1:-1] if points[k] > 0])}")
