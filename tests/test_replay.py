"""Recorded runs: what is written is what the lab measured, and the page that shows it needs nothing else."""

import json
import re

import numpy as np
import pytest

from sslab import objectives
from sslab.lab import Lab, record, replay
from sslab.lab.replay import FINE, MAGIC, Recording, planned, recordings, rough


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("replays") / "a.replay"
    lab = Lab("simsiam", "digits", steps=8, batch_size=16)
    lab.set(crop=0.5)
    return lab, record(lab, path, moments=4, changes={5: {"stop_gradient": False}}), path


def test_it_holds_what_the_lab_measured(made):
    lab, recording, path = made
    again = Recording.from_bytes(path.read_bytes())
    assert again.header == recording.header and again.moments == recording.moments
    assert all(np.array_equal(again.arrays[name], array, equal_nan=array.dtype.kind == "f") for name, array in recording.arrays.items())
    rows, history = recording.arrays["rows"], lab.history
    assert rows.shape == (8, len(recording.header["columns"]))
    assert np.allclose(rows[:, 1], [row["loss"] for row in history], rtol=1 / 2000)
    last = len(recording.moments) - 1
    assert [moment["step"] for moment in recording.moments] == planned(8, 4) == [0, 1, 4, 7]
    found = recording.arrays[f"points{last}"] * FINE
    seen = lab.run.watcher.picture.points.numpy()                    # drawn once more at the end, its size adapts slowly
    assert all(np.corrcoef(found[:, axis], seen[:, axis])[0, 1] > 0.99 for axis in (0, 1))
    spectrum = recording.arrays[f"spectrum{last}"]
    assert np.allclose(spectrum, lab.run.watcher.gauges.spectrum.numpy(), rtol=1 / 1000)


def test_knobs_that_were_set_and_turned_are_told_apart(made):
    _, recording, _ = made
    assert recording.header["set"] == {"crop": 0.5}
    assert recording.header["changes"] == [{"step": 5, "name": "stop_gradient", "old": True, "new": False}]
    assert recording.name == "crop 0.5, stop gradient off from step 5"
    assert [moment["values"]["stop_gradient"] for moment in recording.moments] == [True, True, True, False]


def test_recording_changes_nothing_in_the_training(made):
    lab, _, _ = made
    plain = Lab("simsiam", "digits", steps=8, batch_size=16)
    plain.set(crop=0.5)
    plain.start()
    plain.join()
    assert [row["loss"] for row in plain.history[:5]] == [row["loss"] for row in lab.history[:5]]


def test_moments_are_denser_at_the_beginning():
    steps = planned(1000, 40)
    assert steps[0] == 0 and steps[-1] == 999 and len(steps) == 40
    assert all(later >= earlier for earlier, later in zip(np.diff(steps), np.diff(steps)[1:] + 1, strict=False))
    assert planned(3, 40) == [0, 1, 2]


def test_rough_keeps_what_is_not_finite_and_one_part_in_two_thousand():
    x = np.float32([1.2345678, -3e-9, 7e20, np.nan, np.inf, 0.0])
    y = rough(x)
    assert np.isnan(y[3]) and np.isinf(y[4]) and y[5] == 0
    assert np.abs(y[:3] / x[:3] - 1).max() < 1 / 2000


def test_nothing_is_overwritten_and_nothing_that_ran_is_recorded(made, tmp_path):
    lab, recording, path = made
    with pytest.raises(ValueError, match="not started"):
        record(lab, tmp_path / "b.replay")
    fresh = Lab("simsiam", "digits", steps=4, batch_size=16)
    with pytest.raises(FileExistsError, match="would be lost"):
        record(fresh, path)
    with pytest.raises(ValueError, match="moments: got 1"):
        record(fresh, tmp_path / "b.replay", moments=1)
    with pytest.raises(ValueError, match="changes: got step 9, takes steps from 1 to 3"):
        record(fresh, tmp_path / "b.replay", changes={9: {"crop": 0.5}})
    with pytest.raises(ValueError, match="changes: got the knob 'tau'"):
        record(fresh, tmp_path / "b.replay", changes={2: {"tau": 0.5}})
    with pytest.raises(ValueError, match="learns from text"):
        record(Lab("gpt", "passages", steps=4), tmp_path / "b.replay")
    assert fresh.state == "ready" and not (tmp_path / "b.replay").exists()
    page = replay(recording).save(tmp_path / "page.html")
    with pytest.raises(FileExistsError):
        replay(recording).save(page)


@pytest.mark.parametrize("content, says", [
    (b"", "takes a recording"), (b"hello world", "takes a recording"), (MAGIC + b"junk", "is damaged"), (MAGIC, "is damaged")])
def test_a_file_that_is_none_is_refused(content, says, tmp_path):
    path = tmp_path / "x.replay"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        replay(path)


def test_a_cut_file_and_another_version_are_refused(made):
    content = made[2].read_bytes()
    with pytest.raises(ValueError, match="is damaged"):
        Recording.from_bytes(content[:-100])
    import zlib
    plain = zlib.decompress(content[len(MAGIC):]).replace(b'{"version": 1,', b'{"version": 9,', 1)
    with pytest.raises(ValueError, match="got version 9, takes 1"):
        Recording.from_bytes(MAGIC + zlib.compress(plain))


def test_who_asks_for_what_is_not_there_is_told_what_is():
    with pytest.raises(ValueError, match="first: got 'nothing'"):
        replay("nothing")
    with pytest.raises(ValueError, match="at least one Recording"):
        replay([])


def test_every_recording_that_comes_with_the_lab_opens():
    every = recordings()
    assert {one for one, _, _ in every} == set(objectives.names("images")), "of every image method, and of no other"
    for objective, dataset in sorted({(one, data) for one, data, _ in every}):
        shown = replay(objective, dataset)
        assert all((one.header["objective"], one.header["dataset"]) == (objective, dataset) for one in shown.recordings)
        assert shown.recordings[0].name == "as it comes"
        assert len({one.name for one in shown.recordings}) == len(shown.recordings)
        assert all(shown.sprites())


def test_the_page_loads_nothing_from_elsewhere(made):
    page = replay(made[1]).page()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page) and "import " not in page.split("<script")[1].split("replayPage(")[0]
    data = json.loads(re.search(r"replayPage\(document.getElementById\(\"replay\"\), (\[.*?\]), \[", page).group(1))
    assert len(data) == 1


@pytest.mark.browser
@pytest.mark.slow
def test_a_person_drags_through_the_steps_without_a_kernel(made, tmp_path, browser):
    other = Recording({**made[1].header, "set": {"crop": 0.9}}, made[1].moments, made[1].arrays)
    page_file = replay([made[1], other]).save(tmp_path / "page.html")
    page = browser.new_context(offline=True).new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(page_file.as_uri())
    page.wait_for_selector(".sslab-replay canvas")
    assert page.locator(".sslab-replayed").count() == 2
    slider, said = page.locator(".scrub input"), page.locator(".scrub output")
    assert said.inner_text() == "8 of 8"
    slider.focus()
    page.keyboard.press("Home")
    assert said.inner_text() == "1 of 8"
    assert "stop gradient\non" in page.locator(".sslab-replayed .knobs").first.inner_text()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.plot .value').textContent !== ''")
    assert "stop gradient\noff" in page.locator(".sslab-replayed .knobs").first.inner_text()
    loss = float(page.locator(".plot .value").first.inner_text())
    assert loss == pytest.approx(made[1].arrays["rows"][-1, 1], abs=2e-3)
    assert not wrong

