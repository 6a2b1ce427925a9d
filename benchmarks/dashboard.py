"""What the live lab costs training: no lab, a lab without a front end, a lab in a real browser on the same cores.

    python benchmarks/dashboard.py [--rounds 3] [--steps 30]

The three take turns in one kernel of a real JupyterLab, open in Chromium. A rate is views/s by the wall clock, from
the fifth step to the last, so what was spent on watching counts; start-up (the controls) does not.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import chromium_path  # noqa: E402
from jupyter import jupyterlab, open_notebook, run_cell, write_notebook  # noqa: E402

SETUP = """
import time, json, sslab.lab.run as lab_run
from pathlib import Path
from sslab.lab import Lab
times, train = [], lab_run.train
def timed(objective, *args, **options):
    times.clear()
    for step in train(objective, *args, **options):
        times.append(time.perf_counter())
        yield step
lab_run.train = timed
def note(kind, frames=0):
    seconds = times[-1] - times[4]
    with open("rates.jsonl", "a") as file:
        print(json.dumps({"kind": kind, "rate": (len(times) - 5) * 1024 / seconds, "seconds": seconds}), file=file)
def fresh():
    return Lab("simclr", "digits", steps=STEPS, precision="float32")
""".strip()
BARE = """
lab = fresh()
for step in timed(lab.objective, lab.dataset, **lab.run.options): pass
note("no lab")
""".strip()
ALONE = 'lab = fresh(); lab.start(); lab.join(); note("lab without a front end")'
SHOWN = "lab = fresh(); lab"
NOTE = 'lab.join(); note("lab in a browser")'


def measure(rounds: int, steps: int) -> tuple[dict[str, list[float]], list[float], list[float]]:
    """Views/s of each kind, and for each round in a browser: pictures of the map, and messages, a second."""
    from playwright.sync_api import sync_playwright

    pictures, messages = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        write_notebook(folder / "bench.ipynb", SETUP.replace("STEPS", str(steps)), BARE, ALONE, SHOWN, NOTE)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"])
        with jupyterlab(folder, SSLAB_MODE="class") as address:
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            open_notebook(page, address("bench.ipynb"))
            run_cell(page, 0)
            for _ in range(rounds):
                run_cell(page, 1, wait=300)
                run_cell(page, 2, wait=300)
                run_cell(page, 3)
                view = "document.querySelector('.sslab-lab').sslab"
                page.wait_for_function(f"() => document.querySelector('.sslab-lab') && {view}.known", timeout=30_000)
                page.locator(".sslab-lab").scroll_into_view_if_needed()
                page.click(".sslab-lab [name=start]")
                page.wait_for_timeout(6000); page.screenshot(path="/tmp/sslab/dbg.png")
                print(page.evaluate(f"[{view}.state,{view}.rows.length,{view}.active,{view}.answered, {view}.$('.sentence').textContent, document.querySelectorAll('.sslab-lab').length]"))
                page.wait_for_function(f"() => {view}.rows.length > 4", timeout=60_000, polling=250)
                before = page.evaluate(f"[performance.now(), {view}.map.drawn, {view}.answered]")
                page.wait_for_function(f"() => {view}.state === 'finished'", timeout=300_000, polling=250)
                after = page.evaluate(f"[performance.now(), {view}.map.drawn, {view}.answered]")
                seconds, drawn, answered = (a - b for a, b in zip(after, before, strict=True))
                pictures.append(1000 * drawn / seconds)
                messages.append(1000 * answered / seconds)
                run_cell(page, 4)
                run_cell(page, 0)                                    # no lab is on the page while the others run
        browser.close()
        rates: dict[str, list[float]] = {}
        for line in (folder / "rates.jsonl").read_text().splitlines():
            entry = json.loads(line)
            rates.setdefault(entry["kind"], []).append(entry["rate"])
    return rates, pictures, messages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    rates, pictures, messages = measure(arguments.rounds, arguments.steps)
    bare = rates["no lab"]
    for kind, found in rates.items():
        costs = [100 * (1 - rate / base) for rate, base in zip(found, bare, strict=True)]
        print(f"{kind:26s} {statistics.median(found):7.0f} views/s   cost {statistics.median(costs):5.1f} %   "
              f"rounds: {', '.join(f'{cost:.1f}' for cost in costs)}")
    print(f"map pictures/s {statistics.median(pictures):.1f}, messages/s {statistics.median(messages):.1f}")


if __name__ == "__main__":
    main()
