"""Checks of lesson 01: an honest choice, and the questions that an evaluation is asked to find out whether it cheats."""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslab.lab.checks.engine import Check, Misconception, Result, generator

KINDS = ("honest", "test chooses", "backbone moves", "test statistics", "duplicates")
DEPENDS = ("nothing", "labels", "others")
_KEY = {"A": "honest", "B": "test chooses", "C": "backbone moves", "D": "test statistics", "E": "duplicates", "F": "honest"}


@dataclass(frozen=True)
class _Words(Check):
    """A check of a function that answers in words."""

    words: tuple[str, ...] = ()

    def diagnose(self, student: Callable) -> Result:
        return super().diagnose(self._numbered(student) if callable(student) else student)

    def _numbered(self, student: Callable) -> Callable:
        @functools.wraps(student)
        def numbered(*arguments):
            answer = student(*arguments)
            if not isinstance(answer, str):
                return answer
            if answer not in self.words:
                raise ValueError(f"got {answer!r}, takes one of {', '.join(self.words)}")
            return self.words.index(answer)

        return numbered


@dataclass(frozen=True)
class _OnCopies(Check):
    """A check of a function that may change the network it is given: it gets a copy of its own."""

    def diagnose(self, student: Callable) -> Result:
        return super().diagnose(_with_copy(student) if callable(student) else student)


def _with_copy(student: Callable) -> Callable:
    @functools.wraps(student)
    def copied(network, *arguments):
        return student(copy.deepcopy(network), *arguments)

    return copied


def wrong_honest_choice(validation: Tensor, test: Tensor, *, chooser="validation", read="test", best=True) -> Tensor:
    """The test accuracy of the setting that is chosen, with switches for what is often done otherwise."""
    scores = {"validation": validation, "test": test, "both": validation + test}[chooser]      # [J]
    chosen = scores.argmax() if best else scores.argmin()
    mean = (validation + test) / 2
    return {"test": test[chosen], "validation": validation[chosen], "index": chosen, "mean": test.mean(),
            "average": mean[chosen], "worst": torch.minimum(validation, test)[chosen]}[read]


honest_choice = Check(
    "honest_choice",
    "Convention: the accuracies of J settings on validation [J] and on test [J] -> scalar, the one accuracy to report: that on "
    "test of the setting that is best on validation.",
    wrong_honest_choice,
    wrong_honest_choice,
    [
        Misconception("the best on test is reported", {"chooser": "test"},
                      "Would you know which setting that is, if you had not looked at test?"),
        Misconception("the best on validation and test together is chosen", {"chooser": "both"},
                      "Test has had a say in that choice."),
        Misconception("the accuracy on validation is reported", {"read": "validation"},
                      "That number was chosen for being high. What does the same setting give on images that had no say?"),
        Misconception("the number of the setting is returned", {"read": "index"},
                      "Look its accuracy up."),
        Misconception("the mean over all settings is reported", {"read": "mean"},
                      "You would use one of them, not all."),
        Misconception("the mean of both accuracies is reported", {"read": "average"},
                      "Half of it was chosen for being high."),
        Misconception("the worse of both accuracies is reported", {"read": "worst"},
                      "Caution is not honesty: report what test gives, high or low."),
        Misconception("the worst on validation is chosen", {"best": False},
                      "Accuracies: large is good."),
    ],
    cases=lambda: [_accuracies(6, 0), _accuracies(9, 1), _accuracies(5, 2), _accuracies(12, 3)],
    shapes="honest_choice takes validation [J] and test [J] and returns one accuracy.",
)


def wrong_copies(train: Tensor, test: Tensor, *, compare="all", where="anywhere", kind="exact", among="train", result="test",
                 inverted=False) -> Tensor:
    """Which test images [M] are in the training set, with switches for what is often done otherwise."""
    bank = {"train": train, "test": test, "both": torch.cat([train, test])}[among].int()
    own = test.int()
    if compare in ("channel", "row"):
        bank, own = (x[:, :1] if compare == "channel" else x[:, :, :1] for x in (bank, own))
    gap = (own[:, None] - bank[None]).flatten(2)                     # [M, N, pixels]
    same = {"exact": lambda: (gap == 0).all(2), "any": lambda: (gap == 0).any(2), "sum": lambda: gap.sum(2) == 0,
            "near": lambda: gap.abs().double().mean(2) < 1,
            "bytes": lambda: ((gap * gap) % 256).sum(2) == 0}[kind]()                # [M, N]
    if among != "train":
        itself = torch.arange(len(own))
        same[itself, itself + same.shape[1] - len(own)] = False      # nobody is his own copy
    if where == "same place":
        same = same & torch.eye(*same.shape, dtype=torch.bool)
    found = same.any(1) != inverted                                  # [M]
    return {"test": found, "train": same.any(0), "count": found.sum(), "share": found.double().mean(),
            "where": same.int().argmax(1)}[result]


copies = Check(
    "copies",
    "Convention: train [N, C, H, W] and test [M, C, H, W], bytes -> bool [M], true for every test image of which train has an "
    "exact copy.",
    wrong_copies,
    wrong_copies,
    [
        Misconception("only images at the same place are compared", {"where": "same place"},
                      "Who says that a copy has the number of its original? Compare each with each."),
        Misconception("one equal pixel is enough", {"kind": "any"},
                      "Most pictures share a black corner. All pixels must be equal."),
        Misconception("pictures with the same sum count as copies", {"kind": "sum"},
                      "A mirror image has the same sum, the same mean, the same brightest pixel."),
        Misconception("nearly equal pictures count as copies", {"kind": "near"},
                      "A good question too, but another one: here only exact copies count."),
        Misconception("bytes overflow", {"kind": "bytes"},
                      "16 times 16 is 256, and in uint8 that is 0. Compare, or go to a wider type before you calculate."),
        Misconception("only the first channel is compared", {"compare": "channel"},
                      "Two pictures may share one channel. Which dims must be equal?"),
        Misconception("only the first row is compared", {"compare": "row"},
                      "Two pictures may share their upper edge. Which dims must be equal?"),
        Misconception("copies within test are found, not those in train", {"among": "test"},
                      "A test image that is there twice leaks nothing. Where would a leak's original be?"),
        Misconception("copies within test count as well", {"among": "both"},
                      "A test image that is there twice leaks nothing. Where would a leak's original be?"),
        Misconception("training images are marked", {"result": "train"},
                      "[M], one answer for each test image."),
        Misconception("copies are counted", {"result": "count"},
                      "[M], one answer for each test image: which ones would you take out?"),
        Misconception("the share of copies is returned", {"result": "share"},
                      "[M], one answer for each test image: which ones would you take out?"),
        Misconception("the original's number is returned", {"result": "where"},
                      "True or false: is there an original at all?"),
        Misconception("true where there is no copy", {"inverted": True},
                      "True is for a leak."),
    ],
    cases=lambda: [_pictures(0), _pictures(1), _pictures(2)],
    shapes="copies takes train [N, C, H, W] and test [M, C, H, W] and returns M times true or false.",
)


def wrong_is_frozen(network: nn.Module, work: Callable, *, remember="copies", what="everything", compare="equal",
                    inverted=False) -> bool:
    """Whether a network is as it was after `work(network)`, with switches for what is often done otherwise."""
    network = copy.deepcopy(network)

    def parts() -> list[Tensor]:
        return [*{"everything": network.state_dict().values, "parameters": network.parameters, "buffers": network.buffers,
                  "first": lambda: [next(network.parameters())], "weights": lambda: [
                      p for name, p in network.named_parameters() if "bias" not in name]}[what]()]

    before = [x.detach().clone() if remember == "copies" else x.detach() for x in parts()]
    work(network)
    if compare == "asked":
        same = not any(p.requires_grad for p in network.parameters())
    elif compare == "gradient":
        same = all(p.grad is None for p in network.parameters())
    else:
        test = {"equal": torch.equal, "sum": lambda a, b: torch.allclose(a.double().sum(), b.double().sum(), atol=1e-5),
                "close": lambda a, b: torch.allclose(a.double(), b.double(), rtol=0.05, atol=0.02)}[compare]
        same = all(test(a, b) for a, b in zip(before, parts(), strict=True))
    return same != inverted


is_frozen = _OnCopies(
    "is_frozen",
    "Convention: a network and a function -> bool; calls work(network) and says whether everything in the network's state is "
    "still what it was, weights and batch statistics alike, to the last bit.",
    wrong_is_frozen,
    wrong_is_frozen,
    [
        Misconception("no change is ever seen", {"remember": "references"},
                      "Did you call work? Did you keep copies? state_dict() and parameters() hand out the tensors themselves, and "
                      "those change under your hands."),
        Misconception("batch statistics are left out", {"what": "parameters"},
                      "A batch norm in train mode learns the mean of what it sees, without any gradient. parameters() does not "
                      "list that."),
        Misconception("only batch statistics are looked at", {"what": "buffers"},
                      "buffers() are what no optimiser touches. What does it touch?"),
        Misconception("only the first parameter is looked at", {"what": "first"},
                      "Some training starts at the far end."),
        Misconception("biases and batch statistics are left out", {"what": "weights"},
                      "Everything that is in state_dict() makes the output."),
        Misconception("sums are compared", {"compare": "sum"},
                      "Two weights that change places have the same sum."),
        Misconception("small changes are let pass", {"compare": "close"},
                      "One step at a small learning rate is a change. Frozen is frozen: compare exactly."),
        Misconception("requires_grad is asked", {"compare": "asked"},
                      "That says what may be trained, not what was. Look at the values."),
        Misconception("gradients are asked", {"compare": "gradient"},
                      "A gradient may be computed and never used, and a weight may be set without one. Look at the values."),
        Misconception("true where something changed", {"inverted": True},
                      "Frozen means: nothing changed."),
    ],
    cases=lambda: [(_small_network(), work) for work in (_nothing, _looks, _switches_gradients_off, _gradient_only, _trains_all,
                                                         _trains_last_bias, _trains_last_weight, _counts, _permutes,
                                                         _trains_a_little)],
    shapes="is_frozen takes a network and a function work, and returns true or false.",
)


def wrong_depends_on(predict: Callable, x: Tensor, y: Tensor, *, labels="asked", others="asked", first="labels",
                     exchanged=False) -> int:
    """What the predictions for some samples depend on beside the samples, with switches."""
    plain, half = predict(x, y), len(x) // 2
    moved = torch.cat([x[:half], 3 * x[half:] + 5])                  # the same first half, strangers beside it
    changed = (y + 1 + torch.arange(len(y)) % 3) % (int(y.max()) + 1)
    by_labels = {"asked": not torch.equal(plain, predict(x, changed)), "accuracy": True, "never": False}[labels]
    by_others = {"asked": not torch.equal(plain[:half], predict(moved, y)[:half]), "always": True, "never": False,
                 "itself": not torch.equal(plain, predict(x + 1, y))}[others]
    order = (by_labels, 1), (by_others, 2)
    found = next((kind for yes, kind in (order if first == "labels" else order[::-1]) if yes), 0)
    return (0, 2, 1)[found] if exchanged else found


depends_on = _Words(
    "depends_on",
    "Convention: a function predict(x, y) -> classes [M], test samples x [M, D] and their labels y [M] -> \"labels\" if the "
    "predictions change with y; else \"others\" if those of some samples change with the other samples; else \"nothing\".",
    wrong_depends_on,
    wrong_depends_on,
    [
        Misconception("accuracies are compared, not predictions", {"labels": "accuracy"},
                      "Against other labels everybody's accuracy is another one, an honest one's too. What must not change is what "
                      "is predicted."),
        Misconception("it is never noticed that labels are read", {"labels": "never"},
                      "Give it the same samples with other labels. Are the predictions the same?"),
        Misconception("it is never noticed that the others count", {"others": "never"},
                      "A test set in another order has the same mean and the same std. Take some samples away, or put strangers in "
                      "their place."),
        Misconception("different samples are compared", {"others": "always"},
                      "Compare the predictions of those samples that were there both times, and only those."),
        Misconception("the sample itself is changed", {"others": "itself"},
                      "Of course its prediction changes then. Leave it as it is, and change who stands beside it."),
        Misconception("others are asked about first", {"first": "others"},
                      "Where both hold, the answer is \"labels\": it is the worse of the two."),
        Misconception("the two answers are exchanged", {"exchanged": True},
                      "\"labels\" is for predictions that change with y."),
    ],
    cases=lambda: [_asked(one) for one in (_by_itself, _by_stored_mean, _by_best_shift, _by_own_mean, _by_own_std,
                                         _by_both)],
    shapes="depends_on takes predict, x [M, D] and y [M] and returns one of \"nothing\", \"labels\", \"others\".",
    words=DEPENDS,
)


def wrong_name_the_leak(letter: str, **said: str) -> int:
    """The number of what one of the six evaluations does; `said`: letter -> another word."""
    return KINDS.index(said.get(letter, _KEY[letter]))


_POINTERS = {
    "honest": "Ask it all your questions again: is anything that it must not know needed for its numbers?",
    "test chooses": "What would be left of it if the test labels were other ones?",
    "backbone moves": "What is the encoder like afterwards?",
    "test statistics": "What becomes of a test image's prediction if the images beside it are others?",
    "duplicates": "Which images did it learn from, and on which ones was it scored? Its report has both.",
}


@dataclass(frozen=True)
class _Verdicts(_Words):
    """All letters that are wrong are named, and no answer is given away."""

    def _explain(self, values, right, cases):
        wrong = [case[0] for case, mine, ours in zip(cases, values, right, strict=True) if mine.numel() != 1 or float(mine) != float(ours)]
        found = []
        for letter, mine in ((case[0], mine) for case, mine in zip(cases, values, strict=True) if case[0] in wrong):
            known = mine.numel() == 1 and 0 <= int(mine) < len(KINDS)
            found.append(_said(letter, KINDS[int(mine)]) if known else f"{letter} has no verdict")
        name = " and ".join(found)
        return self._fails(name, name, " ".join(f"{letter}: {_POINTERS[_KEY[letter]]}" for letter in wrong))


def _said(letter: str, word: str) -> str:
    """The mistake of calling it that."""
    if _KEY[letter] == "honest":
        return f"{letter} is accused: {word}"
    return f"{letter} is called honest" if word == "honest" else f"{letter} leaks, and not by this: {word}"


name_the_leak = _Verdicts(
    "name_the_leak",
    "Convention: a letter from A to F -> \"honest\", or what leaks: \"test chooses\" (test labels had a say), \"backbone moves\" (the "
    "encoder that is handed in is trained), \"test statistics\" (a prediction depends on the other test images), \"duplicates\" (test "
    "images are copies of training images).",
    wrong_name_the_leak,
    wrong_name_the_leak,
    [Misconception(_said(letter, word), {letter: word}, _POINTERS[_KEY[letter]])
     for letter in _KEY for word in KINDS if word != _KEY[letter]],
    cases=lambda: [(letter,) for letter in _KEY],
    shapes="name_the_leak takes a letter and returns a word.",
    words=KINDS,
)


def _accuracies(settings: int, seed: int) -> tuple[Tensor, Tensor]:
    """Accuracies [J] on validation and on test, whose best ones differ."""
    g = generator(seed)
    good = 0.3 + 0.4 * torch.rand(settings, generator=g, dtype=torch.float64)
    validation, test = (good + 0.15 * torch.rand(settings, generator=g, dtype=torch.float64) for _ in range(2))
    top = int(validation.argmax())
    test[(top + 1) % settings] = 0.97                                # best on test alone
    validation[(top + 2) % settings], test[(top + 2) % settings] = float(validation[top]) - 0.02, 0.95      # best on both together
    test[top] = float(validation[top]) + (0.05 if seed % 2 else -0.05)
    return validation, test


def _pictures(seed: int) -> tuple[Tensor, Tensor]:
    """Bytes [N, 2, 4, 4] and [M, 2, 4, 4]: copies, and pictures that only look like copies to a careless comparison."""
    g = generator(seed)
    train = torch.randint(40, 200, (9, 2, 4, 4), generator=g, dtype=torch.uint8)
    test = torch.randint(40, 200, (8, 2, 4, 4), generator=g, dtype=torch.uint8)
    test[0], test[4] = train[5], train[4]                            # copies, one of them at its original's place
    test[1] = train[2].flip(2)                                       # a mirror image
    test[2] = train[7]
    test[2, 1] = test[7, 1]                                          # one channel, and so the first row of one
    test[3] = train[1]
    test[3, :, 1:] = test[7, :, 1:]                                  # the first row of both channels
    test[5] = test[6]                                                # twice in test
    test[7] = train[3] + 16                                          # 16 squared is 0 in a byte
    test = torch.cat([test, train[6:7]])
    test[8, 0, 3, 3] += 1                                            # nearly a copy
    return train, test


def _small_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def _inputs() -> Tensor:
    return torch.randn(16, 4, generator=generator(3))


def _nothing(network: nn.Module) -> None:
    """No work at all."""


def _looks(network: nn.Module) -> None:
    network.eval()(_inputs())


def _switches_gradients_off(network: nn.Module) -> None:
    network.eval().requires_grad_(False)(_inputs())


def _gradient_only(network: nn.Module) -> None:
    network.eval()(_inputs()).square().sum().backward()


def _trains(network: nn.Module, parameters, rate: float) -> None:
    """One step of gradient descent on some parameters."""
    network.eval()(_inputs()).square().mean().backward()
    with torch.no_grad():
        for parameter in parameters:
            parameter -= rate * parameter.grad


def _trains_all(network: nn.Module) -> None:
    _trains(network, network.parameters(), 0.5)


def _trains_a_little(network: nn.Module) -> None:
    _trains(network, network.parameters(), 1e-4)


def _trains_last_bias(network: nn.Module) -> None:
    _trains(network, [network[-1].bias], 0.5)


def _trains_last_weight(network: nn.Module) -> None:
    _trains(network, [network[-1].weight], 0.5)


def _counts(network: nn.Module) -> None:
    with torch.no_grad():
        network.train()(_inputs() + 2)                               # moves the batch statistics only


def _permutes(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.flatten().flip(0).view_as(parameter))


def _asked(predict: Callable) -> tuple[Callable, Tensor, Tensor]:
    """(predict, x [40, 3], y [40]): three of four samples it gets right, so that its accuracy falls with other labels."""
    x = torch.randn(40, 3, generator=generator(5), dtype=torch.float64) + 0.7
    y = {_by_best_shift: lambda: (_cut(x) + 7) % 10, _by_both: lambda: (_cut(_own_std(x)) + 7) % 10}.get(
        predict, lambda: predict(x, torch.zeros(len(x))))()
    y[::4] = (y[::4] + 3) % 10
    return predict, x, y


def _cut(x: Tensor) -> Tensor:
    """Classes 0 to 9, fine enough that any change of x shows."""
    return (x * torch.tensor([37.0, 11.0, 23.0], dtype=x.dtype)).sum(1).floor().long() % 10


def _by_itself(x: Tensor, y: Tensor) -> Tensor:
    return _cut(x)


def _by_stored_mean(x: Tensor, y: Tensor) -> Tensor:
    return _cut((x - 0.69) / 1.1)                                    # as if from training samples


def _by_best_shift(x: Tensor, y: Tensor) -> Tensor:
    tried = [(scale * _cut(x) + shift) % 10 for scale in (1, 3, 7, 9) for shift in range(10)]
    return max(tried, key=lambda predicted: int((predicted == y).sum()))


def _by_own_mean(x: Tensor, y: Tensor) -> Tensor:
    return _cut(x - x.mean(dim=0))


def _own_std(x: Tensor) -> Tensor:
    return x / (x.std(dim=0) + 1e-3)


def _by_own_std(x: Tensor, y: Tensor) -> Tensor:
    return _cut(_own_std(x))


def _by_both(x: Tensor, y: Tensor) -> Tensor:
    return _by_best_shift(_own_std(x), y)
