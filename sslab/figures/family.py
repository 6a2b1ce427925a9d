"""Figures of the joint-embedding family: parts taken away, teachers that remember, prototypes that are chosen."""

import torch

from sslab.datasets.base import as_floats
from sslab.figures import describe
from sslab.figures.pictures import GAP, sheet
from sslab.figures.style import COLOURS, MARKERS, ROLES, ink, new_figure


def ablation(results: dict[str, dict], lines: dict[str, dict[str, float]] | None = None):
    """A row for each variant, a panel for each measurement: what is lost where, at one look.

    Args:
        results: variant -> {measurement: (value, (low, high) or None)}; every variant with the same measurements.
        lines: measurement -> {name: value}, such as the controls.
    """
    names = list(results)[::-1]                                      # the first one on top
    measured = list(next(iter(results.values())))
    figure, axes = new_figure(columns=len(measured), width=3.6, height=0.32 * len(names) + 1)
    for axis, what in zip(axes, measured, strict=True):
        values = [results[name][what][0] for name in names]
        bounds = [results[name][what][1] or (results[name][what][0],) * 2 for name in names]
        errors = [[value - low for value, (low, _) in zip(values, bounds, strict=True)],
                  [high - value for value, (_, high) in zip(values, bounds, strict=True)]]
        axis.errorbar(values, range(len(names)), xerr=errors, fmt="o", capsize=3, color=COLOURS[0])
        for name, level in (lines or {}).get(what, {}).items():
            colour = ROLES.get(name, ("0.5",))[0]
            axis.axvline(level, color=colour, linestyle=":")
            axis.annotate(name, (level, 1.01), xycoords=("data", "axes fraction"), rotation=40, fontsize=8, color=ink(colour))
        axis.set_xlabel(what)
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names))
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.grid(axis="y", alpha=0.3)
        low, high = axis.get_xlim()
        axis.set_xlim(min(0, low), high + 0.05 * (high - low))
    return figure.says(f"Dots with their intervals, a row for each of {len(results)}: {describe.listed(measured)}", describe.table(results),
                       *(describe.levels(named, what) for what, named in (lines or {}).items()))


def switched(history: list[dict], knob: str, what: str = "std", levels: dict[str, float] | None = None):
    """A gauge by step, shaded where a switch was off.

    Args:
        history: rows as `lab.history` has them; a gauge that was not read at a step is None there.
        knob: the switch. what: the gauge, "std" or "effective_rank".
        levels: name -> value, lines to compare with.
    """
    figure, (axis,) = new_figure(width=6, height=3.2)
    read = [row for row in history if row[what] is not None]
    axis.plot([row["step"] for row in read], [row[what] for row in read], "o-", color=COLOURS[0], markersize=4)
    off = [row["step"] for row in history if not row["knobs"][knob]]
    for start in (step for step in off if step - 1 not in off):
        end = start + next(n for n in range(1, len(off) + 1) if start + n not in off)
        axis.axvspan(start, end, color=COLOURS[3], alpha=0.15, linewidth=0)
        axis.annotate(f"{knob} off", ((start + end) / 2, 1), xycoords=("data", "axes fraction"), ha="center", va="top",
                      color=ink(COLOURS[3]), fontsize=9)
    for name, level in (levels or {}).items():
        axis.axhline(level, color="0.4", linestyle=":")
        axis.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4", fontsize=9)
    axis.set(xlabel="step", ylabel={"std": "std of z, times sqrt(D)", "effective_rank": "effective rank of z"}.get(what, what))
    axis.set_ylim(bottom=0)
    last_off = [row for row in read if not row["knobs"][knob]]
    return figure.says(f"Line: {what} by step, shaded where {knob} was off", describe.curve("", [row["step"] for row in read], [row[what] for row in read]),
                       f"It was off for {describe.count(len(off), 'step')}" + (f", from step {off[0]} on" if off else ""),
                       f"Last value while it was off: {describe.number(last_off[-1][what])}" if last_off else "", describe.levels(levels))


def teacher_memory(momenta: tuple[float, ...], wait: int, steps: int = 500):
    """How old a teacher is: the share of it that students of the last n steps gave, (1 - momentum^n).

    Args:
        momenta: of the teachers. wait: how many steps a key stays in the queue, marked. steps: the axis' end.
    """
    figure, (axis,) = new_figure(width=6, height=3.2)
    n = torch.arange(1, steps + 1)
    for colour, momentum in zip(COLOURS, momenta, strict=False):
        axis.semilogx(n, 100 * (1 - float(momentum) ** n.double()), color=colour, label=f"momentum {momentum:g}")
    axis.axvline(wait, color="0.4", linestyle=":")
    axis.annotate(f"a key waits {wait} steps", (wait, 1.01), xycoords=("data", "axes fraction"), color="0.4", fontsize=9,
                  ha="center")
    axis.set(xlabel="students of the last n steps", ylabel="% of the teacher", ylim=(0, 103))
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure.says("Lines: per cent of a teacher that comes from students of the last n steps, by n",
                       f"A key waits {wait} steps; so much of the teacher is younger: " + ", ".join(
                           f"{describe.percent(1 - float(momentum) ** wait)} at momentum {momentum:g}" for momentum in momenta))


def choices(groups: dict[str, torch.Tensor]):
    """How pictures choose among prototypes: the share of all choices that each prototype gets, largest first.

    The legend has two perplexities, numbers of prototypes in use: by one picture, and by all pictures together.

    Args:
        groups: name -> probabilities [N, K], rows sum to 1.
    """
    figure, (axis,) = new_figure(width=6, height=3.4)
    said = []
    for number, (name, p) in enumerate(groups.items()):
        shares = p.float().mean(dim=0)                               # [K]
        one = float(torch.special.entr(p.float()).sum(dim=1).mean().exp())
        together = float(torch.special.entr(shares).sum().exp())
        axis.loglog(range(1, len(shares) + 1), shares.sort(descending=True).values.clamp_min(1e-6),
                    color=COLOURS[number % len(COLOURS)], label=f"{name}: one picture {one:.0f}, together {together:.0f}")
        said.append(f"{name}: one picture chooses among about {one:.0f} of {len(shares)} prototypes, all together use {together:.0f}; "
                    f"the most chosen one gets {describe.percent(shares.max())}")
    axis.axhline(1 / p.shape[1], color="0.4", linestyle=":")
    axis.set(xlabel="prototype, most chosen first", ylabel="share of all choices")
    axis.legend(frameon=False, fontsize=9, title="prototypes in use")
    return figure.says("Lines: the share of all choices that each prototype gets, the most chosen first", *said)


def correlations(matrices: dict[str, torch.Tensor]):
    """Cross-correlation matrices of two views: what the views share is on the diagonal, redundancy off it.

    Args:
        matrices: title -> [D, D].
    """
    figure, axes = new_figure(columns=len(matrices), width=3.8, height=3.9)
    said = {}
    for axis, (title, c) in zip(axes, matrices.items(), strict=True):
        shown = axis.imshow(c.float().numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        rest = c[~torch.eye(len(c), dtype=torch.bool)]
        said[title] = f"mean |c|: diagonal {float(c.diagonal().abs().mean()):.2f}, rest {float(rest.abs().mean()):.2f}"
        axis.set(title=title, xticks=[], yticks=[], ylabel="feature of view 1", xlabel=f"feature of view 2\n{said[title]}")
    figure.colorbar(shown, ax=list(axes), label="correlation", shrink=0.8)
    return figure.says("Matrices of the correlations of two views' features", *describe.panels(said))


def codes(tables: dict[str, torch.Tensor]):
    """What each picture chooses among the prototypes, and below it what each prototype gets in all.

    Args:
        tables: title -> [B, K], rows sum to 1.
    """
    figure, axes = new_figure(columns=len(tables), rows=2, width=2.8, height=2.2)
    for column, (title, table) in enumerate(tables.items()):
        above, below = axes[column], axes[column + len(tables)]
        above.imshow(table.float().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        above.set(title=title, xticks=[], yticks=[], ylabel="picture" if column == 0 else "")
        below.bar(range(table.shape[1]), table.float().sum(dim=0).numpy(), color=COLOURS[0])
        below.axhline(len(table) / table.shape[1], color="0.4", linestyle=":")
        below.set(xlabel="prototype", xticks=[], ylim=(0, len(table)), ylabel="pictures it gets" if column == 0 else "")
    said = {title: f"{describe.count(len(table), 'picture')}, {table.shape[1]} prototypes; the largest share of a choice is "
                   f"{describe.percent(table.amax(dim=1).mean())} on average; a prototype gets {describe.number(table.sum(dim=0).min())} to "
                   f"{describe.number(table.sum(dim=0).max())} pictures" for title, table in tables.items()}
    return figure.says("What each picture chooses among the prototypes, and bars of what each prototype gets", *describe.panels(said))


def crops(images: torch.Tensor, views: tuple[torch.Tensor, ...]):
    """Pictures [N, C, H, W] and the views that multi-crop made of them, each at the size the encoder sees.

    Args:
        views: as `make_views` gives them, [N, C, h, h] each, large ones first.
    """
    side = images.shape[-1]
    columns = [as_floats(images).float(), *views]
    padded = [torch.nn.functional.pad(view, (0, side - view.shape[-1], 0, side - view.shape[-1]), value=1.0) for view in columns]
    grid = torch.stack(padded, dim=1).flatten(0, 1)                  # [N (1 + V), C, H, W]
    figure, (axis,) = new_figure(width=0.75 * len(columns), height=0.75 * len(images) + 0.3)
    names = ["image"] + ["large" if view.shape[-1] == side else "small" for view in views]
    sheet(axis, grid, len(columns), ticks=dict(enumerate(names)))
    axis.axvline(side + 2 * GAP - 0.5, color="0.3", linewidth=1)
    made = [f"{name} {view.shape[-1]} by {view.shape[-1]}" for name, view in zip(names[1:], views, strict=True)]
    return figure.says(f"{describe.count(len(images), 'picture')} of {side} by {side}, and views of each: {describe.listed(made)}",
                       describe.brightness({"the pictures": columns[0], "all views": torch.cat([view.flatten() for view in views])}))


def clusters(images: torch.Tensor, scores: torch.Tensor, prototypes: int = 8, per_row: int = 12):
    """A row of pictures for some prototypes: those nearest to it among the pictures that chose it.

    Shown are prototypes spread evenly from the most chosen to the least chosen one that has any pictures.

    Args:
        images: [N, C, H, W]. scores: cosines [N, K].
    """
    chosen = scores.argmax(dim=1)                                    # [N]
    counts = torch.bincount(chosen, minlength=scores.shape[1])
    order = counts.argsort(descending=True)[: int((counts > 0).sum())]
    order = order[torch.linspace(0, len(order) - 1, min(prototypes, len(order))).round().long()]
    images = as_floats(images).float()
    rows = []
    for k in order:
        own = (chosen == k).nonzero().flatten()
        own = own[scores[own, k].argsort(descending=True)[:per_row]]
        rows.append(torch.cat([images[own], images.new_ones(per_row - len(own), *images.shape[1:])]))
    figure, (axis,) = new_figure(width=0.5 * per_row + 1.2, height=0.5 * len(rows))
    sheet(axis, torch.cat(rows), per_row, [f"chosen by {int(counts[k])}" for k in order])
    drawn = {f"prototype {int(k)}": f"chosen by {int(counts[k])}, the nearest at cosine {describe.number(scores[chosen == k, k].max())}" for k in order}
    return figure.says(f"A row of pictures for {len(rows)} of {scores.shape[1]} prototypes, the nearest ones first",
                       f"{int((counts > 0).sum())} prototypes are chosen by any of {len(images)} pictures",
                       "; ".join(f"{name} is {said}" for name, said in drawn.items()))


def leaderboard(boards: dict[str, dict[str, tuple]], controls: dict[str, dict[str, float]]):
    """Methods by accuracy, a panel for each dataset, all in the order of the first one; the controls are lines.

    Args:
        boards: dataset -> {method: (accuracy, (low, high) or None)}; the same methods in each.
        controls: dataset -> {control: accuracy}.
    """
    first = next(iter(boards.values()))
    names = sorted(first, key=lambda name: first[name][0])           # the best one on top
    figure, axes = new_figure(columns=len(boards), width=3.6, height=0.32 * len(names) + 1.4)
    for axis, (dataset, rows) in zip(axes, boards.items(), strict=True):
        for control, level in controls[dataset].items():
            colour, line, _ = ROLES.get(control, ("0.5", ":", ""))
            axis.axvline(level, color=colour, linestyle=line, label=control)
        for position, name in enumerate(names):
            value, bounds = rows[name]
            low, high = bounds or (value, value)
            axis.plot([low, high], [position, position], color=COLOURS[0], linewidth=2)
            axis.plot(value, position, "o", color=COLOURS[0])
        axis.set(title=dataset, xlabel="accuracy on test images")
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names))
        axis.grid(axis="y", alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(controls[dataset]), frameon=False)
    return figure.says("Dots with their intervals: accuracy on test images of each method", *describe.panels(
        {dataset: f"{describe.dots(rows)}. {describe.levels(controls[dataset])}" for dataset, rows in boards.items()}))


def removals(results: dict[str, dict[str, float]], formats: dict[str, str] | None = None, plain: tuple[str, ...] = ()):
    """A table: each method whole, then without one of its parts. Red is less than the whole method has, blue is more.

    Args:
        results: "SimSiam" or "SimSiam, no predictor" -> {measurement: value}; the part before the comma names the whole.
        formats: measurement -> a Python format, ".2f" if it is left out. plain: measurements that are not coloured.
    """
    names, columns = list(results), list(next(iter(results.values())))
    share = torch.zeros(len(names), len(columns))                    # log2 of value / the whole method's, 0 where that says nothing
    for row, name in enumerate(names):
        whole = results[name.partition(", ")[0]]
        for column, what in enumerate(columns):
            ratio = results[name][what] / whole[what] if whole[what] else 0.0
            if what not in plain and ratio > 0:
                share[row, column] = torch.tensor(ratio).log2()
    figure, (axis,) = new_figure(width=2.9 + 1.15 * len(columns), height=0.27 * len(names) + 0.9)
    shown = axis.imshow(share.clamp(-2, 2).numpy(), cmap="RdBu", vmin=-3, vmax=3, aspect="auto")     # pale: the numbers are read
    for row, name in enumerate(names):
        weight = "normal" if ", " in name else "bold"
        for column, what in enumerate(columns):
            axis.text(column, row, format(results[name][what], (formats or {}).get(what, ".2f")), ha="center", va="center",
                      fontsize=9, fontweight=weight)
        if weight == "bold" and row:
            axis.axhline(row - 0.5, color="0.3", linewidth=0.8)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(names)), names)
    for label in axis.get_yticklabels():
        label.set_fontweight("normal" if ", " in label.get_text() else "bold")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(shown, label="of the whole method's", shrink=0.4, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_ylim(-2, 2)
    bar.ax.set_yticklabels(["a quarter or less", "half", "as much", "twice", "four times or more"])
    shapes = formats or {}
    return figure.says("Table: each method whole, then without one of its parts",
                       describe.table(results, lambda column, value: format(value, shapes.get(column, ".2f")).replace("-", "\N{MINUS SIGN}")))


def gauges(runs: dict[str, tuple[list[dict], dict[str, float]]], dimensions: int):
    """A row for each run: its loss with the levels that mean something, the std and the effective rank of z.

    Args:
        runs: name -> (rows with step, loss, std and effective_rank, the last two None where not read; levels of the loss).
        dimensions: of z, the end of the rank's axis.
    """
    figure, axes = new_figure(columns=3, rows=len(runs), width=3.4, height=1.6)
    for number, (name, (rows, levels)) in enumerate(runs.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 4}
        loss, std, rank = axes[3 * number : 3 * number + 3]
        loss.plot([row["step"] for row in rows], [row["loss"] for row in rows], color=style["color"])
        for level, value in levels.items():
            loss.axhline(value, color="0.4", linestyle=":")
            loss.annotate(level, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4", fontsize=8)
        read = [row for row in rows if row["std"] is not None]
        std.plot([row["step"] for row in read], [row["std"] for row in read], **style)
        rank.plot([row["step"] for row in read], [row["effective_rank"] for row in read], **style)
        std.set_ylim(0, 1.15)
        rank.set(yscale="log", ylim=(0.9, 1.2 * dimensions), yticks=[1, 10, 100], yticklabels=["1", "10", "100"])
        loss.margins(y=0.15)
        loss.set_ylabel(name, fontweight="bold")
        if number == 0:
            for axis, title in zip((loss, std, rank), ("loss", "std of z", "effective rank of z"), strict=True):
                axis.set_title(title)
    for axis in axes[-3:]:
        axis.set_xlabel("step")
    said = {name: "; ".join(describe.curve(what, [row["step"] for row in rows if row[key] is not None], [row[key] for row in rows if row[key] is not None])
                            for what, key in (("loss", "loss"), ("std", "std"), ("effective rank", "effective_rank")))
            + (f". {describe.levels(levels)}" if levels else "") for name, (rows, levels) in runs.items()}
    return figure.says(f"A row for each run, by step: its loss, the std and the effective rank of z, which has {dimensions} dimensions",
                       *(f"{name}: {each}" for name, each in said.items()))
