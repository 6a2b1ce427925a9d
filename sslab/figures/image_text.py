"""Figures of images and words in one space: a batch's matrix, what a phrase finds, the gap between the two, who wins when."""

import math

import torch

from sslab._names import choose
from sslab.datasets.base import as_floats
from sslab.figures import describe
from sslab.figures.pictures import GAP, sheet, tile
from sslab.figures.style import COLOURS, MARKERS, ROLES, ink, new_figure

SCORE = 10                                                           # pixels below a picture, for its score


def drawings(dataset, things):
    """A row for each thing, a column for each who draws: what the pairs are made of. The one that is held out is said.

    Args:
        dataset: of pairs.
        things: some of `dataset.texts`.
    Raises:
        ValueError: no such thing.
    """
    rows = [dataset.texts.index(choose(name, dataset.texts, "things")) for name in things]
    count = len(dataset.drawers)
    figure, (axis,) = new_figure(width=1.6 + 0.75 * count, height=0.6 + 0.62 * len(rows))
    width = sheet(axis, dataset.pairs.images[rows].flatten(0, 1), count, rows=list(things))
    labels = [f"{name} (held out)" if name == dataset.held_out else name for name in dataset.drawers]
    axis.set_xticks([width * (column + 0.5) for column in range(count)], labels, rotation=25, ha="left", rotation_mode="anchor")
    axis.xaxis.tick_top()
    drawn = as_floats(dataset.pairs.images[rows]).float()            # [things, drawers, C, S, S]
    spread = {name: float(each.var(dim=0, correction=0).mean()) for name, each in zip(things, drawn, strict=True)}
    return figure.says(f"Drawings of {describe.listed(things)}, a row each, by {describe.listed(labels)}, a column each",
                       describe.extremes(spread, "Variance between the drawings of one thing"))


def pair_matrix(images: torch.Tensor, texts: torch.Tensor, names, pictures: torch.Tensor | None = None):
    """How well each image of a batch fits each text: the diagonal are the pairs, framed.

    Args:
        images, texts: representations [B, P] of B pairs, at any scale.
        names: B texts, for the columns.
        pictures: [B, C, S, S], drawn in front of the rows.
    Raises:
        ValueError: shapes or numbers do not fit.
    """
    b = len(images)
    drawn = b if pictures is None else len(pictures)
    if images.ndim != 2 or images.shape != texts.shape or len(names) != b or drawn != b:
        got = f"shapes {list(images.shape)} and {list(texts.shape)}, {len(names)} names and {drawn} pictures"
        raise ValueError(f"images, texts, names, pictures: got {got}, takes [B, P] twice and B of each")
    cosine = _unit(images) @ _unit(texts).T                          # [B, B]
    index = torch.arange(b)
    figure, (axis,) = new_figure(width=1.9 + 0.36 * b, height=1.5 + 0.36 * b)
    shown = axis.imshow(cosine.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
    axis.plot(index, index, "s", markersize=13, fillstyle="none", color="0.1", linestyle="none")
    for row, picture in enumerate([] if pictures is None else as_floats(pictures).float()):
        shape = {"extent": (-1.55, -0.6, row + 0.46, row - 0.46)}
        axis.imshow(picture.expand(3, -1, -1).permute(1, 2, 0).clamp(0, 1).numpy(), **shape)
    axis.set_xlim(-0.5 if pictures is None else -1.6, b - 0.5)
    axis.set_ylim(b - 0.5, -0.5)
    labels = [_short(name) for name in names]
    axis.set_xticks(range(b), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    rows, columns = (int((cosine.argmax(dim) == index).sum()) for dim in (1, 0))
    axis.set(yticks=[], ylabel="image",
             xlabel=f"the pair is the best of its row in {rows} of {b},\nof its column in {columns} of {b}")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(shown, label="cosine", shrink=0.7)
    others = (cosine.sum() - cosine.trace()) / max(1, b * (b - 1))
    return figure.says(f"Matrix of the cosines of {b} images (rows) and {b} texts (columns: {describe.listed(names)}), the pairs framed",
                       f"The pair is the best of its row in {rows} of {b}, of its column in {columns} of {b}",
                       f"Mean cosine of pairs {describe.number(cosine.diagonal().mean())}, of others {describe.number(others)}")


def ranked(found: dict[str, tuple[torch.Tensor, torch.Tensor]]):
    """A row for each phrase: the pictures that fit it best, each with its score below.

    Args:
        found: phrase -> (pictures [K, C, S, S], scores [K]), best first; as many for each phrase.
    Raises:
        ValueError: nothing was found, or numbers differ.
    """
    shapes = {tuple(pictures.shape) for pictures, _ in found.values()}
    if len(shapes) != 1 or any(len(pictures) != len(scores) for pictures, scores in found.values()):
        got = [(list(pictures.shape), list(scores.shape)) for pictures, scores in found.values()]
        raise ValueError(f"found: got {got}, takes pictures [K, C, S, S] and scores [K] of the same shape for each phrase")
    sheets = torch.cat([as_floats(pictures).float() for pictures, _ in found.values()])              # [R K, C, S, S]
    count, side = len(sheets) // len(found), sheets.shape[-1]
    padded = torch.nn.functional.pad(sheets, (0, 0, 0, SCORE), value=1.0)
    height, width = side + SCORE + 2 * GAP, side + 2 * GAP
    figure, (axis,) = new_figure(width=0.55 * count + 1.8, height=0.7 * len(found) + 0.1)
    axis.imshow(tile(padded, count).clamp(0, 1).numpy())
    for row, (_, scores) in enumerate(found.values()):
        for column, score in enumerate(scores.tolist()):
            place = width * (column + 0.5), height * (row + 1) - SCORE / 2 - GAP
            axis.text(*place, f"{score:.2f}", ha="center", va="center", fontsize=7, color="0.35")
    axis.set_yticks([height * row + GAP + side / 2 for row in range(len(found))], [_short(phrase, 40) for phrase in found])
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure.says(f"A row of {count} pictures for each phrase, the best first, with scores",
                       *(f"{phrase}: {describe.number(scores[0])} to {describe.number(scores[-1])}" for phrase, (_, scores) in found.items()))


def modality_gap(images: torch.Tensor, texts: torch.Tensor, lines: int = 60):
    """Images and texts as points: across, the direction that tells them best apart; up, that in which all of them vary most.

    Pairs are joined by thin lines.

    Args:
        images, texts: representations [n, P] of n pairs, at any scale.
        lines: pairs that are joined, spread evenly.
    """
    from matplotlib.collections import LineCollection

    from sslab.evaluation import modality_gap as measure

    gap = measure(images, texts)
    z = _unit(images), _unit(texts)                                  # [n, P] each
    centred = torch.cat([each - each.mean(dim=0) for each in z])     # [2n, P]
    within = centred.T @ centred / len(centred)                      # [P, P]
    ridge = 0.1 * within.diagonal().mean() * torch.eye(len(within))
    across = torch.linalg.solve(within + ridge, z[0].mean(dim=0) - z[1].mean(dim=0))         # Fisher's discriminant
    across = torch.nn.functional.normalize(across, dim=0)            # [P]
    points = torch.cat(z) - torch.cat(z).mean(dim=0)
    up = torch.linalg.svd(points - (points @ across)[:, None] * across, full_matrices=False).Vh[0]
    flat = points @ torch.stack([across, up], dim=1)                 # [2n, 2]
    share = flat.square().sum() / points.square().sum().clamp_min(1e-12)
    a, b = flat.split(len(images))
    figure, (axis,) = new_figure(width=5.6, height=4)
    joined = torch.linspace(0, len(a) - 1, min(lines, len(a))).round().long()
    axis.add_collection(LineCollection(torch.stack([a[joined], b[joined]], dim=1).numpy(), colors="0.6", linewidths=0.5))
    for number, (name, cloud) in enumerate({"images": a, "texts": b}.items()):
        style = {"color": COLOURS[(0, 3)[number]], "marker": MARKERS[number]}
        axis.scatter(*cloud.T.numpy(), s=10, alpha=0.7, linewidths=0, label=name, **style)
    axis.set(xticks=[], yticks=[],
             xlabel=f"distance of the means {gap.distance:.2f}; a plane tells {100 * gap.separability:.0f} % apart;\n"
                    f"cosine of pairs {gap.matched:.2f}, of others {gap.unmatched:.2f}",
             title=f"seen along the dividing plane; {100 * float(share):.0f} % of the variance is in sight")
    axis.set_aspect("equal", adjustable="datalim")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    return figure.says(f"Map of {len(images)} images and {len(texts)} texts in one space, pairs joined by lines",
                       f"Distance of their means {describe.number(gap.distance)}; a plane tells {describe.percent(gap.separability)} apart",
                       f"Cosine of pairs {describe.number(gap.matched)}, of others {describe.number(gap.unmatched)}",
                       f"{describe.percent(share)} of the variance is in sight")


def who_wins(results: dict[int, dict[str, tuple]], lines: dict[str, float] | None = None, ylabel: str = "recall@10"):
    """Methods at equal budget by batch size: a dot with its interval each.

    Args:
        results: batch size -> {method: (value, (low, high) or None)}; a method may be missing at some sizes.
        lines: name -> value, such as the controls.
    Raises:
        ValueError: there is no result.
    """
    methods = list(dict.fromkeys(name for row in results.values() for name in row))
    if not methods:
        raise ValueError(f"results: got {results!r}, takes batch size -> {{method: (value, interval)}}")
    figure, (axis,) = new_figure(width=6, height=3.4)
    for number, method in enumerate(methods):
        points = [(size, *row[method]) for size, row in sorted(results.items()) if method in row]
        values = [value for _, value, _ in points]
        errors = [[value - (bounds or (value, value))[0] for _, value, bounds in points],
                  [(bounds or (value, value))[1] - value for _, value, bounds in points]]
        shift = 2 ** (0.06 * (number - (len(methods) - 1) / 2))      # side by side, so that no interval hides another
        colour = COLOURS[(0, 3, 2, 1, 5, 4)[number % len(COLOURS)]]
        axis.errorbar([size * shift for size, *_ in points], values, errors, fmt=f"{MARKERS[number % len(MARKERS)]}-", capsize=4,
                      markersize=7, label=method, color=colour)
    for name, level in (lines or {}).items():
        axis.axhline(level, color=ROLES.get(name, ("0.5",))[0], linestyle=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(results), [f"{size:,}" for size in sorted(results)])
    axis.minorticks_off()
    axis.set(xlabel="batch size", ylabel=ylabel)
    axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    place, step = -math.inf, 0.055 * (axis.get_ylim()[1] - axis.get_ylim()[0])
    for name, level in sorted((lines or {}).items(), key=lambda line: line[1]):      # a name does not cover the one below it
        place = max(level, place + step)
        axis.annotate(name, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9,
                      color=ink(ROLES.get(name, ("0.5",))[0]))
    axis.legend(frameon=False)
    said = {method: {size: row[method] for size, row in sorted(results.items()) if method in row} for method in methods}
    return figure.says(f"Dots with their intervals: {ylabel} by batch size, at equal budget",
                       *(describe.points(method, points) for method, points in said.items()), describe.levels(lines))


def _unit(z: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(z.detach().cpu().float(), dim=1)


def _short(text: str, most: int = 22) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
