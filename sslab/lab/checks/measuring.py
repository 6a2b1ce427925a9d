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
