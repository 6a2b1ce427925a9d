"""The page: one HTML file with everything in it, that prints on one or two sheets of A4."""

import base64
import html
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslab.report.examination import Examination, Table, png
from sslab.report.words import grouped, number

NAMED = 3                                                            # skipped files that are named for each reason
REASONS = 5                                                          # reasons that are printed
LISTED = 2000                                                        # skipped files in the full list, which is not printed

STYLE = """
.sslab-report { font: 10pt/1.35 system-ui, sans-serif; max-width: 186mm; padding: 2mm;
  color-scheme: light; background: #fff; color: #111; }              /* paper, in a dark notebook too */
.sslab-report h1, .sslab-report h2 { color: inherit; }
.sslab-report h1 { font-size: 16pt; margin: 0 0 1mm; }
.sslab-report h2 { font-size: 11.5pt; margin: 3.5mm 0 1mm; border-bottom: 0.3mm solid #999; break-after: avoid; }
.sslab-report p, .sslab-report ul { margin: 0 0 1.5mm; }
.sslab-report ul { padding-left: 5mm; }
.sslab-report table { border-collapse: collapse; margin: 1mm 0; break-inside: avoid; font-variant-numeric: tabular-nums; }
.sslab-report th, .sslab-report td { padding: 0.6mm 3mm 0.6mm 0; text-align: left; font-weight: normal; vertical-align: top; }
.sslab-report thead th { border-bottom: 0.2mm solid #999; }
.sslab-report tbody tr:first-child { font-weight: bold; }
.sslab-report tbody tr:first-child th { font-weight: bold; }
.sslab-report figure { margin: 1mm 0; break-inside: avoid; }
.sslab-report img { max-width: 100%; height: auto; background: #fff; }
.sslab-report .small { font-size: 8.5pt; color: #555; overflow-wrap: anywhere; }
.sslab-report .card > div { display: contents; }
.sslab-report .card { display: grid; grid-template-columns: max-content 1fr; gap: 0 3mm; overflow-wrap: anywhere; }
"""
PAGE_STYLE = """
:root { color-scheme: light; }
.sslab-report { padding: 0; }
body { margin: 8mm auto; padding: 0 6mm; max-width: 186mm; background: #fff; color: #111; }
@page { size: A4; margin: 12mm; }
@media print {
  body { margin: 0; padding: 0; max-width: none; }
  .sslab-report { font-size: 9pt; max-width: none; }
  .sslab-report .small { font-size: 7.5pt; }
  .sslab-report details { display: none; }
  .sslab-report img { max-height: 60mm; }
}
"""


def write(found: Examination, path: str | os.PathLike, history: Sequence[Mapping[str, Any]] = (),
          settings: Mapping[str, Any] | None = None, levels: Mapping[str, float] | None = None) -> Path:
    """Write the report of an examination: one HTML file that needs nothing else. To get a PDF, print it from a browser.

    Args:
        found: from `examine`.
        path: a new file, such as "report.html". Nothing is overwritten.
        history: a row a step with "step" and "loss", as `lab.history` or metrics.jsonl has them: for the curves.
        settings: name -> value, what was trained and how; `report.settings(lab)` makes them.
        levels: lines for the loss plot, as `objective.reference_levels()` gives them.
    Returns:
        the path.
    Raises:
        FileExistsError: there is a file of this name.
        ValueError: path is in a folder that is not there.
    """
    path = Path(path).expanduser()
    check_path(path)
    body = fragment(found, history, settings, levels)
    title = html.escape(f"{found.title} on {found.dataset.card.title}")
    text = ("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{title}</title>\n<style>{PAGE_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n")
    content = text.encode("utf-8", "backslashreplace")               # names of files may be no text at all
    with open(path, "xb") as file:                                   # x: never one that is there
        try:
            file.write(content)
            file.flush()
        except OSError:                                              # a full disk
            path.unlink(missing_ok=True)
            raise
    return path


def check_path(path: str | os.PathLike) -> None:
    """Refuse a path that `write` would refuse.

    Raises:
        FileExistsError, ValueError: as in `write`.
    """
    path = Path(path).expanduser()
    if os.path.lexists(path):
        raise FileExistsError(f"path: {path} is there already and is not overwritten; takes a new name")
    if not path.parent.is_dir():
        raise ValueError(f"path: got {str(path)!r}, takes a file in a folder that is there; {str(path.parent)!r} is not")


def settings(source) -> dict[str, Any]:
    """What was trained and how, name -> value, for `write`.

    Args:
        source: a Lab, or what run.json of `sslab train` holds.
    """
    import sslab

    if isinstance(source, Mapping):
        asked, made = source["asked"], source.get("made") or {}
        options = {"objective": asked["objective"], "data": asked["data"], **asked["data_options"], "seed": asked["seed"],
                   **asked["options"], **asked["knobs"], **_plain(made)}
        return options | _plain(made.get("versions") or {})
    run = source.run
    changed = {name: value for name, value in source.objective.values().items() if value != run.defaults.get(name)}
    import torch

    return {"objective": source.title, "data": source.dataset_name, **_plain(run.options), "steps taken": len(run.rows),
            **{f"{name} (changed)": value for name, value in changed.items()}, "seconds": round(run.seconds, 1),
            "torch": torch.__version__, "sslab": sslab.__version__}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, str | int | float | bool) and value not in ("", None)}


# ---- the parts


def fragment(found: Examination, history: Sequence[Mapping[str, Any]] = (), settings: Mapping[str, Any] | None = None,
             levels: Mapping[str, float] | None = None) -> str:
    """The report as a piece of HTML, as a notebook shows it."""
    return "\n".join(filter(None, [
        f"<style>{STYLE}</style>\n<div class=\"sslab-report\">", _head(found), _findings(found), *map(_table, found.tables),
        _neighbours(found), _samples(found), _curves(history, levels or {}), _diagnosis(found), _data(found), _skipped(found),
        _settings(found, settings or {}), _limits(found), "</div>"]))


def _head(found: Examination) -> str:
    made = time.strftime("%Y-%m-%d %H:%M")
    return (f"<h1>{_e(found.title)} on {_e(found.dataset.card.title)}</h1>"
            f"<p class=\"small\">{_e(found.dataset._summary())}. Measured on {_e(found.on)}. Made by sslab, {made}.</p>")


def _findings(found: Examination) -> str:
    return "<h2>What was found</h2>" + _list(found.findings)


def _table(table: Table) -> str:
    head = "".join(f"<th scope=\"col\">{_e(column)}</th>" for column in ("", *table.columns))
    rows = "".join(
        f"<tr><th scope=\"row\">{_e(name)}</th>"
        + "".join(f"<td>{_e(number(row[column], table.percent)) if column in row else '–'}</td>" for column in table.columns) + "</tr>"
        for name, row in table.rows.items())
    return (f"<h2>{_e(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p class=\"small\">{_e(table.note)}</p>")


def _neighbours(found: Examination) -> str:
    if "neighbours" not in found.pictures:
        return ""
    return ("<h2>Nearest neighbours</h2>"
            + _image(found.pictures["neighbours"], "Pictures drawn at random, and what lies nearest to each in some spaces")
            + "<p class=\"small\">The first column is drawn at random, not chosen. To its right: what lies nearest to it.</p>")


def _samples(found: Examination) -> str:
    if not found.samples:
        return ""
    return "<h2>What it says</h2>" + _card(found.samples)


def _curves(history: Sequence[Mapping[str, Any]], levels: Mapping[str, float]) -> str:
    rows = [row for row in history if row.get("loss") is not None]
    if len(rows) < 2:
        return ""
    return "<h2>Training</h2>" + _image(png(curves(rows, levels)), "The loss by step, and the effective rank of what the loss sees")


def curves(rows: Sequence[Mapping[str, Any]], levels: Mapping[str, float]):
    """The loss with its levels, and beside it the effective rank where it was measured."""
    from sslab.figures.style import COLOURS, new_figure

    ranks = [(row["step"], value) for row in rows if (value := _rank(row)) is not None]
    figure, axes = new_figure(columns=2 if ranks else 1, width=4.2, height=2.0)
    axes[0].plot([row["step"] for row in rows], [row["loss"] for row in rows], color=COLOURS[0], linewidth=1)
    for name, level in levels.items():
        axes[0].axhline(level, color="0.4", linestyle=":")
        axes[0].annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4", fontsize=8)
    axes[0].set(xlabel="step", ylabel="loss")
    if ranks:
        axes[1].plot(*zip(*ranks, strict=True), color=COLOURS[2], linewidth=1.5)
        axes[1].set(xlabel="step", ylabel="effective rank", ylim=(0, None))
    return figure


def _rank(row: Mapping[str, Any]) -> float | None:
    """Of a row of `lab.history`, or of metrics.jsonl."""
    gauges = row.get("gauges") or {}
    return row["effective_rank"] if row.get("effective_rank") is not None else gauges.get("effective_rank")


def _diagnosis(found: Examination) -> str:
    rows = {name: f"{one['kind']}; std {one['std']:.2f} (1: spread over the sphere, 0: all the same), effective rank "
                  f"{one['effective_rank']:.1f} of {one['dimensions']}; from {one['samples']:,} samples" for name, one in found.diagnosis.items()}
    return "<h2>Diagnosis</h2>" + _card(rows)


def _data(found: Examination) -> str:
    return "<h2>Data</h2>" + _card(dict(found.dataset.card._rows()))


def _skipped(found: Examination) -> str:
    skipped = getattr(found.dataset, "skipped", ())
    if not skipped:
        return ""
    groups = grouped(skipped)
    lines = []
    for reason, names in groups[:REASONS]:
        more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        lines.append(f"{len(names):,}: {reason} ({', '.join(names[:NAMED])}{more})")
    if len(groups) > REASONS:
        lines.append(f"{sum(len(names) for _, names in groups[REASONS:]):,} for other reasons")
    rest = f"<li>and {len(skipped) - LISTED:,} more</li>" if len(skipped) > LISTED else ""
    full = "".join(f"<li>{_e(name)}: {_e(reason)}</li>" for name, reason in skipped[:LISTED]) + rest
    return (f"<h2>Skipped</h2>{_list(lines)}<details class=\"small\"><summary>All {len(skipped):,}</summary><ul>{full}</ul></details>")


def _settings(found: Examination, settings: Mapping[str, Any]) -> str:
    made = found.architecture
    rows = {"encoder": f"{made['encoder']}, {made['parameters']:,} parameters, {made['dim']} features", **settings}
    text = "; ".join(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in rows.items())
    return f"<h2>Settings</h2><p class=\"small\">{_e(text)}.</p>"


def _limits(found: Examination) -> str:
    return "<h2>What this does not say</h2>" + _list(found.limits)


def _card(rows: Mapping[str, str]) -> str:
    """Names and what they are: a line each where a front end drops the style, in columns where it does not."""
    lines = "".join(f"<div><i>{_e(name)}:</i> <span>{_e(text)}</span></div>" for name, text in rows.items())
    return f"<div class=\"card\">{lines}</div>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_e(line)}</li>" for line in lines) + "</ul>"


def _image(content: bytes, says: str) -> str:
    return f"<figure><img alt=\"{_e(says)}\" src=\"data:image/png;base64,{base64.b64encode(content).decode()}\"></figure>"


def _e(text: Any) -> str:
    return html.escape(str(text))
