"""The course at a glance with its times, and the guides of docs/."""

import os
import re
from pathlib import Path

from sslab.course.badges import repository
from sslab.course.ledger import Ledger
from sslab.course.run import LIMITS
from sslab.course.site.markdown import table
from sslab.course.source import Source

MINUTES = re.compile(r"^## .*\((\d+) minutes?\)\s*$", re.MULTILINE)
ROW = re.compile(r"^\| (\d\d_\w+) \| (.*?) \|$", re.MULTILINE)


def course(lessons: list[Source], ledger: Ledger, readme: str) -> str:
    """The table of all lessons: what each teaches, and the time it takes a student and a machine.

    Args:
        lessons: the sources.
        ledger: NN/time/cpu and NN/time/gpu are the times of the machine.
        readme: the text of README.md, whose table says what each lesson teaches.
    """
    teaches, rows, took = dict(ROW.findall(readme)), [], {"cpu": [], "gpu": []}
    for lesson in lessons:
        text = "\n\n".join(cell.text for cell in lesson.cells if cell.kind == "markdown")
        title = lesson.cells[0].text.splitlines()[0].lstrip("# ")
        times = {kind: ledger.records.get(f"{lesson.number}/time/{kind}") for kind in took}
        for kind, record in times.items():
            took[kind] += [record] if record else []
        exercises = sum("exercise" in cell.tags for cell in lesson.cells)
        rows.append([f"[{title}](lessons/{lesson.slug}.ipynb)", teaches.get(lesson.slug, ""), str(sum(map(int, MINUTES.findall(text)))),
                     str(exercises), *(_clock(record.value) if record else "" for record in times.values())])
    total = [sum(int(row[column]) for row in rows) for column in (2, 3)]
    rows.append([f"**all {len(rows)}**", "", *map(str, total), *(_clock(sum(record.value for record in each)) if each else ""
                                                                 for each in took.values())])
    heads = ["lesson", "teaches", "your minutes", "exercises", "machine, two CPU cores", "machine, GPU"]
    columns = slice(None) if took["gpu"] else slice(-1)
    return "\n\n".join(["# The course", ("Each lesson is a notebook with the same way through it: predict, see the data, read the "
                        "objective, run it live, explain what came out, break it, exercises. Begin with the first, then 07, then "
                        "any."), table(heads[columns], [row[columns] for row in rows]), _how(took["cpu"], len(lessons))]) + "\n"


def _how(records: list, lessons: int) -> str:
    limits = LIMITS["class"]
    missing = f" Of {lessons - len(records)} the time has not been measured yet." if len(records) < lessons else ""
    if not records:
        return f"The machine's times have not been measured yet.{missing}"
    versions = sorted({", ".join(f"{name} {number}" for name, number in record.versions.items()) for record in records})
    return (f"Your minutes are the sum of what the sections ask for. The machine's time is that of all cells of the solutions, run "
            f"once in class mode, from first to last: minutes and seconds, as `sslab course run --record` measured them "
            f"({'; '.join(versions)}).{missing} A lesson may take {limits.notebook / 60:g} minutes, a cell that trains "
            f"{limits.pretrain:g} seconds and any other {limits.cell:g}; a longest of "
            f"{_clock(max(record.value for record in records))} was measured. `make course` runs them all and fails where one is late.")


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def guide(path: Path, root: Path) -> str:
    """A file of docs/ as a page: links to lessons and guides stay inside of the site, those to other files lead to the repository.

    Args:
        path: of the file.
        root: of the repository.
    """
    def elsewhere(match: re.Match) -> str:
        words, link, rest = match.group(1, 2, 3)
        rest = rest or ""
        there = Path(os.path.normpath(path.parent / link))
        if not there.exists() or there.parent == path.parent or (path.parent / "images") in there.parents:
            return match[0]
        if there.suffix == ".ipynb" and there.parent == root / "notebooks":
            return f"[{words}](../lessons/{there.name}{rest})"
        return f"[{words}]({repository()}/blob/main/{there.relative_to(root).as_posix()}{rest})"

    text = re.sub(r"\[([^\]\n]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)", lambda match: elsewhere(match), _named(path))
    return text


def _named(path: Path) -> str:
    """The text, in which `docs/other.md` is a link to that guide; code blocks are left alone."""
    parts = re.split(r"(^```.*?^```|^    .*$)", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    known = {each.stem for each in path.parent.glob("*.md")} - {path.stem}
    name = re.compile(rf"(?<!\[)`docs/({'|'.join(sorted(known))})\.md`") if known else None
    return "".join(part if index % 2 or not name else name.sub(r"[`docs/\1.md`](\1.md)", part) for index, part in enumerate(parts))
