"""Checks of lesson 16: the learning rate of a larger batch, a power law and where it may be read, what a run costs."""

import torch
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_scaled_rate(step: int, rate: float, batch: int, new_batch: int, warmup: int, *, factor="linear", start="rate",
                      path="straight", count=0, after="stays") -> Tensor:
    """The learning rate at a step, with switches for what is often done otherwise."""
    k = new_batch / batch
    k = {"linear": k, "root": k**0.5, "none": 1.0, "inverse": 1 / k, "batch": float(new_batch), "square": k**2, "more": 1 + k}[factor]
    share = (step + count) / warmup
    share = min(1.0, share) if after != "rises" else share
    first = {"rate": rate, "0": 0.0, "top": k * rate}[start]
    if after == "falls" and step >= warmup:
        return torch.tensor(rate, dtype=torch.float64)
    if path == "geometric":
        return torch.tensor(rate * k**share, dtype=torch.float64)
    return torch.tensor(first + (k * rate - first) * share, dtype=torch.float64)


scaled_rate = Check(
    "scaled_rate",
    "Convention: step counts from 0; `rate` suits `batch`; -> the learning rate at that step for `new_batch`: new_batch / batch times as "
    "large, reached in `warmup` equal steps that begin at `rate` itself (step 0 has `rate`, step `warmup` is the first with all of it). "
    "Goyal et al. 2017, sections 2.1 and 2.2.",
    wrong_scaled_rate,
    wrong_scaled_rate,
    [
        Misconception("the rate is not scaled", {"factor": "none"}, "Change new_batch: your result stays the same."),
        Misconception("scaled with the square root", {"factor": "root"},
                      "A rule that others use, with Adam above all. This exercise asks for the linear one."),
        Misconception("scaled the wrong way round", {"factor": "inverse"},
                      "A larger batch takes fewer steps for as many pictures. Must each of them be longer or shorter?"),
        Misconception("multiplied by the whole new batch", {"factor": "batch"}, "By how much is the new batch larger than the old one?"),
        Misconception("scaled with the square", {"factor": "square"}, "Twice the batch, twice the rate."),
        Misconception("the rate is added once more", {"factor": "more"}, "If the batch stays the same, the rate must stay the same."),
        Misconception("the warm-up is missing", {"start": "top"}, "What is the rate at step 0?"),
        Misconception("the warm-up begins at 0", {"start": "0"},
                      "A usual choice, and not this paper's: the rate that suits the small batch is safe at once."),
        Misconception("the warm-up ends one step early", {"count": 1}, "Steps count from 0: what is the rate at step 0?"),
        Misconception("the warm-up ends one step late", {"count": -1}, "Steps count from 0: at step `warmup` all of it is reached."),
        Misconception("the warm-up is geometric", {"path": "geometric"}, "Equal steps: what is added each time is the same."),
        Misconception("the rate goes on rising", {"after": "rises"}, "What comes after the warm-up?"),
        Misconception("after the warm-up the old rate is back", {"after": "falls"}, "The warm-up leads to the rate of the large batch. It stays."),
    ],
    cases=lambda: [(0, 0.1, 64, 512, 10), (3, 0.1, 64, 512, 10), (9, 0.02, 32, 256, 10), (10, 0.02, 32, 256, 10), (11, 0.05, 64, 192, 8),
                   (25, 0.02, 32, 128, 10), (2, 0.3, 256, 64, 5)],
    shapes="scaled_rate takes step, rate, batch, new_batch and warmup, numbers all of them, and returns a number.",
)


def wrong_power_law(x: Tensor, y: Tensor, floor: float, *, lift="minus", logs="both", fit="least squares", turned=False, a_is="a",
                    sign=-1.0, order="ab") -> Tensor:
    """a and b of y = floor + a x^-b, with switches for what is often done otherwise."""
    y = {"minus": y - floor, "forgotten": y, "plus": y + floor, "over": y / floor}[lift]
    u = x.log() if logs in ("both", "x", "10") else x
    v = y.log() if logs in ("both", "y", "10") else y
    if logs == "10":
        u, v = x.log10(), y.log10()
    if fit == "ends":
        slope = (v[-1] - v[0]) / (u[-1] - u[0])
        start = v[0] - slope * u[0]
    elif fit == "origin":
        slope, start = (u * v).sum() / u.square().sum(), torch.zeros((), dtype=u.dtype)
    elif fit == "steps":
        slope = ((v[1:] - v[:-1]) / (u[1:] - u[:-1])).mean()
        start = (v - slope * u).mean()
    else:
        if turned:                                                   # x as a function of y, turned round
            slope = (v - v.mean()).square().sum() / ((u - u.mean()) * (v - v.mean())).sum()
        else:
            slope = ((u - u.mean()) * (v - v.mean())).sum() / (u - u.mean()).square().sum()
        start = v.mean() - slope * u.mean()
    a = {"a": start.exp() if logs in ("both", "y", "10") else start, "log": start}[a_is]
    found = torch.stack([a, sign * slope])
    return found if order == "ab" else found.flip(0)


power_law = Check(
    "power_law",
    "Convention: x [N] and y [N] above `floor` -> [a, b] of y = floor + a x^(-b): the line of least squares through log(y - floor) "
    "against log x, natural logarithms.",
    wrong_power_law,
    wrong_power_law,
    [
        Misconception("the floor is forgotten", {"lift": "forgotten"},
                      "A power law goes to 0. What does this y go to when x grows?"),
        Misconception("the floor is added", {"lift": "plus"}, "What is left of y is above the floor: take it away first."),
        Misconception("y is divided by the floor", {"lift": "over"}, "The floor is a term of y, not a factor."),
        Misconception("the line is fitted to x and y themselves", {"logs": "none"},
                      "A power law is no line. On which axes does it become one?"),
        Misconception("only x is a logarithm", {"logs": "x"}, "Take the logarithm of y - floor = a x^(-b). What happens on the right side?"),
        Misconception("only y is a logarithm", {"logs": "y"}, "That is an exponential law: it falls by the same factor for each unit of x. This one "
                      "does so each time that x doubles."),
        Misconception("a logarithm to base 10 is undone with exp", {"logs": "10"}, "What is undone with 10 ** something was made with log10."),
        Misconception("the sign of b is wrong", {"sign": 1.0}, "y falls when x grows. In x^(-b), is b then above or below 0?"),
        Misconception("the logarithm of a is returned", {"a_is": "log"}, "At x = 1 the law gives floor + a. Does yours?"),
        Misconception("b comes before a", {"order": "ba"}, "The order is [a, b]."),
        Misconception("only the first and the last point count", {"fit": "ends"}, "All points count, by least squares."),
        Misconception("the slopes from point to point are averaged", {"fit": "steps"},
                      "That is the first and the last point again, or nearly. All points count, by least squares."),
        Misconception("the line goes through the origin", {"fit": "origin"}, "a is not 1: the line has a height, too."),
        Misconception("x is fitted as a function of y", {"turned": True}, "The errors are those of y: which one is measured?"),
    ],
    cases=lambda: [_measured(6, 2.0, 0.4, 0.1, 0), _measured(5, 0.8, 0.7, 0.05, 1), _measured(8, 5.0, 0.25, 0.3, 2)],
    shapes="power_law takes x [N], y [N] and floor and returns two numbers, a and b.",
)


def wrong_read_curve(a: float, b: float, floor: float, measured: Tensor, at: Tensor, *, outside="nan", checks="both", ends=True,
                     rises=False, with_floor=True) -> Tensor:
    """A fitted law where it was measured, with switches for what is often done otherwise."""
    low, high = measured.min(), measured.max()
    x = at.clamp(low, high) if outside == "clamped" else at
    y = (floor if with_floor else 0.0) + a * x ** (b if rises else -b)                # [M]
    known_low = at >= low if ends else at > low
    known_high = at <= high if ends else at < high
    if checks == "first and last":
        known_low, known_high = at >= measured[0], at <= measured[-1]
    known = {"both": known_low & known_high, "low": known_low, "high": known_high, "only measured": torch.isin(at, measured),
             "first and last": known_low & known_high}[checks]
    if outside == "left out":
        return y[known]
    wanted = {"nan": torch.nan, "zero": 0.0, "floor": floor}
    return y.where(known, torch.tensor(wanted[outside], dtype=y.dtype)) if outside in wanted else y


read_curve = Check(
    "read_curve",
    "Convention: the law floor + a x^(-b), fitted to points at `measured` [N], in any order, and asked for at `at` [M] -> [M]: its "
    "value from the smallest to the largest of `measured`, these two included, and NaN everywhere else.",
    wrong_read_curve,
    wrong_read_curve,
    [
        Misconception("it extrapolates", {"outside": "extrapolated"}, "What was measured there? Say so: NaN."),
        Misconception("outside it gives the value of the nearest end", {"outside": "clamped"},
                      "A flat line is a guess too. Outside of what was measured nobody knows: NaN."),
        Misconception("outside it gives 0", {"outside": "zero"}, "0 is a number that somebody will plot. NaN says that nothing is known."),
        Misconception("outside it gives the floor", {"outside": "floor"}, "The floor is a guess too, far away. NaN says that nothing is known."),
        Misconception("what lies outside is left out", {"outside": "left out"}, "One value for each of `at`, in its place."),
        Misconception("it extrapolates to the right", {"checks": "low"}, "That is the dangerous side. What was the largest x that was measured?"),
        Misconception("it extrapolates to the left", {"checks": "high"}, "There is a smallest x that was measured, too."),
        Misconception("the range is that of the first and the last point", {"checks": "first and last"}, "The points may be in any order."),
        Misconception("between the points it gives nothing", {"checks": "only measured"}, "Between two points that were measured the law may be read."),
        Misconception("the ends do not count", {"ends": False}, "The smallest and the largest x were measured: the law may be read there."),
        Misconception("the sign of b is wrong", {"rises": True}, "x^(-b): where x grows, the value must fall."),
        Misconception("the floor is forgotten", {"with_floor": False}, "The law has three parts: floor, a and b."),
    ],
    cases=lambda: [(2.0, 0.5, 0.1, _row(400, 50, 1200, 150), _row(10, 50, 60, 400, 900, 1200, 1300, 20000)),
                   (0.7, 0.3, 0.05, _row(3, 9, 1), _row(0.5, 1, 2, 9, 10)),
                   (5.0, 0.8, 0.2, _row(80, 20, 40), _row(19, 20, 30, 80, 81))],
    shapes="read_curve takes a, b and floor, measured [N] and at [M] and returns M values.",
)


def wrong_run_cost(images: int, epochs: float, views: int, views_per_second: float, machines: int, kept: float, watts: float,
                   price_hour: float, price_kwh: float, *, viewed=True, per_epoch=True, shared=True, keeps="slower", rate="divides",
                   unit=3600.0, paid="all", powered="all", kilo=True, rent=True, power=True, energy="watts times hours") -> Tensor:
    """Hours, kWh and money of a run, with switches for what is often done otherwise."""
    work = images * (epochs if per_epoch else 1) * (views if viewed else 1)
    speed = views_per_second * (machines if shared else 1) * {"slower": kept, "ignored": 1.0, "faster": 1 / kept}[keeps]
    seconds = work / speed if rate == "divides" else work * speed
    hours = seconds / unit
    kwh = hours * watts * (machines if powered == "all" else 1) / (1000 if kilo else 1)
    if energy == "watts over hours":
        kwh = watts / hours * machines / 1000
    money = rent * hours * price_hour * (machines if paid == "all" else 1) + power * kwh * price_kwh
    return torch.tensor([hours, kwh, money], dtype=torch.float64)


run_cost = Check(
    "run_cost",
    "Convention: images a pass, epochs passes, views a picture; views_per_second is one machine's, alone; of that each of `machines` keeps "
    "the share `kept` when they work together, and each draws `watts` -> [hours, kWh, money]; money is price_hour for each hour of each "
    "machine, plus price_kwh for each kWh.",
    wrong_run_cost,
    wrong_run_cost,
    [
        Misconception("the views of a picture are forgotten", {"viewed": False}, "How often is a picture computed in one pass?"),
        Misconception("the epochs are forgotten", {"per_epoch": False}, "Change epochs: your result stays the same."),
        Misconception("the machines do not share the work", {"shared": False}, "Two machines need less time than one."),
        Misconception("what is lost between machines is forgotten", {"keeps": "ignored"}, "Change kept: your result stays the same."),
        Misconception("what is lost between machines makes them faster", {"keeps": "faster"}, "At kept = 0.5 each machine does half as much."),
        Misconception("the rate multiplies", {"rate": "multiplies"}, "A faster machine needs less time."),
        Misconception("seconds, not hours", {"unit": 1.0}, "Prices and kWh are by the hour."),
        Misconception("minutes, not hours", {"unit": 60.0}, "Prices and kWh are by the hour."),
        Misconception("only one machine is paid for", {"paid": "one"}, "Each machine has its own meter running."),
        Misconception("only one machine draws power", {"powered": "one"}, "Watts are those of one machine."),
        Misconception("watts, not kilowatts", {"kilo": False}, "How many watts are in a kilowatt?"),
        Misconception("energy is watts over hours", {"energy": "watts over hours"}, "Twice as long at the same power: more energy or less?"),
        Misconception("the electricity is not paid", {"power": False}, "Change price_kwh: your result stays the same."),
        Misconception("only the electricity is paid", {"rent": False}, "Change price_hour: your result stays the same."),
    ],
    cases=lambda: [(50_000, 200.0, 2, 20_000.0, 4, 0.8, 700.0, 2.5, 0.3), (18_000, 5.0, 2, 2400.0, 2, 0.6, 65.0, 0.1, 0.25),
                   (1_281_167, 100.0, 8, 9000.0, 8, 0.9, 400.0, 3.0, 0.2)],
    shapes="run_cost takes nine numbers and returns three: hours, kWh and money.",
)


def _measured(n: int, a: float, b: float, floor: float, seed: int) -> tuple:
    """Points near a power law, by uneven steps."""
    g = generator(seed)
    x = torch.exp(torch.rand(n, generator=g, dtype=torch.float64) * 0.9 + 0.5).cumprod(0)              # [n], rising
    y = floor + a * x**-b * torch.exp(0.15 * torch.randn(n, generator=g, dtype=torch.float64))
    return x, y, floor


def _row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
