"""Figures of lesson 16: what was measured at several sizes, what it cost, and how far a law through it reaches."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from sslab.figures import describe
from sslab.figures.style import COLOURS, MARKERS, ROLES, ink, new_figure

Points = Mapping[float, tuple[float, tuple[float, float] | None]]    # x -> (value, (low, high) or None)


def curves(series: Mapping[str, Points], xlabel: str, ylabel: str, lines: Mapping[str, float] | None = None, logarithmic: bool = False):
    """Measured values against a size on a logarithmic axis: points, their intervals, and lines that only join them.

    Args:
        series: name -> {size: (value, (low, high) or None)}. "NAME, yours" has the colour of NAME and hollow points.
        lines: name -> value, such as the controls.
        logarithmic: the values' axis too.
    Raises:
        ValueError: a size or, on a logarithmic axis, a value is not above 0.
    """
    _look(series, logarithmic)
    figure, (axis,) = new_figure(width=6.4, height=3.6)
    numbers = _numbers(series)
    for name, points in series.items():
        number, sizes = numbers[name], sorted(points)
        values = [points[size][0] for size in sizes]
        bounds = [points[size][1] or (points[size][0],) * 2 for size in sizes]
        errors = [[value - low for value, (low, _) in zip(values, bounds, strict=True)],
                  [high - value for value, (_, high) in zip(values, bounds, strict=True)]]
        yours, colour = name.endswith("yours"), COLOURS[number % len(COLOURS)]
        axis.errorbar(sizes, values, errors, fmt=MARKERS[number % len(MARKERS)], linestyle="--" if yours else "-", linewidth=1.2, capsize=3,
                      markersize=8, color=colour, markerfacecolor="none" if yours else colour, label=name)
    every = sorted({size for points in series.values() for size in points})
    axis.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axis.set_xticks(every, [f"{size:,g}" for size in every])
    axis.xaxis.set_minor_locator(NullLocator())
    if logarithmic:
        _readable(axis)
    _levels(axis, lines or {}, [value for points in series.values() for value, _ in points.values()])
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure.says(f"Lines: {ylabel} by {xlabel}", *(describe.points(name, dict(sorted(points.items()))) for name, points in series.items()),
                       describe.levels(lines))


def front(runs: Mapping[str, Mapping[int, tuple[float, float]]], ylabel: str, lines: Mapping[str, float] | None = None):
    """What was reached against the seconds that it took, a line for each kind of run; the best for its time is ringed.

    Args:
        runs: name -> {steps: (seconds, value)}. "NAME, yours" has the colour of NAME and hollow points, and no rings: seconds of two
            machines cannot be compared.
        lines: name -> value, such as the controls.
    """
    _look({name: {seconds: (value, None) for seconds, value in points.values()} for name, points in runs.items()}, False)
    figure, (axis,) = new_figure(width=6.4, height=3.6)
    every = [point for name, points in runs.items() for point in points.values() if not name.endswith("yours")]
    numbers = _numbers(runs)
    for name, points in runs.items():
        yours, colour, ordered = name.endswith("yours"), COLOURS[numbers[name] % len(COLOURS)], sorted(points.items())
        axis.plot([seconds for _, (seconds, _) in ordered], [value for _, (_, value) in ordered], "--" if yours else "-", color=colour,
                  marker=MARKERS[numbers[name] % len(MARKERS)], markersize=7, markerfacecolor="none" if yours else colour, label=name)
        for steps, (seconds, value) in ordered:
            axis.annotate(f"{steps:,}", (seconds, value), xytext=(0, -14), textcoords="offset points", ha="center", fontsize=7, color=ink(colour))
    best = [(seconds, value) for seconds, value in every
            if not any(s <= seconds and v > value or s < seconds and v >= value for s, v in every)]
    if best:
        axis.plot(*zip(*best, strict=True), linestyle="none", marker="o", markersize=14, markerfacecolor="none", markeredgecolor="0.2",
                  label="best for its time")
    _levels(axis, lines or {}, [value for points in runs.values() for _, value in points.values()])
    axis.set(xscale="log", xlabel="seconds of training (numbers: steps)", ylabel=ylabel)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))         # 1, 2, 5, 10, ...: all tenths would run into each other
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    named = {place: f"{name}, {steps:,} steps" for name, points in runs.items() if not name.endswith("yours") for steps, place in points.items()}
    return figure.says(f"Lines: {ylabel} by seconds of training",
                       *(describe.points(name, {f"{seconds:.3g} s": (value, None) for seconds, value in sorted(points.values())}) for name, points in runs.items()),
                       f"Best for their time: {'; '.join(named[place] for place in sorted(best))}" if best else "", describe.levels(lines))


def laws(points: Points, fitted: tuple[float, ...], by_floor: Mapping[float, Callable[[np.ndarray], np.ndarray]], xlabel: str, ylabel: str):
    """Power laws through some of the points, one for each floor, drawn on through the points that they have not seen.

    Args:
        points: x -> (value, interval), the largest of them held out from the fit.
        fitted: the x that the laws were fitted to.
        by_floor: floor -> the law, x [n] -> y [n].
    Raises:
        ValueError: a fitted x is not among the points, or a number is not above 0.
    """
    _look({"points": points}, True)
    if not set(fitted) <= set(points):
        raise ValueError(f"fitted: got {sorted(set(fitted) - set(points))}, takes some of {sorted(points)}")
    figure, (axis,) = new_figure(width=6.4, height=3.6)
    inside, beyond = (np.geomspace(*ends, 50) for ends in ((min(fitted), max(fitted)), (max(fitted), max(points))))
    for number, (floor, law) in enumerate(by_floor.items()):
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(inside, law(inside), "-", color=colour, label=f"floor {floor:g}")
        axis.plot(beyond, law(beyond), ":", color=colour)
    for x, (value, interval) in points.items():
        low, high = interval or (value, value)
        axis.errorbar([x], [value], [[value - low], [high - value]], fmt="o", capsize=3, markersize=8, color="0.2",
                      markerfacecolor="0.2" if x in fitted else "white", zorder=3)
    axis.plot([], [], "o", color="0.2", label="fitted")
    axis.plot([], [], "o", color="0.2", markerfacecolor="white", label="held out")
    axis.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axis.set_xticks(sorted(points), [f"{x:,g}" for x in sorted(points)])
    axis.xaxis.set_minor_locator(NullLocator())
    _readable(axis)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure.says(f"Power laws through some points: {ylabel} by {xlabel}", describe.points("Measured", dict(sorted(points.items()))),
                       f"Fitted to {describe.listed(f'{x:,g}' for x in sorted(fitted))}; the others are held out",
                       *(f"Floor {floor:g}: the law gives {describe.number(law(np.array([max(points)], dtype=float))[0])} at {max(points):,g}"
                         for floor, law in by_floor.items()))


def shares(steps: Mapping[str, Mapping[str, float]], unit: str = "ms"):
    """Where the time of a step goes: a bar for each way of training, cut into parts.

    Args:
        steps: name -> {part: seconds}.
    """
    figure, (axis,) = new_figure(width=6.4, height=0.55 * len(steps) + 1.1)
    parts = list(dict.fromkeys(part for found in steps.values() for part in found))
    factor = {"ms": 1000.0, "s": 1.0}[unit]
    left = dict.fromkeys(steps, 0.0)
    for number, part in enumerate(parts):
        widths = [factor * found.get(part, 0.0) for found in steps.values()]
        axis.barh(list(steps), widths, left=list(left.values()), color=COLOURS[number % len(COLOURS)], label=part, hatch=("", "//", "..")[number % 3],
                  edgecolor="white")
        left = {name: before + width for (name, before), width in zip(left.items(), widths, strict=True)}
    axis.invert_yaxis()
    axis.set(xlabel=f"{unit} a step")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure.says(f"Bars: {unit} a step, cut into {describe.listed(parts)}",
                       describe.table({name: {part: factor * each for part, each in found.items()} for name, found in steps.items()}))


def _numbers(names) -> dict[str, int]:
    """Which colour and marker each name has; "NAME, yours" those of NAME."""
    found: dict[str, int] = {}
    for name in names:
        own = name.removesuffix(", yours")
        found.setdefault(own, len(found))
        found[name] = found[own]
    return found


def _readable(axis) -> None:
    """A logarithmic axis of values, with numbers that a person reads."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(lambda y, _: f"{y:,g}")


def _levels(axis, lines: Mapping[str, float], values: list[float]) -> None:
    """Lines to compare with. One that lies far below all else is named with its value, and not drawn: it would press the rest together."""
    others = [*values, *(level for name, level in lines.items() if name != "chance")]
    for name, level in lines.items():
        colour = ROLES.get(name, ("0.5",))[0]
        if name == "chance" and level < min(others) - (max(others) - min(others)):
            axis.plot([], [], color=colour, linestyle=":", label=f"chance: {level:g} (far below)")
        else:
            axis.axhline(level, color=colour, linestyle=":", label=name)


def _look(series: Mapping[str, Points], values_too: bool) -> None:
    """Logarithmic axes take numbers above 0 only; others would be left out without a word."""
    for name, points in series.items():
        if not points:
            raise ValueError(f"{name}: got no points, takes at least one")
        for size, (value, _) in points.items():
            if not size > 0 or values_too and not value > 0:
                raise ValueError(f"{name}: got {value:g} at {size:g}, takes numbers above 0 on a logarithmic axis")
