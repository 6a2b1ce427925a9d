"""What a figure shows, in words and from its data: the text that stands in for the picture where it cannot be seen.

Every function of `sslab.figures` gives its figure a description with `figure.says(...)`; what is here makes its sentences.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.figure import Figure

FEW = 6                                                              # points that are said one by one
CELLS, BOUNDED = 40, 20                                              # cells of a table that are said one by one, with their intervals

Bounds = tuple[float, float] | None


class Described(Figure):
    """A figure with its `description`, which a notebook shows as the alternative text of the picture."""

    description = ""

    def says(self, *sentences: str) -> "Described":
        """Set the description; empty sentences are left out, and each ends with a full stop."""
        ended = (sentence if sentence[-1] in ".?!" else f"{sentence}." for sentence in sentences if sentence)
        self.description = " ".join(ended)
        return self

    def _ipython_display_(self) -> None:
        """One output: the picture as HTML, since no front end reads an alternative text elsewhere; as PNG for tools; as text."""
        from IPython.display import display

        picture, about = _png(self)
        alt = html.escape(self.description)
        size = "".join(f' {side}="{about[side]}"' for side in ("width", "height") if side in about)
        display({"text/html": f'<img alt="{alt}" src="data:image/png;base64,{picture}"{size}>', "image/png": picture,
                 "text/plain": self.description or repr(self)},
                metadata={"image/png": {**about, "alt": self.description}}, raw=True)


def _png(figure: Figure) -> tuple[str, dict]:
    """The picture in base64 and what is known of its size, as the notebook's own settings would draw it."""
    from IPython import get_ipython
    from IPython.core.pylabtools import print_figure

    shell = get_ipython()
    drawn = shell.display_formatter.formatters["image/png"](figure) if shell else None
    drawn = drawn or print_figure(figure, base64=True)
    picture, about = drawn if isinstance(drawn, tuple) else (drawn, {})
    return picture.replace("\n", ""), about or {}


# ---- numbers


def number(value: float) -> str:
    """Three digits, with a minus sign that is read aloud."""
    value = float(value)
    if math.isnan(value):
        return "not a number"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share from 0 to 1 in per cent."""
    share = 100 * float(share)
    return f"{number(round(share) if abs(share) >= 10 else round(share, 1))} %"


def with_bounds(value: float, bounds: Bounds) -> str:
    """0.8 (0.7 to 0.9)."""
    return number(value) + (f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else "")


def count(many: int, thing: str) -> str:
    """1 row, 2 rows."""
    return f"{many:,} {thing}{'' if many == 1 else 's'}"


# ---- sentences


def listed(names: Iterable) -> str:
    """a, b and c."""
    names = [" ".join(str(name).split()) for name in names]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def points(name: str, values: Mapping[object, tuple[float, Bounds]]) -> str:
    """What was measured where: each point if they are few, else as `curve` says it.

    Args:
        values: place -> (value, (low, high) or None).
    """
    if len(values) > FEW:
        return curve(name, list(values), [value for value, _ in values.values()])
    said = ", ".join(f"{with_bounds(value, bounds)} at {_place(x)}" for x, (value, bounds) in values.items())
    return f"{_named(name)}{said or 'nothing'}"


def curve(name: str, x: Sequence, y: Sequence[float]) -> str:
    """Where a curve begins, where it ends, and its extremes where they lie between."""
    read = [(a, float(b)) for a, b in zip(x, y, strict=True) if b is not None and not math.isnan(float(b))]
    if not read:
        return f"{_named(name)}nothing was measured"
    if len(read) == 1:
        return f"{_named(name)}{number(read[0][1])} at {_place(read[0][0])}"
    (first, begins), (last, ends) = read[0], read[-1]
    said = f"{_named(name)}{'from' if name else 'From'} {number(begins)} at {_place(first)} to {number(ends)} at {_place(last)}"
    lowest, highest = min(read, key=lambda each: each[1]), max(read, key=lambda each: each[1])
    if lowest[1] < min(begins, ends):
        said += f", lowest {number(lowest[1])} at {_place(lowest[0])}"
    if highest[1] > max(begins, ends):
        said += f", highest {number(highest[1])} at {_place(highest[0])}"
    return said


def levels(lines: Mapping[str, float] | None, of: str = "") -> str:
    """The lines to compare with."""
    said = ", ".join(f"{name} {number(level)}" for name, level in (lines or {}).items())
    return f"Lines to compare {f'{of} ' if of else ''}with: {said}" if said else ""


def dots(values: Mapping[str, tuple[float, Bounds]]) -> str:
    """One value a name, with its interval."""
    return "; ".join(f"{_flat(name)} {with_bounds(*value)}" for name, value in values.items())


def order(values: Mapping[str, float], what: str = "") -> str:
    """Names from the highest value to the lowest; nothing where there is only one."""
    if len(values) < 2:
        return ""
    names = sorted(values, key=lambda name: -values[name])
    return f"From high to low{f' {what}' if what else ''}: {', '.join(map(_flat, names))}"


def extremes(values: Mapping[str, float], what: str, write=number) -> str:
    """The highest and the lowest of some named values."""
    if not values:
        return ""
    high, low = max(values, key=values.get), min(values, key=values.get)
    if high == low:
        return f"{what}: {write(values[high])} ({_flat(high)})"
    return f"{what}: from {write(values[low])} ({_flat(low)}) to {write(values[high])} ({_flat(high)})"


def table(rows: Mapping[str, Mapping[str, float | tuple[float, Bounds]]], write=None) -> str:
    """Rows of values: each cell if they are few, else the ends of each column.

    Args:
        rows: row -> {column: value, or (value, (low, high) or None)}.
        write: (column, value) -> how it is written.
    """
    write = write or (lambda column, value: number(value))
    cells = {row: {column: cell if isinstance(cell, tuple) else (cell, None) for column, cell in columns.items()}
             for row, columns in rows.items()}
    many = sum(map(len, cells.values()))

    def said(column: str, value: float, bounds: Bounds) -> str:
        between = f" ({write(column, bounds[0])} to {write(column, bounds[1])})" if bounds and many <= BOUNDED else ""
        return f"{_flat(column)} {write(column, value)}{between}"

    if many <= CELLS:
        return "; ".join(f"{_flat(row)}: " + ", ".join(said(column, *cell) for column, cell in columns.items()) for row, columns in cells.items())
    by_column: dict[str, dict[str, float]] = {}
    for row, columns in cells.items():
        for column, (value, _) in columns.items():
            by_column.setdefault(column, {})[row] = value
    ends = (extremes(column, _flat(name), lambda value, name=name: write(name, value)) for name, column in by_column.items())
    return f"Rows: {', '.join(map(_flat, rows))}. " + "; ".join(ends)


def panels(said: Mapping[str, str]) -> list[str]:
    """A sentence for each panel, with its title in front where there are several."""
    return [f"{_flat(title)}: {text}" if title and len(said) > 1 else text for title, text in said.items()]


# ---- pictures and points


def brightness(rows: Mapping[str, torch.Tensor], what: str = "Mean brightness, 0 black and 1 white") -> str:
    """How bright each row of pictures [N, C, H, W] is, floats in [0, 1]."""
    return extremes({name: float(images.float().mean()) for name, images in rows.items()}, what)


def differences(rows: Mapping[str, torch.Tensor], images: torch.Tensor, what: str) -> str:
    """Mean squared difference of each row of pictures from the same pictures [N, C, H, W]."""
    found = {name: float((row.float() - images.float()).square().mean()) for name, row in rows.items()}
    if len(found) > FEW:
        return extremes(found, what)
    return f"{what}: " + ", ".join(f"{_flat(name)} {number(value)}" for name, value in found.items()) if found else ""


def apart(flat: torch.Tensor, labels: torch.Tensor, names: Sequence[str]) -> str:
    """Whether classes lie apart in the plane [N, 2]: how many points have one of their own class as the nearest one."""
    if len(flat) < 2:
        return count(len(flat), "point")
    distance = torch.cdist(flat.float(), flat.float())
    same = labels[distance.fill_diagonal_(math.inf).argmin(dim=1)] == labels           # [N]
    by_class = {names[label] if label < len(names) else str(label): float(same[labels == label].float().mean())
                for label in sorted(set(labels.tolist()) - {-1})}
    return (f"the nearest point is of the same class for {percent(same.float().mean())} of {count(len(flat), 'point')}"
            + (f", {extremes(by_class, 'by class', percent)}" if len(by_class) > 1 else ""))


def _named(name) -> str:
    return f"{_flat(name)}: " if name != "" else ""


def _flat(text) -> str:
    """On one line."""
    return " ".join(str(text).split())


def _place(x) -> str:
    return number(x) if isinstance(x, int | float) or hasattr(x, "item") else _flat(x)
