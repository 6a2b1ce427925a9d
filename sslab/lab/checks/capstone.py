"""Checks of 17: a loss, an objective of one's own, and how sure a share is."""

import math
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from sslab.lab.checks.engine import Check, Misconception, Result, generator, told_to_class

# ---- the spectral contrastive loss


def wrong_spectral(z1: Tensor, z2: Tensor, push: float = 1.0, *, normalise=False, dot="sum", factor=2.0, sign=-1.0, weighs="repulsion",
                   pairs="different", power="square", count="pairs", sets="both", repulsion=1.0, reduce="mean") -> Tensor:
    """The spectral contrastive loss with a switch for what is often done otherwise; z1, z2 [B, D]."""
    if normalise:
        z1, z2 = nn.functional.normalize(z1, dim=1), nn.functional.normalize(z2, dim=1)
    b = len(z1)
    s = {"both": z1 @ z2.T, "first": z1 @ z1.T}[sets] / {"sum": 1, "mean": z1.shape[1]}[dot]         # [B, B]
    partners = (z1 * z2).sum(1) / {"sum": 1, "mean": z1.shape[1]}[dot]                               # [B]
    attraction = sign * factor * {"mean": partners.mean(), "sum": partners.sum()}[reduce]
    own = torch.eye(b, dtype=torch.bool)
    if pairs == "partners":
        own = ~own
    if pairs == "all":
        own = torch.zeros_like(own)
    raised = {"square": s.square(), "none": s, "absolute": s.abs(), "square of the mean": s, "exponential": s.exp()}[power]
    total = raised.masked_fill(own, 0.0).sum()
    number = {"pairs": b * b - int(own.sum()), "B squared": b * b, "B": b}[count]
    term = total if reduce == "sum" else total / number
    if power == "square of the mean":
        term = term.square()
    weight = {"repulsion": push, "nothing": 1.0, "attraction": 1.0, "both": push}[weighs]
    return attraction * (push if weighs in ("attraction", "both") else 1.0) + repulsion * weight * term


spectral = Check(
    "spectral",
    "Convention: z1, z2 [B, D] as they are; minus twice the mean inner product of partners, plus `push` times the mean squared inner "
    "product of z1[i] and z2[j] over all pairs with i not j. HaoChen et al. 2021, arXiv:2106.04156.",
    wrong_spectral,
    wrong_spectral,
    [
        Misconception("partners are pushed apart too", {"pairs": "all"},
                      "The second mean is over pairs of different pictures. Whom does the diagonal of z1 @ z2.T hold?"),
        Misconception("the second term sees partners only", {"pairs": "partners"},
                      "Who should be pushed apart: views of one picture, or of two?"),
        Misconception("the sum is divided by B squared", {"count": "B squared"},
                      "How many pairs are left once the diagonal is out?"),
        Misconception("the sum is divided by B", {"count": "B"},
                      "It is a mean over pairs, and there are more pairs than pictures."),
        Misconception("the square is missing", {"power": "none"},
                      "Without it opposite views would be better than unrelated ones. What should the best inner product be?"),
        Misconception("the absolute value in place of the square", {"power": "absolute"},
                      "Both make 0 the best. The paper's has a slope that vanishes there."),
        Misconception("the mean is squared, not the square averaged", {"power": "square of the mean"},
                      "Half the pairs at 1 and half at -1 have a mean of 0. Are they unrelated?"),
        Misconception("exponentials in place of squares", {"power": "exponential"},
                      "That is on the way to InfoNCE. Here it is a square."),
        Misconception("the factor 2 is missing", {"factor": 1.0},
                      "Think of (s - 1) squared for partners: which factor stands before s?"),
        Misconception("the sign of the attraction is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that bring partners together?"),
        Misconception("the sign of the repulsion is wrong", {"repulsion": -1.0},
                      "Training makes the loss smaller. Should that make strangers alike?"),
        Misconception("features are normalised", {"normalise": True},
                      "Here z is taken as it is: whoever calls this has scaled it."),
        Misconception("z1 is compared with itself", {"sets": "first"},
                      "Row i of the first views, row j of the second ones."),
        Misconception("push is not used", {"weighs": "nothing"},
                      "Change push: your loss stays the same."),
        Misconception("push weighs the attraction", {"weighs": "attraction"},
                      "At push 0 nothing should push. What is left of yours?"),
        Misconception("push weighs both terms", {"weighs": "both"},
                      "At push 0 yours is 0. Attraction should be left."),
        Misconception("the mean over the features is taken, not the sum", {"dot": "mean"},
                      "An inner product is a sum over the D features."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
    ],
    cases=lambda: [_views(4, 6, 1.0, 0), _views(3, 5, 0.3, 1), _views(6, 3, 2.0, 2)],
    differentiable=(0, 1),
    shapes="spectral takes z1 [B, D], z2 [B, D] and a number and returns a scalar.",
)


def _views(b: int, d: int, push: float, seed: int) -> tuple:
    noise = torch.randn(3, b, d, generator=generator(seed), dtype=torch.float64)
    return noise[0] + 0.6 * noise[1], noise[0] + 0.6 * noise[2], push


# ---- how sure a share is

Z = NormalDist().inv_cdf(0.975)                                      # 1.96


def wrong_share_interval(right: int, count: int, *, z=Z, middle="moved", root="yes", inside="whole", divided=True, unit=1.0,
                         returned="ends", method="wilson") -> Tensor:
    """Wilson's interval [2] of a share, with switches for what is often done otherwise."""
    n = float(count)
    share = right / n
    if method == "plus four":
        n, share = n + 4, (right + 2) / (n + 4)
    if method in ("normal", "plus four", "clipped"):
        half = z * math.sqrt(share * (1 - share) / n)
        ends = torch.tensor([share - half, share + half], dtype=torch.float64)
        return ends.clamp(0, 1) if method == "clipped" else ends
    below = 1 + z * z / n if divided else 1.0
    center = (share + z * z / (2 * n)) / below if middle == "moved" else share
    variance = share * (1 - share) / n + (z * z / (4 * n * n) if inside == "whole" else 0.0)
    half = z / below * (math.sqrt(variance) if root == "yes" else variance)
    return unit * torch.tensor({"ends": (center - half, center + half), "middle and half": (center, half),
                                "turned": (center + half, center - half)}[returned], dtype=torch.float64)


share_interval = Check(
    "share_interval",
    "Convention: right, count -> (low, high), the 95 % interval by Wilson's score, as shares from 0 to 1, with z = 1.96.",
    wrong_share_interval,
    wrong_share_interval,
    [
        Misconception("the normal interval", {"method": "normal"},
                      "With 0 right of 20 yours is a single point. Are you that sure?"),
        Misconception("the normal interval, cut off at 0 and 1", {"method": "clipped"},
                      "With 0 right of 20 yours is still a single point. Are you that sure?"),
        Misconception("two successes and two failures are added", {"method": "plus four"},
                      "Close, and quick by hand. Wilson's has no need for rounding z to 2."),
        Misconception("one standard error, not 1.96", {"z": 1.0},
                      "That holds in two of three cases. 95 % takes more."),
        Misconception("1.645: that is 90 %", {"z": NormalDist().inv_cdf(0.95)},
                      "Of the 5 % that are left out, how much is on each side?"),
        Misconception("the middle is the share itself", {"middle": "share"},
                      "Wilson's interval is not even about the share: it leans towards one half."),
        Misconception("the root is missing", {"root": "no"},
                      "What is the unit of a variance?"),
        Misconception("under the root z^2 / (4 n^2) is missing", {"inside": "part"},
                      "At a share of 0 your interval has no width."),
        Misconception("nothing is divided by 1 + z^2 / n", {"divided": False},
                      "With 20 right of 20 your upper end is above 1."),
        Misconception("percent, not shares", {"unit": 100.0},
                      "From 0 to 1."),
        Misconception("the middle and half of the width", {"returned": "middle and half"},
                      "Return the two ends."),
        Misconception("the ends are exchanged", {"returned": "turned"},
                      "The lower one first."),
    ],
    cases=lambda: [(7, 20), (0, 15), (95, 100), (3, 4)],
    stumble=Misconception("it fails at a share of 0", {}, "0 right of 15 is a share like any other."),
    shapes="share_interval takes two whole numbers and returns two numbers.",
)


# ---- an objective of one's own

# What it means when a promise of `sslab.testing` is broken: the promise, words of the message -> misconception, hint.
PROMISES = (
    ("_shapes", "total:", "the loss is not one float32 number", "Loss(total, ...): a scalar with gradient. Take the mean of what you have."),
    ("_shapes", "terms", "a term is not one number", "Loss(total, {name: term}, ...): each term is a scalar, for the plots."),
    ("_shapes", "embedding", "the embedding is not the encoder's output",
     "Loss(total, terms, h, z): h is what the encoder gives, [rows, encoder.dim]; z is what the loss sees."),
    ("_shapes", "projection", "embedding and projection have different rows", "h and z: the same views in the same order."),
    ("_shapes", "levels", "a reference level is not a number", "reference_levels returns {name: float}."),
    ("_finite", "", "the loss is not finite at the end of a knob", "Which knob and which end, the message below says. What is 0 there?"),
    ("_gradient", "", "no gradient reaches the encoder", "Look for .detach(), .item(), .data or no_grad between the encoder and the loss."),
    ("_same_seed", "", "the views do not come from the generator",
     "Whoever runs it again must see the same views. Random numbers in make_views take generator=generator."),
    ("_knobs", "", "a knob does not keep its value", "Knobs are class attributes, number(...), and are read as self.name."),
    ("_order", "", "the order of the batch matters", "A batch is a set. What in yours would notice if it were shuffled?"),
    ("_bf16", "", "the loss is computed in half precision",
     "Under autocast a product is bfloat16, with three digits. @full_precision (sslab.objectives.base) above the pure loss keeps it out."),
    ("_resume", "", "it remembers what a checkpoint does not hold",
     "What lasts from step to step is a parameter or a buffer (self.register_buffer); random numbers come from the generator."),
    ("_differences", "", "samples are compared without across.gather",
     "Each of two processes sees half of the batch. across.gather(z, 2) gives all of both views, with gradient."),
    ("_outcome", "", "samples are compared without across.gather",
     "Each of two processes sees half of the batch. across.gather(z, 2) gives all of both views, with gradient."),
)
PACKAGE = Path(__file__).resolve().parents[2]                        # what stands in it, no student wrote
CONVENTION = ("Convention: hand over a function without arguments that makes your objective on an encoder for images [B, 1, 28, 28], such as "
              "lambda: Mine(encoders.create(\"conv\", (1, 28))). It is held to sslab.testing.check_objective and check_processes.")


def own_objective(make: Callable[[], Any]) -> Result:
    """Check an objective of one's own: every promise of the contract, several processes, and that it uses what it declares.

    Shows itself in a notebook and never raises, except under SSLAB_CHECKS=strict.

    Args:
        make: makes a new one, on an encoder for images [B, 1, 28, 28].
    """
    result = told_to_class(_diagnose(make))
    if os.environ.get("SSLAB_CHECKS") == "strict" and not result.passed:
        raise AssertionError(repr(result))
    return result


def _diagnose(make: Callable[[], Any]) -> Result:
    from sslab.objectives import Objective
    from sslab.testing import check_objective, check_processes

    if not callable(make) or isinstance(make, nn.Module):
        return _fails("takes a function that makes your objective", "an objective was handed over, not a way to make one" if isinstance(make, nn.Module)
                      else None, "check.own_objective(lambda: Mine(...)): it makes a few, to compare them.")
    try:
        made = make()
        if made is None or made is ...:
            return _unwritten()
        if isinstance(made, type) or not isinstance(made, Objective):
            name = "the class was returned, not an object of it" if isinstance(made, type) else "it is not an Objective"
            return _fails(name, name, "class Mine(Objective) or class Mine(TwoViews), and Mine(encoder) makes one.")
        kept = check_objective(make)
        if idle := _idle_knobs(make):
            return _fails(f"a knob changes nothing: {', '.join(idle)}", "a knob is declared and never read",
                          "Turned from end to end, the loss stays what it was. Read it as self.name at each step, not in __init__.")
        if _asks_nothing(make):
            return _fails("the views make no difference", "the loss does not look at the views",
                          "Other pictures, the same loss: what does it compute?")
        check_processes(make)
    except NotImplementedError:
        return _unwritten()
    except Exception as error:  # noqa: BLE001                       whatever a student's code raises is shown, not passed on
        return _unwritten() if "ellipsis" in str(error).lower() else _explained(error)
    return Result("own_objective", True, f"passed. {len(kept) + 1} promises kept: {', '.join(kept)}, several processes.", convention=CONVENTION)


def _idle_knobs(make: Callable[[], Any]) -> list[str]:
    """Knobs of the objective's own whose ends give the same loss."""
    idle = []
    for name, knob in make().knobs.items():
        if name in make().view_knobs:
            continue
        ends = {"number": (knob.low, knob.default, knob.high), "switch": (False, True), "choice": knob.options}[knob.kind]
        losses = []
        for end in ends:
            torch.manual_seed(0)
            made = make()
            made.set(**{name: end})
            made.after_step()                                        # what acts on a teacher or a queue acts here
            losses.append((_loss(made, 0), *(float(p.detach().double().sum()) for p in made.parameters())))
        if all(loss == losses[0] for loss in losses):
            idle.append(name)
    return idle


def _asks_nothing(make: Callable[[], Any]) -> bool:
    torch.manual_seed(0)
    made = make().eval()
    return _loss(made, 0) == _loss(made, 1)


def _loss(made, seed: int) -> float:
    images = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8, generator=generator(seed))
    with torch.no_grad():
        return float(made(made.make_views(images, generator(1))).total)


def _explained(error: Exception) -> Result:
    """A broken promise by its name; anything else as it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, AssertionError):
        ours = [frame.name for frame in frames if Path(frame.filename).name == "testing.py"]
        said = str(error).strip().splitlines()[0] if str(error).strip() else ""
        for promise, words, name, hint in PROMISES:
            if any(where.startswith(promise) for where in ours) and words in said:
                return _fails(f"{name} ({said})" if said else name, name, hint)
    own = [frame for frame in frames if PACKAGE not in Path(frame.filename).parents and "site-packages" not in Path(frame.filename).parts]
    place = f" In line {own[-1].lineno}: {own[-1].line}." if own and own[-1].line else ""
    return _fails(f"it raised {type(error).__name__}: {error}", None, f"{place} Print shapes, line by line.".strip())


def _unwritten() -> Result:
    return Result("own_objective", False, "not yet written", None, "Fill in the blank, run its cell again, then this one.", CONVENTION, written=False)


def _fails(headline: str, misconception: str | None, hint: str) -> Result:
    return Result("own_objective", False, headline, misconception, hint, CONVENTION)
