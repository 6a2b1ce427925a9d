"""Figures of measurements, each with its controls."""

import math

import torch

from sslab.figures import describe
from sslab.figures.style import COLOURS, MARKERS, ROLES, class_style, ink, new_figure


def label_efficiency(results: dict, chance: float, of: str = "images"):
    """Accuracy on test images (or texts) against labels per class, one line a representation.

    Args:
        results: name -> Efficiency, or name -> {labels per class: (mean, (low, high) or None)}.
        chance: accuracy of guessing.
        of: what is classified.
    """
    figure, (axis,) = new_figure(width=7.5, height=3.8)
    own, highest = 0, 0.0
    for name, result in results.items():
        points = _points(result)
        if name in ROLES:
            colour, line, marker = ROLES[name]
        else:
            colour, line, marker = COLOURS[(0, 3, 4)[own % 3]], "-", ("o", "o", "o", "v", "v", "v")[own % 6]
            own += 1
        highest = max([highest, *(mean for mean, _ in points.values())])
        budgets = list(points)
        means = [points[b][0] for b in budgets]
        axis.plot(range(len(budgets)), means, line, color=colour, marker=marker, label=name,
                  linewidth=2.4 if line == "-" else 1.5)
        bounds = [points[b][1] or (points[b][0], points[b][0]) for b in budgets]
        axis.fill_between(range(len(budgets)), *zip(*bounds, strict=True), color=colour, alpha=0.2, linewidth=0)
        axis.set_xticks(range(len(budgets)), budgets)
    axis.axhline(chance, color="0.5", linestyle=":", label="chance")
    axis.set(xlabel="labels per class", ylabel=f"accuracy on test {of}", ylim=(0, 1 if highest > 0.6 else 1.2 * highest))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    said = {name: _points(result) for name, result in results.items()}
    return figure.says(f"Lines: accuracy on test {of} against labels per class",
                       *(describe.points(name, points) for name, points in said.items()), describe.levels({"chance": chance}),
                       describe.order({name: list(points.values())[-1][0] for name, points in said.items()}, "with the most labels"))


def _points(result) -> dict:
    """{budget: (mean, interval)}; of an Efficiency the interval is the middle 80 % of its draws."""
    if isinstance(result, dict):
        return result
    points = {}
    for budget, draws in result.fixed.items():
        values = torch.tensor(draws)
        points[budget] = (float(values.mean()), (float(values.quantile(0.1)), float(values.quantile(0.9))))
    return points


def embedding_map(maps: dict, labels: torch.Tensor, class_names: tuple[str, ...]):
    """The two widest directions (PCA) of some representations of the same images, coloured by class.

    Args:
        maps: title -> features [N, D]. labels: [N].
    """
    figure, axes = new_figure(columns=len(maps), width=4, height=3.8)
    planes = {}
    for axis, (title, features) in zip(axes, maps.items(), strict=True):
        centred = features.float() - features.float().mean(dim=0)
        with torch.random.fork_rng(devices=[]):                      # it draws at random: the same map every time
            torch.manual_seed(0)
            _, _, directions = torch.pca_lowrank(centred, q=2, center=False, niter=4)
        planes[title] = flat = centred @ directions                  # [N, 2]
        for label, name in enumerate(class_names):
            axis.scatter(*flat[labels == label].T, s=9, alpha=0.6, linewidths=0, label=name, **class_style(label))
        axis.set(title=title, xticks=[], yticks=[])
    axes[-1].legend(frameon=False, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure.says(f"Maps of points, coloured by class ({describe.listed(class_names)})",
                       *describe.panels({title: describe.apart(flat, labels, class_names) for title, flat in planes.items()}))


def loss(curves: dict, levels: dict[str, float], ylabel: str = "loss"):
    """Loss by step with the levels that mean something.

    Args:
        curves: name -> list of losses. levels: name -> value, as `objective.reference_levels()` gives them.
    """
    figure, (axis,) = new_figure(width=6, height=3.2)
    for (name, values), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        axis.plot(values, color=colour, label=name, linewidth=1.5)
    for name, level in levels.items():
        axis.axhline(level, color="0.4", linestyle=":")
        axis.annotate(f"{name}: {level:.2f}", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                      color="0.4")
    axis.set(xlabel="step", ylabel=ylabel)
    axis.margins(y=0.15)
    if len(curves) > 1:
        axis.legend(frameon=False)
    return figure.says(f"Lines: {ylabel} by step", *(describe.curve(name, range(len(values)), values) for name, values in curves.items()),
                       describe.levels(levels))


def settings(results: dict[str, dict], lines: dict[str, float], ylabel: str, xlabel: str = "",
             limits: tuple[float, float] | None = None):
    """One measurement under some settings: a dot with its interval each, and lines to compare with.

    Args:
        results: series -> {setting: (value, (low, high) or None)}.
        lines: name -> value, such as the controls.
    """
    figure, (axis,) = new_figure(width=6, height=3.4)
    for number, (series, points) in enumerate(results.items()):
        means = [value for value, _ in points.values()]
        errors = [[mean - (low_high[0] if low_high else mean) for mean, (_, low_high) in zip(means, points.values(), strict=True)],
                  [(low_high[1] if low_high else mean) - mean for mean, (_, low_high) in zip(means, points.values(), strict=True)]]
        axis.errorbar([x + 0.08 * number for x in range(len(points))], means, errors, fmt=MARKERS[number], capsize=4,
                      markersize=8, color=COLOURS[(0, 3, 2)[number % 3]], label=series)
        axis.set_xticks(range(len(points)), [str(key) for key in points])
    for name, level in lines.items():
        axis.axhline(level, color=ROLES.get(name, ("0.5",))[0], linestyle=":")
    axis.set(ylabel=ylabel, xlabel=xlabel)
    if limits:
        axis.set_ylim(*limits)
    low, high = axis.get_ylim()
    place = -math.inf
    for name, level in sorted(lines.items(), key=lambda line: line[1]):              # a name does not cover the one below it
        place = max(level, place + 0.055 * (high - low))
        axis.annotate(name, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9,
                      color=ink(ROLES.get(name, ("0.5",))[0]))
    if len(results) > 1:
        axis.legend(frameon=False)
    return figure.says(f"Dots with their intervals: {ylabel}{f' by {xlabel}' if xlabel else ''}",
                       *(describe.points(series, points) for series, points in results.items()), describe.levels(lines))


def spectrum(clouds: dict[str, torch.Tensor]):
    """Singular values of some clouds, largest first, each against its own largest: how many directions are in use.

    Args:
        clouds: name -> embeddings [N, D].
    """
    from sslab.evaluation import effective_rank, singular_values

    figure, (axis,) = new_figure(width=6, height=3.2)
    said = []
    for number, (name, z) in enumerate(clouds.items()):
        values = singular_values(z)
        axis.semilogy((values / values[0].clamp_min(1e-12)).clamp_min(1e-6), color=COLOURS[number % len(COLOURS)],
                      label=f"{name}: effective rank {float(effective_rank(z)):.0f}")
        used = int((values > 0.01 * values[0]).sum())
        half = describe.number(values[len(values) // 2] / values[0].clamp_min(1e-12))
        said.append(f"{name}: effective rank {float(effective_rank(z)):.0f}; {used} of {len(values)} above a hundredth, the middle one at {half}")
    axis.set(xlabel="direction", ylabel="singular value / largest")
    axis.legend(frameon=False)
    return figure.says("Lines: singular values over the largest one, by direction, the largest first", *said)


def temperature_weights(similarities: torch.Tensor, temperatures: tuple[float, ...]):
    """Which negatives push: softmax weight against similarity, for some temperatures.

    Args:
        similarities: cosines of one picture with its negatives [N].
    """
    figure, (axis,) = new_figure(width=6, height=3.2)
    ordered, said = similarities.sort(descending=True).values, []
    for colour, temperature in zip(COLOURS, temperatures, strict=False):
        share = (ordered / temperature).softmax(0).cumsum(0)
        axis.plot([100 * (i + 1) / len(ordered) for i in range(len(ordered))], 100 * share, color=colour,
                  label=f"temperature {temperature:g}")
        tenth = float(share[max(0, round(0.1 * len(share)) - 1)])
        said.append(f"At temperature {temperature:g} the most similar tenth of them has {describe.percent(tenth)} of the push")
    axis.set(xlabel="% of the negatives, most similar first", ylabel="% of the push", ylim=(0, 101), xlim=(0, 100))
    axis.legend(frameon=False)
    return figure.says(f"Lines: which share of {len(ordered)} negatives, the most similar first, gives which share of the push", *said)


def similarity_matrix(z1: torch.Tensor, z2: torch.Tensor, count: int = 12):
    """Cosines of all 2B views of a small batch: the diagonal blocks' off-diagonals are the partners."""
    z = torch.nn.functional.normalize(torch.cat([z1[:count], z2[:count]]).float(), dim=1)
    figure, (axis,) = new_figure(width=4.6, height=4)
    cosines = z @ z.T                                                # [2B, 2B]
    shown = axis.imshow(cosines.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
    for row in range(2 * count):
        partner = (row + count) % (2 * count)
        axis.plot(partner, row, "s", markersize=9, fillstyle="none", color="0.1")
    partners = torch.arange(2 * count).roll(count)
    pairs = cosines[torch.arange(2 * count), partners]               # [2B]
    others = cosines.masked_fill(torch.eye(2 * count, dtype=torch.bool), -torch.inf)
    best = int((others.argmax(dim=1) == partners).sum())
    rest = (cosines.sum() - cosines.trace() - pairs.sum()) / max(1, 2 * count * (2 * count - 2))
    axis.set(xlabel="view", ylabel="view", xticks=[0, count, 2 * count - 1], yticks=[0, count, 2 * count - 1])
    figure.colorbar(shown, label="cosine")
    return figure.says(f"Matrix of the cosines of {2 * count} views, each view's partner framed",
                       f"Mean cosine of partners {describe.number(pairs.mean())}, of all others {describe.number(rest)}",
                       f"The partner is the most similar view for {best} of {2 * count}")
