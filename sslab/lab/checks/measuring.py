"""Checks of how representations are measured."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_knn(bank: Tensor, labels: Tensor, queries: Tensor, k: int, *, metric="cosine", nearest=True,
              take="k", result="vote") -> Tensor:
    """Labels [M] by a vote of the k nearest, with switches for what is often done otherwise."""
    a, b = (F.normalize(queries, dim=1), F.normalize(bank, dim=1)) if metric == "cosine" else (queries, bank)
    near = -torch.cdist(a, b) if metric == "euclidean" else a @ b.T                       # [M, N]
    order = near.argsort(dim=1, descending=nearest)                                       # [M, N]
    order = order[:, {"k": slice(k), "one": slice(1), "skip": slice(1, k + 1), "more": slice(k + 1)}[take]]
    votes = labels[order]                                                                 # [M, k]
    counts = F.one_hot(votes, int(labels.max()) + 1).sum(1)                               # [M, C]
    return {"vote": counts.argmax(1), "counts": counts, "index": order[:, 0], "neighbours": votes,
            "mean": votes.double().mean(1).round(), "first": labels[:len(queries)]}[result]


knn_predict = Check(
    "knn_predict",
    "Convention: bank [N, D], labels [N], queries [M, D] at any scale, k -> labels [M]; each query gets the "
    "label that most of its k nearest in the bank have, nearest by cosine. Votes may count alike or weigh "
    "more when near.",
    wrong_knn,
    wrong_knn,
    [
        Misconception("the farthest are taken", {"nearest": False},
                      "Similarity: large is near."),
        Misconception("nearest by dot product, not cosine", {"metric": "dot"},
                      "A long vector is not nearer: normalise both sides."),
        Misconception("nearest by Euclidean distance, not cosine", {"metric": "euclidean"},
                      "A vector twice as long has the same direction: normalise both sides."),
        Misconception("only the nearest one is asked", {"take": "one"},
                      "k of them vote."),
        Misconception("the nearest is left out", {"take": "skip"},
                      "That is right where a query is in the bank itself. These queries are not."),
        Misconception("k + 1 are asked", {"take": "more"},
                      "Count them."),
        Misconception("the position in the bank is returned", {"result": "index"},
                      "Look its label up."),
        Misconception("all neighbours' labels are returned", {"result": "neighbours"},
                      "They vote: which label is most frequent?"),
        Misconception("the votes are returned, not the winner", {"result": "counts"},
                      "Which class has most of them?"),
        Misconception("labels are averaged", {"result": "mean"},
                      "Labels are names, not amounts: between 0 and 2 there is no 1. Let them vote."),
        Misconception("the bank's first labels are returned", {"result": "first"},
                      "They have nothing to do with the queries."),
    ],
    cases=lambda: [_neighbours(60, 40, 5, 4, 5, 0), _neighbours(50, 30, 4, 3, 3, 1),
                   _neighbours(80, 40, 6, 5, 7, 2)],
    shapes="knn_predict takes bank [N, D], labels [N], queries [M, D] and k and returns M labels.",
)


def wrong_effective_rank(z: Tensor, *, centre=True, power=1, normalise=True, base="e", exp=True,
                         result="entropy", spectrum="singular values") -> Tensor:
    """The effective rank of z [B, D], with switches for what is often done otherwise."""
    z = z - z.mean(0) if centre else z
    s = torch.linalg.svdvals(z) if spectrum == "singular values" else z.norm(dim=0)
    s = s**power
    p = s / s.sum() if normalise else s
    if result == "count":
        return (p > 1e-6 * p.max()).sum().double()
    if result == "participation":
        return 1 / p.square().sum()
    entropy = torch.special.entr(p).sum()                            # 0 log 0 is 0
    entropy = entropy / torch.tensor(2.0).log() if base == "2" else entropy
    return entropy.exp() if exp else entropy


effective_rank = Check(
    "effective_rank",
    "Convention: z [B, D] -> scalar; singular values s of z minus its mean over the batch, p = s / sum(s), "
    "the exponential of p's entropy in nats. Roy and Vetterli 2007.",
    wrong_effective_rank,
    wrong_effective_rank,
    [
        Misconception("z is not centred", {"centre": False},
                      "Add 100 to every embedding: the spread, and so the rank, is the same."),
        Misconception("singular values are squared", {"power": 2},
                      "Those are the covariance's eigenvalues. Here p comes from the singular values "
                      "themselves."),
        Misconception("the entropy is returned", {"exp": False},
                      "Its exponential is a number of dimensions."),
        Misconception("the entropy is in bits", {"base": "2"},
                      "The exponential undoes the natural logarithm."),
        Misconception("p does not sum to 1", {"normalise": False},
                      "Entropy takes probabilities: divide by the sum."),
        Misconception("singular values are counted", {"result": "count"},
                      "That is the rank. The effective rank also asks how even they are."),
        Misconception("the participation ratio is returned", {"result": "participation"},
                      "1 / sum of p squared is another count of dimensions: take the entropy's "
                      "exponential."),
        Misconception("lengths of the features in place of singular values", {"spectrum": "lengths"},
                      "Correlated features count once: take the singular values of the matrix."),
    ],
    cases=lambda: [_spread(12, 6, 0), _spread(30, 4, 1), _spread(9, 5, 2)],
    extreme=(lambda: [(torch.cat([_spread(12, 4, 3)[0], torch.zeros(12, 3, dtype=torch.float64)], dim=1),)],
             Misconception("NaN where a singular value is 0", {},
                           "0 times the logarithm of 0 counts as 0: that is the very case of collapse. "
                           "torch.special.entr knows it; a small number added inside the logarithm helps "
                           "too.")),
    shapes="effective_rank takes z [B, D] and returns a scalar.",
)


def wrong_feature_std(z: Tensor, *, normalise="rows", over=0, unbiased=False, root=True, centre=True,
                      reduce="mean", scale="root") -> Tensor:
    """The std of the features of normalised z [B, D], with switches for what is often done otherwise."""
    d = z.shape[1]
    z = {"rows": lambda: F.normalize(z, dim=1), "columns": lambda: F.normalize(z, dim=0), "no": lambda: z}[normalise]()
    c = z - z.mean(over, keepdim=True) if centre else z
    spread = c.square().sum(over) / (z.shape[over] - unbiased)                            # [D]
    spread = spread.sqrt() if root else spread
    spread = {"mean": spread.mean(), "sum": spread.sum(), "none": spread, "least": spread.min(),
              "whole": z.std(unbiased=unbiased)}[reduce]
    return spread * {"root": d**0.5, "no": 1, "D": d, "divide": d**-0.5}[scale]


feature_std = Check(
    "feature_std",
    "Convention: z [B, D] at any scale -> scalar; each row scaled to length 1, the biased std (divided by B) of each "
    "feature over the batch, its mean over D, times sqrt(D): about 1 where directions are spread, 0 at collapse. "
    "Chen and He 2020, section 4.1.",
    wrong_feature_std,
    wrong_feature_std,
    [
        Misconception("not multiplied by sqrt(D)", {"scale": "no"},
                      "A mere convention: the paper plots that, and 1 / sqrt(D) is healthy there. Here 1 is."),
        Misconception("multiplied by D", {"scale": "D"},
                      "A vector of length 1 with D equal entries: how large is each?"),
        Misconception("divided by sqrt(D)", {"scale": "divide"},
                      "With many features each one's share of a length of 1 is small: make up for it."),
        Misconception("z is not normalised", {"normalise": "no"},
                      "Multiply z by 10: collapse is a matter of directions, and must look the same."),
        Misconception("z is normalised over the batch", {"normalise": "columns"},
                      "Each row has length 1: which dim is that?"),
        Misconception("the spread is taken over the features", {"over": 1},
                      "Collapse is when all pictures have the same value of a feature: which dim runs over the "
                      "pictures?"),
        Misconception("the variance in place of the std", {"root": False},
                      "The std is its square root."),
        Misconception("the std is unbiased", {"unbiased": True},
                      "A mere convention: torch.std divides by B - 1 unless told. Here it is B."),
        Misconception("features are not centred", {"centre": False},
                      "A collapsed z, the same in each row, must give 0."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Over how many features is it summed?"),
        Misconception("one value for each feature is returned", {"reduce": "none"},
                      "One number: take the mean."),
        Misconception("the least feature is returned", {"reduce": "least"},
                      "The mean over all features is wanted."),
        Misconception("one std of the whole matrix", {"reduce": "whole"},
                      "Each feature has a std of its own: a collapsed z, the same in each row, must give 0."),
    ],
    cases=lambda: [_spread(8, 5, 0), _spread(6, 3, 1), _spread(12, 7, 2)],
    shapes="feature_std takes z [B, D] and returns a scalar.",
)


def wrong_uniformity(z: Tensor, t: float, *, normalise="rows", pairs="different", distance="squared", sharpness="t",
                     order="log mean", sign=1.0) -> Tensor:
    """Uniformity of z [B, D], with switches for what is often done otherwise."""
    z = {"rows": lambda: F.normalize(z, dim=1), "columns": lambda: F.normalize(z, dim=0), "no": lambda: z}[normalise]()
    squared = (z[:, None] - z[None]).square().sum(2)                                      # [B, B]
    potential = {"squared": -squared, "plain": -squared.clamp_min(1e-24).sqrt(), "cosine": z @ z.T,
                 "mean": -squared / z.shape[1]}[distance]
    potential = potential * {"t": t, "minus": -t, "always 2": 2, "divide": 1 / t, "half": t / 2}[sharpness]
    b = len(z)
    mask = {"different": torch.ones(b, b).triu(1), "all": torch.ones(b, b),
            "next": torch.ones(b, b).triu(1).tril(1)}[pairs].bool()
    x = potential[mask]
    n = torch.tensor(float(len(x))).log()
    return sign * {"log mean": x.logsumexp(0) - n, "mean": x.exp().mean(), "mean log": x.mean(), "log sum":
                   x.logsumexp(0), "over B": x.logsumexp(0) - torch.tensor(float(b)).log(),
                   "both": x.logsumexp(0) + torch.tensor(2.0).log() - torch.tensor(float(b * b)).log(),
                   "rows": _row_logs(potential)}[order]


def _row_logs(potential: Tensor) -> Tensor:
    """The mean over pictures of the log of the mean over the others."""
    own = torch.eye(len(potential), dtype=torch.bool)
    return (potential.masked_fill(own, -torch.inf).logsumexp(1) - torch.tensor(len(own) - 1.0).log()).mean()


uniformity = Check(
    "uniformity",
    "Convention: z [B, D] at any scale, normalised inside, and t -> scalar; the log of the mean, over all pairs of "
    "different pictures, of exp(-t times the squared distance); 0 at collapse, lower is more even. Wang and Isola "
    "2020, section 4.1.",
    wrong_uniformity,
    wrong_uniformity,
    [
        Misconception("a picture is paired with itself", {"pairs": "all"},
                      "Its distance from itself is 0 wherever it lies. Which entries of [B, B] are pairs?"),
        Misconception("only neighbours in the batch are paired", {"pairs": "next"},
                      "Every picture with every other one."),
        Misconception("z is not normalised", {"normalise": "no"},
                      "Multiply z by 10: uniformity is a matter of directions, and must not change."),
        Misconception("z is normalised over the batch", {"normalise": "columns"},
                      "Each row has length 1: which dim is that?"),
        Misconception("the distance is not squared", {"distance": "plain"},
                      "The potential is Gaussian: what is in a Gaussian's exponent?"),
        Misconception("the cosine in place of the squared distance", {"distance": "cosine"},
                      "At collapse the value must be 0. On the sphere, how does the squared distance follow from the "
                      "cosine?"),
        Misconception("the squared distance is averaged over the features", {"distance": "mean"},
                      "A squared distance is a sum over the features."),
        Misconception("the exponent has the wrong sign", {"sharpness": "minus"},
                      "Pairs that are far apart must count little."),
        Misconception("t is not used", {"sharpness": "always 2"},
                      "Change t: your value stays the same."),
        Misconception("t divides", {"sharpness": "divide"},
                      "A larger t must make the potential narrower."),
        Misconception("the exponent is halved", {"sharpness": "half"},
                      "A convention of others, a Gaussian with a variance: here t stands alone."),
        Misconception("the sign is wrong", {"sign": -1.0},
                      "A mere convention, if larger is to be more even. Here lower is."),
        Misconception("the logarithm is missing", {"order": "mean"},
                      "At collapse the value must be 0."),
        Misconception("the mean is outside of the logarithm", {"order": "mean log"},
                      "The log of an exp is nothing at all: what is averaged before the logarithm is taken?"),
        Misconception("the mean over pictures is outside of the logarithm", {"order": "rows"},
                      "One logarithm, of the mean over all pairs."),
        Misconception("the sum is taken, not the mean", {"order": "log sum"},
                      "At collapse the value must be 0, whatever the size of the batch."),
        Misconception("the sum over pairs is divided by B", {"order": "over B"},
                      "How many pairs are there?"),
        Misconception("the sum over pairs is divided by B squared", {"order": "both"},
                      "How many pairs of different pictures are there?"),
    ],
    cases=lambda: [(*_spread(6, 4, 0), 2.0), (*_spread(5, 3, 1), 3.0), (*_spread(8, 5, 2), 0.7)],
    shapes="uniformity takes z [B, D] and t and returns a scalar.",
)


def _neighbours(n: int, m: int, d: int, classes: int, k: int, seed: int) -> tuple:
    """Clusters of lengths that differ; of the queries only those where the vote is clear, weighted or not."""
    g = generator(seed)
    centres = torch.randn(classes, d, generator=g, dtype=torch.float64) * 1.2
    labels = torch.randint(classes, (n,), generator=g)
    bank = centres[labels] + torch.randn(n, d, generator=g, dtype=torch.float64)
    queries = centres[torch.randint(classes, (m,), generator=g)]
    queries = queries + torch.randn(m, d, generator=g, dtype=torch.float64)
    bank = bank * (torch.rand(n, 1, generator=g, dtype=torch.float64) * 4 + 0.3)
    near, order = (F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T).sort(dim=1, descending=True)
    one_hot = F.one_hot(labels[order[:, :k]], classes).double()                           # [M, k, C]
    plain = one_hot.sum(1).sort(dim=1, descending=True)
    weights = (near[:, :k] / 0.07).softmax(1)
    weighted = (one_hot * weights[..., None]).sum(1).sort(dim=1, descending=True)
    clear = plain.values[:, 0] > plain.values[:, 1]
    clear &= weighted.indices[:, 0] == plain.indices[:, 0]
    clear &= near[:, k - 1] - near[:, k] > 1e-4
    return bank, labels, queries[clear], k


def _spread(b: int, d: int, seed: int) -> tuple:
    """Embeddings [B, D] away from 0, correlated, with a spread that differs by direction."""
    g = generator(seed)
    spread = torch.logspace(0.3, -0.9, d, dtype=torch.float64)
    z = torch.randn(b, d, generator=g, dtype=torch.float64) * spread
    mix = torch.randn(d, d, generator=g, dtype=torch.float64)
    return (z @ mix + 2.0,)
