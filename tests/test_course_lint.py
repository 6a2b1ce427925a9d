"""The shape of notebooks: a lesson that has it, and every way of not having it."""

from pathlib import Path

import pytest
from course_fixture import LESSON, write

from sslab.course.lint import lint

LONG = "\n".join(f"x{n} = {n}" for n in range(16))


def test_a_good_lesson_passes(tmp_path):
    assert lint(write(tmp_path)) == []


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("# # 99 · A small lesson\n", "", "starts with the title"),
        ("## 3. Read the objective (3 minutes)", "### Read", "section 'Read' is missing"),
        ("## 3. Read the objective (3 minutes)", "## 3. Read it", "'Read': a time is missing"),
        (
            "## 2. See the data (3 minutes)\n# ## 3. Read the objective (3 minutes)",
            "## 3. Read the objective (3 minutes)\n# ## 2. See the data (3 minutes)",
            "'See' is out of order",
        ),
        ("# ## Papers\n", "# ## Papers\n# ## Papers\n", "'Papers' is there twice"),
        ("# ## Papers\n", "# ## Papers\n# ## Epilogue\n", "section 'Epilogue': takes one"),
        ("on a CPU and less on a GPU", "on a CPU", "on a GPU"),
        ("## 3. Read the objective (3 minutes)", "## 3. Read the objective (9 minutes)", "the parts have 49"),
        (" minutes of yours", " minutes", "the parts have 43"),
        ('guess.reveal("yes")', LONG, "1 to 15 lines, this one 16"),
        ('tags=["pretrain"]', 'tags=["pretrian"]', "tag 'pretrian': takes one of"),
        (
            'guess = predict("99/loss", "Does it fall?", ["yes", "no"])\nguess',
            "1",
            "no predict(...) before the first",
        ),
        ('guess = predict("99/loss"', 'predict("99/loss"', "a guess needs a name"),
        ('guess.reveal("yes")', "1", "'guess' is never revealed"),
        ('tags=["pretrain"]', "", "nothing runs live"),
        ("**Finding:** ours", "Ours", "followed by a markdown cell with **Finding:**"),
        ('["figure", "comparison"]', '["figure"]', 'tag it "comparison" too'),
        ('"random": 0.3, ', "", "missing: random"),
        ("temperature `0.5`", "temperature 0.5", "typed number in a Finding ('0.5')"),
        ("{{ 99/probe/5/ours | percent interval }}", "83 %", "typed number in a Finding ('83 %')"),
        ('tags=["exercise"] name="rank"', 'name="rank"', "a solution outside of an exercise"),
        ('tags=["exercise"] name="rank"', 'tags=["exercise"]', "an exercise has a name"),
        ('tags=["check"] name="rank"', 'tags=["check"] name="rnk"', "'rank' has no check cell"),
        ("# ### Exercise 3: the rank", "# ### The rank", "### Exercise N"),
        (
            "*Difficulty 3/5 · importance 2/5 · 10 minutes*",
            "*importance 2/5 · 10 minutes*",
            "lacks: difficulty N/5",
        ),
        (
            "*Difficulty 3/5 · importance 2/5 · 10 minutes*",
            "*difficulty 2/5 · importance 2/5*",
            "lacks: N minutes",
        ),
        (
            "    p = s / s.sum()\n    ### END SOLUTION",
            "    p = s / s.sum()",
            "around what the student writes",
        ),
        ("import torch\n", "import torch\nimport urllib.request\n", "uses the network"),
        ("import torch\n", "import torch\n!pip install x\n", "uses the network"),
        ("import torch\n", "import torch\nload('cifar10')\n", "uses the network"),
        ("import torch\n", "import torch\nx = (\n", "not Python"),
        ("    p = s / s.sum()\n", "    # stub: return the sum of it\n    p = s / s.sum()\n", "not Python once it is emptied"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, problem):
    assert old in LESSON
    found = [str(one) for one in lint(write(tmp_path, LESSON.replace(old, new)))]
    assert any(problem in text for text in found), found


def test_too_few_exercises(tmp_path):
    start, end = LESSON.index("# %% [markdown]\n# ### Exercise 3"), LESSON.index("# %% [markdown]\n# ## 8.")
    found = lint(write(tmp_path, LESSON[:start] + LESSON[end:]))
    assert ["a notebook has at least 3 exercises, this one 2"] == [problem.text for problem in found]


def test_a_download_that_says_so_is_allowed(tmp_path):
    text = LESSON.replace(
        '# %% tags=["pretrain"]',
        '# %% [markdown]\n# This downloads the pictures.\n\n# %% tags=["pretrain", "download"]\n'
        'load("cifar10")',
    )
    assert lint(write(tmp_path, text)) == []


def test_file_and_line(tmp_path):
    path = write(tmp_path, LESSON.replace("temperature `0.5`", "temperature 0.5"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "temperature 0.5" in text)
    assert str(lint(path)[0]).startswith(f"{path}:{line}: a typed number")


def test_the_documentation_shows_a_good_lesson(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "writing_notebooks.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    problems = [problem.text for problem in lint(write(tmp_path, example))]
    assert problems == ["a notebook has at least 3 exercises, this one 1"]
