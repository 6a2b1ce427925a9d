"""Checks of how a pretrained encoder is put to use: rates by layer, a head that begins as a probe, what it cost, what is left under shift."""

import math

import torch
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_layer_rates(rate: float, depth: int, decay: float, *, order="head fastest", start=0, shape="power", factor="decay",
                      kept="all") -> Tensor:
    """Learning rates [depth] from the lowest layer to the head, with switches for what is often done otherwise."""
    below = torch.arange(depth - 1, -1, -1, dtype=torch.float64) + start                  # layers above each one
    if order == "reversed":
        below = below.flip(0)
    share = {"decay": decay, "inverse": 1 / decay, "complement": 1 - decay}[factor]
    if shape == "power":
        rates = rate * share**below
    elif shape == "linear":
        rates = rate * (1 - (1 - share) * below / max(1, depth - 1))
    elif shape == "once":
        rates = rate * torch.where(below > start, share, 1.0)
    else:                                                            # divided by the number of layers above
        rates = rate / (1 + below)
    return {"all": rates, "no head": rates[:-1], "same": torch.full_like(rates, rate), "shares": rates / rate}[kept]


layer_rates = Check(
    "layer_rates",
    "Convention: rate, depth, decay -> [depth]; entry 0 is the layer at the input, the last entry is the head. The head learns at "
    "`rate`; each layer learns at `decay` times the rate of the one above it.",
    wrong_layer_rates,
    wrong_layer_rates,
    [
        Misconception("the layer at the input is the fastest", {"order": "reversed"},
                      "Which layer holds what is common to all tasks, edges and strokes? Should that change most?"),
        Misconception("the head is slowed too", {"start": 1},
                      "The head is new: it learns at the full rate. How many times is a layer's rate multiplied, k layers below it?"),
        Misconception("the rates fall in equal steps", {"shape": "linear"},
                      "Times decay from each layer to the next one, not minus."),
        Misconception("all layers below the head share one rate", {"shape": "once"},
                      "Each layer is slower than the one above it, too."),
        Misconception("the rate is divided by the layer's number", {"shape": "number"},
                      "Where is decay? Change it: your rates stay as they are."),
        Misconception("it divides by decay", {"factor": "inverse"},
                      "decay is below 1: what does dividing by it do to a rate?"),
        Misconception("1 - decay in place of decay", {"factor": "complement"},
                      "A convention of others. Here decay is what is left, not what is lost."),
        Misconception("the head is left out", {"kept": "no head"},
                      "depth counts the head: how many rates must there be?"),
        Misconception("all layers have the same rate", {"kept": "same"},
                      "That is plain fine-tuning. Who is to learn more slowly?"),
        Misconception("the shares are returned, not the rates", {"kept": "shares"},
                      "Twice the rate for the head must give twice the rate for all."),
    ],
    cases=lambda: [(2e-3, 4, 0.3), (1.5, 5, 0.7), (0.4, 3, 0.6)],
    shapes="layer_rates takes a rate, a number of layers and a decay and returns as many rates.",
)


def wrong_fold_scaling(weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor, *, divide="yes", shift="minus", through="new",
                       scaled_bias="no", transpose=False) -> Tensor:
    """A probe on (h - mean) / scale as a linear layer on h, [D + 1, C], its bias in the last row; with switches for mistakes."""
    new = {"yes": weight / scale[:, None], "no": weight, "times": weight * scale[:, None], "columns": weight / scale.mean()}[divide]
    by = new if through == "new" else weight
    moved = {"minus": -(mean @ by), "plus": mean @ by, "none": torch.zeros_like(bias)}[shift]
    base = {"no": bias, "yes": bias / scale.mean(), "dropped": torch.zeros_like(bias)}[scaled_bias]
    out = torch.cat([new, (base + moved)[None]])                     # [D + 1, C]
    return out.T if transpose else out


fold_scaling = Check(
    "fold_scaling",
    "Convention: a probe's weight [D, C] and bias [C], fitted on (h - mean) / scale with mean [D] and scale [D] -> [D + 1, C]: the "
    "weight of a linear layer on h itself that gives the same logits, and its bias as the last row.",
    wrong_fold_scaling,
    wrong_fold_scaling,
    [
        Misconception("the mean is not taken off", {"shift": "none"},
                      "Put h = mean in: the probe saw 0 there and answered its bias. What does your layer answer?"),
        Misconception("the mean is added, not taken off", {"shift": "plus"},
                      "Put h = mean in: the probe saw 0 there and answered its bias. What does your layer answer?"),
        Misconception("the mean goes through the old weight", {"through": "old"},
                      "(h - mean) / scale: is the mean divided by the scale, too?"),
        Misconception("the scale is forgotten", {"divide": "no"},
                      "Double the scale: the same h must then move the logits half as much."),
        Misconception("the scale multiplies", {"divide": "times"},
                      "The probe saw h divided by the scale. On which side of the weight does the 1 / scale go?"),
        Misconception("one scale for all features", {"divide": "columns"},
                      "scale is [D], a number a feature: which dim of the weight is that?"),
        Misconception("the bias is divided by the scale", {"scaled_bias": "yes"},
                      "The bias is added after the scaling: does it know of it?"),
        Misconception("the probe's own bias is dropped", {"scaled_bias": "dropped"},
                      "Put h = mean in: what must be left?"),
        Misconception("it is transposed", {"transpose": True},
                      "[D + 1, C] here; torch's Linear keeps [C, D], a mere convention."),
    ],
    cases=lambda: [_probe(5, 3, 0), _probe(4, 6, 1), _probe(7, 2, 2)],
    shapes="fold_scaling takes weight [D, C], bias [C], mean [D] and scale [D] and returns [D + 1, C].",
)


def _probe(d: int, c: int, seed: int) -> tuple:
    g = generator(seed)
    weight, bias = torch.randn(d, c, generator=g, dtype=torch.float64), torch.randn(c, generator=g, dtype=torch.float64)
    return weight, bias, 2 * torch.randn(d, generator=g, dtype=torch.float64), torch.rand(d, generator=g, dtype=torch.float64) * 2 + 0.3


def wrong_break_even(pretraining: float, tuning: float, scratch: float, *, cost="both", rounding="up", paid="once", never="inf",
                     strict=True) -> float:
    """How many tasks it takes until pretraining is paid back, with switches for what is often done otherwise."""
    gain = {"both": scratch - tuning, "tuning is free": scratch, "wrong way": tuning - scratch, "sum": scratch + tuning}[cost]
    if gain <= 0 and never == "inf" and cost != "wrong way":
        return math.inf
    if gain == 0:
        return math.inf
    ratio = pretraining / gain
    if paid == "each":                                               # pretraining anew for each task: it is worth it at once or never
        return 1.0 if pretraining + tuning < scratch else math.inf
    if paid == "ratio of seconds":
        ratio = (pretraining + tuning) / scratch
    if rounding == "no":
        return ratio
    if rounding == "down":
        return float(math.floor(ratio))
    if rounding == "nearest":
        return float(round(ratio))
    return float(math.floor(ratio) + 1) if strict else float(math.ceil(ratio))


break_even = Check(
    "break_even",
    "Convention: seconds of pretraining, paid once, of tuning a task, and of training a task from scratch -> the smallest number of "
    "tasks, a whole number from 1, for which pretraining and tuning all of them takes less time than all of them from scratch; "
    "infinity if there is none.",
    wrong_break_even,
    wrong_break_even,
    [
        Misconception("tuning is taken to be free", {"cost": "tuning is free"},
                      "A pretrained network has to be tuned for each task: which seconds are saved a task?"),
        Misconception("tuning and scratch are added", {"cost": "sum"},
                      "A task is either tuned or trained from scratch. What is the difference between the two?"),
        Misconception("the difference is the wrong way round", {"cost": "wrong way"},
                      "What is saved a task is what scratch takes longer."),
        Misconception("pretraining is paid for each task", {"paid": "each"},
                      "It is paid once, whatever the number of tasks. That is the point of it."),
        Misconception("a ratio for one task is returned", {"paid": "ratio of seconds"},
                      "How do the costs of n tasks grow with n, either way? Where do the two lines cross?"),
        Misconception("a fraction of a task", {"rounding": "no"},
                      "A whole number of tasks."),
        Misconception("rounded down", {"rounding": "down"},
                      "With that many tasks, is it paid back already? Put your number in."),
        Misconception("rounded to the nearest", {"rounding": "nearest"},
                      "With that many tasks, is it paid back already? Put your number in."),
        Misconception("equal counts as less", {"strict": False},
                      "A mere convention at a tie: here both must differ, less time is less."),
        Misconception("where nothing is saved it is not infinity", {"never": "number"},
                      "If tuning takes as long as training from scratch, or longer, when is pretraining paid back?"),
    ],
    cases=lambda: [(100.0, 3.0, 13.2), (50.0, 2.0, 17.0), (40.0, 5.0, 13.0), (40.0, 2.0, 12.0), (30.0, 9.0, 6.0), (7.0, 1.0, 9.0),
                   (60.0, 4.0, 27.0), (20.0, 6.0, 6.0)],
    stumble=Misconception("it divides by 0 where nothing is saved", {},
                          "If tuning takes as long as training from scratch, when is pretraining paid back?"),
    shapes="break_even takes three numbers of seconds and returns a number of tasks.",
)


def wrong_mean_corruption_error(errors: Tensor, baseline: Tensor, *, order="kinds", of="errors", clean="as given", over=None,
                                result="mean") -> Tensor:
    """Errors [K, S] under K corruptions, relative to a baseline's, with switches for what is often done otherwise."""
    mine, theirs = (1 - errors, 1 - baseline) if of == "accuracies" else (errors, baseline)
    if order == "kinds":
        ratios = mine.sum(1) / theirs.sum(1)                         # [K]
    elif order == "cells":
        ratios = mine / theirs
    elif order == "all":
        ratios = mine.sum() / theirs.sum()
    elif order == "severities":
        ratios = mine.sum(0) / theirs.sum(0)
    elif order == "hardest":
        ratios = mine[:, -1] / theirs[:, -1]
    elif order == "no baseline":
        ratios = mine.mean(1)
    elif order == "difference":
        ratios = (mine - theirs).mean(1)
    else:
        ratios = theirs.sum(1) / mine.sum(1)
    return {"mean": ratios.mean(), "each": ratios, "percent": 100 * ratios.mean(), "less": 1 - ratios.mean()}[result]


mean_corruption_error = Check(
    "mean_corruption_error",
    "Convention: errors [K, S] of a model, shares that are wrong under K corruptions at S severities, and those of a baseline [K, S] -> "
    "scalar: for each corruption the sum of the errors over the sum of the baseline's; then the mean over the corruptions. 1 is as "
    "bad as the baseline, below 1 is better. Hendrycks and Dietterich 2019.",
    wrong_mean_corruption_error,
    wrong_mean_corruption_error,
    [
        Misconception("a ratio for each severity", {"order": "cells"},
                      "At a low severity the baseline makes few errors: a ratio of two small numbers says little. Sum first."),
        Misconception("all corruptions are summed before the ratio", {"order": "all"},
                      "Then a corruption that is hard for everybody decides alone."),
        Misconception("the sums run over the corruptions", {"order": "severities"},
                      "Rows are corruptions, columns are severities: over which dim is summed first?"),
        Misconception("only the highest severity counts", {"order": "hardest"},
                      "All severities of a corruption."),
        Misconception("the baseline is not used", {"order": "no baseline"},
                      "Some corruptions are harder than others: harder than for whom?"),
        Misconception("the difference in place of the ratio", {"order": "difference"},
                      "1 must mean: as bad as the baseline."),
        Misconception("the ratio is upside down", {"order": "inverse"},
                      "Fewer errors must give a smaller number."),
        Misconception("accuracies in place of errors", {"of": "accuracies"},
                      "What is counted is what went wrong."),
        Misconception("one ratio for each corruption is returned", {"result": "each"},
                      "One number: the mean over the corruptions."),
        Misconception("it is in percent", {"result": "percent"},
                      "The paper writes it in percent; here 1 is as bad as the baseline."),
        Misconception("it is taken from 1", {"result": "less"},
                      "Below 1 is better: no further step is needed."),
    ],
    cases=lambda: [_errors(4, 5, 0), _errors(3, 4, 1), _errors(5, 3, 2)],
    shapes="mean_corruption_error takes errors [K, S] and baseline [K, S] and returns a scalar.",
)


def _errors(kinds: int, severities: int, seed: int) -> tuple:
    """Errors that grow with the severity, of corruptions of unequal strength."""
    g = generator(seed)
    strength = torch.rand(kinds, 1, generator=g, dtype=torch.float64) * 0.8 + 0.1
    grow = torch.linspace(0.1, 1, severities, dtype=torch.float64)
    noise = torch.rand(2, kinds, severities, generator=g, dtype=torch.float64) * 0.1 + 0.02
    return strength * grow * 0.7 + noise[0], strength.flip(0) * grow.sqrt() * 0.6 + noise[1]
