"""Puts the site's sources together, calls Sphinx, and looks at every link of what comes out."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from sslab.course import ledger as ledgers
from sslab.course import lessons as evidence
from sslab.course import source
from sslab.course.ledger import write_atomically
from sslab.course.site import catalogue, guides, lessons, links

ROOT = Path(__file__).resolve().parents[3]
MATHJAX = "sphinx-mathjax-offline"                                   # the wheel that carries MathJax 3, Apache-2.0
NEEDS = ("myst-nb", "sphinx-book-theme", MATHJAX)


class SiteError(ValueError):
    """The site cannot be built, or was built with links that lead nowhere."""


def build(executed: Path | None = None, output: Path | None = None, run: bool = True,
          say: Callable[[str], None] = print) -> Path:
    """Build the site.

    Args:
        executed: a folder that `sslab course run --output` wrote. None: copies that were run before with the same code, and
            those that are missing are run now, in the mode in force.
        output: where the HTML goes; default runs/site/html.
        run: False runs nothing: a lesson without an executed copy is shown without outputs.
        say: gets a line for each thing that a person should know.
    Returns:
        the first page.
    Raises:
        SiteError: not a checkout, a package is missing, a lesson fails, Sphinx warns, or a link leads nowhere.
    """
    check_place()
    work = ROOT / "runs" / "site"
    output = output or work / "html"
    evidence.load()
    ledger, sources = ledgers.read(), [source.read(path) for path in source.paths()]
    books = {lesson.slug: _page(lesson, ledger, _executed(lesson, ledger, executed, work / "executed", run, say), say)
             for lesson in sources}
    pages = sources_of(sources, ledger, books)
    write(pages, work / "source")
    _assets(work / "source")
    _sphinx(work / "source", output, work / "doctrees")
    if found := links.problems(output):
        raise SiteError("\n".join(["links that lead nowhere, or would need a network:", *found]))
    say(f"{len(pages)} pages, every link inside of the site leads somewhere, nothing is loaded from a network")
    return output / "index.html"


def check_place() -> None:
    """Refuse where the site cannot be built, before any work."""
    if not (ROOT / "site" / "conf.py").is_file():
        raise SiteError("the site is built in a checkout of the repository; this is an installed package")
    for name in NEEDS:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise SiteError(f'{name} is not installed: pip install -c requirements.lock -e ".[docs]"') from None


def sources_of(sources: list, ledger, books: dict) -> dict[str, str]:
    """Every page: path below the site's source -> text."""
    import nbformat

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {f"lessons/{slug}.ipynb": nbformat.writes(book) + "\n" for slug, book in books.items()}
    pages |= {f"docs/{path.name}": guides.guide(path, ROOT) for path in sorted((ROOT / "docs").glob("*.md"))}
    pages |= {f"objectives/{entry.name}.md": catalogue.page(entry) for entry in catalogue.entries()}
    pages |= {"objectives/index.md": catalogue.index(), "objectives/views.md": catalogue.views(),
              "course.md": guides.course(sources, ledger, readme)}
    return pages | {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "site").glob("*.md")}


def write(pages: dict[str, str], folder: Path) -> None:
    """Make the Markdown and notebooks of a folder these: only what differs is written, so that Sphinx reads only that again."""
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    for path in (*folder.rglob("*.md"), *folder.rglob("*.ipynb")):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()


def _executed(lesson, ledger, given: Path | None, cache: Path, run: bool, say):
    """The executed copy of a lesson, or None."""
    import nbformat

    from sslab.course import run as running

    if given is not None:
        path = given / f"{lesson.slug}.ipynb"
        if not path.is_file():
            say(f"{lesson.slug}: not in {given}: shown without outputs")
        return nbformat.read(path, as_version=4) if path.is_file() else None
    path = lessons.cached(lesson, cache)
    if path.is_file():
        return nbformat.read(path, as_version=4)
    if not run:
        say(f"{lesson.slug}: not run yet: shown without outputs")
        return None
    say(f"{lesson.slug}: running")
    report = running.execute(lesson, ledger=ledger)
    if not report.ended:
        raise SiteError(f"{lesson.slug}: {'; '.join(report.problems)}")
    write_atomically(path, nbformat.writes(report.executed))
    return report.executed


def _page(lesson, ledger, executed, say):
    try:
        return lessons.page(lesson, ledger, executed)
    except ValueError as error:
        say(f"{error}; shown without outputs")
        return lessons.page(lesson, ledger)


def _assets(folder: Path) -> None:
    """What is copied as it is: settings and style of site/, the guides' pictures, MathJax with its fonts."""
    shutil.copytree(ROOT / "site", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images", dirs_exist_ok=True)
    for name, page in catalogue.replays().items():
        write_atomically(folder / "_static" / "replays" / name, page)
    target = folder / "_static" / "mathjax"
    for file in metadata.files(MATHJAX) or ():
        _, found, name = file.as_posix().partition("/static/mathjax/")
        if found and (name == "tex-chtml.js" or name.startswith(("output/chtml/fonts/woff-v2/", "input/tex/extensions/"))):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target / name)
    shutil.copyfile(ROOT / "LICENSE", target / "LICENSE")            # MathJax's licence too


def _sphinx(folder: Path, output: Path, doctrees: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(doctrees), str(folder), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(f"Sphinx:\n{(done.stderr or done.stdout).strip()}")
