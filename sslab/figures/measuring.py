"""Figures of measuring: maps of one embedding side by side, and what leaks are worth."""

import torch

from sslab.figures import describe
from sslab.figures.style import COLOURS, class_style, new_figure


def maps(points: dict[str, torch.Tensor], labels: torch.Tensor | None = None, class_names: tuple[str, ...] = (),
         columns: int = 3):
    """Some maps of the same things, in a grid.

    Args:
        points: title -> [N, 2].
        labels: [N], for colour and marker; None paints all points alike.
        class_names: one a label; they stand in a legend.
        columns: of the grid.
    Raises:
        ValueError: no maps, points that are not [N, 2], or a label short.
    """
    if not points:
        raise ValueError("points: got no maps, takes one or more")
    for title, cloud in points.items():
        if cloud.ndim != 2 or cloud.shape[1] != 2 or (labels is not None and len(cloud) != len(labels)):
            wanted = "[N, 2]" if labels is None else f"[{len(labels)}, 2]"
            raise ValueError(f"points: got shape {list(cloud.shape)} for {title!r}, takes {wanted}")
    columns = min(columns, len(points))
    rows = -(-len(points) // columns)
    figure, axes = new_figure(columns=columns, rows=rows, width=2.9, height=2.7)
    for axis, (title, cloud) in zip(axes, points.items(), strict=False):
        if labels is None:
            axis.scatter(*cloud.T, s=5, color="0.35", linewidths=0)
        for label in range(0 if labels is None else int(labels.max()) + 1):
            name = class_names[label] if label < len(class_names) else str(label)
            axis.scatter(*cloud[labels == label].T, s=6, alpha=0.7, linewidths=0, label=name, **class_style(label))
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=10)
    for axis in axes[len(points):]:
        axis.set_visible(False)
    if labels is not None:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, markerscale=2)
    reach = {title: describe.number(cloud.float().std(dim=0).norm()) for title, cloud in points.items()}
    said = {title: f"{describe.count(len(cloud), 'point')}, spread {reach[title]}" if labels is None else describe.apart(cloud, labels, class_names)
            for title, cloud in points.items()}
    return figure.says(f"{describe.count(len(points), 'map')} of points" + (", coloured by class" if labels is not None else ""),
                       *(f"{title}: {each}" for title, each in said.items()))


def worth(rows: dict[str, tuple[float, tuple[float, float] | None]], xlabel: str):
    """What each of some changes adds to a number or takes from it, in points: a dot with its interval each, first row on top.

    Args:
        rows: name -> (mean, (low, high) or None), shares from 0 to 1.
        xlabel: what is added.
    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("rows: got none, takes one or more")
    figure, (axis,) = new_figure(width=7.5, height=0.32 * len(rows) + 0.9)
    for place, (value, bounds) in enumerate(list(rows.values())[::-1]):
        low, high = bounds or (value, value)
        colour = COLOURS[3] if low > 0 else COLOURS[0] if high < 0 else "0.5"          # adds, takes, neither for sure
        axis.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
        axis.plot(100 * value, place, "o", color=colour, markersize=6)
    axis.axvline(0, color="0.4", linestyle=":")
    axis.set_yticks(range(len(rows)), list(rows)[::-1])
    axis.set_xlabel(xlabel)
    axis.grid(axis="y", alpha=0.3)
    scaled = {name: (100 * value, bounds and (100 * bounds[0], 100 * bounds[1])) for name, (value, bounds) in rows.items()}
    return figure.says(f"Dots with their intervals: {xlabel}, a row each", describe.dots(scaled))
