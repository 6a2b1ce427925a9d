"""Multinomial logistic regression for many penalties and many label draws at once.

L-BFGS (Nocedal and Wright 2006, algorithm 7.4) in the metric of Boehning's bound: the Hessian of the loss is never
above X'X / 2n + penalty (Boehning 1992, Annals of the Institute of Statistical Mathematics 44), so with that matrix
as the first guess of the curvature a few steps come near; there the true curvature, averaged over the classes, takes
its place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import check_classes, check_finite, check_type, takes


@takes(x="float [..., D]", y="int [...]", num_classes=">= 1", max_iterations=">= 1", tolerance="> 0")
def fit_logistic(x: Tensor, y: Tensor, penalties, num_classes: int | None = None, max_iterations: int = 100,
                 tolerance: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Minimise mean cross-entropy + penalty / 2 * sum of squared weights; the bias is not penalised.

    The same minimum as scikit-learn's LogisticRegression with C = 1 / (n * penalty).

    Args:
        x: features [n, D], or R problems of the same size [R, n, D].
        y: classes [n] or [R, n], from 0.
        penalties: J numbers above 0.
        num_classes: C; the largest label + 1 if None.
        tolerance: stop when no entry of the gradient is above it.
    Returns:
        weights [J, D, C] and biases [J, C]; with R problems [R, J, D, C] and [R, J, C].
    Raises:
        ValueError: shapes do not fit, or a penalty is not above 0.
    """
    if x.ndim not in (2, 3) or y.shape != x.shape[:-1]:
        raise ValueError(f"x, y: got shapes {list(x.shape)} and {list(y.shape)}, takes [n, D] and [n], "
                         "or [R, n, D] and [R, n]")
    check_type("penalties", penalties, list[float] | Tensor)
    penalty = torch.as_tensor(penalties, dtype=x.dtype, device=x.device).flatten()
    if not bool((penalty > 0).all()):
        raise ValueError(f"penalties: got {penalty.tolist()}, takes numbers above 0")
    check_finite(x=x)
    check_classes("y", y, num_classes)
    y = y.long()
    single = x.ndim == 2
    x, y = (x[None], y[None]) if single else (x, y)
    classes = num_classes or int(y.max()) + 1
    center = x.mean(dim=1, keepdim=True)                                      # with a bias, the same problem
    x, basis = _row_space(x - center)                                         # [R, n, d], d <= n
    problem = _Problem(x, y, classes, penalty)
    w = _minimise(problem, max_iterations, tolerance).mT                      # [R, J, d + 1, C]
    weights, biases = w[:, :, :-1], w[:, :, -1]
    if basis is not None:
        weights = basis[:, None] @ weights                                    # [R, J, D, C]
    biases = biases - (center[:, None] @ weights).squeeze(2)                  # [R, J, C]
    return (weights[0], biases[0]) if single else (weights, biases)


def _row_space(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """With fewer samples than features the weights lie in the span of the samples: solve there, [R, n, n]."""
    if x.shape[1] >= x.shape[2]:
        return x, None
    q, r = torch.linalg.qr(x.mT)                                              # [R, D, n], [R, n, n]
    return r.mT, q


class _Problem:
    """Value and gradient for [R, J, C, d + 1] weights, the last column being the bias; and the preconditioner.

    Classes come before samples, so that a softmax runs along memory for any number of classes.
    """

    def __init__(self, x: Tensor, y: Tensor, classes: int, penalty: Tensor) -> None:
        self.n = x.shape[1]
        self.x = torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=2)           # [R, n, d + 1]
        self.y = y[:, None, None]                                             # [R, 1, 1, n]
        target = F.one_hot(y, classes).to(x.dtype)                            # [R, n, C]
        self.observed = (target.mT @ self.x)[:, None] / self.n                # [R, 1, C, d + 1]
        ridge = torch.ones_like(self.x[0, 0])
        ridge[-1] = 0                                                         # [d + 1]
        self.ridge = ridge * penalty[:, None, None]                           # [J, 1, d + 1]
        self.rows = self.x[:, :: max(1, self.n // (4 * self.x.shape[2]))]    # curvature needs no more than 4 d rows
        self.metric(0.5 * self.rows[:, None].mT @ self.rows[:, None])         # [R, 1, d + 1, d + 1]

    def metric(self, curvature: Tensor) -> None:
        """Measure steps by this sum over `rows`, [R, J or 1, d + 1, d + 1]."""
        curvature = curvature / self.rows.shape[1]
        floor = 1e-6 * curvature.diagonal(dim1=2, dim2=3).mean(2)[..., None] + 1e-12
        matrix = curvature + torch.diag_embed(self.ridge.squeeze(1) + floor)
        self.factor = torch.linalg.cholesky(matrix)                           # [R, J, d + 1, d + 1]

    def metric_at(self, w: Tensor) -> None:
        """Measure steps by the curvature at w: p (1 - p) of each sample, twice its mean over the classes."""
        p = (w.flatten(1, 2) @ self.rows.mT).view(*w.shape[:3], -1).softmax(2)           # [R, J, C, rows]
        weight = 2 * (p * (1 - p)).mean(2)                                    # [R, J, rows]
        self.metric((self.rows[:, None].mT * weight[:, :, None]) @ self.rows[:, None])

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        problems, penalties, classes, width = w.shape
        flat = w.view(problems, penalties * classes, width)                   # one product for all penalties
        logits = (flat @ self.x.mT).view(problems, penalties, classes, self.n)
        logits -= logits.amax(dim=2, keepdim=True)
        right = logits.gather(2, self.y.expand(-1, penalties, -1, -1))        # [R, J, 1, n]
        share = logits.exp_()
        total = share.sum(dim=2, keepdim=True)                                # [R, J, 1, n]
        share /= total                                                        # probabilities
        value = (total.log() - right).mean((2, 3)) + 0.5 * (self.ridge * w * w).sum((2, 3))      # [R, J]
        expected = (share.view(problems, -1, self.n) @ self.x).view_as(w) / self.n
        return value, expected - self.observed + self.ridge * w

    def precondition(self, gradient: Tensor) -> Tensor:
        return torch.cholesky_solve(gradient.mT, self.factor).mT

    def start(self) -> Tensor:
        return self.x.new_zeros(len(self.x), len(self.ridge), self.observed.shape[2], self.x.shape[2])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """One product for each problem: [R, J, C, d + 1] twice -> [R, J, 1, 1]."""
    return (a * b).sum((2, 3), keepdim=True)


def _minimise(problem: _Problem, max_iterations: int, tolerance: float, memory: int = 10) -> Tensor:
    w = problem.start()
    value, gradient = problem.value_and_gradient(w)
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    for iteration in range(max_iterations):
        if gradient.abs().max() < tolerance:
            break
        if iteration == 4:                                                    # near enough for its curvature to count
            problem.metric_at(w)
            pairs.clear()
        direction, alphas = gradient, []
        for s, t, rho in reversed(pairs):
            alphas.append(rho * dot(s, direction))
            direction = direction - alphas[-1] * t
        direction = problem.precondition(direction)
        for (s, t, rho), alpha in zip(pairs, reversed(alphas), strict=True):
            direction = direction + (alpha - rho * dot(t, direction)) * s
        slope = dot(gradient, direction)
        step = torch.ones_like(slope)
        for _ in range(6):                                                    # each problem halves its own step
            new = w - step * direction
            new_value, new_gradient = problem.value_and_gradient(new)
            rounding = 1e-7 * value.abs()
            enough = (new_value - value - rounding)[..., None, None] <= -1e-4 * step * slope
            if enough.all():
                break
            step = torch.where(enough, step, step / 2)
        s, t = new - w, new_gradient - gradient
        curvature = dot(s, t)
        rho = torch.where(curvature > 1e-12, 1 / curvature.clamp_min(1e-12), torch.zeros_like(curvature))
        pairs = [*pairs[-memory + 1:], (s, t, rho)]
        w, value, gradient = new, new_value, new_gradient
    return w
