"""Lessons as pages: today's prose, the student's code, and what one run of the solutions showed."""

import hashlib
import inspect
import re
from pathlib import Path

from sslab.course.build import notebook
from sslab.course.ledger import Ledger
from sslab.course.site.catalogue import frame
from sslab.course.site.markdown import code
from sslab.course.source import Source
from sslab.lab.replay import recordings
from sslab.modes import mode

LAB = re.compile(r"Lab\('(?P<objective>\w+)', '(?P<dataset>[^']+)'\)")
WIDGET = "application/vnd.jupyter.widget-view+json"
RUN = "*The student edition, with what one run of the solutions showed. Exercises are yours: `make lab` opens it.*"
NOT_RUN = "*The student edition. It was not run for this site, so its outputs are missing. `make lab` opens it.*"


def page(lesson: Source, ledger: Ledger, executed=None):
    """The student edition with the outputs of an executed copy.

    Exercises and checks stay without outputs: they would be those of the solutions. A widget is shown by the picture or
    the text beside it, a live lab by recorded runs too, source code by itself (the site colours it), a figure with its description.

    Args:
        lesson: the source.
        ledger: for the numbers in the prose; a missing one reads "(not measured yet)".
        executed: a notebook that `sslab course run --output` wrote; None: no outputs.
    Returns:
        an nbformat notebook.
    Raises:
        ValueError: the executed copy's code is not the lesson's.
    """
    book = notebook(lesson, "student", ledger, draft=True)
    recorded: set[str] = set()
    if executed is not None:
        for cell, run in zip(_code(book), _same_code(lesson, executed), strict=True):
            if not {"exercise", "check", "install"} & set(cell.metadata.get("tags", ())):
                cell.outputs = [shown for output in run.outputs if (shown := _shown(output, run))] + _recorded(run, recorded)
                if alt := next((_alt(output, cell) for output in cell.outputs if "image/png" in output.get("data", {})), ""):
                    cell.metadata["mystnb"] = {"image": {"alt": alt}}
    for cell in book.cells[:1] + [cell for cell in book.cells if "install" in cell.metadata.get("tags", ())]:
        cell.metadata["tags"] = [*cell.metadata.get("tags", ()), "remove-cell"]      # in the download, not on the page
    title, _, rest = book.cells[1].source.partition("\n")
    book.cells[1].source = f"{title}\n\n{RUN if executed is not None else NOT_RUN}\n{rest}"
    return book


def cached(lesson: Source, folder: Path) -> Path:
    """Where the executed copy of a lesson is kept: a file named by what decides its outputs.

    Args:
        lesson: the source.
        folder: of the cache.
    Returns:
        a path whose name has a hash of the solutions' code, the package's version and the mode in force.
    """
    from sslab import __version__

    sources = [cell.source for cell in _code(notebook(lesson, "solutions", Ledger(), draft=True))]
    key = hashlib.sha256("\0".join([__version__, mode(), *sources]).encode()).hexdigest()[:16]
    return folder / f"{lesson.slug}-{key}.ipynb"


def _code(book) -> list:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def _same_code(lesson: Source, executed) -> list:
    """The executed copy's code cells, if they are the lesson's: the install cell may differ, it does nothing here."""
    wanted, found = _code(notebook(lesson, "solutions", Ledger(), draft=True)), _code(executed)
    differ = [index for index, (ours, theirs) in enumerate(zip(wanted, found, strict=False))
              if ours.source.strip() != theirs.source.strip() and "install" not in ours.metadata.get("tags", ())]
    if len(wanted) != len(found) or differ:
        where = f"code cell {differ[0] + 1} differs" if differ else f"{len(found)} code cells, not {len(wanted)}"
        raise ValueError(f"{lesson.slug}: the executed copy is of another source ({where}): run it again")
    return found


def _shown(output, cell):
    """One output as the site shows it; None for what needs a kernel and has something beside it that does not."""
    from nbformat import from_dict

    if output.output_type not in ("display_data", "execute_result"):
        return output
    data = dict(output.data)
    if WIDGET in data and not {"image/png", "text/html"} & set(data) and len(cell.outputs) > 1:
        return None                                                  # the still picture below says more
    if cell.source.startswith("show_source("):
        return from_dict({**output, "data": {"text/markdown": code(data["text/plain"])}})
    if "image/png" in data:
        return from_dict({**output, "data": {kind: data[kind] for kind in ("image/png", "text/plain") if kind in data}})
    return from_dict({**output, "data": {kind: value for kind, value in data.items() if kind not in (WIDGET, "text/latex")}})


def _recorded(run, done: set[str]) -> list:
    """Recorded runs of the objective whose live lab a cell shows, the first time: one drags through them without a kernel."""
    from nbformat import from_dict

    lab = next((found for output in run.outputs if (found := LAB.match(output.get("data", {}).get("text/plain", "")))), None)
    runs = [dataset for _, dataset, _ in recordings(lab["objective"])] if lab else []
    if not runs or lab["objective"] in done:
        return []
    done.add(lab["objective"])
    dataset = lab["dataset"] if lab["dataset"] in runs else runs[0]
    says = f"<p>The lab needs a kernel. These runs on {dataset} were recorded, as it comes and broken: drag through the steps.</p>"
    return [from_dict({"output_type": "display_data", "metadata": {}, "data": {"text/html": says + frame(lab["objective"], dataset)}})]


def _alt(output, cell) -> str:
    """A picture's description: its own, else the text beside it, else what its function says that it draws."""
    if own := output.get("metadata", {}).get("image/png", {}).get("alt"):
        return own
    beside = output["data"].get("text/plain", "")
    if beside and not beside.startswith("<"):
        return beside
    from sslab import figures

    drawn = re.findall(r"\bfigures\.(\w+)\(", cell.source)
    says = inspect.getdoc(getattr(figures, drawn[-1], None)) if drawn else None
    return re.split(r"\n\s*\n", says)[0].replace("\n", " ").replace("`", "") if says else "A figure made by the code above."
