"""Guesses: recorded, kept beside the notebook, revealed in plain words."""

import json
import sys
from pathlib import Path

import pytest

from sslab.lab.predict import predict

predict_module = sys.modules["sslab.lab.predict"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSLAB_PREDICTIONS", raising=False)
    return tmp_path


def ask():
    return predict("07/temperature", "Which negatives count?", ["all alike", "the hardest"])


def test_a_guess_is_kept_and_revealed(here):
    guess = ask()
    guess.record("all alike")
    assert guess.guess == "all alike" and guess.status == "Recorded: all alike."
    assert "You said: all alike. It was: the hardest." in repr(guess.reveal("the hardest"))
    assert (
        guess.reveal("all alike")._repr_html_() == "<p>You said: all alike. It was: all alike. The same.</p>"
    )
    (entry,) = json.loads((here / "predictions.json").read_text())
    assert (
        entry["name"] == "07/temperature"
        and entry["guess"] == "all alike"
        and entry["time"].endswith("+00:00")
    )


def test_a_second_guess_is_added(here):
    guess = ask()
    guess.record("all alike")
    guess.record("the hardest")
    assert [entry["guess"] for entry in json.loads((here / "predictions.json").read_text())] == [
        "all alike",
        "the hardest",
    ]
    assert guess.guess == "the hardest" and list(here.iterdir()) == [here / "predictions.json"]


def test_numbers():
    guess = predict("07/accuracy", "Which share is right?", low=0, high=1, unit="of the images")
    assert repr(guess.reveal(0.83)) == "You recorded no guess this time. It was: 0.83 of the images."
    guess.record("0.5")
    assert (
        repr(guess.reveal(0.83))
        == "You said: 0.5 of the images. It was: 0.83 of the images. That is 0.33 apart."
    )
    for wrong in (1.5, "much", None, float("nan")):
        with pytest.raises(ValueError, match="takes a number from 0 to 1"):
            guess.record(wrong)
    with pytest.raises(ValueError, match="takes at least two answers"):
        predict("07/x", "?", ["only one"])


def test_the_front_end_records():
    guess = ask()
    guess._handle_custom_msg({"guess": "the hardest"}, [])
    assert guess.guess == "the hardest"
    guess._handle_custom_msg({"guess": "nonsense"}, [])
    assert guess.guess == "the hardest" and "takes one of" in guess.status


@pytest.mark.parametrize("content", ["not json", '{"mine": 1}'])
def test_a_file_that_is_not_ours_is_left_alone(here, content):
    (here / "predictions.json").write_text(content)
    guess = ask()
    guess.record("all alike")
    assert (here / "predictions.json").read_text() == content and "In this session only" in guess.status


def test_a_folder_that_cannot_be_written_does_no_harm(here, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("os.replace", refuse)  # chmod does not stop root
    guess = ask()
    guess.record("all alike")
    assert guess.guess == "all alike" and "In this session only" in guess.status and not list(here.iterdir())


def test_opting_out(here, monkeypatch):
    predict("07/x", "?", ["a", "b"], save=False).record("a")
    monkeypatch.setenv("SSLAB_PREDICTIONS", "off")
    ask().record("all alike")
    assert not list(here.iterdir())


def test_shown_without_a_kernel():
    data, _ = predict("07/x", "Is 1 < 2?", ["yes", "no"])._repr_mimebundle_()
    assert data["text/html"] == (
        "<p><strong>Is 1 &lt; 2?</strong></p><ul><li>yes</li><li>no</li></ul>"
        "<p>Run the notebook to record your guess.</p>"
    )
    assert "application/vnd.jupyter.widget-view+json" in data and "- yes" in data["text/plain"]


@pytest.mark.browser
def test_in_a_browser_by_keyboard_and_by_name(browser):
    """The widget's page code on a stand-in for its model: native, named controls; nothing sent before a choice."""
    page = browser.new_page()
    page.set_content('<div id="here"></div>')
    static = Path(predict_module.__file__).parent / "static"
    code = "\n".join((static / name).read_text(encoding="utf-8") for name in ("keys.js", "predict.js"))
    page.add_script_tag(content=code.replace("export default", "window.widget ="))
    page.evaluate("""() => {
        const values = {question: "Which negatives count?", options: ["all alike", "the hardest"], status: ""};
        const listeners = [];
        window.sent = [];
        window.model = {
            get: (name) => values[name], off: () => {}, on: (event, listener) => listeners.push(listener),
            send: (content) => {
                sent.push(content);
                values.status = "Recorded.";
                listeners.forEach((listener) => listener());
            },
        };
        widget.render({model, el: document.getElementById("here")});
    }""")
    group = page.get_by_role("group", name="Which negatives count?")
    group.get_by_role("button", name="Record my guess").click()
    assert page.get_by_role("status").text_content() == "Choose or type your guess first."
    group.get_by_role("radio", name="all alike").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == [{"guess": "the hardest"}]
    assert page.get_by_role("status").text_content() == "Recorded."
    page.close()
