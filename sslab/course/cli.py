"""`sslab course` and `python -m sslab.course`: what makes, measures, runs, publishes and teaches the course."""

from pathlib import Path

import click

from sslab.course import ledger as ledgers
from sslab.course.grading import cli as grading


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
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default="class_report.html", show_default=True)
@click.option("--replace", is_flag=True, help="Replace OUTPUT if it is there.")
@click.option("--lesson", "lessons", multiple=True, metavar="NN", help="Only this lesson; several times for several.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="Leave out what is older (UTC).")
@click.option("--before", is_flag=True, help="Guesses only, nothing of what happened: to show before the run.")
def report(folder, output, replace, lessons, since, before) -> None:
    """What a class shared in FOLDER: its guesses beside what happened, and the mistakes that checks named."""
    from sslab.course import claims, classroom, classroom_page
    from sslab.course.outcomes import outcomes

    for lesson in lessons:
        if not (len(lesson) == 2 and lesson.isdigit()):
            raise click.UsageError(f"--lesson: got {lesson!r}, takes a number of two digits such as 07")
    if output.exists() and not replace:
        raise click.UsageError(f"--output: {output} is there already; takes a new name, or --replace")
    if not output.parent.is_dir():
        raise click.UsageError(f"--output: got {str(output)!r}, takes a file in a folder that is there")
    shared = _plainly(lambda: classroom.read(folder, since))
    found = {} if before else outcomes(ledgers.read(), claims.defined())
    try:
        classroom_page.write(classroom_page.page(shared, found, lessons, before), output, replace)
    except OSError as error:
        raise click.ClickException(f"--output: {output} cannot be written ({error.strerror})") from None
    click.echo(f"{len(shared.sessions)} sessions, {len(shared.answers)} files read, {len(shared.skipped)} skipped: {output}")


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
@click.option("--language", required=True, metavar="CODE", help="Such as de or es.")
@click.option("--check", is_flag=True, help="Write nothing; fail if anything is open or was changed.")
def texts(notebooks: tuple[str, ...], language: str, check: bool) -> None:
    """Collect what there is to translate into notebooks/translations/CODE/NN_slug.po; what was translated stays."""
    from sslab.course import lessons, source, translate

    lessons.load()
    open_texts = 0
    for place in _plainly(lambda: source.paths(notebooks)):
        lesson, path = source.read(place), ledgers.folder() / "translations" / language / f"{place.stem}.po"
        text = _plainly(lambda lesson=lesson, path=path: translate.refresh(lesson, language, path))
        if not check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            path.parent.mkdir(parents=True, exist_ok=True)
            ledgers.write_atomically(path, text)
        found = translate.problems(lesson, translate.read(path)) if path.exists() else [f"{path.name}: not begun"]
        for problem in found:
            click.echo(problem)
        open_texts += len(found)
    if check and open_texts:
        raise click.ClickException(f"{open_texts} to translate or to mend")


@course.command()
@click.argument("notebooks", nargs=-1, metavar="[NN]...")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="For executed notebooks.")
@click.option("--record", is_flag=True, help="Keep each notebook's time in results.json (class mode).")
def run(notebooks: tuple[str, ...], output: Path | None, record: bool) -> None:
    """Run the solutions once, in the mode in force: errors, missed times and false claims fail."""
    from sslab.course import run as running
    from sslab.course import source
    from sslab.modes import mode

    lessons = _plainly(lambda: [source.read(path) for path in source.paths(notebooks)])
    ledger = ledgers.read()
    reports = running.course(lessons, ledger, output, record, say=click.echo)
    if record:
        ledger.write(ledgers.folder() / "results.json")
    total = sum(report.seconds for report in reports)
    click.echo(f"{'all together':32}{total:9.1f}")
    failed = [report.slug for report in reports if report.problems]
    if mode() == "class" and total > running.COURSE:
        failed.append(f"all together took {total:.0f} s, may take {running.COURSE} s")
    if failed:
        raise click.ClickException(f"not as it should be: {', '.join(failed)}")


@course.command()
@click.argument("lessons", nargs=-1, required=True, metavar="NN...|all")
@click.option("--format", "form", default="text", show_default=True,
              type=click.Choice(["moodle", "qti", "json", "text"]), help="moodle: XML; qti: a zip for Canvas.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="The folder for the file; text without it is printed.")
@click.option("--seed", default=0, show_default=True, help="Of the answers' order.")
@click.option("--draft", is_flag=True, help='Missing records read "(not measured yet)".')
@click.option("--force", is_flag=True, help="Replace a file that differs.")
@click.option("--check", is_flag=True, help="Write nothing; say what is wrong with the questions.")
def quiz(lessons: tuple[str, ...], form: str, output: Path | None, seed: int, draft: bool, force: bool,
         check: bool) -> None:
    """Questions on lessons, for Moodle, Canvas, another program or paper."""
    from sslab.course import quiz as bank

    whole = lessons == ("all",)
    chosen = bank.numbers() if whole else list(dict.fromkeys(lessons))
    if output is None and form != "text" and not check:
        raise click.UsageError(f"--output: --format {form} makes a file and takes the folder for it")
    banks = _plainly(lambda: [bank.read(number, draft=draft) for number in chosen])
    if check:
        problems = [f"{one.number}: {problem}" for one in banks for problem in bank.lint(one)]
        for problem in problems:
            click.echo(problem)
        if problems:
            raise click.ClickException(f"{len(problems)} to mend")
    elif output is None:
        click.echo(_plainly(lambda: bank.export(banks, form, seed)).decode(), nl=False)
    else:
        click.echo(f"written: {_plainly(lambda: bank.save(banks, form, output, whole, seed, force))}")


for command in (grading.assignment, grading.autograde, grading.mark, grading.confusion):
    course.add_command(command)


@course.command()
@click.option("--executed", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Notebooks that `sslab course run --output` wrote; else they are run, and kept for the next time.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="For the HTML. [default: runs/site/html]")
@click.option("--run/--no-run", "run_missing", default=True, help="Run the lessons that have no executed copy yet.")
def site(executed: Path | None, output: Path | None, run_missing: bool) -> None:
    """The site: lessons, a page for each objective, guides. Works without a network."""
    from sslab.course.site.build import build as build_site

    click.echo(_plainly(lambda: build_site(executed, output, run_missing, say=click.echo)))


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
    except ModuleNotFoundError as error:                             # those of ours that say more have no name
        raise click.ClickException(f'{error.name} is not installed: pip install -c requirements.lock -e ".[dev,slides]" brings it'
                                   if error.name else str(error)) from None
