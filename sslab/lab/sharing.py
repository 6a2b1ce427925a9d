"""Sharing answers with the class: `share()` writes guesses and what checks say to a folder, until `unshare()`.

    from sslab.lab import share, unshare
    share()                    # to the folder that SSLAB_CLASS_FOLDER names, under a random number
    unshare()                  # from now on nothing; unshare(withdraw=True) also deletes what was written

Nothing is written before a student calls `share`: SSLAB_CLASS_FOLDER, which a lecturer sets, only offers it.
One answer is one small JSON file, {"sslab": 1, "kind": ..., "session": ..., "count": ..., "time": ..., ...}:

    joined      name (only where the student typed one)
    guess       prediction, question, options or low, high and unit, guess
    outcome     prediction, actual: what the student's notebook revealed
    check       function, passed, misconception: never code, never an error's text
    quiz        question, answer, right, misconception

`sslab course report FOLDER` draws them; docs/classroom.md is for the lecturer.
"""

import html
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VERSION = 1
VARIABLE = "SSLAB_CLASS_FOLDER"
LONGEST_NAME = 80


@dataclass
class Sharing:
    """Where a session's answers go, and which files it has written; shows itself as the sentence that says so."""

    folder: Path
    name: str = ""
    session: str = field(default_factory=lambda: secrets.token_hex(8))
    written: list[Path] = field(default_factory=list)

    def write(self, kind: str, facts: dict[str, Any]) -> None:
        """One answer, one file: whole or, if this process is killed meanwhile, not at all.

        Raises:
            OSError: the folder cannot be written.
            ValueError: a fact is no plain JSON, such as an infinite number.
        """
        count = len(self.written)
        path = self.folder / f"{self.session}-{count:05}.json"
        beside = path.with_suffix(".part")
        entry = {"sslab": VERSION, "kind": kind, "session": self.session, "count": count,
                 "time": datetime.now(UTC).isoformat(timespec="minutes"), **facts}
        try:
            beside.write_text(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
            beside.chmod(0o644)                                      # the lecturer reads it, whatever the umask
            os.replace(beside, path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        self.written.append(path)

    def __repr__(self) -> str:
        name = f"and the name you gave, {self.name}; never" if self.name else "no name, and never"
        return (f"You share your answers with the class. From now on this session's guesses with what happened, what checks say "
                f"(passed, or the mistake's name) and quiz answers are written to {self.folder}, with a random number for this "
                f"session ({self.session}) and the time to the minute, {name} your code. To stop: unshare(). "
                "To stop and take back what was sent: unshare(withdraw=True).")

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"


@dataclass(frozen=True)
class Ended:
    """What `unshare` did, in words."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"


_now: Sharing | None = None                                          # this session's, None: nothing is shared


def share(folder: str | os.PathLike | None = None, name: str = "") -> Sharing:
    """Share this session's answers from now on: guesses, what checks say, quiz answers.

    Args:
        folder: an existing folder; None takes the one that SSLAB_CLASS_FOLDER names.
        name: goes with the answers if you type one.
    Returns:
        what shows as a sentence: what is shared, where, and how to stop.
    Raises:
        ValueError: no folder is named, it is not there or cannot be written, or the name is too long.
        TypeError: the name is not text.
    """
    global _now
    if not isinstance(name, str):
        raise TypeError(f"name: got {type(name).__name__}, takes text")
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME:
        raise ValueError(f"name: got {len(name)} characters, takes {LONGEST_NAME} at most")
    if folder is None and not os.environ.get(VARIABLE):
        raise ValueError(f"folder: got None, takes a folder: {VARIABLE} names none here")
    path = Path(os.environ[VARIABLE] if folder is None else folder).expanduser().absolute()
    if not path.is_dir():
        raise ValueError(f"folder: got {str(path)!r}, takes a folder that is there")
    sharing = _now if _now is not None and _now.folder == path else Sharing(path)
    sharing.name = name or sharing.name
    try:
        sharing.write("joined", {"name": sharing.name} if sharing.name else {})
    except OSError as error:
        raise ValueError(f"folder: got {str(path)!r}, takes one that can be written ({error.strerror})") from None
    _now = sharing
    return sharing


def unshare(withdraw: bool = False) -> Ended:
    """Stop sharing; with `withdraw` also delete the files that this session has written.

    Args:
        withdraw: whether to delete them.
    """
    global _now
    sharing, _now = _now, None
    if sharing is None:
        return Ended("Nothing was shared.")
    if not withdraw:
        return Ended(f"Sharing has ended. {_files(len(sharing.written))} of this session stay in {sharing.folder}.")
    for path in sharing.written:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    left = sum(path.exists() for path in sharing.written)
    rest = f" {_files(left)} could not be deleted: ask your lecturer for {sharing.session}." if left else ""
    return Ended(f"Sharing has ended. {_files(len(sharing.written) - left)} of this session were deleted.{rest}")


def send(kind: str, **facts: Any) -> str:
    """Write one answer if the student shares: the sentence to show beside it, "" where nothing is shared.

    It never raises for a folder that cannot be written: the lesson goes on.

    Args:
        kind: "guess", "outcome", "check" or "quiz".
        facts: what the file says beside its kind; plain JSON.
    """
    if _now is None:
        return ""
    try:
        _now.write(kind, facts)
    except (OSError, ValueError):
        return f"Not shared: it could not be written to {_now.folder}."
    return f"Shared with the class, in {_now.folder}; unshare() stops it."


def invitation() -> str:
    """What a question says before it is answered: that answers are shared, or how to; "" where no class is set up."""
    if _now is not None:
        return f"Your answers are shared with the class, in {_now.folder}; unshare() stops it."
    folder = os.environ.get(VARIABLE)
    if not folder:
        return ""
    return (f"Your lecturer collects this class's answers in {folder}. Yours are not sent unless you run: "
            "from sslab.lab import share; share()")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
