"""The dashboard in a real browser: notebook 07 in a real JupyterLab, driven by mouse and keyboard."""

import json
import time
from pathlib import Path

import pytest
from jupyter_browser import jupyterlab, open_notebook, page_errors, run_all, run_cell, write_notebook

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "07_contrastive_simclr.ipynb"
ARTIFACTS = Path(__file__).parent / "artifacts"
VIEW = "document.querySelector('.sslab-lab').sslab"
HISTORY = 'print("HISTORY", __import__("json").dumps([[r["step"], r["knobs"]["temperature"]] for r in lab.history]))'

pytestmark = pytest.mark.browser


def copy_of_07(folder: Path) -> int:
    """Notebook 07, its live run long enough to be stopped by hand, and a last cell that prints its history."""
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    starts = [cell for cell in notebook["cells"] if 'lab = Lab("simclr", "fashion", seed=0' in "".join(cell["source"])]
    assert len(starts) == 1
    short = '**sslab.recipe("simclr", "fashion", share=0.8)'
    assert short in "".join(starts[0]["source"])
    starts[0]["source"] = "".join(starts[0]["source"]).replace(short, "steps=100_000")
    notebook["cells"].append({"cell_type": "code", "id": "history", "metadata": {}, "outputs": [],
                              "execution_count": None, "source": HISTORY})
    (folder / "07.ipynb").write_text(json.dumps(notebook), "utf-8")
    return len(notebook["cells"]) - 1


def wait_until(page, condition: str, seconds: float = 30) -> None:
    page.wait_for_function(f"() => {condition}", timeout=1000 * seconds, polling=100)


def test_07_in_a_browser(browser, tmp_path):
    ARTIFACTS.mkdir(exist_ok=True)
    last = copy_of_07(tmp_path)
    with jupyterlab(tmp_path, SSLAB_MODE="smoke", SSLAB_PREDICTIONS="off") as address:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        problems = page_errors(page)
        open_notebook(page, address("07.ipynb"))
        try:
            run_all(page, until=".sslab-lab")
        finally:
            page.screenshot(path=ARTIFACTS / "07_running.png")
        lab = page.locator(".sslab-lab").first
        lab.scroll_into_view_if_needed()
        wait_until(page, f"{VIEW}.known && {VIEW}.rows.length > 3", 60)

        # the cell that waits in lab.join() is running: the kernel must hear the slider all the same
        slider = lab.get_by_label("temperature", exact=True)
        slider.focus()
        for _ in range(3):
            page.keyboard.press("PageDown")
        chosen = page.evaluate(f"{VIEW}.controls.temperature.value")
        assert chosen < 0.3
        wait_until(page, f"{VIEW}.changes.some((change) => change.name === 'temperature' && change.new === {chosen})")
        at = page.evaluate(f"{VIEW}.rows.length")
        wait_until(page, f"{VIEW}.rows.length > {at} + 5 && {VIEW}.map.drawn > 2")
        page.screenshot(path=ARTIFACTS / "07_training.png")

        lab.get_by_role("button", name="Stop").click()
        start = time.monotonic()
        wait_until(page, f"{VIEW}.state === 'stopped'", 5)
        took = time.monotonic() - start
        page.screenshot(path=ARTIFACTS / "07_stopped.png")
        assert took < 1.2, f"Stop took {took:.1f} s"

        run_cell(page, last, wait=120)                               # after all the others
        printed = page.locator(".jp-OutputArea-output", has_text="HISTORY").last.inner_text()
        history = json.loads(printed.split("HISTORY", 1)[1])
        temperatures = [temperature for _, temperature in history]
        assert temperatures[0] == 0.5 and temperatures[-1] == pytest.approx(chosen)
        assert [step for step, _ in history] == list(range(len(history)))
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']",
                            has_text="Error").count() == 0
        assert problems == []


def test_reload_keyboard_zoom_and_two_views(browser, tmp_path):
    write_notebook(tmp_path / "small.ipynb",
                   'from sslab.lab import Lab\nlab = Lab("simclr", "digits", steps=100_000, batch_size=32)\nlab',
                   "lab", "lab.stop(); print(lab.state)")
    with jupyterlab(tmp_path, SSLAB_MODE="smoke") as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        open_notebook(page, address("small.ipynb"))
        run_cell(page, 0)
        page.wait_for_selector(".sslab-lab")
        wait_until(page, f"{VIEW}.known")
        start = page.locator(".sslab-lab [name=start]")
        start.focus()
        page.keyboard.press("Enter")                                 # by keyboard alone
        wait_until(page, f"{VIEW}.rows.length > 3 && {VIEW}.map.points")
        page.keyboard.press("Enter")                                 # a second start does nothing
        assert page.evaluate(f"{VIEW}.state") == "running"
        canvas = page.locator(".sslab-lab .stage canvas").first
        canvas.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".sslab-lab .tip").is_visible()

        unnamed = page.evaluate("""() => [...document.querySelectorAll('.sslab-lab :is(button, input, select, canvas[role=img])')]
            .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML)""")
        assert unnamed == []

        run_cell(page, 1)                                            # the same lab in a second cell: both live
        second = "document.querySelectorAll('.sslab-lab')[1].sslab"
        page.locator(".sslab-lab").nth(1).scroll_into_view_if_needed()
        wait_until(page, f"{second}.known && {second}.rows.length > 3")

        page.evaluate("document.body.style.zoom = 2")                # 200 %: nothing is wider than its box
        page.wait_for_timeout(300)
        assert page.evaluate("""() => { const lab = document.querySelectorAll('.sslab-lab')[1];
            return [...lab.querySelectorAll('*')].every((one) => one.closest('.hidden')
                || one.getBoundingClientRect().right <= lab.getBoundingClientRect().right + 1); }""")
        page.evaluate("document.body.style.zoom = 1")
        page.locator(".sslab-lab").first.scroll_into_view_if_needed()

        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        steps = page.evaluate(f"{VIEW}.rows.length")
        page.reload()                                                # training goes on, and everything comes back
        page.wait_for_selector(".sslab-lab", timeout=60_000)
        page.locator(".sslab-lab").first.scroll_into_view_if_needed()
        wait_until(page, f"{VIEW}.known && {VIEW}.rows.length > {steps}", 30)
        run_cell(page, 2)
        assert page.locator(".jp-OutputArea-output", has_text="stopped").count()
        still = page.locator("[class^=sslab-still] img").first       # for the day there is no kernel
        assert not still.is_visible()


def test_pictures_while_it_trains_and_patches_by_hand(browser, tmp_path):
    ARTIFACTS.mkdir(exist_ok=True)
    write_notebook(tmp_path / "pictures.ipynb",
                   'from sslab.lab import Lab, fill\nlab = Lab("mae", "digits", steps=100_000, batch_size=16)\nlab.start()\nlab',
                   "lab.stop()\nfilling = fill(lab.objective, lab.dataset.validation.images[:3])\nfilling",
                   "print('HIDDEN', int(filling.mask.sum()), filling.index)")
    with jupyterlab(tmp_path, SSLAB_MODE="smoke") as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        problems = page_errors(page)
        open_notebook(page, address("pictures.ipynb"))
        run_cell(page, 0)
        page.wait_for_selector(".sslab-lab")
        shown = page.locator(".sslab-lab .pictures [role=img]")
        shown.scroll_into_view_if_needed()
        wait_until(page, f"/, step ([3-9]|\\d\\d)/.test({VIEW}.pictures.caption.textContent)")
        page.screenshot(path=ARTIFACTS / "pictures.png")
        label = shown.get_attribute("aria-label")
        assert label.startswith("3 rows of pictures at step ") and label.endswith("picture, visible, filled in")
        colours = page.evaluate("""() => [...document.querySelectorAll('.sslab-lab .pictures canvas')].map((canvas) => new Set(
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size)""")
        assert len(colours) == 3 and min(colours) > 10, "something was painted"

        run_cell(page, 1)                                            # an outer cell's arrows must not leave the widget
        toy = page.locator(".sslab-toy")
        toy.get_by_role("button", name="Hide nothing").click()
        toy.get_by_role("status").filter(has_text="Nothing is hidden").wait_for()
        toy.get_by_role("gridcell").first.focus()
        active = "[...document.querySelectorAll('.jp-Cell')].findIndex((cell) => cell.classList.contains('jp-mod-active'))"
        before = page.evaluate(active)
        for key in ("Space", "ArrowDown", "ArrowDown", "Space", "ArrowRight", "Enter"):
            page.keyboard.press(key)
        toy.get_by_role("status").filter(has_text="3 of 49 patches hidden").wait_for()
        assert page.evaluate(active) == before
        assert page.evaluate("document.activeElement.ariaLabel") == "row 3, column 2, hidden"
        toy.get_by_role("button", name="Next picture").click()
        page.screenshot(path=ARTIFACTS / "fill.png")
        run_cell(page, 2)
        assert page.locator(".jp-OutputArea-output", has_text="HIDDEN 3 1").count()
        assert problems == []
