"""`sslab compare`: all methods on one protocol, row by row; a killed comparison goes on where it was."""

from collections.abc import Callable, Iterable
from pathlib import Path

from sslab.course import evidence as making
from sslab.course import ledger as ledgers
from sslab.course.lessons.common import BUDGETS
from sslab.course.lessons.nb13 import DATASETS, METHODS

BOARD = "13/board"
COLUMNS = {**{str(budget): f"{budget} labels" for budget in BUDGETS}, "knn": "kNN", "effective-rank": "rank of z",
           "effective-rank-h": "rank of h", "std": "std of z"}


def compare(datasets: Iterable[str] = DATASETS, methods: Iterable[str] = METHODS, seeds: Iterable[int] | None = None,
            cache: Path | None = None, say: Callable[[str], None] = print) -> ledgers.Ledger:
    """Train and probe what is not in the cache yet -> the records of these rows, the controls among them.

    Args:
        datasets, methods: which rows; those of the random encoder always come along.
        seeds: of pretraining; all of the evidence's if None. Fewer give wider intervals, or none.
        cache: where finished units lie; default runs/evidence/ in the checkout.
        say: gets a line for every unit.
    """
    cache = cache or ledgers.folder().parent / "runs" / "evidence"
    (board,) = making.defined([BOARD])
    wanted = {*methods, "random-encoder"}
    records = {}
    for units in board.groups():
        arguments = dict(units[0].arguments)
        if arguments["dataset"] not in set(datasets) or arguments["method"] not in wanted:
            continue
        units = [unit for unit in units if seeds is None or unit.seed in set(seeds)]
        finished = {unit.seed: making.finish(unit, unit.file(cache), say=say) for unit in units}
        records |= making.records(units[0], finished)
    return ledgers.Ledger(records, {})


def table(ledger: ledgers.Ledger, dataset: str, methods: Iterable[str] = (*METHODS, "random-encoder")) -> str:
    """The rows of one dataset as text: means, and half the width of the interval where there is one."""
    lines = [f"{dataset:15}" + "".join(f"{title:>14}" for title in COLUMNS.values())]          # 127 letters: a notebook's width
    for method in methods:
        cells = []
        for key in COLUMNS:
            record = ledger.records.get(f"{BOARD}/{dataset}/{method}/{key}")
            cells.append("" if record is None else _cell(record, key))
        if any(cells):
            lines.append(f"{method:15}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def _cell(record, key: str) -> str:
    digits = 1 if "rank" in key else 3
    half = f" ± {(record.interval[1] - record.interval[0]) / 2:.{digits}f}" if record.interval else ""
    return f"{record.value:.{digits}f}{half}"
