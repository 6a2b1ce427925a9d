"""`sslab course assignment`, `autograde`, `mark` and `confusion`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("notebooks", nargs=-1, required=True, metavar="NN...")
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="nbgrader's course folder.")
@click.option("--draft", is_flag=True, help='Missing records read "(not measured yet)".')
@click.option("--force", is_flag=True, help="Write over a source version that was changed.")
def assignment(notebooks: tuple[str, ...], output: Path, draft: bool, force: bool) -> None:
    """Make nbgrader's source and release version of lessons."""
    from sslab.course.grading.folder import assignment as make

    for number in _numbers(notebooks):
        for path in _plainly(lambda number=number: make(number, output, draft=draft, force=force)):
            click.echo(path)


@click.command()
@click.argument("notebook", metavar="NN")
@click.option("--course", "folder", default=".", type=click.Path(path_type=Path, exists=True, file_okay=False), help="nbgrader's course folder.")
@click.option("--student", "students", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--force", is_flag=True, help="Grade again what is graded.")
def autograde(notebook: str, folder: Path, students: tuple[str, ...], force: bool) -> None:
    """Grade submitted/*/NN: points, feedback and gradebook by nbgrader; only the exercises' functions are run."""
    from sslab.course.grading.folder import autograde as grade

    number, = _numbers((notebook,))
    _plainly(lambda: grade(number, folder, students, force, say=lambda row: _say(
        row["student"], row["exercise"], row["points"], row["of"], row["headline"])))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE...")
@click.option("--lesson", metavar="NN", help="Which lesson it is; default: the first two characters of the file's name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def mark(files: tuple[Path, ...], lesson: str | None, as_json: bool) -> None:
    """Mark notebooks without nbgrader: points and feedback, nothing is written."""
    import nbformat

    from sslab.course.grading.marks import mark_notebook
    from sslab.course.grading.sandbox import Sandbox

    chosen = [(file, _numbers((lesson or file.name[:2],))[0]) for file in files]
    with Sandbox() as sandbox:
        for file, number in chosen:
            book = _plainly(lambda file=file: nbformat.read(file, as_version=4))
            for one in mark_notebook(book, number, sandbox):
                row = {"file": str(file), "exercise": one.exercise.cell, "points": one.points, "of": one.exercise.points,
                       "headline": one.result.headline, "misconception": one.result.misconception, "hint": one.result.hint}
                click.echo(json.dumps(row)) if as_json else _say(file.name, row["exercise"], row["points"], row["of"], row["headline"])


@click.command()
@click.argument("names", nargs=-1, metavar="[EXERCISE]...")
@click.option("--planted", type=click.Path(path_type=Path, exists=True, file_okay=False), default="tests", show_default=True,
              help="The folder with the planted answers.")
@click.option("--write", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Put the table between this file's marks.")
def confusion(names: tuple[str, ...], planted: Path, write: Path | None) -> None:
    """Grade every planted answer as a submission, and say what feedback it got."""
    from sslab.course.grading import confusion as table

    rows = _plainly(lambda: table.rows(planted, names, say=lambda text: click.echo(text, err=True)))
    if write is None:
        click.echo(table.markdown(rows))
    else:
        _plainly(lambda: table.insert(write, rows))


def _numbers(wanted: tuple[str, ...]) -> list[str]:
    """Lessons' numbers; `07` and `07_contrastive_simclr` are the same."""
    from sslab.course import source

    return [path.name[:2] for path in _plainly(lambda: source.paths(wanted))]


def _say(who: str, exercise: str, points: float, of: float, why: str) -> None:
    click.echo(f"{who:20} {exercise:28} {points:5g} of {of:g}  {why}")


def _plainly(work):
    """`work()`; what is wrong is shown as a sentence."""
    try:
        return work()
    except (ValueError, RuntimeError, ModuleNotFoundError, OSError) as error:
        raise click.ClickException(str(error)) from None
