"""Figures of lesson 15: what pretraining costs and buys, and what is left of it when the test pictures change."""

from collections.abc import Mapping, Sequence

import torch

from sslab.datasets.base import as_floats
from sslab.evaluation.corruptions import CORRUPTIONS, corrupted
from sslab.evaluation.fine_tuning import overtakes
from sslab.figures import describe
from sslab.figures.pictures import sheet
from sslab.figures.style import COLOURS, MARKERS, ROLES, new_figure

Points = Mapping[float, tuple[float, tuple[float, float] | None]]     # x -> (y, interval)


def worth(panels: Mapping[str, Mapping[str, Points]], xlabels: Mapping[str, str], lines: Mapping[str, Mapping[str, float]] | None = None,
          rivals: tuple[str, str] = ("pretrained", "supervised"), ylabel: str = "test accuracy"):
    """Accuracy against what it costs, a panel a question; where one of two rivals overtakes the other for good is marked.

    Args:
        panels: title -> {name: {x: (accuracy, (low, high) or None)}}, x above 0, such as seconds or labels a class.
        xlabels: title -> what x is.
        lines: title -> {name: accuracy}, what does not depend on x, such as chance.
        rivals: two names; a panel that lacks one of them, or where nobody overtakes, gets no mark.
    Raises:
        ValueError: no panel.
    """
    if not panels:
        raise ValueError("panels: got none, takes one or more")
    columns = min(2, len(panels))
    figure, axes = new_figure(columns=columns, rows=-(-len(panels) // columns), width=5 if columns > 1 else 6.5, height=3.6)
    named, said = {}, {}
    for axis, (title, curves) in zip(axes, panels.items(), strict=False):
        for name, points in curves.items():
            line = _curve(axis, name, points, list(curves))
            named.setdefault(name, line)
        for name, level in (lines or {}).get(title, {}).items():
            line = axis.axhline(level, color=(_role(name) or ("0.5",))[0], linestyle=":", label=name)
            named.setdefault(name, line)
        axis.set(xscale="log", xlabel=xlabels[title], title=title)
        axis.grid(axis="y", alpha=0.3)
        axis.margins(y=0.12)
        _ticks(axis, curves)
        ahead = _mark(axis, *rivals, curves) if all(curves.get(name) for name in rivals) else ""
        said[title] = ". ".join(filter(None, [f"by {xlabels[title]}", *(describe.points(name, dict(sorted(points.items()))) for name, points in curves.items()),
                                              describe.levels((lines or {}).get(title)), ahead]))
    for axis in axes[:: columns]:
        axis.set_ylabel(ylabel)
    for axis in axes[len(panels):]:
        axis.set_visible(False)
    figure.legend(named.values(), named, frameon=False, loc="outside right center")
    return figure.says(f"Lines: {ylabel} against what it costs", *(f"{title}: {each}" for title, each in said.items()))


def _role(name: str) -> tuple[str, str, str] | None:
    """The style of a control; raw words look as raw pixels do."""
    return ROLES.get("raw pixels" if name.startswith("raw ") else name)


def _curve(axis, name: str, points: Points, names: Sequence[str]):
    """One name's points, joined; its style depends on the name, or on its place among those that are no controls."""
    own = [each for each in names if not _role(each)]
    number = 0 if _role(name) else own.index(name)
    colour, line, marker = _role(name) or (COLOURS[(0, 3, 4)[number % 3]], ("-", "-.")[number // 3 % 2], MARKERS[(0, 4, 6, 7, 8, 9)[number % 6]])
    places = sorted(points)
    bounds = [points[x][1] or (points[x][0],) * 2 for x in places]
    axis.fill_between(places, *zip(*bounds, strict=True), color=colour, alpha=0.15, linewidth=0)
    return axis.plot(places, [points[x][0] for x in places], line, color=colour, marker=marker, label=name)[0]


def _ticks(axis, curves: Mapping[str, Points]) -> None:
    """Where all curves have the same few places, such as budgets of labels, those are the ticks."""
    places = {tuple(sorted(points)) for points in curves.values()}
    if len(places) == 1 and len(next(iter(places))) > 1:
        axis.set_xticks(next(iter(places)), [f"{x:g}" for x in next(iter(places))])
        axis.minorticks_off()


def _mark(axis, first: str, second: str, curves: Mapping[str, Points]) -> str:
    """A line where one of the two goes ahead for good, unless it is ahead from the beginning; the same in words."""
    means = {name: {x: points[0] for x, points in curves[name].items()} for name in (first, second)}
    for ahead, behind in ((first, second), (second, first)):
        place = overtakes(means[ahead], means[behind])
        if place is not None and place > min(means[behind]):
            axis.axvline(place, color="0.3", linestyle="--", linewidth=1)
            said = f"{ahead} ahead\nfrom {place:,.0f} on" if place >= 10 else f"{ahead} ahead\nfrom {place:.2g} on"
            axis.annotate(said, (place, 0.99), xycoords=("data", "axes fraction"), xytext=(-4, 0), textcoords="offset points", ha="right",
                          va="top", fontsize=9, color="0.3", bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1})
            return said.replace("\n", " ")
    return ""


def spoiled(images: torch.Tensor, severities: Sequence[int] = (0, 1, 3, 5), kinds: Sequence[str] = CORRUPTIONS):
    """Pictures under each corruption, severity by severity.

    Args:
        images: uint8 [N, C, H, W], a few; each is shown at every severity, side by side.
    """
    rows = [torch.cat([corrupted(images, kind, severity) for severity in severities]) for kind in kinds]      # [S N, C, H, W] each
    columns = len(severities) * len(images)
    figure, (axis,) = new_figure(width=0.5 * columns + 1, height=0.52 * len(kinds) + 0.4)
    middles = {(len(images) - 1) / 2 + number * len(images): f"severity {severity}" for number, severity in enumerate(severities)}
    side = sheet(axis, torch.cat(rows), columns, kinds, middles)
    for number in range(1, len(severities)):
        axis.axvline(side * number * len(images) - 0.5, color="0.3", linewidth=1)
    whole = as_floats(images).float()
    harm = {kind: float((as_floats(each[-len(images):]).float() - whole).square().mean()) for kind, each in zip(kinds, rows, strict=True)}
    return figure.says(f"{describe.count(len(images), 'picture')} under {describe.listed(kinds)}, a row each, at severity {describe.listed(severities)}",
                       "Mean squared difference from the picture at the last one: " + ", ".join(f"{kind} {describe.number(each)}" for kind, each in harm.items()))


def robustness(results: Mapping[str, Mapping[str, Points]], chance: float, ylabel: str = "test accuracy"):
    """Accuracy by severity, a panel a corruption, a line a model.

    Args:
        results: model -> {corruption: {severity: (accuracy, (low, high) or None)}}; every model with the same corruptions.
            None at all gives empty panels.
        chance: accuracy of guessing.
    """
    kinds = list(next(iter(results.values()), CORRUPTIONS))
    figure, axes = new_figure(columns=len(kinds), width=2.9, height=3.2)
    for axis, kind in zip(axes, kinds, strict=True):
        for name, rows in results.items():
            _curve(axis, name, rows[kind], list(results))
        axis.axhline(chance, color="0.5", linestyle=":", label="chance")
        axis.set(title=kind, xlabel="severity", ylim=(0, 1), xticks=sorted({x for rows in results.values() for x in rows[kind]}))
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel(ylabel)
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    said = {kind: ". ".join(describe.points(name, dict(sorted(rows[kind].items()))) for name, rows in results.items()) for kind in kinds} if results else {}
    return figure.says(f"Lines: {ylabel} by severity, a panel for each of {describe.listed(kinds)}", *(f"{kind}: {each}" for kind, each in said.items()),
                       describe.levels({"chance": chance}))
