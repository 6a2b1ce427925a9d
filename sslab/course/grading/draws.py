"""Inputs that nobody could foresee: a check with other cases, drawn when a submission is marked.

Most checks make their inputs from `generator(seed)`, which a draw moves. Those that list theirs, or whose answers
come in a fixed order, get makers here. A draw is taken only where the catalogue's mistakes can still be told apart.
"""

import dataclasses
import random
from collections.abc import Callable

import torch
from torch import nn

from sslab.lab.checks import engine
from sslab.lab.checks.engine import Check, drawn

TRIES = 200


def draw(check: Check, number: int) -> Check:
    """The same check on other inputs. Use it inside `drawn(number)`, for what the check makes on the way.

    Args:
        check: one of `sslab.lab.check`.
        number: of the draw.
    Raises:
        RuntimeError: no draw tells the mistakes apart.
    """
    for attempt in range(TRIES):
        moved = number + 1000 * attempt
        with drawn(moved):
            cases = MAKERS.get(check.function, _own)(check, random.Random(moved))
            made = dataclasses.replace(check, cases=lambda cases=cases: cases, extreme=_at_home(check))
            if cases and _alike(made) <= _usually_alike(check):
                return made
    raise RuntimeError(f"{check.function}: no draw of {TRIES} tells its mistakes apart")


def _at_home(check: Check):
    """The extreme inputs stay as they are: drawn ones might not be extreme."""
    if check.extreme is None:
        return None
    with drawn(0):
        cases = check.extreme[0]()
    return (lambda: cases), check.extreme[1]


def _own(check: Check, _: random.Random) -> list[tuple]:
    return check.cases()


def _alike(check: Check) -> frozenset[tuple[int, int]]:
    """Which of the right answer (0) and the mistakes (1 and on) give the same on these cases."""
    cases = check.cases()
    answers = [[engine._attempt(check.wrong, case, one) for case in cases]
               for one in ({}, *(mistake.switches for mistake in check.misconceptions))]
    return frozenset((i, j) for j in range(len(answers)) for i in range(j)
                     if all(a is not None for a in answers[i]) and engine._all_same(answers[i], answers[j]))


_AT_HOME: dict[str, frozenset[tuple[int, int]]] = {}


def _usually_alike(check: Check) -> frozenset[tuple[int, int]]:
    """The same for the inputs that the notebook's check uses."""
    if check.function not in _AT_HOME:
        with drawn(0):
            _AT_HOME[check.function] = _alike(check)
    return _AT_HOME[check.function]


# ---- checks that list their inputs

def _sizes(low: int, high: int, count: int) -> Callable:
    return lambda _, g: [(size,) for size in g.sample(range(low, high), count)]


def _shares(_, g: random.Random) -> list[tuple]:
    sizes = [g.randint(5, 200) for _ in range(4)]
    return [(g.randint(1, sizes[0] - 1), sizes[0]), (0, sizes[1]), (sizes[2] - g.randint(1, 3), sizes[2]), (sizes[3], sizes[3])]


def _counts(_, g: random.Random) -> list[tuple]:
    return [(torch.tensor([float(g.randint(1, 400)) for _ in range(q)], dtype=torch.float64), g.uniform(0.2, 0.8)) for q in (3, 4, 6)]


def _ramps(_, g: random.Random) -> list[tuple]:
    """Steps before, at and after the end of the warm-up, upwards and downwards."""
    cases = []
    for place in ("0", "middle", "before", "at", "after", "late", "middle"):
        warmup, rate, batch = g.randint(4, 20), g.uniform(0.01, 0.5), 2 ** g.randint(4, 8)
        step = {"0": 0, "middle": g.randint(1, warmup - 2), "before": warmup - 1, "at": warmup, "after": warmup + 1, "late": 2 * warmup + 3}[place]
        cases.append((step, rate, batch, batch * g.choice((2, 4, 8)), warmup))
    return [*cases, (2, 0.3, 256, 64, g.randint(4, 9))]


def _layers(_, g: random.Random) -> list[tuple]:
    return [(g.uniform(0.001, 2), depth, g.uniform(0.2, 0.8)) for depth in g.sample(range(3, 9), 3)]


def _savings(_, g: random.Random) -> list[tuple]:
    """Ties, no saving, and ordinary ones; the first is ordinary."""
    cases = []
    for _ in range(5):
        tuning, saved = float(g.randint(1, 9)), g.choice((2, 4, 5, 8)) + g.choice((0.2, 0.7))
        cases.append((float(g.randint(20, 200)), tuning, tuning + saved))
    tuning, tasks, saved = g.randint(1, 9), g.randint(3, 9), g.choice((2, 4, 8))
    return [*cases, (float(tasks * saved), float(tuning), float(tuning + saved)), (30.0, tuning + 3.0, float(tuning)), (20.0, float(tuning), float(tuning))]


def _runs(_, g: random.Random) -> list[tuple]:
    return [(g.randint(10_000, 999_999), float(g.randint(3, 200)), g.choice((2, 4, 8)), float(g.randint(500, 20_000)), g.randint(2, 9),
             g.uniform(0.5, 0.95), g.uniform(60, 700), g.uniform(0.1, 4), g.uniform(0.1, 0.5)) for _ in range(3)]


def _curves(_, g: random.Random) -> list[tuple]:
    """Points below, at, between and above what was measured, which is in no order."""
    cases = []
    for _ in range(3):
        low, high = float(g.randint(5, 50)), float(g.randint(300, 2000))
        inside = [float(g.randint(60, 290)) for _ in range(3)]
        measured = [inside[0], low, high, inside[1]]
        at = [low / 3, low, (low + inside[2]) / 2, inside[2], high, high * 1.2, high * 9, inside[0]]
        cases.append((g.uniform(0.5, 5), g.uniform(0.2, 0.9), g.uniform(0.05, 0.3), _tensor(measured), _tensor(at)))
    return cases


def _tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _networks(check: Check, g: random.Random) -> list[tuple]:
    """The ways of working on a network in any order, each on a network of its own."""
    cases = []
    for _, work in check.cases():
        network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
        with torch.no_grad():
            for p in network.parameters():
                p.copy_(_tensor([g.gauss(0, 0.5) for _ in range(p.numel())]).view_as(p))
        cases.append((network, work))
    g.shuffle(cases)
    return cases


def _evaluations(check: Check, g: random.Random) -> list[tuple]:
    """In any order; none if one of them could be taken for another by asking it in another way."""
    cases = check.cases()
    for predict, x, y in cases:
        plain, half = predict(x, y), len(x) // 2
        labels = {torch.equal(plain, predict(x, other)) for other in ((y + 1) % 10, (y + 3) % 10, torch.zeros_like(y), y.flip(0))}
        strangers = torch.cat([x, torch.full_like(x, 50.0), -x])
        others = {torch.equal(plain[:half], predict(x[:half], y[:half])), torch.equal(plain[half:], predict(x[half:], y[half:])),
                  torch.equal(plain, predict(strangers, y.repeat(3))[: len(x)])}
        if len(labels) == 2 or len(others) == 2:
            return []
    g.shuffle(cases)
    return cases


def _offsets(_, g: random.Random) -> list[tuple]:
    places = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
    return [tuple(torch.tensor(g.sample(places, 8) + g.choices(places, k=g.randint(3, 9))).T.contiguous()) for _ in range(3)]


MAKERS = {
    "positive_index": _sizes(3, 40, 3), "causal_mask": _sizes(3, 24, 3), "share_interval": _shares, "colour_weights": _counts,
    "scaled_rate": _ramps, "layer_rates": _layers, "break_even": _savings, "run_cost": _runs, "read_curve": _curves,
    "is_frozen": _networks, "depends_on": _evaluations, "neighbour_index": _offsets,
}
