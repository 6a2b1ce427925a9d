"""Checks of what VICReg and Barlow Twins are made of."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_vicreg_variance(z: Tensor, *, over=0, centre=True, unbiased=True, epsilon=1e-4, root=True, hinge="each",
                          power=1, reduce="mean", normalise=False) -> Tensor:
    """VICReg's variance term of z [B, D], with switches for what is often done otherwise."""
    z = F.normalize(z, dim=1) if normalise else z
    n = z.shape[over]
    c = z - z.mean(over, keepdim=True) if centre else z
    spread = c.square().sum(over) / (n - 1 if unbiased else n) + epsilon                   # [D]
    spread = spread.sqrt() if root else spread
    each = {"each": F.relu(1 - spread), "no": 1 - spread, "turned": F.relu(spread - 1),
            "spread": spread, "minus": -spread, "low": torch.minimum(1 - spread, torch.zeros_like(spread)),
            "mean": F.relu(1 - spread.mean()), "distance": (1 - spread).abs()}[hinge] ** power
    return {"mean": each.mean(), "sum": each.sum(), "none": each}[reduce]


vicreg_variance = Check(
    "vicreg_variance",
    "Convention: z [B, D] -> scalar; the std of each feature over the batch, sqrt(variance + 1e-4) with the unbiased "
    "variance; the mean over D of how much it lacks of 1, and 0 where it lacks nothing. Bardes et al. 2021, "
    "equation 1.",
    wrong_vicreg_variance,
    wrong_vicreg_variance,
    [
        Misconception("the variance in place of the std", {"root": False},
                      "Near collapse the slope of a variance is 0, and nothing would pull the features apart."),
        Misconception("the hinge is missing", {"hinge": "no"},
                      "A feature that spreads enough must neither cost nor earn anything."),
        Misconception("the hinge is on the mean of the features", {"hinge": "mean"},
                      "One feature that spreads widely would make up for one that has collapsed."),
        Misconception("the hinge is the wrong way round", {"hinge": "turned"},
                      "What is to be punished: too much spread, or too little?"),
        Misconception("the smaller of the two is taken", {"hinge": "low"},
                      "A feature that spreads enough costs 0, and none costs less."),
        Misconception("too much spread is punished too", {"hinge": "distance"},
                      "A feature that spreads more than 1 costs nothing."),
        Misconception("the std itself is returned", {"hinge": "spread"},
                      "Training makes the loss smaller. Should that make the spread smaller?"),
        Misconception("minus the std is returned", {"hinge": "minus"},
                      "The spread would grow for ever: where does it suffice?"),
        Misconception("the variance is biased", {"unbiased": False},
                      "A mere convention: the paper's code divides by B - 1, as torch.var does."),
        Misconception("the spread is taken over the features", {"over": 1},
                      "Collapse is when all pictures have the same value of a feature: which dim runs over the "
                      "pictures?"),
        Misconception("z is not centred", {"centre": False},
                      "Add 100 to z: its spread is the same."),
        Misconception("1e-4 is missing under the root", {"epsilon": 0.0},
                      "At a spread of 0 the slope of a root is infinite. What is added to the variance?"),
        Misconception("the hinge is squared", {"power": 2},
                      "The paper takes the hinge as it is."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the features must not be twice the loss."),
        Misconception("one value for each feature is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("z is normalised first", {"normalise": True},
                      "On the sphere no feature reaches a spread of 1. VICReg takes z as it is."),
    ],
    cases=lambda: [_features(6, (0.4, 3.0, 0.8, 2.0), 0), _features(5, (0.001, 0.3, 0.9), 1),
                   _features(8, (0.6, 0.2, 1.5, 0.7, 0.5), 2)],
    differentiable=True,
    shapes="vicreg_variance takes z [B, D] and returns a scalar.",
)


def wrong_vicreg_covariance(z: Tensor, *, centre=True, divide="B - 1", matrix="covariance", entries="off", power=2,
                            scale="D", normalise=False) -> Tensor:
    """VICReg's covariance term of z [B, D], with switches for what is often done otherwise."""
    z = F.normalize(z, dim=1) if normalise else z
    b, d = z.shape
    c = z - z.mean(0) if centre else z
    if matrix == "correlation":
        c = c / c.square().sum(0, keepdim=True).div(b - 1).sqrt()
    m = (c @ c.T if matrix == "pictures" else c.T @ c) / {"B - 1": b - 1, "B": b, "no": 1}[divide]
    own = torch.eye(len(m), dtype=torch.bool)
    m = {"off": m.masked_fill(own, 0.0), "all": m, "diagonal": m * own, "half": m.triu(1)}[entries]
    value = {2: m.square(), 1: m, "absolute": m.abs()}[power].sum()
    value = value.sqrt() if scale == "root" else value
    return value / {"D": d, "D2": d**2, "D (D - 1)": d * (d - 1), "no": 1, "B": b, "root": 1}[scale]


vicreg_covariance = Check(
    "vicreg_covariance",
    "Convention: z [B, D] -> scalar; the covariance matrix [D, D] of the centred z, unbiased (divided by B - 1); the "
    "sum of the squares of its entries off the diagonal, divided by D. Bardes et al. 2021, equations 3 and 4.",
    wrong_vicreg_covariance,
    wrong_vicreg_covariance,
    [
        Misconception("the diagonal is counted", {"entries": "all"},
                      "Variances would be driven to 0: that is collapse. Which entries say how two features go "
                      "together?"),
        Misconception("only the diagonal is counted", {"entries": "diagonal"},
                      "Those are variances. Which entries say how two features go together?"),
        Misconception("each pair is counted once", {"entries": "half"},
                      "A mere convention, a factor of 2: here entry (i, j) and entry (j, i) both count."),
        Misconception("z is not centred", {"centre": False},
                      "Add 100 to z: covariances stay the same."),
        Misconception("the covariance is divided by B, not B - 1", {"divide": "B"},
                      "A mere convention: the paper takes the unbiased one."),
        Misconception("the covariance is not divided by the batch", {"divide": "no"},
                      "The same pictures twice must give about the same covariance."),
        Misconception("divided by D squared", {"scale": "D2"},
                      "A convention of others: the paper divides by D once."),
        Misconception("the mean over the entries off the diagonal", {"scale": "D (D - 1)"},
                      "A convention of others: the paper divides by D alone."),
        Misconception("not divided by D", {"scale": "no"},
                      "With twice the features the term must grow about twofold, not fourfold."),
        Misconception("divided by B, not D", {"scale": "B"},
                      "The batch has been averaged over in the covariance. What is left to divide by?"),
        Misconception("the root of the sum is returned", {"scale": "root"},
                      "The paper takes the sum of squares itself, divided by the number of features."),
        Misconception("entries are not squared", {"power": 1},
                      "Positive and negative covariances cancel."),
        Misconception("absolute values in place of squares", {"power": "absolute"},
                      "Large covariances count more: the paper's are raised to a power."),
        Misconception("correlations in place of covariances", {"matrix": "correlation"},
                      "That is closer to Barlow Twins. VICReg leaves the scale of a feature to its variance term."),
        Misconception("pictures are compared, not features", {"matrix": "pictures"},
                      "What is the shape of your matrix? One entry for each two features is wanted."),
        Misconception("z is normalised first", {"normalise": True},
                      "VICReg takes z as it is."),
    ],
    cases=lambda: [_features(6, (0.4, 3.0, 0.8, 2.0), 0), _features(5, (0.6, 0.3, 0.9), 1),
                   _features(8, (0.6, 0.9, 1.5, 0.7, 0.5), 2)],
    differentiable=True,
    shapes="vicreg_covariance takes z [B, D] and returns a scalar; the covariance is [D, D].",
)


def wrong_cross_correlation(z1: Tensor, z2: Tensor, *, centre=True, scale="std", unbiased=False, over=0, divide="B",
                            sets="both", result="features") -> Tensor:
    """Barlow Twins' matrix [D, D] of z1, z2 [B, D], with switches for what is often done otherwise."""
    def standard(z: Tensor) -> Tensor:
        dims = (0, 1) if over == "all" else over
        mean = z.mean(dims, keepdim=True)
        variance = (z - mean).square().sum(dims, keepdim=True) / (z.numel() // mean.numel() - unbiased)
        c = z - mean if centre else z
        return {"std": c / variance.sqrt(), "no": c, "variance": c / variance,
                "root mean square": z / z.square().mean(dims, keepdim=True).sqrt()}[scale]

    a, b = {"both": (z1, z2), "first": (z1, z1), "second": (z2, z2), "swapped": (z2, z1)}[sets]
    a, b = standard(a), standard(b)
    n = {"B": len(a), "B - 1": len(a) - 1, "D": a.shape[1], "no": 1}[divide]
    c = (a @ b.T if result == "pictures" else a.T @ b) / n
    return {"features": c, "pictures": c, "diagonal": c.diagonal(), "off": c - torch.diag(c.diagonal())}[result]


cross_correlation = Check(
    "cross_correlation",
    "Convention: z1, z2 [B, D] -> [D, D]; entry (i, j) is the correlation over the batch of feature i of z1 with "
    "feature j of z2, from -1 to 1 (biased std and a mean over B, or both with B - 1). Zbontar et al. 2021, "
    "equation 2.",
    wrong_cross_correlation,
    wrong_cross_correlation,
    [
        Misconception("features are not centred", {"centre": False},
                      "Add 100 to z1: a correlation must not change."),
        Misconception("features are not divided by their std", {"scale": "no"},
                      "Multiply z1 by 10: a correlation must not change. Yours are covariances."),
        Misconception("features are divided by their variance", {"scale": "variance"},
                      "Multiply z1 by 10: a correlation must not change."),
        Misconception("features are scaled to length 1 without centring", {"scale": "root mean square"},
                      "Add 100 to z1: a correlation must not change."),
        Misconception("the std is unbiased and the mean is over B", {"unbiased": True},
                      "The correlation of a feature with itself must be 1. Both may divide by B, or both by B - 1 "
                      "(torch.std does unless told)."),
        Misconception("the std is biased and the sum is divided by B - 1", {"divide": "B - 1"},
                      "The correlation of a feature with itself must be 1. Both may divide by B, or both by B - 1."),
        Misconception("the sum is not divided by B", {"divide": "no"},
                      "The correlation of a feature with itself must be 1."),
        Misconception("the sum is divided by D", {"divide": "D"},
                      "The correlation of a feature with itself must be 1. Over how many products is the sum?"),
        Misconception("pictures are compared, not features", {"result": "pictures"},
                      "What is the shape of your matrix? One entry for each two features is wanted."),
        Misconception("rows are standardised, not features", {"over": 1},
                      "Each feature has mean 0 over the pictures of the batch: which dim?"),
        Misconception("the whole matrix is standardised at once", {"over": "all"},
                      "Each feature has a mean and a std of its own."),
        Misconception("z1 is correlated with itself", {"sets": "first"},
                      "Where does z2 come in?"),
        Misconception("z2 is correlated with itself", {"sets": "second"},
                      "Where does z1 come in?"),
        Misconception("the matrix is transposed", {"sets": "swapped"},
                      "Rows belong to z1, columns to z2."),
        Misconception("only the diagonal is returned", {"result": "diagonal"},
                      "Every feature of z1 with every feature of z2."),
        Misconception("the diagonal is 0", {"result": "off"},
                      "The diagonal says how well the two views agree: the loss needs it."),
    ],
    cases=lambda: [_twins(6, 4, 0), _twins(5, 3, 1), _twins(9, 5, 2)],
    differentiable=True,
    shapes="cross_correlation takes z1 [B, D] and z2 [B, D] and returns [D, D].",
)


def wrong_barlow_twins(c: Tensor, off_diagonal_weight: float, *, diagonal="to 1", off="square", entries="off",
                       weight="off", reduce="sum", sign=1.0) -> Tensor:
    """Barlow Twins' loss of a matrix [D, D], with switches for what is often done otherwise."""
    own = torch.eye(len(c), dtype=torch.bool)
    on, rest = c.diagonal(), c[~own]                                                       # [D], [D (D - 1)]
    on = {"to 1": (1 - on).square(), "to 0": on.square(), "absolute": (1 - on).abs(), "plain": 1 - on,
          "squared": 1 - on.square(), "none": 0 * on}[diagonal]
    rest = {"off": rest, "half": c[torch.ones_like(c).triu(1).bool()], "all": c.flatten(), "none": 0 * rest}[entries]
    rest = {"square": rest.square(), "absolute": rest.abs(), "plain": rest, "to 1": (1 - rest).square()}[off]
    a, b = {"off": (1, off_diagonal_weight), "diagonal": (off_diagonal_weight, 1), "no": (1, 1),
            "both": (off_diagonal_weight,) * 2, "inverse": (1, 1 / off_diagonal_weight),
            "inside": (1, off_diagonal_weight**2), "share": (1 - off_diagonal_weight, off_diagonal_weight)}[weight]
    d = len(c)
    if reduce == "own means":
        return a * on.mean() + sign * b * rest.mean()
    total = a * on.sum() + sign * b * rest.sum()
    return total / {"sum": 1, "D": d, "entries": d * d}[reduce]


barlow_twins = Check(
    "barlow_twins",
    "Convention: c [D, D] -> scalar; the sum of the squares of 1 minus each diagonal entry, plus off_diagonal_weight "
    "times the sum of the squares of all others; sums, not means. Zbontar et al. 2021, equation 1.",
    wrong_barlow_twins,
    wrong_barlow_twins,
    [
        Misconception("the diagonal is driven to 0", {"diagonal": "to 0"},
                      "A feature must agree with itself in the other view: what is its correlation then?"),
        Misconception("the diagonal is not squared", {"diagonal": "plain"},
                      "What does an entry of 1.1 cost, and what one of 0.9?"),
        Misconception("absolute values on the diagonal", {"diagonal": "absolute"},
                      "The paper squares the distance."),
        Misconception("1 minus the square on the diagonal", {"diagonal": "squared"},
                      "A correlation of -1 must cost more than one of 0."),
        Misconception("the diagonal is left out", {"diagonal": "none"},
                      "A matrix of zeros must cost something: views have to agree."),
        Misconception("the rest is left out", {"entries": "none"},
                      "D copies of one feature must cost something."),
        Misconception("the diagonal is counted in the rest too", {"entries": "all"},
                      "The identity matrix must cost 0."),
        Misconception("each pair is counted once", {"entries": "half"},
                      "Entry (i, j) and entry (j, i) differ: they compare other views."),
        Misconception("the rest is not squared", {"off": "plain"},
                      "Positive and negative correlations cancel."),
        Misconception("absolute values off the diagonal", {"off": "absolute"},
                      "The paper squares them."),
        Misconception("all entries are driven to 1", {"off": "to 1"},
                      "What correlation should two different features have?"),
        Misconception("the weight is on the diagonal", {"weight": "diagonal"},
                      "There are D - 1 times as many entries off the diagonal: the weight tames those."),
        Misconception("the weight is not used", {"weight": "no"},
                      "Change the weight: your loss stays the same."),
        Misconception("the weight is on both terms", {"weight": "both"},
                      "Only one term is weighed."),
        Misconception("the weight divides", {"weight": "inverse"},
                      "At weight 0 the rest must not count."),
        Misconception("the weight is squared", {"weight": "inside"},
                      "Is it multiplied before the square, or after?"),
        Misconception("the diagonal is weighed by 1 - weight", {"weight": "share"},
                      "The weights need not sum to 1."),
        Misconception("the rest is subtracted", {"sign": -1.0},
                      "Features that repeat each other must cost something."),
        Misconception("divided by D", {"reduce": "D"},
                      "A mere convention: the paper takes sums."),
        Misconception("the mean over all entries", {"reduce": "entries"},
                      "A convention of others: the paper takes sums."),
        Misconception("a mean of each term", {"reduce": "own means"},
                      "A convention of others, with another balance of the two: the paper takes sums."),
    ],
    cases=lambda: [_correlations(4, 0.3, 0), _correlations(3, 0.05, 1), _correlations(5, 0.7, 2)],
    differentiable=True,
    shapes="barlow_twins takes c [D, D] and a weight and returns a scalar.",
)


def _features(b: int, spread: tuple[float, ...], seed: int) -> tuple:
    """Embeddings [B, D] away from 0, with about these std."""
    z = torch.randn(b, len(spread), generator=generator(seed), dtype=torch.float64)
    z = z + 0.5 * z[:, :1]                                           # features that go together
    z = (z - z.mean(0)) / z.std(0)
    return (z * torch.tensor(spread, dtype=torch.float64) + 1.0 + torch.arange(len(spread)) / 2,)


def _twins(b: int, d: int, seed: int) -> tuple:
    """Two views [B, D] that resemble each other, away from 0, on scales that differ."""
    g = generator(seed)
    noise = torch.randn(3, b, d, generator=g, dtype=torch.float64)
    scale = torch.rand(2, d, generator=g, dtype=torch.float64) * 2 + 0.7
    shift = torch.randn(2, d, generator=g, dtype=torch.float64)
    return (noise[0] + 0.6 * noise[1]) * scale[0] + shift[0], (noise[0] + 0.6 * noise[2]) * scale[1] + shift[1]


def _correlations(d: int, weight: float, seed: int) -> tuple:
    c = torch.rand(d, d, generator=generator(seed), dtype=torch.float64) * 2 - 1
    c[0, 0] = 1.2                                                    # where 1 - c and its size differ
    return c, weight
