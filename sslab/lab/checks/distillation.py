"""Checks of what BYOL, SimSiam and DINO are made of."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator, reaches
from sslab.lab.checks.momentum import blend, blends


def wrong_negative_cosine(p: Tensor, z: Tensor, *, normalise="both", over=1, pairs="own", sign=-1.0, reduce="mean",
                          value="cosine") -> Tensor:
    """Minus the cosine of p and z [B, D], with switches for what is often done otherwise."""
    z = z.detach()
    if over == "each feature":
        p, z = p.T, z.T
    dim = 0 if over == 0 else 1
    a = F.normalize(p, dim=dim) if normalise in ("both", "p") else p
    b = F.normalize(z, dim=dim) if normalise in ("both", "z") else z
    if pairs == "next":
        b = b.roll(-1, 0)
    each = (a @ b.T).flatten() if pairs == "all" else (a * b).sum(1)                       # [B]
    each = {"cosine": sign * each, "1 - cosine": 1 - each, "2 - 2 cosine": 2 - 2 * each,
            "angle": each.clamp(-1, 1).arccos(), "square": sign * each.square()}[value]
    return {"mean": each.mean(), "sum": each.sum(), "none": each, "entries": each.mean() / p.shape[1]}[reduce]


negative_cosine = Check(
    "negative_cosine",
    "Convention: p [B, D] from the predictor, z [B, D] from the other view, at any scale, normalised inside; the mean "
    "over B of minus the cosine of p[i] and z[i], from -1 to 1; no gradient into z. Chen and He 2020, equation 1.",
    wrong_negative_cosine,
    wrong_negative_cosine,
    [
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the views more alike?"),
        Misconception("features are not normalised", {"normalise": "no"},
                      "Multiply p by 10: a cosine must not change."),
        Misconception("only p is normalised", {"normalise": "p"},
                      "Multiply z by 10: a cosine must not change."),
        Misconception("only z is normalised", {"normalise": "z"},
                      "Multiply p by 10: a cosine must not change."),
        Misconception("features are normalised over the batch", {"over": 0},
                      "Each row has length 1: which dim is that?"),
        Misconception("the cosine is over the batch", {"over": "each feature"},
                      "You have a cosine for each of the D features. One for each of the B pictures is wanted."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("one value for each picture is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("the mean is over all B x D products", {"reduce": "entries"},
                      "Where p equals z the loss is -1. What is yours?"),
        Misconception("every p is compared with every z", {"pairs": "all"},
                      "p[i] and z[i] are two views of one picture; other pictures play no part here."),
        Misconception("p is compared with the next picture's z", {"pairs": "next"},
                      "p[i] belongs to z[i]."),
        Misconception("1 - cosine is returned", {"value": "1 - cosine"},
                      "A mere convention: the gradient is the same. Here the best value is -1."),
        Misconception("2 - 2 cosine is returned", {"value": "2 - 2 cosine"},
                      "A mere convention: that is BYOL's, the squared distance on the sphere. Here the best is -1."),
        Misconception("the angle is returned", {"value": "angle"},
                      "Its cosine is wanted."),
        Misconception("the cosine is squared", {"value": "square"},
                      "Opposite vectors are not alike."),
    ],
    cases=lambda: [_predictions(4, 6, 0), _predictions(3, 5, 1), _predictions(6, 3, 2)],
    differentiable=True,
    promises=[
        (Misconception("the wrong side is detached", {},
                       "p comes from the predictor, which is to learn. Which side is only a target?"),
         lambda function, case: reaches(function, case, 1) and not reaches(function, case, 0)),
        (Misconception("p is detached", {},
                       "The value is right, but nothing would be learned: look for .item(), .detach() or no_grad."),
         lambda function, case: not reaches(function, case, 0)),
        (Misconception("gradient flows into z", {},
                       "The value is right. But z is a target: if it may come to meet p, what is the easiest way for "
                       "both to agree on every picture?"),
         lambda function, case: reaches(function, case, 1)),
    ],
    shapes="negative_cosine takes p [B, D] and z [B, D] and returns a scalar.",
)


def wrong_center_update(center: Tensor, teacher_logits: Tensor, momentum: float, *, how="average", batch="mean",
                        logits="as they are") -> Tensor:
    """The new centre [K], with switches for what is often done otherwise."""
    x = {"as they are": lambda: teacher_logits, "softmax": lambda: teacher_logits.softmax(1),
         "centred": lambda: teacher_logits - center,
         "normalised": lambda: F.normalize(teacher_logits, dim=1)}[logits]()               # [B, K]
    new = {"mean": x.mean(0), "sum": x.sum(0), "all": x.mean().expand_as(center), "first": x[0],
           "median": x.median(0).values, "none": x}[batch]
    return blend(center, new, momentum, how)


center_update = Check(
    "center_update",
    "Convention: center [K], teacher_logits [B, K] -> the new center [K], an average of the old one and the "
    "logits' mean over the batch, in which the momentum is the share of the old. Caron et al. 2021, equation 4.",
    wrong_center_update,
    wrong_center_update,
    [
        *blends("center", "batch mean"),
        Misconception("the batch is summed", {"batch": "sum"},
                      "Twice the batch must not be twice the center."),
        Misconception("one mean for all prototypes", {"batch": "all"},
                      "The same number for all K changes no softmax. Each of the K outputs has its own mean."),
        Misconception("only the first picture counts", {"batch": "first"},
                      "The center is where the whole batch lies on average."),
        Misconception("one center for each picture", {"batch": "none"},
                      "One center [K] for all pictures: over what must be averaged?"),
        Misconception("probabilities are averaged, not logits", {"logits": "softmax"},
                      "The center is subtracted from logits: it must be one."),
        Misconception("logits are centred before", {"logits": "centred"},
                      "The center would follow the distance from itself. It follows the raw logits."),
        Misconception("logits are normalised before", {"logits": "normalised"},
                      "The center is subtracted from raw logits: it is on their scale."),
    ],
    cases=lambda: [_logits(4, 4, 0.9, 0), _logits(3, 5, 0.7, 1), _logits(6, 3, 0.2, 2)],
    stumble=Misconception("the mean is over the wrong dimension", {},
                          "It goes well only where B = K. The center has one number for each of the K outputs."),
    shapes="center_update takes center [K], teacher_logits [B, K] and a momentum and returns a center [K].",
)


def wrong_dino(student: Tensor, teacher: Tensor, center: Tensor, student_temperature: float,
               teacher_temperature: float, *, center_at="subtract", temper="own", loss="cross-entropy",
               target="soft", over=1, log=True, sign=-1.0, reduce="mean") -> Tensor:
    """DINO's loss of one pair of views, with switches for what is often done otherwise; [B, K], [B, K], [K]."""
    teacher, s, t = teacher.detach(), student_temperature, teacher_temperature
    s, t = {"own": (s, t), "swapped": (t, s), "student's": (s, s), "teacher's": (t, t), "multiply": (1 / s, 1 / t),
            "ignore": (1, 1), "only student's": (s, 1), "only teacher's": (1, t)}[temper]
    x = (student - center if center_at in ("both", "student") else student) / s            # [B, K]
    y = {"subtract": (teacher - center) / t, "add": (teacher + center) / t, "ignore": teacher / t,
         "late": teacher / t - center, "both": (teacher - center) / t, "student": teacher / t,
         "batch": (teacher - teacher.mean(0)) / t}[center_at]                              # [B, K]
    log_p, log_q = x.log_softmax(over), y.log_softmax(over)
    q = {"soft": log_q.exp(), "hard": F.one_hot(y.argmax(1), y.shape[1]).to(y), "logits": y}[target]
    if loss == "reversed":
        log_p, q = log_q, log_p.exp()
    if loss == "KL":
        log_p = log_p - log_q
    each = sign * (q * (log_p if log else log_p.exp())).sum(1)                             # [B]
    if loss == "squared":
        each = (log_p.exp() - q).square().sum(1)
    return {"mean": each.mean(), "sum": each.sum(), "none": each,
            "entries": each.mean() / student.shape[1]}[reduce]


dino = Check(
    "dino",
    "Convention: student, teacher [B, K] logits, center [K]; the cross-entropy of the student's softmax at its "
    "temperature against the teacher's softmax, centred by subtraction first and then divided by its own temperature; "
    "the mean over B, in nats; no gradient into the teacher. Caron et al. 2021, equations 1 and 2 (one pair of views).",
    wrong_dino,
    wrong_dino,
    [
        Misconception("the center is added", {"center_at": "add"},
                      "An output that is large for every picture must lose its advantage."),
        Misconception("the center is not used", {"center_at": "ignore"},
                      "Change the center: your loss stays the same."),
        Misconception("the center is subtracted after the temperature", {"center_at": "late"},
                      "The center is an average of raw logits: compare like with like."),
        Misconception("the student is centred too", {"center_at": "both"},
                      "Only the target is centred."),
        Misconception("the student is centred, not the teacher", {"center_at": "student"},
                      "Only the target is centred. Which one is that?"),
        Misconception("the batch's mean in place of the center", {"center_at": "batch"},
                      "The center is a running average over many batches: it is handed over to you."),
        Misconception("the temperatures are swapped", {"temper": "swapped"},
                      "The target must be the sharper one. Which temperature is lower in DINO?"),
        Misconception("the student's temperature is used for both", {"temper": "student's"},
                      "Change the teacher's temperature: your loss stays the same."),
        Misconception("the teacher's temperature is used for both", {"temper": "teacher's"},
                      "Change the student's temperature: your loss stays the same."),
        Misconception("the teacher's temperature is not used", {"temper": "only student's"},
                      "Change the teacher's temperature: your loss stays the same."),
        Misconception("the student's temperature is not used", {"temper": "only teacher's"},
                      "Change the student's temperature: your loss stays the same."),
        Misconception("the temperatures are not used", {"temper": "ignore"},
                      "Change a temperature: your loss stays the same."),
        Misconception("the temperatures multiply", {"temper": "multiply"},
                      "A lower temperature must make a softmax sharper."),
        Misconception("the KL divergence in place of the cross-entropy", {"loss": "KL"},
                      "A mere convention for the student, whose gradient is the same: the teacher's entropy is "
                      "missing in the value. With it a collapse to one output can be told from a uniform one."),
        Misconception("student and teacher are swapped in the cross-entropy", {"loss": "reversed"},
                      "The logarithm is taken of what learns; the target weighs it."),
        Misconception("squared distance in place of the cross-entropy", {"loss": "squared"},
                      "Cross-entropy is made of the logarithm of a probability."),
        Misconception("the target is the teacher's largest output", {"target": "hard"},
                      "The teacher's whole distribution is the target."),
        Misconception("the target is not a distribution", {"target": "logits"},
                      "Do the target's K numbers sum to 1?"),
        Misconception("the softmax goes over the batch", {"over": 0},
                      "Each picture has a distribution over the K outputs: which dim?"),
        Misconception("the logarithm is missing", {"log": False},
                      "Cross-entropy is made of the logarithm of a probability."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "A cross-entropy is never negative."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("one value for each picture is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("the mean is over all B x K entries", {"reduce": "entries"},
                      "For uniform distributions the loss is log K. What is yours?"),
    ],
    cases=lambda: [_distill(4, 6, 0.5, 0.3, 0), _distill(3, 5, 0.8, 0.4, 1), _distill(6, 4, 1.5, 0.6, 2)],
    extreme=(lambda: [tuple((x * 10).float() if isinstance(x, Tensor) else x for x in _distill(4, 6, 0.1, 0.04, 3))],
             Misconception("NaN or infinity where a probability rounds to 0", {},
                           "In float32 a softmax at a low temperature has zeros, and their logarithm is minus "
                           "infinity. Which function of torch gives the logarithm without the softmax before it?")),
    differentiable=(0,),
    promises=[(Misconception("gradient flows into the teacher", {},
                             "The value is right. But the teacher is a target, and moves by its momentum alone."),
               lambda function, case: reaches(function, case, 1) and reaches(function, case, 0))],
    shapes="dino takes student [B, K], teacher [B, K], center [K] and two temperatures and returns a scalar.",
)


def _predictions(b: int, d: int, seed: int) -> tuple:
    """p and z [B, D] that resemble each other, of lengths that differ."""
    g = generator(seed)
    noise = torch.randn(3, b, d, generator=g, dtype=torch.float64)
    lengths = torch.rand(2, b, 1, generator=g, dtype=torch.float64) * 2 + 0.5
    return (noise[0] + 0.8 * noise[1]) * lengths[0], (noise[0] + 0.8 * noise[2]) * lengths[1]


def _logits(b: int, k: int, momentum: float, seed: int) -> tuple:
    g = generator(seed)
    center = torch.randn(k, generator=g, dtype=torch.float64)
    return center, torch.randn(b, k, generator=g, dtype=torch.float64) * 2 + center, momentum


def _distill(b: int, k: int, student_temperature: float, teacher_temperature: float, seed: int) -> tuple:
    numbers = torch.randn(2 * b + 1, k, generator=generator(seed), dtype=torch.float64)
    return numbers[:b], numbers[b:-1], numbers[-1], student_temperature, teacher_temperature
