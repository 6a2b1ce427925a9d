"""`sslab course` and `python -m sslab.course`: build, lint, evidence, run."""

from pathlib import Path

import click

from sslab.course import ledger as ledgers


@click.group()
def course() -> None:
    """Build, check and run the notebooks."""


@course.command()
@click.option("--draft", is_flag=True, help='Missing records read "(not measured yet)".')
@click.option("--check", is_flag=True, help="Write nothing; fail if an edition differs from its source.")
def build(draft: bool, check: bool) -> None:
    """notebooks/source/ -> the student edition and the solutions."""
    from sslab.course.build import build as build_all

    changed = _plainly(lambda: build_all(draft=draft, check=check))
    for path in changed:
        click.echo(f"{'differs' if check else 'built'}: {path.relative_to(ledgers.folder())}")
    if check and changed:
        raise click.ClickException("editions differ from their sources: run make notebooks")


@course.command()
@click.argument("notebooks", nargs=-1, metavar="[NN]...")
def lint(notebooks: tuple[str, ...]) -> None:
    """Hold the sources to the shape of a notebook."""
    from sslab.course import source
    from sslab.course.lint import lint as look

    problems = _plainly(lambda: [str(problem) for path in source.paths(notebooks) for problem in look(path)])
    for problem in problems:
        click.echo(problem)
    if problems:
        raise click.ClickException(f"{len(problems)} to mend")


@course.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "only_list", is_flag=True, help="Show what is finished; run nothing.")
@click.option("--force", multiple=True, metavar="NAME", help="Measure NAME again although it is finished.")
def evidence(names: tuple[str, ...], only_list: bool, force: tuple[str, ...]) -> None:
    """Measure what the course states; a killed run goes on where it was."""
    from sslab.course import claims
    from sslab.course import evidence as making
    from sslab.modes import mode

    root = ledgers.folder()
    cache = root.parent / "runs" / "evidence"
    chosen = _plainly(lambda: making.defined(names or force))
    if only_list:
        for one in chosen:
            units = [unit for group in one.groups() for unit in group]
            finished = sum(unit.file(cache).exists() for unit in units)
            click.echo(f"{one.name:40} {finished}/{len(units)} finished, version {one.version}")
        return
    forced = {one.name for one in making.defined(force)} if force else set()
    path = root / "results.json" if mode() != "smoke" else cache / "smoke" / "results.json"
    ledger = ledgers.read(path)
    for one in chosen:
        for _ in making.make([one], ledger, force=one.name in forced, cache=cache, say=click.echo):
            ledger.claims = claims.judge(ledger)
            ledger.write(path)
    ledger.claims = claims.judge(ledger)
    ledger.write(path)
    for name, claim in ledger.claims.items():
        click.echo(f"{'holds' if claim['holds'] else 'FALSE':6} {name}: {claim['text']}")


@course.command()
@click.argument("notebooks", nargs=-1, metavar="[NN]...")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="For executed notebooks.")
@click.option("--record", is_flag=True, help="Keep each notebook's time in results.json (class mode).")
def run(notebooks: tuple[str, ...], output: Path | None, record: bool) -> None:
    """Run the solutions once, in the mode in force: errors, missed times and false claims fail."""
    from sslab.course import run as running
    from sslab.course import source

    lessons = _plainly(lambda: [source.read(path) for path in source.paths(notebooks)])
    ledger = ledgers.read()
    reports = running.course(lessons, ledger, output, record, say=click.echo)
    if record:
        ledger.write(ledgers.folder() / "results.json")
    failed = [report.slug for report in reports if report.problems]
    if failed:
        raise click.ClickException(f"not as it should be: {', '.join(failed)}")


@course.command()
@click.argument("notebooks", nargs=-1, metavar="[NN]...")
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write.")
@click.option("--executed", multiple=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Executed copies, from `sslab course run --output`: outputs and times. Several times for several.")
@click.option("--force", is_flag=True, help="Overwrite files that a person has changed.")
def lecturer(notebooks: tuple[str, ...], output: Path, executed: tuple[Path, ...], force: bool) -> None:
    """Solutions, expected figures, times of cells and the notes of teaching/, a notebook a lesson."""
    from sslab.course import lecturer as edition

    _for_each(notebooks, lambda path, ledger: edition.write(path, executed, output, ledger, force)[0])


@course.command()
@click.argument("notebooks", nargs=-1, metavar="[NN]...")
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write.")
@click.option("--executed", multiple=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Executed copies, from `sslab course run --output`: the figures. Several times for several.")
@click.option("--force", is_flag=True, help="Overwrite slides that this command did not make.")
def slides(notebooks: tuple[str, ...], output: Path, executed: tuple[Path, ...], force: bool) -> None:
    """Slides of lessons (reveal.js) that need no network; the notes of teaching/ are the speaker's."""
    from sslab.course import slides as showing

    _for_each(notebooks, lambda path, ledger: showing.write(path, executed, output, ledger, force))


def _for_each(notebooks: tuple[str, ...], work) -> None:
    """`work(path of a source, ledger)` for each lesson that is named; says what it wrote."""
    from sslab.course import lessons, source

    lessons.load()
    ledger = ledgers.read()
    for path in _plainly(lambda: source.paths(notebooks)):
        click.echo(f"built: {_plainly(lambda path=path: work(path, ledger))}")


def _plainly(work):
    """`work()`; what is wrong in what a person wrote is shown as a sentence."""
    try:
        return work()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
