"""Figures of reconstruction: what comes back, what is made up, and the ways between."""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sslab.datasets.base import as_floats
from sslab.figures import describe
from sslab.figures.pictures import GAP, sheet
from sslab.figures.style import COLOURS, new_figure

INCH = 0.62                                                          # of a picture in a row


def _stacked(groups: Iterable[Tensor]) -> Tensor:
    """Groups of pictures one after the other, whatever their types and devices: floats [N, C, H, W]."""
    return torch.cat([as_floats(images.detach().cpu()).float() for images in groups])


def reconstructions(rows: dict[str, Tensor], errors: dict[str, float] | None = None):
    """The same pictures row by row: as they are, spoiled, given back by one model and by another.

    Args:
        rows: name -> pictures [N, C, H, W], as `objective.pictures` gives them; picture i is the same in every row.
        errors: name -> mean squared error, written beside the name.
    """
    names = [f"{name}\nerror {errors[name]:.4f}" if name in (errors or {}) else name for name in rows]
    count = len(next(iter(rows.values())))
    figure, (axis,) = new_figure(width=INCH * count + 1.6, height=INCH * len(rows) + 0.2)
    sheet(axis, _stacked(rows.values()), count, names)
    first, *others = rows
    whole = _stacked([rows[first]])
    said = {name: f"{name}, error {describe.number(errors[name])}" if name in (errors or {}) else name for name in rows}
    return figure.says(f"The same {describe.count(count, 'picture')} in {len(rows)} rows: {describe.listed(said.values())}",
                       describe.differences({name: _stacked([rows[name]]) for name in others}, whole, f"Mean squared difference from {first}"))


def generated(groups: dict[str, Tensor], columns: int = 8, shares: dict[str, float] | None = None):
    """Real pictures beside pictures that models made up, a panel each.

    Args:
        groups: name -> pictures [N, C, H, W]. columns: of a panel.
        shares: name -> share of pictures that a classifier is sure of, written above the panel.
    """
    rows = max(-(-len(images) // columns) for images in groups.values())
    figure, axes = new_figure(columns=len(groups), width=0.36 * columns + 0.3, height=0.36 * rows + 0.7)
    for axis, (name, images) in zip(axes, groups.items(), strict=True):
        sheet(axis, images.detach().cpu(), columns)
        sure = f"\nclassifier sure of {100 * shares[name]:.0f} %" if name in (shares or {}) else ""
        axis.set_title(name + sure, fontsize=10)
    said = {name: f"{describe.count(len(images), 'picture')}, mean brightness {describe.number(_stacked([images]).mean())}"
                  + (f", a classifier is sure of {describe.percent(shares[name])}" if name in (shares or {}) else "") for name, images in groups.items()}
    return figure.says("Panels of pictures, real or made up", *(f"{name}: {each}" for name, each in said.items()))


def interpolation(rows: dict[str, Tensor]):
    """The way from one picture to another, a row each: in z, or pixel by pixel to compare.

    Args:
        rows: name -> pictures [steps, C, H, W], the ends first and last.
    """
    steps = len(next(iter(rows.values())))
    figure, (axis,) = new_figure(width=INCH * steps + 1.2, height=INCH * len(rows) + 0.6)
    sheet(axis, _stacked(rows.values()), steps, list(rows),
          {0: "0", steps // 2: f"{steps // 2 / (steps - 1):.2g}", steps - 1: "1"})
    axis.set_xlabel("share of the way")
    moves = {name: (_stacked([each])[1:] - _stacked([each])[:-1]).square().mean(dim=(1, 2, 3)) for name, each in rows.items()}    # [steps - 1]
    return figure.says(f"The way from one picture to another in {steps} pictures, a row each: {describe.listed(rows)}",
                       *(f"{name}: mean squared change from one to the next {describe.number(each.min())} to {describe.number(each.max())}"
                         for name, each in moves.items()))


def traversal(rows: dict[int, Tensor], values: Sequence[float]):
    """One latent at a time, from low to high, the others as they are.

    Args:
        rows: latent -> pictures [len(values), C, H, W], as `vae.traverse` gives them.
        values: of the latent, one for each column.
    """
    figure, (axis,) = new_figure(width=INCH * len(values) + 0.9, height=INCH * len(rows) + 0.6)
    sheet(axis, _stacked(rows.values()), len(values),
          [f"z{latent}" for latent in rows], {column: f"{value:g}" for column, value in enumerate(values)})
    axis.set_xlabel("value of the latent")
    change = {f"z{latent}": float((_stacked([each])[-1] - _stacked([each])[0]).square().mean()) for latent, each in rows.items()}
    return figure.says(f"{describe.count(len(rows), 'latent')}, a row each, from {describe.number(values[0])} to {describe.number(values[-1])}",
                       describe.order(change, "by how much they change the picture"),
                       describe.extremes(change, "Mean squared difference of the row's ends"))


def denoising_steps(start: Tensor, steps: list[Tensor], shown: int = 9):
    """What a denoiser says step by step, a row for each picture it starts from.

    Args:
        start: pictures [N, C, H, W]. steps: as `objective.denoise_steps` gives them.
        shown: how many steps, spread evenly from the first to the last.
    """
    shown = min(shown, len(steps))
    chosen = sorted({round(float(place)) for place in torch.linspace(0, len(steps) - 1, shown)})
    columns = [start, *(steps[step] for step in chosen)]
    grid = _stacked(columns).unflatten(0, (len(columns), -1)).transpose(0, 1).flatten(0, 1)   # [N (1 + S), C, H, W]
    figure, (axis,) = new_figure(width=INCH * len(columns) + 0.3, height=INCH * len(start) + 0.6)
    sheet(axis, grid, len(columns), (), {0: "start", **{place + 1: str(step + 1) for place, step in enumerate(chosen)}})
    axis.axvline(start.shape[-1] + 2 * GAP - 0.5, color="0.3", linewidth=1)
    axis.set_xlabel("step")
    ways = [_stacked([each]) for each in columns]
    change = [float((b - a).square().mean()) for a, b in itertools.pairwise(ways)]
    return figure.says(f"{describe.count(len(start), 'picture')}, a row each, and what the denoiser says at steps {describe.listed(step + 1 for step in chosen)}",
                       describe.curve("Mean squared change from the column before", [step + 1 for step in chosen], change))


def latents_in_use(bits: dict[str, Tensor]):
    """How many nats each latent says of a picture on average, most first: a collapsed one says none.

    Args:
        bits: name -> KL divergence of each latent [L], mean over pictures.
    """
    figure, (axis,) = new_figure(width=5, height=3)
    for number, (name, nats) in enumerate(bits.items()):
        values = nats.float().sort(descending=True).values
        axis.plot(range(1, len(values) + 1), values, "o-", markersize=4, color=COLOURS[number % len(COLOURS)],
                  label=f"{name}: {float(values.sum()):.1f} nats in all")
    axis.set(xlabel="latent, most used first", ylabel="nats a picture")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    said = (f"{name}: {float(nats.sum()):.1f} nats in all, {int((nats > 0.1).sum())} of {len(nats)} latents above 0.1, the most used {describe.number(nats.max())}"
            for name, nats in bits.items())
    return figure.says("Lines: nats that each latent says of a picture, the most used first", *said)
