"""A class: nothing is written unasked, files are whole or absent, damaged ones are skipped, the counts are those made by hand."""

import ast
import json
import os
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from sslab.course import claims, classroom, classroom_page, ledger, source
from sslab.course.cli import course
from sslab.course.ledger import Ledger, Record
from sslab.course.outcomes import FILE, Outcome, outcomes
from sslab.lab import check, predict, share, sharing, unshare

OPTIONS = ["all alike", "the hardest"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSLAB_PREDICTIONS", raising=False)
    monkeypatch.delenv("SSLAB_CLASS_FOLDER", raising=False)
    monkeypatch.setattr(sharing, "_now", None)
    return tmp_path


@pytest.fixture
def folder(here, monkeypatch):
    """The class's folder, as the lecturer has set it up."""
    path = here / "class"
    path.mkdir()
    monkeypatch.setenv("SSLAB_CLASS_FOLDER", str(path))
    return path


def ask(**how):
    return predict("07/temperature", "Which negatives count?", OPTIONS, **how)


def files(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


# ---- the student's side


def test_without_a_class_nothing_is_said_or_written(here):
    guess = ask()
    assert guess.status == "" and "Shared" not in repr(check.positive_index(lambda b: torch.arange(2 * b)))
    guess.record("all alike")
    assert guess.status == "Recorded: all alike." and [path.name for path in here.iterdir()] == ["predictions.json"]
    with pytest.raises(ValueError, match="folder: got None"):
        share()


def test_the_variable_offers_and_does_not_share(folder):
    guess = ask()
    assert "Yours are not sent unless you run" in guess.status and str(folder) in guess.status
    guess.record("all alike")
    guess.reveal("the hardest")
    check.positive_index(lambda b: torch.arange(2 * b))
    assert list(folder.iterdir()) == [] and "Shared" not in guess.status


def test_what_is_shared(folder):
    sentence = repr(share())
    assert str(folder) in sentence and "unshare()" in sentence and "no name" in sentence
    guess = ask()
    assert "Your answers are shared with the class" in guess.status
    guess.record("all alike")
    assert guess.status.startswith("Recorded: all alike. Shared with the class")
    guess.reveal("the hardest")
    wrong = check.positive_index(lambda b: torch.arange(2 * b))
    assert "Shared with the class" in repr(wrong) and "Shared with the class" in wrong._repr_html_()
    check.positive_index(lambda b: torch.arange(2 * b).roll(b))
    check.positive_index(lambda b: None)                             # not begun: not sent
    number = predict("00/pixels", "Which share?", low=0, high=1, unit="of them")
    number.record(0.25)
    number.reveal(torch.tensor(0.5))
    rows = files(folder)
    assert {row["session"] for row in rows} == {rows[0]["session"]} and re.fullmatch(r"[0-9a-f]{16}", rows[0]["session"])
    assert [row["count"] for row in rows] == list(range(7)) and not list(folder.glob("*.part"))
    facts = [{key: value for key, value in row.items() if key not in ("sslab", "session", "count", "time")} for row in rows]
    assert facts == [
        {"kind": "joined"},
        {"kind": "guess", "prediction": "07/temperature", "question": "Which negatives count?", "options": OPTIONS, "guess": "all alike"},
        {"kind": "outcome", "prediction": "07/temperature", "actual": "the hardest"},
        {"kind": "check", "function": "positive_index", "passed": False, "misconception": wrong.misconception},
        {"kind": "check", "function": "positive_index", "passed": True, "misconception": None},
        {"kind": "guess", "prediction": "00/pixels", "question": "Which share?", "low": 0.0, "high": 1.0, "unit": "of them", "guess": 0.25},
        {"kind": "outcome", "prediction": "00/pixels", "actual": 0.5},
    ]


def test_nothing_tells_who_it_was(folder):
    def tells(_):
        raise RuntimeError("/people/ada/thesis.py")

    share()
    ask().record("all alike")
    check.positive_index(tells)
    text = "".join(path.name + path.read_text() for path in folder.iterdir())
    user = os.environ.get("USER") or "root"
    assert os.uname().nodename not in text and f'"{user}"' not in text and "thesis" not in text and str(Path.home()) not in text
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d\+00:00", row["time"]) for row in files(folder))


def test_a_name_only_where_one_is_typed(folder):
    assert "Ada L." in repr(share(name="  Ada \n L. "))
    assert files(folder)[0]["name"] == "Ada L."
    ask().record("all alike")
    assert "name" not in files(folder)[-1]
    with pytest.raises(ValueError, match="name: got 81 characters"):
        share(name="x" * 81)
    with pytest.raises(TypeError, match="name: got int"):
        share(name=3)


def test_stopping_and_taking_back(folder):
    share()
    ask().record("all alike")
    assert "2 files of this session stay" in repr(unshare())
    ask().record("the hardest")
    assert len(files(folder)) == 2
    share()
    ask().record("the hardest")
    other = folder / "other.json"
    other.write_text("{}")
    assert "2 files of this session were deleted" in repr(unshare(withdraw=True))
    assert len(list(folder.iterdir())) == 3 and other.exists() and repr(unshare()) == "Nothing was shared."


def test_twice_the_same_folder_is_one_session(folder, here):
    first, second = share().session, share(name="Ada").session
    (here / "elsewhere").mkdir()
    assert first == second != share(here / "elsewhere").session


@pytest.mark.parametrize("save", [{"save": False}, {}])
def test_what_is_kept_in_memory_is_not_shared(folder, monkeypatch, save):
    if not save:
        monkeypatch.setenv("SSLAB_PREDICTIONS", "off")
    share()
    guess = ask(**save)
    guess.record("all alike")
    guess.reveal("all alike")
    assert len(files(folder)) == 1 and "(In this session only.)" in guess.status


def test_a_folder_that_is_not_there_is_refused(here):
    (here / "file").write_text("")
    for wrong in (here / "missing", here / "file"):
        with pytest.raises(ValueError, match="folder: got .*, takes a folder that is there"):
            share(wrong)
    assert sharing._now is None


def test_a_folder_that_fails_does_no_harm(folder, monkeypatch):
    share()
    guess = ask()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)                        # chmod does not stop root
    guess.record("all alike")
    assert "Not shared" in guess.status and guess.guess == "all alike" and len(list(folder.iterdir())) == 1
    with pytest.raises(ValueError, match="takes one that can be written"):
        share()


def test_what_is_no_plain_json_does_no_harm(folder):
    share()
    guess = predict("07/x", "How many?", low=0, high=float("inf"))
    guess.record(3)
    guess.reveal(float("nan"))
    assert guess.guess == 3.0 and "Not shared" in guess.status and len(list(folder.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="needs two users: root, to become another")
def test_a_drop_box_that_students_cannot_look_into(tmp_path_factory):
    """docs/classroom.md's folder, mode 1733: a student writes and withdraws; nobody but the lecturer lists."""
    drop = Path("/tmp") / f"sslab-drop-{os.getpid()}"
    drop.mkdir()
    drop.chmod(0o1733)
    pid = os.fork()
    if pid == 0:                                                     # the student
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.umask(0o077)
            share(drop)
            sharing.send("check", function="nt_xent", passed=True, misconception=None)
            unshare(withdraw=True)
            share(drop)
            try:
                os.listdir(drop)
            except PermissionError:
                code = 0
        finally:
            os._exit(code)
    try:
        assert os.waitpid(pid, 0)[1] == 0
        (path,) = drop.iterdir()
        assert path.stat().st_mode & 0o777 == 0o644 and classroom.read(drop).answers[0].kind == "joined"
    finally:
        for path in drop.iterdir():
            path.unlink()
        drop.rmdir()


# ---- reading what may be damaged


def put(folder, name, kind="guess", session="a", count=0, time="2026-11-23T09:00+00:00", **facts):
    if kind == "guess":
        facts = {"prediction": "07/temperature", "question": "Which negatives count?", "options": OPTIONS, "guess": "all alike"} | facts
    row = {"sslab": 1, "kind": kind, "session": session, "count": count, "time": time, **facts}
    (folder / name).write_text(json.dumps(row))
    return row


DAMAGED = {
    "empty.json": (b"", "not JSON"),
    "half.json": (b'{"sslab": 1, "ki', "not JSON"),
    "bytes.json": (b"\xff\xfe\x00", "not JSON"),
    "list.json": (b"[1]", "lacks"),
    "deep.json": (b"[" * 60000, None),
    "digits.json": (b'{"sslab": ' + b"1" * 6000 + b"}", None),
    "large.json": (b" " * 70000, "70,000 bytes"),
    "a.part": (b"{", "unfinished"),
}
WRONG = [
    ({"sslab": 2}, "lacks"), ({"kind": "joke"}, "kind: got 'joke'"), ({"kind": ["guess"]}, "kind"), ({"session": 3}, "session"),
    ({"session": ""}, "session"), ({"count": -1}, "count"), ({"count": True}, "count"), ({"time": "yesterday"}, "time"), ({"time": 5}, "time"),
    ({"guess": "neither"}, "guess: not one of the options"), ({"options": []}, "guess: not one"), ({"options": "ab"}, "options"),
    ({"options": [1, 2]}, "options"), ({"question": None}, "question"), ({"question": "x" * 3000}, "question"),
    ({"question": "a\x00b"}, "question"), ({"question": "\ud800"}, "question"),
    ({"options": [], "guess": 2, "low": 0, "high": 1}, "guess"), ({"options": [], "guess": 1e300}, "guess"),
    ({"options": [], "guess": float("nan")}, "guess"), ({"options": [], "guess": 10**400}, "guess"),
    ({"options": [], "guess": 0.5, "low": 0, "high": float("inf")}, "high"),
]


def test_damaged_files_are_skipped_and_listed(here):
    for name, (content, _) in DAMAGED.items():
        (here / name).write_bytes(content)
    good = put(here, "good.json")
    for number, (change, _) in enumerate(WRONG):
        (here / f"wrong-{number:02}.json").write_text(json.dumps(good | change))
    os.mkfifo(here / "pipe.json")
    (here / "link.json").symlink_to(here / "good.json")
    (here / "folder.json").mkdir()
    (here / "notes.txt").write_text("not ours, and not looked at")
    shared = classroom.read(here)
    reasons = dict(shared.skipped)
    assert [answer.facts["guess"] for answer in shared.answers] == ["all alike"]
    assert reasons.keys() == {*DAMAGED, *(f"wrong-{number:02}.json" for number in range(len(WRONG))), "pipe.json", "link.json", "folder.json"}
    expected = {name: words for name, (_, words) in DAMAGED.items()} | {f"wrong-{n:02}.json": words for n, (_, words) in enumerate(WRONG)}
    for name, words in expected.items():
        assert words is None or words in reasons[name], (name, reasons[name])
    page = classroom_page.page(shared, {})
    assert "pipe.json" in page and "not a plain file" in page


def test_a_file_whose_name_is_no_text(here):
    Path(os.fsdecode(os.fsencode(here) + b"/\xff.json")).write_text("{}")
    page = here / "page.html"
    classroom_page.write(classroom_page.page(classroom.read(here), {}), page)
    assert "udcff.json" in page.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError):
        classroom_page.write("", page)
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


def test_older_answers_can_be_left_out(here):
    put(here, "old.json", session="a", time="2026-11-16T09:00+00:00")
    put(here, "new.json", session="b", time="2026-11-23T10:00+01:00")
    for since, sessions in ((datetime(2026, 11, 23, 9), {"b"}), (datetime(2026, 11, 23, 9, 1, tzinfo=UTC), set()),
                            (datetime(2026, 11, 23, 9, tzinfo=UTC) - timedelta(days=7), {"a", "b"}), (None, {"a", "b"})):
        assert classroom.read(here, since).sessions == sessions


# ---- counting


def test_the_last_guess_counts_and_the_last_outcome(here):
    put(here, "1.json", session="a", count=0, guess="the hardest")
    put(here, "2.json", session="a", count=9, guess="all alike")
    put(here, "3.json", session="a", count=10, kind="outcome", prediction="07/temperature", actual="all alike")
    put(here, "4.json", session="b", count=0, guess="the hardest")
    put(here, "5.json", session="b", count=1, kind="outcome", prediction="07/temperature", actual="all alike")
    put(here, "6.json", session="c", count=0, guess="the hardest")
    put(here, "7.json", session="d", count=0, kind="outcome", prediction="07/temperature", actual="all alike")
    (one,) = classroom.predictions(classroom.read(here))
    assert one.guesses == {"a": "all alike", "b": "the hardest", "c": "the hardest"} and one.options == OPTIONS
    assert one.right() == (1, 2) and set(one.outcomes) == {"a", "b", "d"}


def test_a_question_in_two_versions_is_shown_as_most_have_it(here):
    for session in "abc":
        put(here, f"{session}.json", session=session)
    put(here, "d.json", session="d", question="Old?", options=["neither", "all alike"], guess="neither")
    put(here, "e.json", session="e", options=[], guess=0.5)          # a number where an option is asked for
    (one,) = classroom.predictions(classroom.read(here))
    assert one.question == "Which negatives count?" and one.options == [*OPTIONS, "neither"] and set(one.guesses) == set("abcd")


def test_order_and_choice_of_lessons(here):
    for name, count in (("07/z-first", 1), ("07/a-second", 5), ("00/x", 3)):
        put(here, f"{count}.json", count=count, prediction=name)
    shared = classroom.read(here)
    assert [one.name for one in classroom.predictions(shared)] == ["00/x", "07/z-first", "07/a-second"]
    assert [one.name for one in classroom.predictions(shared, ["07"])] == ["07/z-first", "07/a-second"]


def test_checks_are_counted_by_session(here):
    tries = {"a": ["off by B", "off by B", None], "b": ["off by B"], "c": [""]}     # None: passed
    for session, each in tries.items():
        for count, misconception in enumerate(each):
            put(here, f"{session}{count}.json", kind="check", session=session, count=count, function="nt_xent",
                passed=misconception is None, misconception=misconception)
    put(here, "z.json", kind="check", session="a", count=7, function="uniformity", passed=True)
    first, second = classroom.checks(classroom.read(here))
    assert (first.function, first.tried, first.passed, first.unnamed, dict(first.mistakes)) == ("nt_xent", 3, 1, 1, {"off by B": 2})
    assert (second.function, second.tried, second.passed) == ("uniformity", 1, 1)


def test_a_quiz_counts_first_answers(here):
    for count, (answer, right) in enumerate([("In row 2", False), ("In row 5", True)]):
        put(here, f"{count}.json", kind="quiz", count=count, question="07/positive-index", answer=answer, right=right,
            misconception="" if right else "neighbours are pairs")
    (one,) = classroom.quizzes(classroom.read(here))
    assert (one.answered, one.right, dict(one.misconceptions)) == (1, 0, {"neighbours are pairs": 1})


# ---- what the course found


def revealed_in_sources():
    """prediction -> (its options where they are written out, the option that its notebook reveals to everybody)."""
    found = {}
    for path in source.paths():
        options, names, told = {}, {}, {}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "predict":
                name = node.value.args[0].value
                names[node.targets[0].id] = name
                given = node.value.args[2] if len(node.value.args) > 2 else None
                try:
                    options[name] = ast.literal_eval(given) if given is not None else []
                except ValueError:
                    options[name] = None
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reveal" and isinstance(node.args[0], ast.Constant):
                told[node.func.value.id] = node.args[0].value
        found |= {name: (options[name], told.get(variable)) for variable, name in names.items()}
    return found


def test_outcomes_say_what_the_notebooks_reveal():
    told = revealed_in_sources()
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))
    assert len(told) > 50 and set(rows) <= set(told)
    assert {name: row["answer"] for name, row in rows.items() if "answer" in row} == {
        name: answer for name, (_, answer) in told.items() if answer is not None}
    for name, row in rows.items():
        assert set(row) <= {"claim", "answer", "record", "minus", "scale"} and row, name
        assert ("record" not in row or told[name][0] == []) and ("answer" not in row or row["answer"] in told[name][0]), name


def test_outcomes_name_claims_and_records_that_are_there():
    records = ledger.read()
    found = outcomes(records, claims.defined())
    for name, row in tomllib.loads(FILE.read_text(encoding="utf-8")).items():
        assert "record" not in row or found[name].value is not None, name
        assert "claim" not in row or found[name].claim, name
    queue = records.record("08/queue/4096/probe").value - records.record("08/queue/off/probe").value
    assert found["08/queue"].value == pytest.approx(100 * queue, abs=1e-3)


def test_a_claim_that_does_not_hold_gives_no_answer():
    everything = claims.defined()
    views = everything["07/views-make-the-task"]
    dead = Ledger({name: Record(0.5, (0.4, 0.6), (0, 1, 2), draws=(0.4, 0.5, 0.6)) for name in views.evidence})
    found = outcomes(dead, everything)["07/views"]
    assert found.holds is False and found.answer is None and found.claim == views.text
    assert outcomes(Ledger(), everything)["07/views"] == Outcome(claim=views.text)
    assert outcomes(ledger.read(), everything)["07/views"].answer == "fall fast, and little is learned"


# ---- the page


def fill(folder, sessions):
    for number in range(sessions):
        put(folder, f"{number}-0.json", session=str(number), count=0, guess=OPTIONS[number % 3 == 0])
        put(folder, f"{number}-1.json", session=str(number), count=1, kind="outcome", prediction="07/temperature", actual="the hardest")
        put(folder, f"{number}-2.json", session=str(number), count=2, prediction="00/pixels", question="Which share?", options=[],
            low=0, high=1, guess=number / 100)
        put(folder, f"{number}-3.json", session=str(number), count=3, kind="check", function="positive_index", passed=False,
            misconception="each row points at itself")


@pytest.mark.parametrize("sessions", [1, 60])
def test_the_page_holds_everything(here, sessions):
    fill(here, sessions)
    page = classroom_page.page(classroom.read(here), {"00/pixels": Outcome(value=0.65, interval=(0.6, 0.7))})
    hardest = (sessions + 2) // 3
    assert f"{hardest} of {sessions} said &quot;the hardest&quot; (what happened)" in page
    assert f"{hardest} of {sessions} guesses came true" in page
    assert "The course measured 0.65 [0.6, 0.7]." in page and f"{sessions} × each row points at itself" in page
    assert page.count("<img alt=") == 3 and page.count("data:image/png;base64,") == 3
    assert not re.search(r"https?:|<script|<link", page)


def test_before_the_run_nothing_is_given_away(here):
    fill(here, 3)
    page = classroom_page.page(classroom.read(here), {"07/temperature": Outcome(answer="the hardest")}, before=True)
    assert "what happened)" not in page and "came" not in page and "mistakes" not in page and "the hardest" in page


def test_what_a_student_wrote_is_text(here):
    put(here, "a.json", question="<script>alert(1)</script> $x_ & 𝔸", options=["$\\frac$", "<b>"], guess="<b>")
    put(here, "b.json", session="<i>", kind="check", function="<i>", passed=False, misconception="</td><script>")
    page = classroom_page.page(classroom.read(here), {})
    assert "<script" not in page and "<i>" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("guesses, low, high", [([0.0], None, None), ([5.0, 5.0], None, None), ([-1e12, 1e12], None, None), ([0.0, 1.0], 0, 1)])
def test_numbers_at_the_ends_can_be_drawn(guesses, low, high):
    one = classroom.Prediction("00/x", "How many?", [], low, high, guesses={str(number): guess for number, guess in enumerate(guesses)})
    picture, says = classroom_page.numbers(one, Outcome(value=2.0))
    assert picture.startswith(b"\x89PNG") and "The course measured 2." in says


def test_an_empty_folder_gives_a_page_that_says_so(here):
    assert "nothing to show yet" in classroom_page.page(classroom.read(here), {})


def test_the_command(here):
    fill(here, 2)
    run = CliRunner().invoke
    found = run(course, ["report", str(here), "--lesson", "07"])
    assert found.exit_code == 0 and "2 sessions, 8 files read, 0 skipped: class_report.html" in found.output
    page = (here / "class_report.html").read_text(encoding="utf-8")
    assert "07 · Contrastive learning: SimCLR from the inside" in page and "Which share?" not in page and "check.positive_index" in page
    for wrong, words in ((["report", str(here)], "is there already"), (["report", str(here), "--lesson", "7", "--replace"], "two digits"),
                         (["report", str(here), "--output", "no/where.html"], "in a folder that is there"),
                         (["report", str(here / "missing"), "--replace"], "takes a folder that is there")):
        refused = run(course, wrong)
        assert refused.exit_code != 0 and words in refused.output and "Traceback" not in refused.output
    assert (here / "class_report.html").read_text(encoding="utf-8") == page
    assert run(course, ["report", str(here), "--replace", "--before", "--since", "2026-11-24"]).exit_code == 0
    assert "nothing to show yet" in (here / "class_report.html").read_text(encoding="utf-8")


def test_quiz_answers_are_shared(folder):
    from sslab.lab import quiz

    assert "Yours are not sent" in quiz("07").score
    share()
    form = quiz("07")
    question = form.bank.questions[0]
    wrong = next(number for number, answer in enumerate(question.answers) if not answer.right)
    form.answer(question.id, wrong)
    form.answer(question.id, question.right)
    assert "Shared with the class" in form.score
    (one,) = classroom.quizzes(classroom.read(folder))
    assert (one.name, one.answered, one.right) == (f"07/{question.id}", 1, 0)
    assert dict(one.misconceptions) == {question.answers[wrong].misconception: 1}
