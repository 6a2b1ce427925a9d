"""Checks of 01: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import copy

import numpy as np
import pytest
import torch
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check
from sslab.lab.checks.leaks import _KEY, KINDS

WRONG_CHOICE = {
    "the best on test is reported": lambda v, t: t.max(),
    "the best on validation and test together is chosen": lambda v, t: t[np.argmax((v.numpy() + t.numpy()) / 2)],
    "the accuracy on validation is reported": lambda v, t: max(v.tolist()),
    "the number of the setting is returned": lambda v, t: int(v.argmax()),
    "the mean over all settings is reported": lambda v, t: sum(t) / len(t),
    "the mean of both accuracies is reported": lambda v, t: (v.max() + t[v.argmax()]) / 2,
    "the worse of both accuracies is reported": lambda v, t: min(v.max(), t[v.argmax()]),
    "the worst on validation is chosen": lambda v, t: t[v.argsort()[0]],
}


def pairs(train, test):
    return (test[:, None] == train[None]).flatten(2)                 # [M, N, pixels]


def loop_copies(train, test):
    return [any(torch.equal(a, b) for b in train) for a in test]


def hashed_copies(train, test):
    known = {x.numpy().tobytes() for x in train}
    return torch.tensor([x.numpy().tobytes() in known for x in test])


def own_copies(train, test):
    return torch.tensor([sum(torch.equal(a, b) for b in test) > 1 for a in test])


WRONG_COPIES = {
    "only images at the same place are compared": lambda a, b: torch.tensor(
        [i < len(a) and torch.equal(a[i], b[i]) for i in range(len(b))]),
    "one equal pixel is enough": lambda a, b: pairs(a, b).any(2).any(1),
    "pictures with the same sum count as copies": lambda a, b: torch.isin(b.flatten(1).sum(1), a.flatten(1).sum(1)),
    "nearly equal pictures count as copies": lambda a, b: (
        torch.cdist(b.flatten(1).float(), a.flatten(1).float()).min(1).values < 2),
    "bytes overflow": lambda a, b: ((b[:, None] - a[None]) ** 2).flatten(2).any(2).logical_not().any(1),
    "only the first channel is compared": lambda a, b: loop_copies(a[:, 0], b[:, 0]),
    "only the first row is compared": lambda a, b: loop_copies(a[:, :, 0], b[:, :, 0]),
    "copies within test are found, not those in train": own_copies,
    "copies within test count as well": lambda a, b: own_copies(a, b) | hashed_copies(a, b),
    "training images are marked": lambda a, b: pairs(a, b).all(2).any(0),
    "copies are counted": lambda a, b: sum(loop_copies(a, b)),
    "the share of copies is returned": lambda a, b: np.mean(loop_copies(a, b)),
    "the original's number is returned": lambda a, b: pairs(a, b).all(2).int().argmax(1),
    "true where there is no copy": lambda a, b: ~hashed_copies(a, b),
    "only the first channel is compared and true where there is no copy": lambda a, b: [
        not found for found in loop_copies(a[:, 0], b[:, 0])],
}


def state(network):
    return copy.deepcopy(network.state_dict())


def same(a, b, test=torch.equal):
    return all(test(a[name], b[name]) for name in a)


def in_state(look, test=torch.equal):
    """is_frozen by looking at a part of the network only, or with another comparison."""
    def answer(network, work):
        before = [x.detach().clone() for x in look(network)]
        work(network)
        return all(test(a, b) for a, b in zip(before, look(network), strict=True))
    return answer


def no_copy(network, work):
    before = network.state_dict()
    work(network)
    return same(before, network.state_dict())


def asks_requires_grad(network, work):
    work(network)
    return all(not p.requires_grad for p in network.parameters())


def asks_gradients(network, work):
    work(network)
    return not [p for p in network.parameters() if p.grad is not None]


WRONG_FROZEN = {
    "no change is ever seen": no_copy,
    "batch statistics are left out": in_state(lambda n: list(n.parameters())),
    "only batch statistics are looked at": in_state(lambda n: list(n.buffers())),
    "only the first parameter is looked at": in_state(lambda n: [n[0].weight]),
    "biases and batch statistics are left out": in_state(lambda n: [m.weight for m in n if hasattr(m, "weight")]),
    "sums are compared": in_state(lambda n: list(n.state_dict().values()), lambda a, b: abs(float(a.sum() - b.sum())) < 1e-5),
    "small changes are let pass": in_state(lambda n: list(n.state_dict().values()),
                                           lambda a, b: torch.allclose(a.float(), b.float(), atol=1e-2, rtol=1e-2)),
    "requires_grad is asked": asks_requires_grad,
    "gradients are asked": asks_gradients,
    "true where something changed": lambda n, w: not right_frozen(n, w),
}


def right_frozen(network, work):
    before = state(network)
    work(network)
    return same(before, network.state_dict())


def frozen_by_twin(network, work):
    twin = copy.deepcopy(network)
    work(network)
    return not any((a != b).any() for a, b in zip(twin.state_dict().values(), network.state_dict().values(), strict=True))


def frozen_by_bytes(network, work):
    before = [x.clone().numpy().tobytes() for x in (*map(torch.Tensor.detach, network.parameters()), *network.buffers())]
    work(network)
    return before == [x.numpy().tobytes() for x in (*map(torch.Tensor.detach, network.parameters()), *network.buffers())]


def right_depends(predict, x, y):
    plain, h = predict(x, y), len(x) // 2
    if (plain != predict(x, (y + 1) % 10)).any():
        return "labels"
    return "others" if (plain[:h] != predict(x[:h], y[:h])).any() else "nothing"


def depends_one_by_one(predict, x, y):
    if any(not torch.equal(predict(x, y), predict(x, torch.randint(10, y.shape, generator=torch.Generator().manual_seed(s))))
           for s in range(3)):
        return "labels"
    alone = torch.cat([predict(x[i:i + 2], y[i:i + 2])[:1] for i in range(len(x) - 1)])
    return "nothing" if torch.equal(alone, predict(x, y)[:-1]) else "others"


def depends_among_strangers(predict, x, y):
    if predict(x, torch.zeros_like(y)).tolist() != predict(x, y).tolist():
        return "labels"
    crowd = torch.cat([x, torch.full_like(x, 50.0), -x])
    return ("nothing", "others")[int((predict(crowd, y.repeat(3))[:len(x)] != predict(x, y)).any())]


def accuracies_compared(predict, x, y):
    right = (predict(x, y) == y).float().mean()
    flipped = y.flip(0)
    return "labels" if (predict(x, flipped) == flipped).float().mean() != right else "others" if right < 0 else "nothing"


def shuffled_others(predict, x, y):
    if (predict(x, y) != predict(x, (y + 1) % 10)).any():
        return "labels"
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return "others" if (predict(x[order], y[order]) != predict(x, y)[order]).any() else "nothing"


def other_samples(predict, x, y):
    if (predict(x, y) != predict(x, (y + 1) % 10)).any():
        return "labels"
    return "others" if (predict(x, y)[20:] != predict(x[:20], y[:20])).any() else "nothing"


def sample_itself(predict, x, y):
    if (predict(x, y) != predict(x, (y + 1) % 10)).any():
        return "labels"
    return "others" if (predict(x, y) != predict(x + 1, y)).any() else "nothing"


def others_first(predict, x, y):
    if (predict(x, y)[:20] != predict(x[:20], y[:20])).any():
        return "others"
    return right_depends(predict, x, y)


def labels_never(predict, x, y):
    return "others" if (predict(x, y)[:20] != predict(x[:20], y[:20])).any() else "nothing"


WRONG_DEPENDS = {
    "accuracies are compared, not predictions": accuracies_compared,
    "it is never noticed that labels are read": labels_never,
    "it is never noticed that the others count": shuffled_others,
    "different samples are compared": other_samples,
    "the sample itself is changed": sample_itself,
    "others are asked about first": others_first,
    "the two answers are exchanged": lambda p, x, y: {"labels": "others", "others": "labels"}.get(
        right_depends(p, x, y), "nothing"),
}


def verdict(**said):
    return lambda letter: {**_KEY, **said}[letter]


WRONG_NAMES = {
    "A is accused: test chooses": verdict(A="test chooses"),
    "A is accused: test statistics": verdict(A="test statistics"),
    "B is called honest": verdict(B="honest"),
    "C leaks, and not by this: test chooses": verdict(C="test chooses"),
    "D is called honest": verdict(D="honest"),
    "E leaks, and not by this: test statistics": verdict(E="test statistics"),
    "F is accused: backbone moves": lambda letter: {**_KEY, "F": "backbone moves"}.get(letter),
    "B is called honest and D is called honest and E is called honest": verdict(B="honest", D="honest", E="honest"),
    "C is called honest and F is accused: backbone moves": verdict(C="honest", F="backbone moves"),
}

WRONG = {"honest_choice": WRONG_CHOICE, "copies": WRONG_COPIES, "is_frozen": WRONG_FROZEN, "depends_on": WRONG_DEPENDS,
         "name_the_leak": WRONG_NAMES}
RIGHT = {
    "honest_choice": [
        lambda v, t: t[v.argmax()],
        lambda v, t: dict(zip(v.tolist(), t.tolist(), strict=True))[max(v.tolist())],
        lambda v, t: float(t.numpy()[np.argsort(v.numpy())[-1]]),
        lambda v, t: t[v == v.max()].mean(),
    ],
    "copies": [
        loop_copies,
        hashed_copies,
        lambda a, b: pairs(a, b).all(2).any(1),
        lambda a, b: torch.cdist(b.flatten(1).double(), a.flatten(1).double()).min(1).values == 0,
        lambda a, b: ((b[:, None].int() - a[None].int()) ** 2).sum((2, 3, 4)).eq(0).any(1),
        lambda a, b: np.array([np.isin(np.arange(len(b)), [j for x in a for j, y in enumerate(b) if (x == y).all()])])[0],
    ],
    "is_frozen": [right_frozen, frozen_by_twin, frozen_by_bytes,
                  in_state(lambda n: [*n.parameters(), *n.buffers()])],
    "depends_on": [right_depends, depends_one_by_one, depends_among_strangers],
    "name_the_leak": [verdict(), _KEY.get, lambda letter: KINDS.index(_KEY[letter])],
}


def test_a_word_that_is_none_of_them_is_named():
    result = check.name_the_leak(lambda letter: "guilty")
    assert not result.passed and "got 'guilty', takes one of honest, test chooses" in repr(result)


def test_a_letter_left_out_gives_no_answer_away():
    result = check.name_the_leak(lambda letter: _KEY[letter] if letter < "F" else None)
    assert not result.written                                        # as for a blank that is not filled in
    hints = repr(check.name_the_leak(lambda letter: "honest"))
    assert all(f"{letter} is called honest" in hints for letter in "BCDE")
    assert not any(kind in hints.split("Convention")[0] for kind in ("test chooses", "backbone moves", "test statistics", "duplicates"))


@pytest.mark.parametrize("name", ["depends_on", "name_the_leak", "is_frozen"])
def test_what_is_no_function_is_refused(name):
    assert "takes your function" in repr(getattr(check, name)(7))


def test_each_network_is_handed_over_whole():
    """A student's `work` never sees what another call did to the network."""
    seen = []

    def spy(network, work):
        seen.append(float(network[0].weight.detach().sum()))
        return right_frozen(network, work)

    assert check.is_frozen(spy) and len(set(seen)) == 1
