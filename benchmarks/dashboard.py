"""What the live lab costs training: no lab, a lab without a front end, a lab in a real browser on the same cores.

    python benchmarks/dashboard.py [--rounds 3] [--steps 50]

The three take turns in one kernel of a real JupyterLab, open in Chromium. A rate is views/s by the wall clock, from
the fifth step to the last, so what was spent on watching counts; start-up (the controls) does not.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import chromium_path
from jupyter_browser import jupyterlab, open_notebook, run_cell, write_notebook

SETUP = """
import time, json, os, psutil, sslab.lab.run as lab_run
from sslab.lab import Lab
from sslab.training import train
times, used = [], []
def cpu():
    total = 0
    for process in psutil.Process(int(os.environ["BENCHMARK"])).children(recursive=True):
        try: total += sum(process.cpu_times()[:2])
        except psutil.Error: pass
    return total
def timed(objective, *args, **options):
    times.clear(); used.clear()
    for step in train(objective, *args, **options):
        times.append(time.perf_counter())
        if len(times) in (5, step.total): used.append(cpu())
        yield step
lab_run.train = timed
def note(kind):
    views = (len(times) - 5) * 2 * lab.run.options["batch_size"]
    with open("rates.jsonl", "a") as file:
        print(json.dumps({"kind": kind, "rate": views / (times[-1] - times[4]),
                          "cpu": 1000 * (used[1] - used[0]) / views}), file=file)
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


def measure(rounds: int, steps: int) -> tuple[dict[str, list[dict]], list[float], list[float]]:
    """Rates of each kind, and for each round in a browser: pictures of the map, and messages, a second."""
    from playwright.sync_api import sync_playwright

    pictures, messages = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        write_notebook(folder / "bench.ipynb", SETUP.replace("STEPS", str(steps)), BARE, ALONE, SHOWN, NOTE)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"])
        with jupyterlab(folder, SSLAB_MODE="class", BENCHMARK=str(os.getpid())) as address:
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            open_notebook(page, address("bench.ipynb"))
            run_cell(page, 0)
            for _ in range(rounds):
                run_cell(page, 1, wait=300)
                run_cell(page, 2, wait=300)
                run_cell(page, 3)
                view = "document.querySelector('.sslab-lab').sslab"
                page.locator(".sslab-lab").scroll_into_view_if_needed()
                page.wait_for_function(f"() => {view}.known", timeout=30_000)
                page.click(".sslab-lab [name=start]")
                page.wait_for_function(f"() => {view}.rows.length > 4", timeout=60_000, polling=250)
                before = page.evaluate(f"[performance.now(), {view}.map.drawn, {view}.answered]")
                page.wait_for_function(f"() => {view}.state === 'finished'", timeout=300_000, polling=250)
                after = page.evaluate(f"[performance.now(), {view}.map.drawn, {view}.answered]")
                seconds, drawn, answered = (a - b for a, b in zip(after, before, strict=True))
                pictures.append(1000 * drawn / seconds)
                messages.append(1000 * answered / seconds)
                run_cell(page, 4)
        browser.close()
        found: dict[str, list[dict]] = {}
        for line in (folder / "rates.jsonl").read_text().splitlines():
            entry = json.loads(line)
            found.setdefault(entry["kind"], []).append(entry)
    return found, pictures, messages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    found, pictures, messages = measure(arguments.rounds, arguments.steps)
    bare = found["no lab"]
    for kind, entries in found.items():
        costs = [100 * (1 - entry["rate"] / base["rate"]) for entry, base in zip(entries, bare, strict=True)]
        more = [100 * (1 - base["cpu"] / entry["cpu"]) for entry, base in zip(entries, bare, strict=True)]
        print(f"{kind:24s} {statistics.median(e['rate'] for e in entries):6.0f} views/s, cost {statistics.median(costs):5.1f} % "
              f"({', '.join(f'{cost:.0f}' for cost in costs)}); "
              f"{statistics.median(e['cpu'] for e in entries):.3f} CPU seconds for 1,000 views, share {statistics.median(more):5.1f} % "
              f"({', '.join(f'{share:.0f}' for share in more)})")
    print(f"map pictures/s {statistics.median(pictures):.1f}, messages/s {statistics.median(messages):.1f}")


if __name__ == "__main__":
    main()
