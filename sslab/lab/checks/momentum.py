"""Checks of MoCo's parts: the slow encoder, the queue and the loss."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, changes, generator, reaches


def blend(old: Tensor, new: Tensor, momentum: float, how: str = "average") -> Tensor:
    """The moving average of `old` and `new`, or what is often written in its place."""
    m = momentum
    return {"average": m * old + (1 - m) * new, "swapped": m * new + (1 - m) * old, "new": new, "old": old,
            "new in full": m * old + new, "old in full": old + (1 - m) * new, "both": m * (old + new),
            "sum": old + new, "mean": (old + new) / 2, "minus": m * old - (1 - m) * new,
            "away": old - (1 - m) * (new - old), "step": (1 - m) * (new - old)}[how]


def blends(old: str, new: str) -> list[Misconception]:
    """The mistakes of `blend`, where its arguments are called so."""
    say = {
        "swapped": (f"momentum multiplies the {new}, not the {old}",
                    f"A momentum of 0.99 must move the {old} only a little."),
        "new": (f"the {new} is returned", f"What is left of the {old}?"),
        "old": (f"the {old} is returned unchanged", f"It must move a little towards the {new}."),
        "new in full": (f"the {new} is not weighed", "The two weights of an average sum to 1."),
        "old in full": (f"the {old} is not weighed", "The two weights of an average sum to 1."),
        "both": ("both are multiplied by the momentum", "The two weights of an average sum to 1."),
        "sum": ("the sum is taken, not the average", "Where both are alike, nothing may change."),
        "mean": ("the momentum is not used", "Change the momentum: your result stays the same."),
        "minus": (f"the {new} is subtracted", "Where both are alike, nothing may change."),
        "away": (f"it moves away from the {new}", f"At momentum 0 the result is the {new}. What is yours?"),
        "step": ("only the step is returned", f"That is how far the {old} moves. Where does it arrive?"),
    }
    return [Misconception(name, {"how": how}, hint) for how, (name, hint) in say.items()]


def wrong_momentum_update(teacher: Tensor, student: Tensor, momentum: float, *, how="average") -> Tensor:
    """The new teacher, with a switch for what is often done otherwise."""
    return blend(teacher, student.detach(), momentum, how)


momentum_update = Check(
    "momentum_update",
    "Convention: teacher and student of one shape -> the new teacher, an average of both in which the momentum is the "
    "share of the teacher; it carries no gradient, the student stays as it is (the teacher may be changed in place). "
    "He et al. 2019, equation 2.",
    wrong_momentum_update,
    wrong_momentum_update,
    blends("teacher", "student"),
    cases=lambda: [_weights((6,), 0.9, 0), _weights((3, 4), 0.7, 1), _weights((5,), 0.2, 2)],
    promises=[
        (Misconception("the student is changed in place", {},
                       "The student is trained by its own gradient. An operation that ends in _ changes its tensor."),
         lambda function, case: changes(function, case)[1]),
        (Misconception("the gradient to the student is kept", {},
                       "The teacher is not trained: each step would drag the graphs of all steps before along. "
                       "How is a tensor cut off from its graph?"),
         lambda function, case: reaches(function, case, 1)),
    ],
    shapes="momentum_update takes two tensors of one shape and a momentum and returns a tensor of that shape.",
)


def wrong_enqueue(queue: Tensor, keys: Tensor, pointer: int, *, where="pointer", end="wrap", advance="wrap",
                  result="both", normalise=False) -> tuple[Tensor, int] | Tensor:
    """The queue [K, D] with the keys [B, D] in it and the new pointer, with switches for what goes wrong."""
    k, b = len(queue), len(keys)
    keys = F.normalize(keys.detach(), dim=1) if normalise else keys.detach()
    start = {"pointer": pointer, "first": 0, "last": k - b, "next": pointer + 1, "before": pointer - b}.get(where)
    if start is None:
        new = {"shift": torch.cat([queue[b:], keys]), "shift down": torch.cat([keys, queue[:-b]]),
               "grow": torch.cat([queue, keys])}[where]
    else:
        if end == "restart" and start + b > k:
            start = 0
        if end == "back" and start + b > k:
            start = k - b
        rows = start + torch.arange(b)                               # [B]
        keep = rows < k if end == "cut" else rows >= -k              # [B]
        new = queue.index_copy(0, (rows % k)[keep], keys[keep])
    moved = {"wrap": (pointer + b) % k, "no": pointer, "past the end": pointer + b, "one": (pointer + 1) % k,
             "zero": 0 if pointer + b >= k else pointer + b, "last": (pointer + b - 1) % k}[advance]
    return {"both": (new, moved), "queue": new, "swapped": (moved, new)}[result]


_WRAP = "Some keys fit behind the pointer and some do not: where do those go? Number the rows they take, for K = 4, "
enqueue = Check(
    "enqueue",
    "Convention: queue [K, D], keys [B, D] with B at most K, pointer -> (queue, pointer); the keys replace the rows "
    "from the pointer on, in their order, and go round from the last row to the first; the new pointer is where "
    "the next batch starts, from 0 to K - 1. Keys go in as they come and carry no gradient.",
    wrong_enqueue,
    wrong_enqueue,
    [
        Misconception("keys that do not fit are dropped", {"end": "cut"}, _WRAP + "B = 3 and pointer 2."),
        Misconception("a batch that does not fit starts again at row 0", {"end": "restart"},
                      _WRAP + "B = 3 and pointer 2."),
        Misconception("a batch that does not fit is moved back to the end", {"end": "back"},
                      _WRAP + "B = 3 and pointer 2."),
        Misconception("the first rows are always overwritten", {"where": "first"},
                      "Put two batches in: the second wipes out the first. What is the pointer for?"),
        Misconception("the last rows are always overwritten", {"where": "last"},
                      "Put two batches in: the second wipes out the first. What is the pointer for?"),
        Misconception("keys are written one row late", {"where": "next"},
                      "The pointer is the first row to be written."),
        Misconception("keys are written before the pointer", {"where": "before"},
                      "The pointer is the first row to be written, not the one after the last."),
        Misconception("the queue is shifted", {"where": "shift"},
                      "That forgets the oldest too, but moves every row, and the pointer means nothing. Here rows "
                      "stay where they are."),
        Misconception("the queue is shifted down", {"where": "shift down"},
                      "That moves every row, and the pointer means nothing. Here rows stay where they are."),
        Misconception("the queue grows", {"where": "grow"},
                      "It has K rows, before and after: new keys take the place of the oldest."),
        Misconception("the pointer does not move", {"advance": "no"},
                      "The next batch would overwrite this one."),
        Misconception("the pointer runs past the end", {"advance": "past the end"},
                      "There is no row K. What comes after the last row?"),
        Misconception("the pointer moves by one", {"advance": "one"},
                      "How many rows were written?"),
        Misconception("the pointer goes to 0 where the batch goes round", {"advance": "zero"},
                      "Part of the batch stands in the first rows already: the next one would overwrite it."),
        Misconception("the pointer stands on the last key", {"advance": "last"},
                      "It is the first row that the next batch takes."),
        Misconception("the pointer is not returned", {"result": "queue"},
                      "Two things come back: the queue and the pointer."),
        Misconception("the pointer comes first", {"result": "swapped"},
                      "The order is queue, pointer."),
        Misconception("keys are normalised on their way in", {"normalise": True},
                      "A mere convention: MoCo does so. Here the loss normalises, and keys go in as they come."),
    ],
    cases=lambda: [_queue(8, 3, 2, 1, 0), _queue(7, 3, 4, 5, 1), _queue(6, 3, 2, 3, 2), _queue(4, 4, 3, 2, 3)],
    promises=[(Misconception("keys carry their gradient into the queue", {},
                             "The queue would hold the graphs of all batches in it: memory grows with each step. "
                             "How is a tensor cut off from its graph?"),
               lambda function, case: reaches(function, case, 1))],
    stumble=Misconception("there is no wrap-around", {},
                          "It goes well until a batch does not fit behind the pointer. " + _WRAP
                          + "B = 3 and pointer 2."),
    shapes="enqueue takes queue [K, D], keys [B, D] and a pointer and returns a queue [K, D] and a pointer.",
)


def wrong_info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float, *, normalise="all", over=1,
                   temper="divide", positive="own key", column="first", denominator="positive and queue",
                   softmax="rows", log=True, sign=-1.0, reduce="mean") -> Tensor:
    """MoCo's InfoNCE with a switch for everything that is often done otherwise; [B, D], [B, D], [K, D]."""
    what = {"all": "qkn", "no": "", "queries": "q", "not queue": "qk", "not queries": "kn"}[normalise]
    q, k, n = (F.normalize(x, dim=over) if name in what else x
               for name, x in zip("qkn", (queries, keys, queue), strict=True))
    own = (q * {"own key": k, "first key": k[:1], "next key": k.roll(-1, 0)}[positive]).sum(1)   # [B]
    own, negative = own[:, None], q @ n.T                                                  # [B, 1], [B, K]
    others = (q @ k.T).masked_fill(torch.eye(len(q), dtype=torch.bool), -math.inf)         # [B, B]
    s = {"positive and queue": [own, negative], "queue": [negative], "keys": [own, others],
         "keys and queue": [own, others, negative]}[denominator]
    scale = {"divide": (1 / temperature,) * 2, "multiply": (temperature,) * 2, "ignore": (1, 1),
             "negatives": (1, 1 / temperature), "positives": (1 / temperature, 1)}[temper]
    first = denominator != "queue"
    s = torch.cat([x * scale[1 if not first or i else 0] for i, x in enumerate(s)], 1)     # [B, 1 + K]
    value = own[:, 0] * scale[0]
    if column != "first":
        value = s[torch.arange(len(q)), torch.arange(len(q)) if column == "diagonal" else -1]
    log_sum = {"rows": s.logsumexp(1), "columns": s.logsumexp(0)[0], "whole": s.flatten().logsumexp(0)}[softmax]
    each = value - log_sum                                           # [B]
    each = sign * (each if log else each.exp())
    return {"mean": each.mean(), "sum": each.sum(), "none": each}[reduce]


info_nce = Check(
    "info_nce",
    "Convention: queries, keys [B, D] and queue [K, D] at any scale, all normalised inside; query i looks for key i "
    "among it and the K rows of the queue; similarities divided by the temperature; the mean over B, in nats. The "
    "gradient reaches the queries; whether it reaches the keys is up to you. He et al. 2019, equation 1.",
    wrong_info_nce,
    wrong_info_nce,
    [
        Misconception("the labels are 0 to B - 1", {"column": "diagonal"},
                      "That is right where the other keys of the batch are the negatives. In which column of "
                      "[B, 1 + K] does each row's positive stand?"),
        Misconception("the label is the last column", {"column": "last"},
                      "In which column of [B, 1 + K] does the positive stand?"),
        Misconception("the other keys of the batch are negatives, the queue is not used",
                      {"denominator": "keys"}, "Change the queue: your loss stays the same."),
        Misconception("the other keys of the batch are negatives too", {"denominator": "keys and queue"},
                      "A convention of others. In MoCo each query meets one key of the batch, its own."),
        Misconception("the positive is left out of the denominator", {"denominator": "queue"},
                      "It is a softmax: what is in the numerator is in the denominator too."),
        Misconception("every query has the same key", {"positive": "first key"},
                      "Query i belongs to key i."),
        Misconception("queries are compared with the next key", {"positive": "next key"},
                      "Query i belongs to key i."),
        Misconception("features are not normalised", {"normalise": "no"},
                      "Multiply the queries by 10: the loss must not change."),
        Misconception("only the queries are normalised", {"normalise": "queries"},
                      "Multiply the keys by 10: the loss must not change."),
        Misconception("the queue is not normalised", {"normalise": "not queue"},
                      "A mere convention: MoCo normalises before it enqueues. Here a row of the queue may have any "
                      "length."),
        Misconception("the queries are not normalised", {"normalise": "not queries"},
                      "Multiply the queries by 10: the loss must not change."),
        Misconception("features are normalised over the batch", {"over": 0},
                      "Each row has length 1: which dim is that?"),
        Misconception("temperature multiplies", {"temper": "multiply"},
                      "A lower temperature must make the softmax sharper."),
        Misconception("temperature is not used", {"temper": "ignore"},
                      "Change the temperature: your loss stays the same."),
        Misconception("temperature is used on the negatives only", {"temper": "negatives"},
                      "Every similarity in the softmax is on one scale."),
        Misconception("temperature is used on the positive only", {"temper": "positives"},
                      "Every similarity in the softmax is on one scale."),
        Misconception("the softmax goes over the batch", {"softmax": "columns"},
                      "Each query is a question of its own: which dim runs over its candidates?"),
        Misconception("the softmax goes over the whole matrix", {"softmax": "whole"},
                      "Each query is a question of its own: which dim runs over its candidates?"),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("one value for each query is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the positive likelier?"),
        Misconception("the logarithm is missing", {"log": False},
                      "Cross-entropy is made of the logarithm of a probability."),
    ],
    cases=lambda: [_contrast(4, 6, 5, 0.5, 0), _contrast(3, 7, 4, 0.2, 1), _contrast(5, 5, 3, 2.0, 2)],
    extreme=(lambda: [tuple(x.float() if isinstance(x, Tensor) else x for x in _contrast(4, 6, 5, 0.004, 3))],
             Misconception("NaN or infinity at a low temperature", {},
                           "exp(1 / 0.004) does not fit into float32. Which functions of torch take the logarithm "
                           "of a softmax without it?")),
    differentiable=(0,),
    shapes="info_nce takes queries [B, D], keys [B, D], queue [K, D] and a temperature and returns a scalar; the "
           "logits are [B, 1 + K].",
)


def _weights(shape: tuple, momentum: float, seed: int) -> tuple:
    teacher, student = torch.randn(2, *shape, generator=generator(seed), dtype=torch.float64)
    return teacher, student, momentum


def _queue(k: int, b: int, d: int, pointer: int, seed: int) -> tuple:
    rows = torch.randn(k + b, d, generator=generator(seed), dtype=torch.float64)
    return rows[:k], rows[k:], pointer


def _contrast(b: int, k: int, d: int, temperature: float, seed: int) -> tuple:
    """Queries that resemble their keys, and a queue, of lengths that differ."""
    g = generator(seed)
    keys = torch.randn(b, d, generator=g, dtype=torch.float64)
    queries = keys + 0.7 * torch.randn(b, d, generator=g, dtype=torch.float64)
    queue = torch.randn(k, d, generator=g, dtype=torch.float64)
    q, k, n = (x * (torch.rand(len(x), 1, generator=g, dtype=torch.float64) * 2 + 0.5)
               for x in (queries, keys, queue))
    return q, k, n, temperature
