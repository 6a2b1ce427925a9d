"""Lessons in other languages: what must not change does not, and what is not translated is English."""

import nbformat
import pytest

from sslab.course import build, lessons, source, translate
from sslab.course.ledger import Ledger, folder, read

LESSON = '''# %% [markdown]
# # 99 · A title
# See [00](00_start_here.ipynb) and [98](98_other.ipynb). {{ 99/x | points interval }} of $x^2$ and `code`.
# %%
guess = predict("99/a", "How \\"many\\"?", ["none", "all"], unit="pictures")
# %%
guess.reveal("all")
name = "99/a"
'''


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "99_small.py"
    path.write_text(LESSON, encoding="utf-8")
    return source.read(path)


def catalog_of(lesson, said):
    catalog = translate.template(lesson, "de")
    for text, other in said.items():
        catalog.get(text).string = other
    return catalog


def test_what_there_is_to_translate(lesson):
    found = [text for text, _ in translate.texts(lesson)]
    assert found[1:] == ['How "many"?', "none", "all", "pictures", *translate.WORDS]
    assert found[0].startswith("# 99 · A title")


def test_answers_are_replaced_wherever_they_stand_and_names_are_not(lesson):
    catalog = catalog_of(lesson, {'How "many"?': 'Wie "viele"?', "all": "alle", "none": "keine"})
    cells = translate.translated(lesson, catalog).cells
    assert cells[1].text == 'guess = predict("99/a", "Wie \\"viele\\"?", ["keine", "alle"], unit="pictures")'
    assert cells[2].text == 'guess.reveal("alle")\nname = "99/a"'
    assert cells[0].text.startswith("# 99 · A title")                # no translation: English


def test_links_lead_out_of_the_folder_where_a_lesson_is_not_translated(lesson):
    text = translate.translated(lesson, catalog_of(lesson, {}), beside=("98_other",)).cells[0].text
    assert "](../00_start_here.ipynb)" in text and "](98_other.ipynb)" in text


@pytest.mark.parametrize("old, new, says", [
    ("{{ 99/x | points interval }}", "{{ 99/y | points interval }}", "templates differ"),
    ("$x^2$", "$x^3$", "formulas differ"), ("`code`", "`Kode`", "code differ"), ("98_other.ipynb", "97_other.ipynb", "links differ"),
    ("# 99", "99", "headings differ")])
def test_what_must_stay_is_compared(lesson, old, new, says):
    text = lesson.cells[0].text
    found = translate.problems(lesson, catalog_of(lesson, {text: text.replace(old, new)}))
    assert any(says in problem for problem in found), found


def test_a_changed_text_falls_back_to_english_and_its_translation_is_kept(lesson, tmp_path):
    path = tmp_path / "99_small.po"
    path.write_text(translate.written(catalog_of(lesson, {"none": "keine", "all": "alle"})), encoding="utf-8")
    lesson.path.write_text(LESSON.replace('"none"', '"not one"'), encoding="utf-8")
    changed = source.read(lesson.path)
    text = translate.refresh(changed, "de", path)
    assert 'msgid "not one"\nmsgstr ""' in text and '#~ msgid "none"\n#~ msgstr "keine"' in text and 'msgstr "alle"' in text
    path.write_text(text, encoding="utf-8")
    assert '["not one", "alle"]' in translate.translated(changed, translate.read(path)).cells[1].text
    assert translate.refresh(changed, "de", path) == text            # twice is once
    with pytest.raises(ValueError, match="language: got 'German'"):
        translate.refresh(changed, "German", path)


def test_words_beside_numbers_are_of_the_language(lesson):
    from sslab.course import prose
    from sslab.course.ledger import Record

    ledger = Ledger({"a": Record(0.21, interval=[0.19, 0.23]), "t": Record(130.0)}, {})
    said = translate.words(catalog_of(lesson, {"points": "Punkte", "minutes": "Minuten"}))
    assert prose.fill("{{ a | points interval }}, {{ t | minutes }}", ledger, {}, words=said) == "21 Punkte [19, 23], 3 Minuten"


@pytest.mark.parametrize("language, path", [pytest.param(*one, id=f"{one[0]}-{one[1].stem}") for one in translate.every(folder())])
def test_every_translation_is_whole_and_built(language, path):
    lessons.load()
    lesson = source.read(folder() / "source" / f"{path.stem}.py")
    assert translate.problems(lesson, translate.read(path)) == []
    assert translate.refresh(lesson, language, path) == path.read_text(encoding="utf-8"), "run: sslab course texts"
    made = build.translations(folder(), read(folder() / "results.json"))
    for name, text in made.items():
        assert (folder() / name).read_text(encoding="utf-8") == text, "run: make notebooks"
    ours = nbformat.reads(made[next(name for name in made if name.stem == path.stem and name.parent.name == language)], 4)
    english = nbformat.read(folder() / f"{path.stem}.ipynb", 4)
    assert [cell.cell_type for cell in ours.cells] == [cell.cell_type for cell in english.cells]
