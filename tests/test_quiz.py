"""The quiz bank, its files for Moodle and Canvas, and the form in a notebook."""

import io
import json
import re
import tomllib
import xml.etree.ElementTree as tree
import zipfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from sslab.course import quiz, source
from sslab.course.cli import course
from sslab.course.ledger import Ledger, Record
from sslab.course.quiz import bank as banks
from sslab.course.quiz import canvas, markup
from sslab.lab import quiz as ask

SMALL = r"""
[[question]]
id = "small"
text = "Is $B^2 < 2B$ for `B = 1`, at {{ 99/share | percent }}?"
why = "Since 1 < 2."

  [[question.answers]]
  text = "Yes"
  right = true

  [[question.answers]]
  text = "No & never"
  misconception = "squares are believed to be larger"
  say = "Put in $B = 1$."

  [[question.answers]]
  text = "Both"
  misconception = "a question is believed to have two answers"
  say = "Think again."
"""
RECORDS = Ledger({"99/share": Record(0.25)})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "99.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path


@pytest.fixture
def small(folder):
    return quiz.read("99", folder, RECORDS)


@pytest.fixture(scope="module")
def course_banks():
    return [quiz.read(number, draft=True) for number in quiz.numbers()]


# ---- reading


def test_read(small):
    (question,) = small.questions
    assert (small.number, question.id, question.right, len(question.answers)) == ("99", "small", 0, 3)
    assert question.text == "Is $B^2 < 2B$ for `B = 1`, at 25 %?"
    assert question.answers[1].misconception == "squares are believed to be larger"


def test_a_missing_record_is_named_and_a_draft_goes_on(folder):
    with pytest.raises(quiz.BankError, match=r"99.toml: question 'small': \{\{ 99/share \| percent \}\}.*nothing has been measured"):
        quiz.read("99", folder, Ledger())
    assert "(not measured yet)" in quiz.read("99", folder, Ledger(), draft=True).questions[0].text


@pytest.mark.parametrize("old, new, problem", [
    ('id = "small"', 'id = "Not Small"', "question 'Not Small': id: got 'Not Small', takes lower-case"),
    ('why = "Since 1 < 2."', "", "question 'small': why: got None, takes text"),
    ("right = true", "", "right: true in 0 answers, takes exactly one"),
    ('misconception = "a question is', 'right = true # "', "right: true in 2 answers"),
    ('say = "Think again."', "", "answer 3: say: got None, takes text"),
    ("Put in $B = 1$.", "Put in $B = 1.", "answer 2: say: a ` or $ without its other one"),
    ("$B = 1$", r"$\\oops B$", r"answer 2: say: formula: got \oops, takes one of"),
    ("$B = 1$", "$B^{2$", "formula: got a { without its }"),
    ('text = "Both"', 'text = "Yes"', "two with the same text"),
    ('text = "Both"', 'text = "Both"\n  hint = "x"', "answer 3: hint: unknown, takes text, misconception, say, right"),
    ("right = true", 'right = "yes"', "answer 1: right: got 'yes', takes true or false"),
    ("[[question]]", 'author = "me"\n[[question]]', "'author' at the top, takes [[question]] only"),
    ("[[question]]", "[question]", "no [[question]]"),
    ('id = "small"', "id = small", "99.toml: Invalid value"),
])  # fmt: skip
def test_every_fault_is_named(folder, old, new, problem):
    assert old in SMALL
    (folder / "99.toml").write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(quiz.BankError, match=re.escape(problem)):
        quiz.read("99", folder, RECORDS)


def test_too_few_answers_and_a_double_id(folder):
    (folder / "99.toml").write_text(SMALL[: SMALL.rindex("  [[question.answers]]")] + SMALL, encoding="utf-8")
    with pytest.raises(quiz.BankError) as caught:
        quiz.read("99", folder, RECORDS)
    assert "answers: takes at least 3" in str(caught.value) and "id: there twice" in str(caught.value)


def test_unknown_lesson_and_id(small):
    with pytest.raises(ValueError, match="lesson: got '77', takes one of 00"):
        quiz.read("77")
    with pytest.raises(ValueError, match="question: got 'smal', takes one of small; did you mean 'small'"):
        small["smal"]


def test_order_depends_on_seed_and_question_only(course_banks):
    for bank in course_banks:
        once, again, other = bank.shuffled(1), bank.shuffled(1), bank.shuffled(2)
        assert once == again != other
        for question, shuffled in zip(bank.questions, once.questions, strict=True):
            assert sorted(map(hash, question.answers)) == sorted(map(hash, shuffled.answers))
    places = Counter(question.right for bank in course_banks for question in bank.shuffled().questions)
    assert set(places) >= {0, 1, 2, 3} and max(places.values()) < 0.4 * sum(places.values())


# ---- the course's questions


def test_every_lesson_has_questions():
    assert {path.stem[:2] for path in source.paths()} == set(quiz.numbers())


@pytest.mark.parametrize("number", quiz.numbers())
def test_the_bank_of(number):
    bank = quiz.read(number, draft=True)
    assert quiz.lint(bank) == []
    assert bank.title != f"Lesson {number}"
    for question in bank.questions:
        texts = [question.text, question.why, *(answer.text for answer in question.answers), *(answer.say for answer in question.answers)]
        assert not any("\\" in markup.as_text(text) or "—" in text for text in texts), question.id


def test_the_title_is_found_without_the_sources(tmp_path, monkeypatch):
    """As in a wheel, which has the built notebooks only."""
    whole = banks.title("07")
    (built,) = source.ledger.folder().glob("07_*.ipynb")
    (tmp_path / built.name).write_bytes(built.read_bytes())
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path))
    assert banks.title("07") == whole == "Contrastive learning: SimCLR from the inside"
    assert banks.title("08") == "Lesson 08"


def test_lint_says_what_a_test_wise_student_could_use(small):
    assert "1 questions, takes at least 8" in quiz.lint(small)
    answers = small.questions[0].answers
    long = banks.Answer("A very long answer, and right", right=True)
    many = tuple(banks.Question(f"q{number}", "?", "!", (long, *answers[1:])) for number in range(8))
    assert quiz.lint(banks.Bank("99", "", many)) == ["the right answer is the longest in 8 of 8 questions, takes at most half"]


# ---- text and formulas


@pytest.mark.parametrize("latex, text, html", [
    (r"\log(2B - 1)", "log(2B − 1)", "log(2<i>B</i> − 1)"),
    (r"s_{ik} \le 1", "s_ik ≤ 1", "<i>s</i><sub><i>i</i><i>k</i></sub> ≤ 1"),
    (r"1 / (1 - m)", "1 / (1 − m)", "1 / (1 − <i>m</i>)"),
    (r"\frac{1}{2B}", "1/2B", "1/2<i>B</i>"),
    (r"\frac{a + b}{\sqrt{d}}", "(a + b)/(√d)", "(<i>a</i> + <i>b</i>)/(√<i>d</i>)"),
    (r"x^{-b}", "x^(−b)", "<i>x</i><sup>−<i>b</i></sup>"),
    (r"\mathrm{softmax}(s_i / \tau)_k", "softmax(s_i / τ)_k", "softmax(<i>s</i><sub><i>i</i></sub> / τ)<sub><i>k</i></sub>"),
    (r"\sum_k p_k \log p_k", "Σ_k p_k log p_k", None),
    (r"a < b", "a < b", "<i>a</i> &lt; <i>b</i>"),
    (r"\hat x", "x\u0302", "<i>x\u0302</i>"),
    ("", "", ""),
])  # fmt: skip
def test_formulas_by_hand(latex, text, html):
    assert markup.formula(latex) == text
    if html is not None:
        assert markup.formula(latex, tags=True) == html


def test_every_command_that_may_stand_in_a_formula_can_be_written():
    for name in markup.FORMULA:
        for tags in (False, True):
            assert "\\" not in markup.formula(rf"\{name}{{a}}{{b}}" if name not in "{}" else rf"\{name}", tags)


def test_markup_is_escaped():
    assert markup.as_html("a < b `x <y> & z`") == "a &lt; b <code>x &lt;y&gt; &amp; z</code>"
    assert markup.as_text("run `f(x)` at $\\tau$") == "run f(x) at τ"


class Balanced(HTMLParser):
    """Fails on tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text = [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.text += dict(attributes).get("alt", "")
        self.open += [] if tag in ("img", "br") else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# ---- Moodle


def test_moodle_xml_of_a_small_bank_written_by_hand(small):
    expected = r"""
        <quiz>
          <question type="category">
            <category><text>$course$/top/sslab/99 A//B</text></category>
            <info format="html"><text>Questions on lesson 99 of sslab.</text></info>
          </question>
          <question type="multichoice">
            <name><text>99 small</text></name>
            <questiontext format="html"><text><![CDATA[<p>Is \(B^2 &lt; 2B\) for <code>B = 1</code>, at 25 %?</p>]]></text></questiontext>
            <generalfeedback format="html"><text><![CDATA[<p>Since 1 &lt; 2.</p>]]></text></generalfeedback>
            <defaultgrade>1.0000000</defaultgrade><penalty>0.3333333</penalty><hidden>0</hidden>
            <idnumber>sslab-99-small</idnumber><single>true</single><shuffleanswers>true</shuffleanswers>
            <answernumbering>abc</answernumbering><showstandardinstruction>0</showstandardinstruction>
            <correctfeedback format="html"><text/></correctfeedback>
            <partiallycorrectfeedback format="html"><text/></partiallycorrectfeedback>
            <incorrectfeedback format="html"><text/></incorrectfeedback>
            <answer fraction="100" format="html"><text><![CDATA[<p>Yes</p>]]></text>
              <feedback format="html"><text><![CDATA[<p>Right.</p>]]></text></feedback></answer>
            <answer fraction="0" format="html"><text><![CDATA[<p>No &amp; never</p>]]></text>
              <feedback format="html"><text><![CDATA[<p>Put in \(B = 1\).</p>]]></text></feedback></answer>
            <answer fraction="0" format="html"><text><![CDATA[<p>Both</p>]]></text>
              <feedback format="html"><text><![CDATA[<p>Think again.</p>]]></text></feedback></answer>
          </question>
        </quiz>"""
    written = quiz.FORMATS["moodle"][1]([banks.Bank("99", "A/B", small.questions)]).decode()
    assert tree.canonicalize(written, strip_text=True) == tree.canonicalize(expected, strip_text=True)


def test_moodle_xml_of_the_course(course_banks):
    root = tree.fromstring(quiz.export(course_banks, "moodle", seed=3))
    kinds = [question.get("type") for question in root.findall("question")]
    assert kinds[0] == "category" and Counter(kinds) == {
        "category": len(course_banks), "multichoice": sum(len(bank.questions) for bank in course_banks)}
    numbers = [question.findtext("idnumber") for question in root.iterfind("question[@type='multichoice']")]
    assert len(set(numbers)) == len(numbers) and max(map(len, numbers)) <= 100     # Moodle's column
    for question in root.iterfind("question[@type='multichoice']"):
        fractions = [answer.get("fraction") for answer in question.findall("answer")]
        assert sorted(fractions, reverse=True) == ["100"] + ["0"] * (len(fractions) - 1)
        for text in question.iterfind(".//text"):
            assert "{{" not in Balanced(text.text or "").text
        assert all(Balanced(answer.findtext("feedback/text")).text for answer in question.findall("answer"))


# ---- Canvas


def opened(content):
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return {name: tree.fromstring(archive.read(name)) for name in archive.namelist()}



def test_canvas_manifest_names_every_file_once(course_banks):
    files = opened(quiz.export(course_banks, "qti"))
    resources = files["imsmanifest.xml"].findall(".//{*}resource")
    named = [file.get("href") for resource in resources for file in resource.findall("{*}file")]
    assert sorted([*named, "imsmanifest.xml"]) == sorted(files)
    by_name = {resource.get("identifier"): resource for resource in resources}
    assert len(by_name) == len(resources) == 2 * len(course_banks)
    quizzes = [resource for resource in resources if resource.get("type") == "imsqti_xmlv1p2"]
    assert len(quizzes) == len(course_banks)
    for resource, bank in zip(quizzes, course_banks, strict=True):
        identity = resource.get("identifier")
        meta = by_name[resource.find("{*}dependency").get("identifierref")].find("{*}file").get("href")
        assert files[meta].tag == f"{{{canvas.CANVAS}}}quiz" and files[meta].get("identifier") == identity
        assert float(files[meta].findtext("{*}points_possible")) == len(bank.questions)
        assert bank.title in files[meta].findtext("{*}title")


def test_canvas_items_hold_together(course_banks):
    files, seen = opened(quiz.export(course_banks, "qti", seed=5)), set()
    items = [item for root in files.values() for item in root.iterfind(".//{*}item")]
    questions = [question for bank in course_banks for question in bank.questions]
    assert len(items) == len(questions)
    for item, question in zip(items, questions, strict=True):
        assert re.fullmatch(r"[A-Za-z_][\w.-]*", item.get("ident")) and item.get("ident") not in seen
        seen.add(item.get("ident"))
        fields = {row.findtext("{*}fieldlabel"): row.findtext("{*}fieldentry") for row in item.iterfind(".//{*}qtimetadatafield")}
        labels = {label.get("ident"): label.findtext(".//{*}mattext") for label in item.iterfind(".//{*}response_label")}
        assert fields["question_type"] == "multiple_choice_question"
        assert fields["original_answer_ids"].split(",") == list(labels)
        response = item.find(".//{*}response_lid")
        assert response.get("rcardinality") == "Single"
        scored = [row for row in item.iterfind(".//{*}respcondition") if row.find("{*}setvar") is not None]
        (condition,) = scored
        assert condition.get("continue") == "No" and condition.findtext("{*}setvar") == "100"
        chosen = condition.find(".//{*}varequal")
        assert chosen.get("respident") == response.get("ident")
        right = next(answer.text for answer in question.answers if answer.right)
        assert labels[chosen.text] == f"<p>{markup.as_html(right, math=canvas._equation)}</p>"
        said = {row.get("ident"): row.findtext(".//{*}mattext") for row in item.iterfind("{*}itemfeedback")}
        linked = [row.get("linkrefid") for row in item.iterfind(".//{*}displayfeedback")]
        assert sorted(linked) == sorted(said) == sorted(["general_fb", *(f"{name}_fb" for name in labels)])
        for text in (*labels.values(), *said.values()):
            assert Balanced(text).text.strip()


def test_canvas_package_is_the_same_each_time(course_banks):
    assert quiz.export(course_banks, "qti") == quiz.export(course_banks, "qti")
    assert quiz.export(course_banks, "qti") != quiz.export(course_banks, "qti", seed=1)


def test_canvas_formula_is_quoted_twice():
    assert canvas._equation(r"\tau < 1") == (
        r'<img class="equation_image" title="\tau &lt; 1" src="/equation_images/%255Ctau%2520%253C%25201" '
        r'alt="LaTeX: \tau &lt; 1" data-equation-content="\tau &lt; 1">')


def test_canvas_item_has_the_structure_that_text2qti_writes(small):
    """An independent writer of the same format; not a requirement of ours: pip install text2qti."""
    text2qti = pytest.importorskip("text2qti.quiz", reason="text2qti is not installed")
    from text2qti.config import Config
    from text2qti.qti import QTI

    theirs = QTI(text2qti.Quiz("Quiz title: t\n\n1. Question?\n... Why.\n*a) Yes\n... Right.\nb) No\n... Put in.\n"
                               "c) Both\n... Think.\n", config=Config()))

    def shape(element):
        return (element.tag.rpartition("}")[2], sorted(element.attrib), [shape(child) for child in element])

    def item(xml):
        return shape(tree.fromstring(xml).find(".//{*}item"))

    (ours,) = [root for root in opened(canvas.write([small])).values() if root.find(".//{*}item") is not None]
    assert shape(ours.find(".//{*}item")) == item(theirs.assessment)


# ---- JSON, text and the command


def test_json_has_everything(small):
    found = json.loads(quiz.FORMATS["json"][1]([small]))["lessons"][0]
    wanted = tomllib.loads(SMALL.replace("{{ 99/share | percent }}", "25 %"))["question"]
    defaults = {"right": False, "misconception": "", "say": ""}
    assert found["questions"] == [one | {"answers": [defaults | answer for answer in one["answers"]]} for one in wanted]


def test_text_by_hand(small):
    assert quiz.FORMATS["text"][1]([banks.Bank("99", "Small", small.questions)]).decode() == (
        "99 Small\n========\n\n1. Is B^2 < 2B for B = 1, at 25 %?\n   a) Yes\n   b) No & never\n   c) Both\n\f\n"
        "Key to 99 Small\n===============\n\n1. a) is right. Since 1 < 2.\n"
        "   b) squares are believed to be larger: Put in B = 1.\n"
        "   c) a question is believed to have two answers: Think again.\n")


def test_export_refuses_what_it_cannot():
    with pytest.raises(ValueError, match="format: got 'pdf', takes one of moodle, qti, json, text"):
        quiz.export([], "pdf")
    with pytest.raises(ValueError, match="banks: got none"):
        quiz.export([], "json")


def run(*words):
    return CliRunner().invoke(course, ["quiz", *map(str, words)])


def test_command_writes_prints_and_leaves_work_alone(tmp_path):
    assert "1. " in run("07").output and "Key to 07" in run("07").output
    result = run("07", "08", "--format", "moodle", "--output", tmp_path / "new")
    path = tmp_path / "new" / "sslab_quiz_07-08.xml"
    assert result.exit_code == 0 and f"written: {path}" in result.output
    before = path.read_bytes()
    assert run("07", "08", "--format", "moodle", "--output", path.parent).exit_code == 0       # the same again
    path.write_text("my own")
    result = run("07", "08", "--format", "moodle", "--output", path.parent)
    assert result.exit_code == 1 and "is there and differs" in result.output and path.read_text() == "my own"
    assert run("07", "08", "--format", "moodle", "--output", path.parent, "--force").exit_code == 0
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_command_says_what_it_takes(tmp_path):
    for words, problem in (((), "Missing argument"), (("07", "--format", "qti"), "--output: --format qti makes a file"),
                           (("07", "--format", "pdf"), "'pdf' is not one of"), (("77",), "lesson: got '77', takes one of 00")):
        result = run(*words)
        assert result.exit_code != 0 and problem in result.output
    assert run("07", "--check").exit_code == 0


# ---- in a notebook


def test_answers_without_a_front_end():
    form = ask("07")
    shown = form.bank["positive-index"]
    wrong = next(number for number, answer in enumerate(shown.answers) if answer.text == "Row 2")
    reply = form.answer("positive-index", wrong)
    assert not reply.right and repr(reply).startswith("Not quite. That would be so if the views were interleaved")
    assert form.score == "1 of 10 answered, 0 right at the first try."
    assert form.answer("positive-index", shown.right).right
    assert form.score == "1 of 10 answered, 0 right at the first try."          # the first one counts
    assert form.answers == {"positive-index": [wrong, shown.right]}
    assert form.answer("low-temperature", form.bank["low-temperature"].right).right
    assert form.score == "2 of 10 answered, 1 right at the first try."


def test_order_shown_is_the_order_answered():
    for seed in range(3):
        form = ask("07", only=["positive-index"], seed=seed)
        lines = repr(form).splitlines()
        number = next(int(line.split()[0]) for line in lines if line.endswith("Row 5"))
        assert form.answer("positive-index", number).right
    assert len(ask("07", only=["positive-index"]).questions) == 1


@pytest.mark.parametrize("question, number, problem", [
    ("positive-index", 4, "number: got 4, takes a whole number from 0 to 3"),
    ("positive-index", -1, "number: got -1"), ("positive-index", True, "number: got True"),
    ("positive-index", "0", "number: got '0'"), ("positive", 0, "question: got 'positive'"),
])  # fmt: skip
def test_wrong_words_are_refused(question, number, problem):
    form = ask("07")
    with pytest.raises(ValueError, match=re.escape(problem)):
        form.answer(question, number)
    assert form.answers == {}
    with pytest.raises(ValueError, match="lesson: got '7'"):
        ask("7")


def test_the_front_end_learns_what_is_right_from_the_reply_only():
    form = ask("07", only=["positive-index"])
    assert set(form.questions[0]) == {"id", "text", "answers"}
    form._handle_custom_msg({"question": "positive-index", "number": form.bank.questions[0].right}, [])
    assert form.replies["positive-index"]["right"] is True
    form._handle_custom_msg({"question": "nothing", "number": 0}, [])
    form._handle_custom_msg(["not a dict"], [])
    assert form.answers == {"positive-index": [form.bank.questions[0].right]}


def test_questions_of_ones_own_and_without_a_kernel(folder):
    form = ask("99", folder=folder)
    data, _ = form._repr_mimebundle_()
    still = data["text/html"]
    assert Balanced(still) and still.count("<details>") == 3 and "<summary>No &amp; never</summary>" in still
    assert "<p><strong>Not quite.</strong> Put in <i>B</i> = 1.</p><p>Since 1 &lt; 2.</p>" in still
    assert "application/vnd.jupyter.widget-view+json" in data and "small: Is" in data["text/plain"]


@pytest.mark.browser
def test_in_a_browser_by_keyboard_and_by_name(browser):
    """The widget's page code on a stand-in for its model."""
    page = browser.new_page()
    page.set_content('<div id="here"></div>')
    static = Path(ask.__globals__["__file__"]).parent / "static"
    code = "\n".join((static / name).read_text(encoding="utf-8") for name in ("keys.js", "quiz.js"))
    page.add_script_tag(content=code.replace("export default", "window.widget ="))
    page.evaluate("""() => {
        const question = (id) => ({ id, text: `Which is <i>${id}</i>?`, answers: ["Row 1", "Row &lt;5&gt;", "Row 6"] });
        const values = { title: "Questions", questions: [question("a"), question("b")], replies: {}, score: "0 of 2 answered" };
        const listeners = {};
        window.sent = [];
        window.model = {
            get: (name) => values[name], off: () => {}, on: (event, listener) => { listeners[event] = listener; },
            send: (content) => {
                sent.push(content);
                const right = content.number === 1;
                const text = `<p><strong>${right ? "Right." : "Not quite."}</strong></p>`;
                values.replies = { ...values.replies, [content.question]: { chosen: content.number, right, text } };
                values.score = "1 of 2 answered";
                listeners["change:replies"]();
                listeners["change:score"]();
            },
        };
        widget.render({ model, el: document.getElementById("here") });
    }""")
    assert page.get_by_role("region", name="Questions").is_visible()
    first = page.get_by_role("group", name="1. Which is a?")
    first.get_by_role("button", name="Check my answer").click()
    assert first.get_by_role("status").text_content() == "Choose an answer first."
    first.get_by_role("radio", name="Row 1").focus()
    page.evaluate("""() => document.addEventListener("keydown", (event) => {     // what JupyterLab asks of a key
        window.left = event.target.hasAttribute("data-lm-suppress-shortcuts");
    }, true)""")
    page.keyboard.press("Control+s")
    assert page.evaluate("left") is False
    page.keyboard.press("ArrowDown")
    assert page.evaluate("left") is True
    assert first.get_by_role("radio", name="Row <5>").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == [{"question": "a", "number": 1}]
    assert first.get_by_role("status").text_content() == "Right."
    assert page.get_by_role("group", name="2. Which is b?").get_by_role("status").text_content() == ""
    assert page.get_by_text("1 of 2 answered").is_visible()
    page.close()
