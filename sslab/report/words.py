"""An examination in sentences."""

from collections.abc import Iterable

from sslab.report.examination import Cell, Examination, Table


def findings(found: Examination) -> list[str]:
    """What the numbers say, each with its interval; where an interval holds 0, that no difference was shown."""
    features, sees = found.diagnosis["features"], found.diagnosis.get("what the loss sees")
    lines = [f"What the loss sees: {sees['text']}"] if sees else []
    lines.append(f"The encoder's features use about {features['effective_rank']:.0f} of {features['dimensions']} directions.")
    for table in found.tables:
        lines += [line for column in table.columns if (line := _of_column(table, column))]
    lines += found.remarks
    if found.copies is not None:
        lines.append(_of_copies(found.copies, found.on))
    if skipped := getattr(found.dataset, "skipped", ()):
        lines.append(f"{len(skipped):,} file{'s' * (len(skipped) > 1)} could not be used: see below.")
    return lines


def _of_column(table: Table, column: str) -> str:
    """With 5 labels: 61 % [58, 64], 9 points [5, 13] above the best control, raw pixels."""
    name = next(iter(table.rows))
    ours = table.rows[name].get(column)
    against = table.against(column)
    if ours is None or against is None:
        return ""
    control, gap = against
    better, worse = ("above", "below") if table.higher else ("better than", "worse than")
    low, high = gap.interval or (gap.mean, gap.mean)
    distance = gap if gap.mean >= 0 else Cell(-gap.mean, None if gap.interval is None else (-high, -low))
    if gap.interval is not None and low <= 0 <= high:
        verdict = f"no clear difference from the best control, {control} ({number(gap, table.percent, signed=True, points=True)})"
    else:
        verdict = f"{number(distance, table.percent, points=True)} {better if gap.mean >= 0 else worse} the best control, {control}"
    return f"{column[0].upper() if column[1:] == column[1:].lower() else column[0]}{column[1:]}: {number(ours, table.percent)}, {verdict}."


def _of_copies(copies: dict[str, int], on: str) -> str:
    if not copies["copies"]:
        return f"No picture of {on} was found in the training part, as it is or nearly."
    have = "has" if copies["copies"] == 1 else "have"
    return (f"{copies['copies']:,} of {copies['of']:,} {on} pictures {have} a near copy in the training part. On these, remembering is enough: "
            f"an accuracy may be too good by up to {100 * copies['copies'] / copies['of']:.1f} points.")


def number(cell: Cell, percent: bool, signed: bool = False, points: bool = False) -> str:
    """61 % [58, 64], 9 points [5, 13], or 2.31 [2.28, 2.34]."""
    scale, digits = (100, 0) if percent else (1, 3)
    if percent and cell.mean and abs(cell.mean) < 0.01:
        digits = 1
    sign = "+" if signed else ""
    text = f"{scale * cell.mean:{sign}.{digits}f}"
    text += " points" if percent and points else " %" if percent else " bits" if points else ""
    if cell.interval is not None:
        low, high = cell.interval
        if percent and not points:                                   # a t-interval knows no bounds, a share does
            low, high = max(low, 0.0), min(high, 1.0)
        text += f" [{', '.join(_rounded(scale * end, digits) for end in (low, high))}]"
    return text


def _rounded(value: float, digits: int) -> str:
    """Without a minus before 0."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def grouped(skipped: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Skipped files by reason, the most frequent first; numbers in a reason do not make it another one."""
    import re

    found: dict[str, list[str]] = {}
    for name, reason in skipped:
        found.setdefault(re.sub(r"\d[\d,.]*", "…", reason), []).append(name)
    return sorted(found.items(), key=lambda item: -len(item[1]))
