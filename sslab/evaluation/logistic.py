"""Multinomial logistic regression for many penalties and many label draws at once.

L-BFGS (Nocedal and Wright 2006, algorithm 7.4) in the metric of Boehning's bound: the Hessian of the loss is never
above X'X / 2n + penalty (Boehning 1992, Annals of the Institute of Statistical Mathematics 44), so with that matrix
as the first guess of the curvature some ten or twenty steps are enough.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_logistic(x: Tensor, y: Tensor, penalties, num_classes: int | None = None, max_iterations: int = 100,
                 tolerance: float = 1e-3) -> tuple[Tensor, Tensor]:
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
        raise ValueError(f"x, y: got shapes {list(x.shape)} and {list(y.shape)}, takes [n, D] and [n], or [R, n, D] and [R, n]")
    penalty = torch.as_tensor(penalties, dtype=x.dtype, device=x.device).flatten()
    if not bool((penalty > 0).all()):
        raise ValueError(f"penalties: got {penalty.tolist()}, takes numbers above 0")
    single = x.ndim == 2
    x, y = (x[None], y[None]) if single else (x, y)
    classes = num_classes or int(y.max()) + 1
    target = F.one_hot(y, classes).to(x.dtype)[:, None]                       # [R, 1, n, C]
    center = x.mean(dim=1, keepdim=True)                                      # with a bias, the same problem
    x, basis = _row_space(x - center)                                         # [R, n, d], d <= n
    problem = _Problem(x, target, penalty[None, :, None, None])
    w = _minimise(problem, max_iterations, tolerance)                         # [R, J, d + 1, C]
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
    """Value and gradient for [R, J, d + 1, C] weights, the last row being the bias; and the preconditioner."""

    def __init__(self, x: Tensor, target: Tensor, penalty: Tensor) -> None:
        self.n, self.target = x.shape[1], target
        self.x = torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=2)          # [R, n, d + 1]
        ridge = torch.ones_like(self.x[0, 0])
        ridge[-1] = 0                                                         # [d + 1]
        self.ridge = ridge[:, None] * penalty                                 # [1, J, d + 1, 1]
        rows = self.x[:, :: max(1, self.n // (4 * self.x.shape[2]))]          # curvature needs no more than 4 d rows
        bound = rows.mT @ rows / (2 * rows.shape[1])                          # [R, d + 1, d + 1]
        floor = 1e-6 * bound.diagonal(dim1=1, dim2=2).mean() + 1e-12
        matrix = bound[:, None] + torch.diag_embed(self.ridge.squeeze(3) + floor)
        self.factor = torch.linalg.cholesky(matrix)                           # [R, J, d + 1, d + 1]

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        rows, penalties, width, classes = w.shape
        flat = w.transpose(1, 2).reshape(rows, width, penalties * classes)    # one product for all penalties
        logits = (self.x @ flat).view(rows, self.n, penalties, classes).transpose(1, 2)                  # [R, J, n, C]
        log_p = F.log_softmax(logits, dim=3)
        value = -(log_p * self.target).sum((2, 3)) / self.n + 0.5 * (self.ridge * w * w).sum((2, 3))     # [R, J]
        excess = (log_p.exp() - self.target).transpose(1, 2).reshape(rows, self.n, penalties * classes)
        gradient = (self.x.mT @ excess).view(rows, width, penalties, classes).transpose(1, 2) / self.n
        return value, gradient + self.ridge * w

    def precondition(self, gradient: Tensor) -> Tensor:
        return torch.cholesky_solve(gradient, self.factor)

    def start(self) -> Tensor:
        shape = (self.x.shape[0], self.ridge.shape[1], self.x.shape[2], self.target.shape[3])
        return self.x.new_zeros(shape)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """One product for each problem: [R, J, d + 1, C] twice -> [R, J, 1, 1]."""
    return (a * b).sum((2, 3), keepdim=True)


def _minimise(problem: _Problem, max_iterations: int, tolerance: float, memory: int = 10) -> Tensor:
    w = problem.start()
    value, gradient = problem.value_and_gradient(w)
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(max_iterations):
        if gradient.abs().max() < tolerance:
            break
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
            enough = (new_value - value)[..., None, None] <= -1e-4 * step * slope + 1e-7 * value.abs()[..., None, None]
            if enough.all():
                break
            step = torch.where(enough, step, step / 2)
        s, t = new - w, new_gradient - gradient
        curvature = dot(s, t)
        rho = torch.where(curvature > 1e-12, 1 / curvature.clamp_min(1e-12), torch.zeros_like(curvature))
        pairs = [*pairs[-memory + 1:], (s, t, rho)]
        w, value, gradient = new, new_value, new_gradient
    return w
