"""Four ways to come by a probe's penalty, and the labels that each of them costs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sslab.datasets.base import inputs_of
from sslab.evaluation.labels import FIXED_PENALTY, _some, draw_labels, some_inputs
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import PENALTIES, Scaling, _right

PROTOCOLS = ("fixed", "half to choose", "all to train", "validation split")


def penalty_protocols(embed: Callable[[Tensor], Tensor], dataset, labels_per_class: Sequence[int] = (1, 5, 20, 100),
                      draws: int = 10, penalties: Sequence[float] = PENALTIES) -> dict[str, dict[int, list[float]]]:
    """Test accuracy of linear probes whose penalty was come by in four ways, on the same draws.

    With n labels a class to train on:
        fixed             n labels in all; the penalty was written down before.
        half to choose    2n labels: n to train on, the penalty chosen on the n others.
        all to train      2n labels: all of them to train on, the penalty as in `fixed`.
        validation split  n labels to train on, the penalty chosen on the whole validation split. What papers often do.

    Args:
        embed: images [N, C, H, W] -> features [N, D].
        dataset: with labels, at least 2n a class in its training split.
        labels_per_class: n.
        draws: of labels.
        penalties: to choose from; of equally good ones the strongest is kept.
    Returns:
        protocol -> {n: [accuracy of each draw]}.
    Raises:
        ValueError: a class is too small, draws below 1, or no penalties.
    """
    if draws < 1:
        raise ValueError(f"draws: got {draws}, takes 1 or more")
    if not penalties:
        raise ValueError("penalties: got none, takes one or more")
    y, classes = dataset.train.labels, dataset.num_classes
    inputs = inputs_of(dataset.train)
    (validation, y_validation), (test, y_test) = _some(dataset.validation), _some(dataset.test)
    scaling = Scaling.of(embed(some_inputs(dataset.train)))
    validation, test = scaling(embed(validation)), scaling(embed(test))
    ordered = sorted({*penalties, FIXED_PENALTY}, reverse=True)
    fixed = ordered.index(FIXED_PENALTY)
    result = {protocol: {n: [] for n in labels_per_class} for protocol in PROTOCOLS}
    for n in labels_per_class:
        for draw in range(draws):
            rows = draw_labels(y, 2 * n, draw).view(classes, 2 * n)
            mine, others = rows[:, :n].flatten(), rows[:, n:].flatten()                # [C n] each
            x, x_others = scaling(embed(inputs[mine])), scaling(embed(inputs[others]))
            weights, biases = fit_logistic(x, y[mine], ordered, classes)               # [J, D, C], [J, C]
            both = fit_logistic(torch.cat([x, x_others]), y[torch.cat([mine, others])], (FIXED_PENALTY,), classes)
            by_half = _right(weights, biases, x_others, y[others]).float().mean(dim=1)            # [J]
            by_split = _right(weights, biases, validation, y_validation).float().mean(dim=1)
            on_test = _right(weights, biases, test, y_test).float().mean(dim=1)
            result["fixed"][n].append(float(on_test[fixed]))
            result["half to choose"][n].append(float(on_test[by_half.argmax()]))                  # the first of equals
            result["validation split"][n].append(float(on_test[by_split.argmax()]))
            result["all to train"][n].append(float(_right(*both, test, y_test).float().mean()))
    return result
