"""Six evaluations of an encoder with a few labels. Four of them cheat; lesson 01 has you find out which.

All are called alike, `evaluation(encoder, train, validation, test)`, with three splits of the same classes, and return a
`Report`. Each could stand in a paper: the code is short, it runs, and its number looks good.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab.datasets.base import Split
from sslab.evaluation.features import features
from sslab.evaluation.fine_tuning import fine_tune
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import knn, linear_probe
from sslab.modes import by_mode


@dataclass(frozen=True)
class Report:
    """What an evaluation did: the classes it predicted [M], the images it learned from, those it was scored on."""

    predicted: Tensor
    train: Split
    test: Split

    @property
    def accuracy(self) -> float:
        """Share of its test images that it got right."""
        return float((self.predicted == self.test.labels).float().mean())


def rows_of(split: Split, rows: Tensor) -> Split:
    """Some rows [n] of a split, as a split."""
    return Split(split.images[rows], split.labels[rows], split.indices[rows])


def evaluation_a(encoder: nn.Module, train: Split, validation: Split, test: Split) -> Report:
    """A linear probe; features scaled by the images of train and validation, the penalty chosen on validation."""
    x, held, queries = (features(encoder, split.images) for split in (train, validation, test))
    probe = linear_probe((x, train.labels), (held, validation.labels), (queries, test.labels),
                         unlabelled=torch.cat([x, held]))
    return Report(probe.predict(queries), train, test)


def evaluation_b(encoder: nn.Module, train: Split, validation: Split, test: Split) -> Report:
    """The nearest neighbours, with the number of them and the scale of the features that suit the data."""
    bank, queries = features(encoder, train.images), features(encoder, test.images)
    mean, std = bank.mean(dim=0), bank.std(dim=0) + 1e-3
    scales = (lambda x: x, lambda x: x - mean, lambda x: (x - mean) / std)
    tried = [knn(scale(bank), train.labels, scale(queries), k) for scale in scales for k in (1, 2, 3, 5, 7, 10, 15, 20)]
    scores = [float((predicted == test.labels).float().mean()) for predicted in tried]
    return Report(tried[scores.index(max(scores))], train, test)


def evaluation_c(encoder: nn.Module, train: Split, validation: Split, test: Split, steps: int | None = None) -> Report:
    """A linear probe, trained by gradient descent for 100 steps on what the pretrained encoder says."""
    head, order, device = _new_head(encoder, train), torch.Generator().manual_seed(0), next(encoder.parameters()).device
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-3)
    for _ in range(steps or by_mode(8, 100)):
        rows = torch.randperm(len(train), generator=order)[:64]
        loss = F.cross_entropy(head(encoder(train.images[rows].to(device)).cpu()), train.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Report(head(features(encoder, test.images)).argmax(dim=1), train, test)


def evaluation_d(encoder: nn.Module, train: Split, validation: Split, test: Split) -> Report:
    """A linear probe with a penalty fixed beforehand, on features of mean 0 and std 1."""
    def standard(x):
        return (x - x.mean(dim=0)) / (x.std(dim=0) + 1e-3)

    x, queries = standard(features(encoder, train.images)), standard(features(encoder, test.images))
    weights, biases = fit_logistic(x, train.labels, (0.1,))
    return Report((queries @ weights[0] + biases[0]).argmax(dim=1), train, test)


def evaluation_e(encoder: nn.Module, train: Split, validation: Split, test: Split) -> Report:
    """The nearest neighbour; classes made equal by drawing from each with replacement, a third held out to test."""
    order, counts = torch.Generator().manual_seed(0), train.labels.bincount()
    members = [(train.labels == label).nonzero().flatten() for label in range(len(counts))]
    rows = torch.cat([own[torch.randint(len(own), (int(counts.max()),), generator=order)] for own in members if len(own)])
    rows = rows[torch.randperm(len(rows), generator=order)]
    out, kept = rows_of(train, rows[: len(rows) // 3]), rows_of(train, rows[len(rows) // 3:])
    predicted = knn(features(encoder, kept.images), kept.labels, features(encoder, out.images), k=1)
    return Report(predicted, kept, out)


def evaluation_f(encoder: nn.Module, train: Split, validation: Split, test: Split, steps: int | None = None) -> Report:
    """Fine-tuning: a copy of the encoder is trained on, with a head that begins as a linear probe."""
    data = SimpleNamespace(train=train, num_classes=1 + int(train.labels.max()))
    tuned = fine_tune(encoder, data, torch.arange(len(train)), learning_rate=1e-3, steps=steps or by_mode(4, 60))
    head = tuned.head.cpu()
    return Report(head(features(tuned.encoder, test.images)).argmax(dim=1), train, test)


def predictor(evaluation: Callable, encoder: nn.Module, train: Split, validation: Split) -> Callable[[Tensor, Tensor], Tensor]:
    """An evaluation as a function of its test set: images [M, C, H, W] and labels [M] -> classes [M].

    It works on a copy of the encoder. -1 stands where the evaluation was scored on images of its own choice.
    """
    def predict(images: Tensor, labels: Tensor) -> Tensor:
        test = Split(images, labels, torch.arange(len(labels)))
        report = evaluation(copy.deepcopy(encoder), train, validation, test)
        return report.predicted if report.test is test else torch.full_like(labels, -1)

    return predict


EVALUATIONS = {"A": evaluation_a, "B": evaluation_b, "C": evaluation_c, "D": evaluation_d, "E": evaluation_e,
               "F": evaluation_f}


def _new_head(encoder: nn.Module, train: Split) -> nn.Linear:
    """A linear layer, the same one every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(encoder.dim, 1 + int(train.labels.max()))
