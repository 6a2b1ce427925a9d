"""A connection that is lost, a browser that is slow: a real JupyterLab in a real Chromium. Some minutes:

    pytest tests/test_reliability_browser.py -m slow
"""

import pytest
from jupyter_browser import KERNEL_IDLE, jupyterlab, page_errors, run_cell, write_notebook
from test_browser import ARTIFACTS, VIEW, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 180                                                       # seconds, for a machine that has much else to do
CELLS = ('from sslab.lab import Lab\nlab = Lab("simclr", "digits", steps=100_000, batch_size=32)\nlab.start()\nlab',
         "print('STEPS', len(lab.history), lab.state)")
# Every socket of the page is noted; while `cut` is set a new one finds nobody: port 9 is nobody's.
SOCKETS = """() => { const Real = window.WebSocket; window.sockets = []; window.cut = false;
    window.WebSocket = class extends Real {
        constructor(address, protocols) {
            super(window.cut ? 'ws://127.0.0.1:9/' : address, protocols); window.sockets.push(this); } }; }"""


def steps(page) -> int:
    return page.evaluate(f"{VIEW}.rows.length")


def printed(page) -> tuple[int, str]:
    """What the kernel itself says: steps, and the lab's state."""
    run_cell(page, 1, wait=PATIENCE)
    words = page.locator(".jp-OutputArea-output", has_text="STEPS").last.inner_text().split()
    return int(words[1]), words[2]


def open_lab(page, address) -> None:
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(KERNEL_IDLE)
    run_cell(page, 0, wait=PATIENCE)
    page.wait_for_selector(".sslab-lab")
    wait_until(page, f"{VIEW}.known && {VIEW}.rows.length > 3", PATIENCE)


def test_a_connection_lost_while_it_trains(browser, tmp_path):
    ARTIFACTS.mkdir(exist_ok=True)
    write_notebook(tmp_path / "lost.ipynb", *CELLS)
    with jupyterlab(tmp_path, SSLAB_MODE="smoke") as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.add_init_script(f"({SOCKETS})()")
        open_lab(page, address("lost.ipynb"))
        page.evaluate("() => { window.cut = true; window.sockets.forEach((one) => one.close()); }")
        page.wait_for_timeout(1500)
        at = steps(page)
        page.wait_for_timeout(4000)
        assert steps(page) == at, "nothing arrives any more"
        page.screenshot(path=ARTIFACTS / "lost.png")
        page.evaluate("() => { window.cut = false; }")
        wait_until(page, f"document.querySelector('.sslab-lab')?.sslab?.rows.length > {at}", PATIENCE)
        page.screenshot(path=ARTIFACTS / "found.png")
        page.locator(".sslab-lab [name=stop]").first.click()
        wait_until(page, f"{VIEW}.state === 'stopped'", PATIENCE)
        count, state = printed(page)
        assert count > at and state == "stopped"
        wait_until(page, f"{VIEW}.rows.length === {count}", PATIENCE)      # no row was lost


def test_a_browser_slowed_20_times_while_it_trains(browser, tmp_path):
    ARTIFACTS.mkdir(exist_ok=True)
    write_notebook(tmp_path / "slow.ipynb", *CELLS)
    with jupyterlab(tmp_path, SSLAB_MODE="smoke") as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        problems = page_errors(page)
        open_lab(page, address("slow.ipynb"))
        before = steps(page)
        chromium = page.context.new_cdp_session(page)
        chromium.send("Emulation.setCPUThrottlingRate", {"rate": 20})
        page.wait_for_timeout(5000)
        during = steps(page)
        assert during > before, "it trains on, and frames come"
        page.locator(".sslab-lab [name=stop]").first.click(timeout=180_000)
        wait_until(page, f"{VIEW}.state === 'stopped'", PATIENCE)
        page.screenshot(path=ARTIFACTS / "slowed.png", timeout=120_000)
        chromium.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        count, state = printed(page)
        assert state == "stopped" and count >= during
        wait_until(page, f"{VIEW}.rows.length === {count}", PATIENCE)
        assert problems == []
