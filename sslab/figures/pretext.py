"""Figures of the classic pretext tasks: what is asked, what is answered, and where an answer is not to be had."""

import torch
from matplotlib.patches import Rectangle

from sslab.datasets.base import as_floats
from sslab.figures import describe
from sslab.figures.pictures import sheet, tile
from sslab.figures.style import COLOURS, ROLES, ink, new_figure

TURNS = ("0°", "90°", "180°", "270°")
PLACES = ("above, left", "above", "above, right", "left", "right", "below, left", "below", "below, right")


def turns(images: torch.Tensor):
    """Four turns of each picture, the answers above: uint8 or floats in [0, 1], [N, C, S, S]."""
    from sslab.objectives import four_turns

    turned = four_turns(images).transpose(0, 1).flatten(0, 1)        # all unturned, all turned once, ...
    figure, (axis,) = new_figure(width=0.62 * len(images) + 0.8, height=2.6)
    sheet(axis, turned, len(images), [f"turned by {turn}" for turn in TURNS])
    whole = as_floats(images).float()
    half = (whole - whole.rot90(2, dims=(2, 3))).square().mean(dim=(1, 2, 3))        # [N]
    return figure.says(f"{describe.count(len(images), 'picture')}, a column each, turned by {describe.listed(TURNS)}",
                       describe.extremes({f"picture {k + 1}": float(each) for k, each in enumerate(half)},
                                         "Mean squared difference from the picture upside down"))


def answers(images: torch.Tensor, probabilities: torch.Tensor, titles: list[str] | None = None):
    """Each picture with how probable the network holds each of the four turns: [N, C, S, S], [N, 4]."""
    figure, axes = new_figure(columns=len(images), rows=2, width=1.25, height=1.3)
    shown = tile(images, len(images), gap=0)                         # one row
    side = images.shape[-1]
    for number, said in enumerate(probabilities):
        top, bottom = axes[number], axes[len(images) + number]
        top.imshow(shown[:, number * side:(number + 1) * side].numpy())
        top.set_axis_off()
        if titles:
            top.set_title(titles[number], fontsize=8)
        bottom.bar(range(4), said.tolist(), color=[COLOURS[0] if turn == int(said.argmax()) else "0.75" for turn in range(4)])
        bottom.axhline(0.25, color="0.4", linestyle=":")
        bottom.set(ylim=(0, 1), yticks=[0, 1] if number == 0 else [])
        bottom.set_xticks(range(4), TURNS, fontsize=7, rotation=60)
    axes[len(images)].set_ylabel("probability", fontsize=8)
    said = (f"{titles[k] if titles else f'picture {k + 1}'}: {TURNS[int(p.argmax())]} with {describe.percent(p.max())}"
            for k, p in enumerate(probabilities))
    return figure.says("Each picture over bars of how probable each of four turns is held; a dotted line marks a guess, a quarter",
                       "Most probable: " + "; ".join(" ".join(each.split()) for each in said))


def patches(images: torch.Tensor, objective, seed: int = 0):
    """Where patches come from and what is left of the picture: the middle patch, another one, and its number.

    Args:
        images: [N, C, S, S].
        objective: a Jigsaw; its knobs say how patches are cut.
    """
    generator = torch.Generator().manual_seed(seed)
    corners = objective.corners(len(images), generator)              # [N, 9, 2]
    asked = torch.randint(8, (len(images),), generator=generator).tolist()
    side = objective.patch
    figure, axes = new_figure(columns=len(images), rows=2, width=1.6, height=1.6)
    for number, picture in enumerate(images):
        shown = tile(picture[None], 1, gap=0)
        top, bottom = axes[number], axes[len(images) + number]
        top.imshow(shown.numpy())
        for place, (row, column) in enumerate(corners[number].tolist()):
            chosen = place == (asked[number] if asked[number] < 4 else asked[number] + 1)
            colour = COLOURS[3] if chosen else COLOURS[0] if place == 4 else "0.6"
            top.add_patch(Rectangle((column - 0.5, row - 0.5), side, side, fill=False, color=colour,
                                    linewidth=1.8 if chosen or place == 4 else 0.7))
            if chosen or place == 4:
                cut = shown[row:row + side, column:column + side].numpy()
                left = 0 if place == 4 else 1.25 * side
                bottom.imshow(cut, extent=(left, left + side, 0, side))
                bottom.add_patch(Rectangle((left, 0), side, side, fill=False, color=colour, linewidth=1.8))
        top.set_axis_off()
        bottom.set(xlim=(-1, 2.25 * side + 1), ylim=(-1, side + 1), title=f"where? {asked[number]}")
        bottom.title.set_fontsize(9)
        bottom.set_axis_off()
    return figure.says(f"{describe.count(len(images), 'picture')} with the places of nine patches; below each the middle patch of {side} by {side} and the one "
                       "whose place is asked", "Asked: " + ", ".join(f"picture {k + 1}, {number} ({PLACES[number]})" for k, number in enumerate(asked)),
                       describe.brightness({f"picture {k + 1}": as_floats(each) for k, each in enumerate(images)}))


def palette(colours: torch.Tensor, bins: torch.Tensor, shares: dict[str, torch.Tensor]):
    """The bins of colour in the plane of a and b, as large as they are frequent, beside what that does to a loss.

    Args:
        colours: what each bin looks like, RGB in [0, 1], [Q, 3]. bins: a and b [Q, 2].
        shares: title -> share of each bin [Q], a panel each.
    """
    figure, axes = new_figure(columns=len(shares), width=3.6, height=3.5)
    for axis, (title, share) in zip(axes, shares.items(), strict=True):
        axis.scatter(*bins.T.tolist(), s=(2500 * share + 4).tolist(), c=colours.tolist(), edgecolors="0.5", linewidths=0.4)
        neutral = share[bins.square().sum(dim=1).argmin()]
        axis.set(title=title, xlabel=f"a: green to red\n(the grey bin has {100 * float(neutral):.0f} %)", ylabel="b: blue to yellow")
        axis.set_aspect("equal")
        axis.margins(0.12)
    grey = int(bins.square().sum(dim=1).argmin())
    said = {title: f"the grey one has {describe.percent(share[grey])}, the largest {describe.percent(share.max())} (a {describe.number(bins[share.argmax()][0])}, "
                   f"b {describe.number(bins[share.argmax()][1])}), the smallest {describe.percent(share.min())}" for title, share in shares.items()}
    return figure.says(f"{len(bins)} bins of colour in the plane of a, green to red, and b, blue to yellow, as large as they are frequent",
                       *describe.panels(said))


def confusion(said: torch.Tensor, true: torch.Tensor, names, xlabel: str = "answer"):
    """What is answered where: the share of each answer in each row, and how many are right.

    Args:
        said, true: answers [N], from 0. names: one for each answer.
    """
    count = len(names)
    table = torch.zeros(count, count).index_put_((true, said), torch.ones(len(true)), accumulate=True)
    table = table / table.sum(dim=1, keepdim=True).clamp(min=1)
    figure, (axis,) = new_figure(width=0.55 * count + 1.6, height=0.5 * count + 1.2)
    axis.imshow(table.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row in range(count):
        for column in range(count):
            share = float(table[row, column])
            axis.annotate(f"{100 * share:.0f}", (column, row), ha="center", va="center", fontsize=8,
                          color="white" if share > 0.5 else "0.3")
    axis.set_xticks(range(count), names)
    axis.set_yticks(range(count), names)
    axis.set(xlabel=f"{xlabel}, % of the row", ylabel="truth",
             title=f"{100 * float((said == true).float().mean()):.0f} % right")
    axis.spines[:].set_visible(False)
    wrong = table - table.diag().diag()
    row, column = divmod(int(wrong.argmax()), count)
    worst = f"Most often confused: {names[row]} is called {names[column]} in {describe.percent(wrong[row, column])}" if float(wrong.max()) else ""
    return figure.says(f"Matrix of {xlabel}s by truth: {describe.percent((said == true).float().mean())} are right",
                       describe.extremes({str(name): float(share) for name, share in zip(names, table.diagonal(), strict=True)}, "Right by row", describe.percent),
                       worst)


def by_class(shares: dict[str, dict[str, float]], lines: dict[str, float], xlabel: str):
    """A bar for each class, the highest on top: series -> {class: value}, and lines to compare with."""
    first = next(iter(shares.values()))
    names = sorted(first, key=first.get)
    figure, (axis,) = new_figure(width=6, height=0.3 * len(names) + 1)
    for number, (series, values) in enumerate(shares.items()):
        height = 0.8 / len(shares)
        axis.barh([place + 0.4 - height * (number + 0.5) for place in range(len(names))], [values[name] for name in names],
                  height=height, color=COLOURS[number % len(COLOURS)], label=series)
    axis.set_yticks(range(len(names)), names)
    for name, level in lines.items():
        colour = ROLES.get(name, ("0.4",))[0]
        axis.axvline(level, color=colour, linestyle=":")
        axis.annotate(name, (level, 1.0), xycoords=("data", "axes fraction"), rotation=40, fontsize=8, color=ink(colour))
    axis.set(xlabel=xlabel)
    if len(shares) > 1:
        axis.legend(frameon=False, loc="lower right")
    return figure.says(f"Bars: {xlabel}, by class, the highest on top", *(
        describe.extremes(values, series) if len(values) > 12 else f"{series}: " + ", ".join(f"{name} {describe.number(values[name])}" for name in names[::-1])
        for series, values in shares.items()), describe.levels(lines))
