"""Checks of lesson 16: planted mistakes are named, differently written right answers pass."""

import math

import numpy as np
import pytest
import torch
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check

NAN = float("nan")


# ---- scaled_rate


def loop_rate(step, rate, batch, new, warmup):
    now, top = rate, rate * new / batch
    for _ in range(min(step, warmup)):
        now += (top - rate) / warmup
    return now


def line(share, low, high):
    return low + share * (high - low)


WRONG_RATE = {
    "the rate is not scaled": lambda s, r, b, n, w: r,
    "scaled with the square root": lambda s, r, b, n, w: loop_rate(s, r, 1, math.sqrt(n / b), w),
    "scaled the wrong way round": lambda s, r, b, n, w: loop_rate(s, r, n, b, w),
    "multiplied by the whole new batch": lambda s, r, b, n, w: loop_rate(s, r, 1, n, w),
    "scaled with the square": lambda s, r, b, n, w: line(min(1, s / w), r, r * (n / b) ** 2),
    "the rate is added once more": lambda s, r, b, n, w: line(min(1, s / w), r, r + r * n / b),
    "the warm-up is missing": lambda s, r, b, n, w: r * n / b,
    "the warm-up begins at 0": lambda s, r, b, n, w: r * n / b * min(1.0, s / w),
    "the warm-up ends one step early": lambda s, r, b, n, w: loop_rate(s + 1, r, b, n, w),
    "the warm-up ends one step late": lambda s, r, b, n, w: line(min(1.0, (s - 1) / w), r, r * n / b),
    "the warm-up is geometric": lambda s, r, b, n, w: r * math.exp(math.log(n / b) * min(1.0, s / w)),
    "the rate goes on rising": lambda s, r, b, n, w: r + (r * n / b - r) * s / w,
    "after the warm-up the old rate is back": lambda s, r, b, n, w: loop_rate(s, r, b, n, w) if s < w else r,
    "scaled with the square root and the warm-up begins at 0": lambda s, r, b, n, w: r * math.sqrt(n / b) * min(1.0, s / w),
    "the warm-up begins at 0 and the warm-up ends one step early": lambda s, r, b, n, w: r * n / b * min(1.0, (s + 1) / w),
}
RIGHT_RATE = [
    loop_rate,
    lambda s, r, b, n, w: line(min(1.0, s / w), r, r * n / b),
    lambda s, r, b, n, w: float(np.interp(s, [0, w], [r, r * n / b])),
    lambda s, r, b, n, w: torch.lerp(torch.tensor(r), torch.tensor(r * n / b), min(s, w) / w),
]


# ---- power_law


def by_normal_equations(x, y, floor):
    u, v = [math.log(value) for value in x.tolist()], [math.log(value - floor) for value in y.tolist()]
    n, su, sv = len(u), sum(u), sum(v)
    slope = (n * sum(p * q for p, q in zip(u, v, strict=True)) - su * sv) / (n * sum(p * p for p in u) - su**2)
    return [math.exp((sv - slope * su) / n), -slope]


def polyfit(u, v):
    slope, start = np.polyfit(np.asarray(u), np.asarray(v), 1)
    return float(start), float(slope)


def straight(u, v):
    start, slope = polyfit(u, v)
    return start, -slope


def curved(u, v):
    start, slope = polyfit(u, v)
    return math.exp(start), -slope


def law(x, y, floor):
    return curved(x.log(), (y - floor).log())


def decades(x, y, floor):
    start, slope = polyfit(x.log10(), (y - floor).log10())
    return 10**start, -slope


def least_squares(x, y, floor):
    u = torch.stack([torch.ones_like(x), -x.log()], dim=1)           # [N, 2]
    log_a, b = torch.linalg.lstsq(u, (y - floor).log()[:, None]).solution[:, 0]
    return torch.stack([log_a.exp(), b])


def two_points(x, y, floor):
    b = -math.log((y[-1] - floor) / (y[0] - floor)) / math.log(x[-1] / x[0])
    return float((y[0] - floor) * x[0] ** b), b


def no_height(x, y, floor):
    u, v = x.log().numpy(), (y - floor).log().numpy()
    return 1.0, -float(u @ v / (u @ u))


def mean_slope(x, y, floor):
    u, v = x.log(), (y - floor).log()
    slope = float((v.diff() / u.diff()).mean())
    return float((v - slope * u).mean().exp()), -slope


def turned(x, y, floor):
    start, slope = polyfit((y - floor).log(), x.log())
    return math.exp(-start / slope), -1 / slope


WRONG_LAW = {
    "the floor is forgotten": lambda x, y, f: law(x, y, 0.0),
    "the floor is added": lambda x, y, f: law(x, y, -f),
    "y is divided by the floor": lambda x, y, f: law(x, y / f, 0.0),
    "the line is fitted to x and y themselves": lambda x, y, f: straight(x, y - f),
    "only x is a logarithm": lambda x, y, f: straight(x.log(), y - f),
    "only y is a logarithm": lambda x, y, f: curved(x, (y - f).log()),
    "a logarithm to base 10 is undone with exp": lambda x, y, f: curved(x.log10(), (y - f).log10()),
    "the sign of b is wrong": lambda x, y, f: (law(x, y, f)[0], -law(x, y, f)[1]),
    "the logarithm of a is returned": lambda x, y, f: (math.log(law(x, y, f)[0]), law(x, y, f)[1]),
    "b comes before a": lambda x, y, f: law(x, y, f)[::-1],
    "only the first and the last point count": two_points,
    "the slopes from point to point are averaged": mean_slope,
    "the line goes through the origin": no_height,
    "x is fitted as a function of y": turned,
    "the floor is forgotten and the sign of b is wrong": lambda x, y, f: (law(x, y, 0)[0], -law(x, y, 0)[1]),
    "the floor is forgotten and the line is fitted to x and y themselves": lambda x, y, f: straight(x, y),
}
RIGHT_LAW = [by_normal_equations, law, decades, least_squares]


# ---- read_curve


def loop_curve(a, b, floor, measured, at):
    low, high = min(measured.tolist()), max(measured.tolist())
    return [floor + a / x**b if low <= x <= high else NAN for x in at.tolist()]


def everywhere(a, b, floor, at):
    return floor + a * at**-b


def kept(values, known, otherwise=NAN):
    return torch.where(known, values, torch.full_like(values, otherwise))


def inside(measured, at):
    return (at >= measured.min()) & (at <= measured.max())


WRONG_CURVE = {
    "it extrapolates": lambda a, b, f, m, at: everywhere(a, b, f, at),
    "outside it gives the value of the nearest end": lambda a, b, f, m, at: everywhere(a, b, f, at.clip(m.min(), m.max())),
    "outside it gives 0": lambda a, b, f, m, at: everywhere(a, b, f, at) * inside(m, at),
    "outside it gives the floor": lambda a, b, f, m, at: f + a * at**-b * inside(m, at),
    "what lies outside is left out": lambda a, b, f, m, at: everywhere(a, b, f, at[inside(m, at)]),
    "it extrapolates to the right": lambda a, b, f, m, at: kept(everywhere(a, b, f, at), at >= m.min()),
    "it extrapolates to the left": lambda a, b, f, m, at: kept(everywhere(a, b, f, at), at <= m.max()),
    "the range is that of the first and the last point": lambda a, b, f, m, at: kept(everywhere(a, b, f, at), (at >= m[0]) & (at <= m[-1])),
    "between the points it gives nothing": lambda a, b, f, m, at: kept(everywhere(a, b, f, at), (at[:, None] == m).any(1)),
    "the ends do not count": lambda a, b, f, m, at: kept(everywhere(a, b, f, at), (at > m.min()) & (at < m.max())),
    "the sign of b is wrong": lambda a, b, f, m, at: loop_curve(a, -b, f, m, at),
    "the floor is forgotten": lambda a, b, f, m, at: loop_curve(a, b, 0.0, m, at),
    "it extrapolates and the floor is forgotten": lambda a, b, f, m, at: a * at**-b,
}
RIGHT_CURVE = [
    loop_curve,
    lambda a, b, f, m, at: kept(everywhere(a, b, f, at), inside(m, at)),
    lambda a, b, f, m, at: np.where((at.numpy() < m.numpy().min()) | (at.numpy() > m.numpy().max()), np.nan, f + a * np.exp(-b * np.log(at.numpy()))),
    lambda a, b, f, m, at: everywhere(a, b, f, at).masked_fill(~inside(m, at), NAN),
]


# ---- run_cost


def cost(images, epochs, views, rate, machines, keeps, watts, hourly, kwh_price):
    hours = images * epochs * views / rate / machines / keeps / 3600
    kwh = watts / 1000 * machines * hours
    return hours, kwh, hourly * machines * hours + kwh_price * kwh


def in_machine_hours(images, epochs, views, rate, machines, keeps, watts, hourly, kwh_price):
    hours = torch.tensor(images * epochs * views / (rate * keeps * 3600), dtype=torch.float64)       # of all machines together
    return torch.stack([hours / machines, hours * watts / 1000, hours * (hourly + watts / 1000 * kwh_price)])


def second_by_second(images, epochs, views, rate, machines, keeps, watts, hourly, kwh_price):
    seconds = images * epochs * views / sum(rate * keeps for _ in range(machines))
    joules = sum(watts * seconds for _ in range(machines))
    return np.array([seconds / 3600, joules / 3.6e6, machines * hourly / 3600 * seconds + kwh_price / 3.6e6 * joules])


def swapped(**changes):
    """The right answer to another question."""
    names = ("images", "epochs", "views", "rate", "machines", "keeps", "watts", "hourly", "kwh_price")
    return lambda *given: cost(**{**dict(zip(names, given, strict=True)), **{k: v(dict(zip(names, given, strict=True))) for k, v in changes.items()}})


def partly(index, value):
    def answer(*given):
        found = list(cost(*given))
        found[index] = value(*given, *found)
        return found
    return answer


WRONG_COST = {
    "the views of a picture are forgotten": swapped(views=lambda g: 1),
    "the epochs are forgotten": swapped(epochs=lambda g: 1),
    "the machines do not share the work": swapped(images=lambda g: g["images"] * g["machines"]),
    "what is lost between machines is forgotten": swapped(keeps=lambda g: 1),
    "what is lost between machines makes them faster": swapped(keeps=lambda g: 1 / g["keeps"]),
    "the rate multiplies": lambda i, e, v, r, m, k, w, h, p: (t := i * e * v * r * m * k / 3600, t * w * m / 1000, t * m * h + t * w * m / 1000 * p),
    "seconds, not hours": swapped(images=lambda g: 3600 * g["images"]),
    "minutes, not hours": swapped(images=lambda g: 60 * g["images"]),
    "only one machine is paid for": partly(2, lambda i, e, v, r, m, k, w, h, p, hours, kwh, money: hours * h + kwh * p),
    "only one machine draws power": swapped(watts=lambda g: g["watts"] / g["machines"]),
    "watts, not kilowatts": swapped(watts=lambda g: 1000 * g["watts"]),
    "energy is watts over hours": lambda *g: (c := cost(*g), e := g[6] / c[0] * g[4] / 1000, (c[0], e, c[0] * g[4] * g[7] + e * g[8]))[-1],
    "the electricity is not paid": swapped(kwh_price=lambda g: 0),
    "only the electricity is paid": swapped(hourly=lambda g: 0),
    "the views of a picture are forgotten and the electricity is not paid": swapped(views=lambda g: 1, kwh_price=lambda g: 0),
}
RIGHT_COST = [cost, in_machine_hours, second_by_second]

WRONG = {"scaled_rate": WRONG_RATE, "power_law": WRONG_LAW, "read_curve": WRONG_CURVE, "run_cost": WRONG_COST}
RIGHT = {"scaled_rate": RIGHT_RATE, "power_law": RIGHT_LAW, "read_curve": RIGHT_CURVE, "run_cost": RIGHT_COST}


def test_values_by_hand():
    assert float(check.scaled_rate.reference(5, 0.1, 64, 256, 10)) == pytest.approx(0.25)             # half way from 0.1 to 0.4
    x = torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)
    assert check.power_law.reference(x, 0.5 + 3 / x.sqrt(), 0.5).tolist() == pytest.approx([3, 0.5])
    assert check.read_curve.reference(2.0, 1.0, 1.0, torch.tensor([4.0, 1.0]), torch.tensor([2.0, 5.0])).tolist() == pytest.approx([2, NAN], nan_ok=True)
    # 3,600 views at 1 a second on 2 machines that keep half: an hour; 500 W each: 1 kWh
    assert check.run_cost.reference(900, 2, 2, 1.0, 2, 0.5, 500, 3.0, 0.2).tolist() == pytest.approx([1, 1, 6.2])


def test_ours_agree_with_numpy():
    for x, y, floor in check.power_law.cases():
        assert check.power_law.reference(x, y, floor).tolist() == pytest.approx(law(x, y, floor))
        assert (y > floor).all() and (x.diff() > 0).all()
