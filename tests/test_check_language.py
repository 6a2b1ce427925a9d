"""Checks of 04 and 05: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check

INF = float("inf")


# ---- hide_tokens


def words_of(t):
    return (t != 0) & (t != 2) & (t != 3)


def hidden(t, chosen, v, w, low=0.8, high=0.9):
    seen = t.clone()
    seen[chosen & (v < low)] = 4
    at = chosen & (v >= low) & (v < high)
    seen[at] = w[at]
    return seen


def hide(t, u, v, w, share):
    chosen = words_of(t) & (u < share)
    return hidden(t, chosen, v, w), chosen


def loop_hide(t, u, v, w, share):
    seen, chosen = [], []
    for i in range(len(t)):
        row, marks = t[i].tolist(), []
        for k in range(len(row)):
            mine = row[k] not in (0, 2, 3) and float(u[i, k]) < share
            if mine and v[i, k] < 0.8:
                row[k] = 4
            elif mine and v[i, k] < 0.9:
                row[k] = int(w[i, k])
            marks.append(mine)
        seen.append(row)
        chosen.append(marks)
    return torch.tensor(seen), torch.tensor(chosen)


def later_wins(t, u, v, w, share):
    chosen = (u < share) & words_of(t)
    seen = torch.where(chosen & (v < 0.8), 4, t)
    return torch.where(chosen & (v < 0.9), w, seen), chosen


def in_place(t, u, v, w, share):
    chosen = words_of(t) & (u < share)
    t[chosen & (v < 0.8)] = 4
    some = chosen & (v >= 0.8) & (v < 0.9)
    t[some] = w[some]
    return t, chosen


def exactly(t, u, v, w, share):
    chosen = torch.zeros_like(t, dtype=torch.bool)
    for i, row in enumerate(t):
        at = words_of(row).nonzero().flatten()
        chosen[i, at[u[i, at].argsort()[: round(len(at) * share)]]] = True
    return hidden(t, chosen, v, w), chosen


def marked(t, u, v, w, share, marks):
    seen, chosen = hide(t, u, v, w, share)
    return seen, marks(t, seen, chosen)


def chosen_by(rule, may=words_of):
    def answer(t, u, v, w, share):
        chosen = may(t) & rule(u, share)
        return hidden(t, chosen, v, w), chosen

    return answer


def cut_at(low, high):
    return lambda t, u, v, w, s: (hidden(t, words_of(t) & (u < s), v, w, low, high), words_of(t) & (u < s))


def kept_tenth_first(t, u, v, w, s):
    chosen = words_of(t) & (u < s)
    return torch.where(chosen & (v < 0.8), 4, torch.where(chosen & (v >= 0.9), w, t)), chosen


def exchanged(t, u, v, w, s):
    chosen = words_of(t) & (u < s)
    return torch.where(chosen & (v < 0.8), w, torch.where(chosen & (v < 0.9), 4, t)), chosen


def noisy(t, u, v, w, s):
    chosen = words_of(t) & (u < s)
    seen = torch.where((v >= 0.8) & (v < 0.9) & words_of(t), w, t)
    return torch.where(chosen & (v < 0.8), 4, seen), chosen


WRONG_HIDE = {
    "the target leaks: nothing is hidden": lambda t, u, v, w, s: (t, words_of(t) & (u < s)),
    "special tokens and padding are chosen": chosen_by(lambda u, s: u < s, lambda t: t >= 0),
    "padding is chosen": chosen_by(lambda u, s: u < s, lambda t: (t != 2) & (t != 3)),
    "[CLS] and [SEP] are chosen": chosen_by(lambda u, s: u < s, lambda t: t != 0),
    "chosen marks only what became [MASK]": lambda *a: marked(*a, lambda t, seen, chosen: seen == 4),
    "chosen marks only what was changed": lambda *a: marked(*a, lambda t, seen, chosen: seen != t),
    "chosen is True where a token was not chosen": lambda *a: marked(*a, lambda t, seen, chosen: ~chosen),
    "chosen marks all words": lambda *a: marked(*a, lambda t, seen, chosen: t > 4),
    "labels are returned, not a mask": lambda *a: marked(*a, lambda t, seen, chosen: t.masked_fill(~chosen, -100)),
    "the random and the kept 10 % are exchanged": kept_tenth_first,
    "[MASK] and the random word are exchanged": exchanged,
    "all chosen tokens become [MASK]": cut_at(1.0, 1.0),
    "all chosen tokens become random words": cut_at(0.0, 1.0),
    "no chosen token is kept": cut_at(0.8, 1.0),
    "no chosen token becomes a random word": cut_at(0.8, 0.1),
    "random words overwrite [MASK]": later_wins,
    "random words come where nothing was chosen": noisy,
    "tokens that were not chosen are changed too": lambda t, u, v, w, s: (
        hidden(t, words_of(t), v, w), words_of(t) & (u < s)
    ),
    "a whole text is chosen or not": chosen_by(lambda u, s: u[:, 0].lt(s).unsqueeze(1).repeat(1, u.shape[1])),
    "the same places are chosen in all texts": chosen_by(lambda u, s: (u[0] < s).repeat(len(u), 1)),
    "the whole batch is chosen or not": chosen_by(lambda u, s: bool(u.flatten()[0] < s)),
    "only 80 % of mask_share are chosen": chosen_by(lambda u, s: u < s * 0.8),
    "tokens are chosen with 1 - mask_share": chosen_by(lambda u, s: u < 1 - s),
    "mask_share is the share that is left alone": chosen_by(lambda u, s: u > s),
    "the largest u are chosen": chosen_by(lambda u, s: 1 - u < s),
    "each text has exactly so many chosen": exactly,
    "u and v are exchanged": lambda t, u, v, w, s: hide(t, v, u, w, s),
    "v is not used": lambda t, u, v, w, s: (
        hidden(t, words_of(t) & (u < s), u, w, 0.8 * s, 0.9 * s), words_of(t) & (u < s)
    ),
    "u is used twice": lambda t, u, v, w, s: hide(t, u, u, w, s),
    "[PAD] in place of [MASK]": lambda *a: ((found := hide(*a))[0] * (found[0] != 4), found[1]),
    "the two results are exchanged": lambda *a: hide(*a)[::-1],
    "only what is seen is returned": lambda *a: hide(*a)[0],
    "the tokens are changed in place": in_place,
    "padding is chosen and all chosen tokens become [MASK]": lambda t, u, v, w, s: (
        torch.where((t != 2) & (t != 3) & (u < s), 4, t), (t != 2) & (t != 3) & (u < s)
    ),
}
RIGHT_HIDE = [
    hide,
    loop_hide,
    lambda t, u, v, w, s: (
        torch.where((t > 4) & (u < s), torch.where(v < 0.8, torch.full_like(t, 4), torch.where(v < 0.9, w, t)), t),
        (t > 4) & (u < s),
    ),
    lambda t, u, v, w, s: np.stack([
        np.select([(c := (t.numpy() > 4) & (u.numpy() < s)) & (v.numpy() < 0.8), c & (v.numpy() < 0.9)],
                  [np.full(t.shape, 4), w.numpy()], t.numpy()),
        c,
    ]),
    lambda t, u, v, w, s: (
        (c := ((u < s) & words_of(t)).long()) * ((v < 0.8) * 4 + ((v >= 0.8) & (v < 0.9)) * w + (v >= 0.9) * t) + (1 - c) * t, c
    ),
]


# ---- masked_tokens


def costs(x, t):
    return F.cross_entropy(x.transpose(1, 2), t, reduction="none")                   # [B, T]


def loop_masked(x, t, c):
    found = []
    for i in range(len(x)):
        for k in range(x.shape[1]):
            if c[i, k]:
                found.append(torch.log(torch.exp(x[i, k]).sum()) - x[i, k, t[i, k]])
    return sum(found) / len(found)


def stable_loop_masked(x, t, c):
    found = [x[i, k].logsumexp(0) - x[i, k, t[i, k]] for i, k in c.nonzero().tolist()]
    return torch.stack(found).mean()


WRONG_MASKED = {
    "the loss is over all places": lambda x, t, c: F.cross_entropy(x.flatten(0, 1), t.flatten()),
    "the loss is over all words": lambda x, t, c: F.cross_entropy(x.flatten(0, 1), t.flatten(), ignore_index=0),
    "the loss is over the places that were not chosen": lambda x, t, c: F.cross_entropy(x[~c], t[~c]),
    "the loss is over the words that were not chosen": lambda x, t, c: costs(x, t)[(t > 0) & ~c].mean(),
    "divided by the number of all places": lambda x, t, c: (costs(x, t) * c).mean(),
    "divided by the number of all words": lambda x, t, c: (costs(x, t) * c).sum() / (t != 0).sum(),
    "where nothing was chosen the answer is token 0": lambda x, t, c: F.cross_entropy(x.mT, t.masked_fill(~c, 0)),
    "where nothing was chosen the logits are 0": lambda x, t, c: F.cross_entropy((x * c[..., None]).mT, t),
    "the sum is taken, not the mean": lambda x, t, c: F.cross_entropy(x[c], t[c], reduction="sum"),
    "the sum is divided by the batch": lambda x, t, c: (costs(x, t) * c).sum(1).mean(),
    "a mean over texts of means over tokens": lambda x, t, c: torch.stack(
        [F.cross_entropy(a[k], b[k]) for a, b, k in zip(x, t, c, strict=True)]
    ).mean(),
    "one value for each place is returned": lambda x, t, c: F.cross_entropy(
        x.mT, t.masked_fill(~c, -100), reduction="none"
    ),
    "one value for each token is returned": lambda x, t, c: F.cross_entropy(x[c], t[c], reduction="none"),
    "the perplexity is returned": lambda x, t, c: stable_loop_masked(x, t, c).exp(),
    "the softmax goes over the places": lambda x, t, c: -x.log_softmax(1).gather(2, t[..., None]).squeeze(2)[c].mean(),
    "the softmax goes over the texts": lambda x, t, c: -x.log_softmax(0).gather(2, t[..., None]).squeeze(2)[c].mean(),
    "there is no softmax": lambda x, t, c: F.nll_loss(x[c], t[c]),
    "the softmax is taken twice": lambda x, t, c: F.cross_entropy(x.softmax(-1)[c], t[c]),
    "the sign is wrong": lambda x, t, c: x[c].log_softmax(1)[range(int(c.sum())), t[c]].mean(),
    "the logarithm is missing": lambda x, t, c: F.nll_loss(x[c].softmax(1), t[c]),
    "1 - p in place of the logarithm": lambda x, t, c: (1 - x.softmax(2).gather(2, t[..., None])[..., 0])[c].mean(),
    "the loss is in bits": lambda x, t, c: loop_masked(x, t, c) / math.log(2),
    "the loss is over the places that were not chosen and the sum is taken, not the mean": lambda x, t, c: (
        F.cross_entropy(x[~c], t[~c], reduction="sum")
    ),
    "NaN or infinity at large logits": loop_masked,
    "the logits are detached": lambda x, t, c: stable_loop_masked(x, t, c).item(),
}
RIGHT_MASKED = [
    lambda x, t, c: F.cross_entropy(x[c], t[c]),
    stable_loop_masked,
    lambda x, t, c: F.cross_entropy(x.mT, t.masked_fill(~c, -100)),
    lambda x, t, c: (costs(x, t) * c).sum() / c.sum(),
    lambda x, t, c: -(F.one_hot(t, x.shape[2]) * x.log_softmax(2) * c[..., None]).sum() / c.float().sum(),
]


# ---- unigram


def frequencies(a, v, add=1):
    return (torch.bincount(a, minlength=v) + add) / (len(a) + add * v)


def loop_unigram(a, b, v):
    counts = dict.fromkeys(range(v), 1)
    for word in a.tolist():
        counts[word] += 1
    return -sum(math.log(counts[word] / sum(counts.values())) for word in b.tolist()) / len(b)


WRONG_UNIGRAM = {
    "the training text is scored": lambda a, b, v: loop_unigram(a, a, v),
    "the held-out text is counted": lambda a, b, v: loop_unigram(b, b, v),
    "both texts are counted": lambda a, b, v: loop_unigram(torch.cat([a, b]), b, v),
    "a word that train does not have costs infinitely much": lambda a, b, v: (
        -frequencies(a, v, add=0)[b].log().mean()
    ),
    "the probabilities do not sum to 1": lambda a, b, v: -((torch.bincount(a, minlength=v) + 1) / len(a))[b].log().mean(),
    "1 is added to the total only once": lambda a, b, v: (
        -((torch.bincount(a, minlength=v) + 1) / (len(a) + 1))[b].log().mean()
    ),
    "words that train does not have are not in the total": lambda a, b, v: (
        -((torch.bincount(a, minlength=v) + 1) / (len(a) + len(set(a.tolist()))))[b].log().mean()
    ),
    "all words are equally likely": lambda a, b, v: math.log(v),
    "the entropy of the counts is returned": lambda a, b, v: torch.special.entr(frequencies(a, v)).sum(),
    "each different word is counted once": lambda a, b, v: loop_unigram(a, torch.tensor(sorted(set(b.tolist()))), v),
    "the mean goes over the vocabulary": lambda a, b, v: -frequencies(a, v).log().mean(),
    "the value is in bits": lambda a, b, v: -torch.log2(frequencies(a, v)[b]).mean(),
    "the sign is wrong": lambda a, b, v: frequencies(a, v)[b].log().mean(),
    "the perplexity is returned": lambda a, b, v: math.exp(loop_unigram(a, b, v)),
    "the mean is taken before the logarithm": lambda a, b, v: -frequencies(a, v)[b].mean().log(),
    "the sum is taken, not the mean": lambda a, b, v: loop_unigram(a, b, v) * len(b),
    "one value for each word is returned": lambda a, b, v: -frequencies(a, v)[b].log(),
    "the training text is scored and the value is in bits": lambda a, b, v: loop_unigram(a, a, v) / math.log(2),
}
RIGHT_UNIGRAM = [
    loop_unigram,
    lambda a, b, v: -frequencies(a, v)[b].log().mean(),
    lambda a, b, v: F.nll_loss(frequencies(a, v).log().expand(len(b), -1), b),
    lambda a, b, v: -(torch.bincount(b, minlength=v) / len(b) * frequencies(a, v).log()).sum(),
]


# ---- next_token


def loop_next(x, t):
    found = []
    for i in range(len(x)):
        for k in range(x.shape[1] - 1):
            if t[i, k + 1] != 0:
                found.append(x[i, k].logsumexp(0) - x[i, k, t[i, k + 1]])
    return sum(found) / len(found)


def naive_next(x, t):
    p = x.exp() / x.exp().sum(2, keepdim=True)
    p = p[:, :-1].gather(2, t[:, 1:, None])[..., 0]
    return -p[t[:, 1:] != 0].log().mean()


def flat(x, t, **options):
    return F.cross_entropy(x.reshape(-1, x.shape[-1]), t.reshape(-1), **options)


WRONG_NEXT = {
    "the labels are not shifted": lambda x, t: flat(x, t, ignore_index=0),
    "the labels are shifted the wrong way": lambda x, t: flat(x[:, 1:], t[:, :-1], ignore_index=0),
    "the labels are shifted by two": lambda x, t: flat(x[:, :-2], t[:, 2:], ignore_index=0),
    "the last place wraps round": lambda x, t: flat(x, t.roll(-1, dims=1), ignore_index=0),
    "padding is counted": lambda x, t: flat(x[:, :-1], t[:, 1:]),
    "padding, and [PAD] after the row's end, are counted": lambda x, t: flat(
        x, torch.cat([t[:, 1:], torch.zeros_like(t[:, :1])], dim=1)
    ),
    "padding is looked for in what was read": lambda x, t: costs(x[:, :-1], t[:, 1:])[t[:, :-1] != 0].mean(),
    "only padding is counted": lambda x, t: costs(x[:, :-1], t[:, 1:])[t[:, 1:] == 0].mean(),
    "divided by the number of all places": lambda x, t: (costs(x[:, :-1], t[:, 1:]) * (t[:, 1:] > 0)).mean(),
    "the sum is taken, not the mean": lambda x, t: flat(x[:, :-1], t[:, 1:], ignore_index=0, reduction="sum"),
    "a mean over texts of means over tokens": lambda x, t: sum(
        loop_next(a[None], b[None]) for a, b in zip(x, t, strict=True)
    ) / len(x),
    "one value for each place is returned": lambda x, t: F.cross_entropy(
        x[:, :-1].mT, t[:, 1:], ignore_index=0, reduction="none"
    ),
    "the perplexity is returned": lambda x, t: loop_next(x, t).exp(),
    "the softmax goes over the places": lambda x, t: F.nll_loss(
        x[:, :-1].log_softmax(1).mT, t[:, 1:], ignore_index=0
    ),
    "the softmax is taken twice": lambda x, t: flat(x.softmax(2)[:, :-1], t[:, 1:], ignore_index=0),
    "the sign is wrong": lambda x, t: -loop_next(x, t),
    "the loss is in bits": lambda x, t: loop_next(x, t) / math.log(2),
    "the labels are not shifted and padding is counted": lambda x, t: flat(x, t),
    "the labels are shifted the wrong way and the last place wraps round": lambda x, t: flat(
        x, t.roll(1, dims=1), ignore_index=0
    ),
    "the last place wraps round and padding is counted": lambda x, t: flat(x, t.roll(-1, dims=1)),
    "NaN or infinity at large logits": naive_next,
    "the logits are detached": lambda x, t: loop_next(x.detach(), t),
}
RIGHT_NEXT = [
    loop_next,
    lambda x, t: flat(x[:, :-1], t[:, 1:], ignore_index=0),
    lambda x, t: F.cross_entropy(x.permute(0, 2, 1), F.pad(t[:, 1:], (0, 1)), ignore_index=0),
    lambda x, t: (costs(x[:, :-1], t[:, 1:]) * (t[:, 1:] != 0)).sum() / (t[:, 1:] != 0).sum(),
    lambda x, t: -x.log_softmax(-1)[:, :-1][(m := t[:, 1:] > 0)].gather(1, t[:, 1:][m][:, None]).mean(),
]


# ---- causal_mask


def grid(n, rule):
    return torch.tensor([[rule(i, j) for j in range(n)] for i in range(n)])


WRONG_CAUSAL = {
    "the mask is upside down": lambda n: torch.triu(torch.ones(n, n)).bool(),
    "the diagonal is missing": lambda n: grid(n, lambda i, j: j < i),
    "True is where a token may not look": lambda n: torch.ones(n, n, dtype=torch.bool).triu(diagonal=1),
    "a token sees one place too far": lambda n: grid(n, lambda i, j: j <= i + 1),
    "everybody sees everything": lambda n: torch.full((n, n), True),
    "a token sees only itself": lambda n: torch.eye(n).bool(),
    "only the token before can be seen": lambda n: grid(n, lambda i, j: i - j in (0, 1)),
    "the mask is mirrored": lambda n: grid(n, lambda i, j: i + j >= n - 1),
    "numbers to be added to the scores": lambda n: torch.triu(torch.full((n, n), -INF), diagonal=1),
    "large negative numbers to be added to the scores": lambda n: -1e9 * torch.triu(torch.ones(n, n), 1),
    "the mask is upside down and numbers to be added to the scores": lambda n: torch.full((n, n), -INF).tril(-1),
    "weights, not a mask": lambda n: torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None],
    "0 and 1 as numbers, not True and False": lambda n: torch.tril(torch.ones(n, n)),
}
RIGHT_CAUSAL = [
    lambda n: torch.ones(n, n).tril().bool(),
    lambda n: grid(n, lambda i, j: j <= i),
    lambda n: torch.arange(n)[:, None] >= torch.arange(n),
    lambda n: ~torch.triu(torch.ones(n, n, dtype=torch.bool), 1),
    lambda n: [[j <= i for j in range(n)] for i in range(n)],
    lambda n: np.tril(np.ones((n, n), dtype=bool)),
]


# ---- causal_weights


def future(s):
    return torch.ones_like(s).triu(1).bool()


def loop_weights(s):
    rows = []
    for i in range(len(s)):
        e = torch.exp(s[i, : i + 1] - s[i, : i + 1].max())
        rows.append(torch.cat([e / e.sum(), s.new_zeros(len(s) - i - 1)]))
    return torch.stack(rows)


def naive_weights(s):
    e = s.exp().tril()
    return e / e.sum(1, keepdim=True)


WRONG_WEIGHTS = {
    "nothing is masked": lambda s: s.softmax(-1),
    "the mask is upside down": lambda s: s.masked_fill(future(s).T, -INF).softmax(1),
    "the diagonal is missing": lambda s: (s + torch.full_like(s, -INF).triu()).softmax(1),
    "a token sees one place too far": lambda s: s.masked_fill(torch.ones_like(s).triu(2).bool(), -INF).softmax(1),
    "True and False are exchanged in the mask": lambda s: s.masked_fill(~future(s), -INF).softmax(1),
    "scores are masked with 0": lambda s: s.tril().softmax(1),
    "0 and 1 are added to the scores": lambda s: (s + torch.ones_like(s).tril()).softmax(1),
    "weights are masked after the softmax": lambda s: s.softmax(1).tril(),
    "weights are not normalised": lambda s: s.exp().tril(),
    "scores are returned": lambda s: s.masked_fill(future(s), -INF),
    "logarithms are returned": lambda s: F.log_softmax(s.masked_fill(future(s), -INF), 1),
    "all earlier tokens weigh the same": lambda s: torch.ones_like(s).tril() / torch.arange(1, len(s) + 1)[:, None],
    "the softmax goes over the columns": lambda s: s.masked_fill(future(s), -INF).softmax(0),
    "the scores are scaled again": lambda s: (s / len(s) ** 0.5).masked_fill(future(s), -INF).softmax(1),
    "nothing is masked and the softmax goes over the columns": lambda s: s.softmax(0),
    "NaN or infinity at large scores": naive_weights,
    "detached": lambda s: loop_weights(s).detach(),
    "part of it is detached": lambda s: (e := (s - s.max(1, keepdim=True).values).exp().tril()) / e.sum(1, True).detach(),
}
RIGHT_WEIGHTS = [
    loop_weights,
    lambda s: s.masked_fill(future(s), -INF).softmax(1),
    lambda s: F.scaled_dot_product_attention(
        s, torch.eye(len(s), dtype=s.dtype), torch.eye(len(s), dtype=s.dtype), is_causal=True, scale=1.0
    ),
    lambda s: (s - 1e9 * torch.ones_like(s).triu(1)).softmax(1),
]


# ---- sample


def nucleus(p, top_p, extra=1, biggest=True):
    """p [V] cut to the tokens of the running sum, as many again as `extra` over those below top_p; not scaled."""
    order = p.argsort(descending=biggest)
    n = int((p[order].cumsum(0) < top_p).sum()) + extra
    return torch.zeros_like(p).index_copy(0, order[:n], p[order[:n]])


def top(x, k, fill=-INF, biggest=True):
    kept = x.topk(min(k, len(x)), largest=biggest).indices
    return torch.full_like(x, fill).scatter(0, kept, x[kept])


def scaled(p):
    return p / p.sum()


def loop_sample(x, t, k, top_p):
    x = [value / t for value in x.tolist()]
    order = sorted(range(len(x)), key=lambda i: -x[i])[:k]
    weight = {i: math.exp(x[i] - x[order[0]]) for i in order}
    total, kept, reached = sum(weight.values()), {}, 0.0
    for i in order:
        kept[i] = weight[i]
        reached += weight[i] / total
        if reached >= top_p:
            break
    return [kept.get(i, 0.0) / sum(kept.values()) for i in range(len(x))]


def shifted_sample(x, t, k, top_p):
    """As Hugging Face's warpers do it: drop where the running sum, moved by one, is over top_p."""
    x = x / t
    x = x.masked_fill(x < x.topk(k).values[-1], -INF)
    ordered, order = x.sort(descending=True)
    drop = ordered.softmax(0).cumsum(0) > top_p
    drop[1:] = drop[:-1].clone()
    drop[0] = False
    return x.masked_fill(torch.zeros_like(drop).scatter(0, order, drop), -INF).softmax(0)


def forgets_the_first(x, t, k, top_p):
    x = top(x / t, k)
    ordered, order = x.sort(descending=True)
    p = ordered.softmax(0)
    drop = p.cumsum(0) >= top_p
    drop[1:] = drop[:-1].clone()
    return scaled(torch.zeros_like(p).scatter(0, order, p * ~drop))


def naive_sample(x, t, k, top_p):
    e = (x / t).exp()
    return scaled(nucleus(scaled(top(e, k, fill=0.0)), top_p))


WRONG_SAMPLE = {
    "temperature multiplies": lambda x, t, k, p: loop_sample(x, 1 / t, k, p),
    "temperature is not used": lambda x, t, k, p: loop_sample(x, 1.0, k, p),
    "temperature comes after the cut": lambda x, t, k, p: (
        (x / t).masked_fill(nucleus(top(x, k).softmax(0), p) == 0, -INF).softmax(0)
    ),
    "top-k keeps one too few": lambda x, t, k, p: loop_sample(x, t, k - 1, p),
    "top-k keeps one too many": lambda x, t, k, p: loop_sample(x, t, k + 1, p),
    "top-k is not used": lambda x, t, k, p: scaled(nucleus((x / t).softmax(0), p)),
    "the k least likely are kept": lambda x, t, k, p: scaled(nucleus(top(x / t, k, biggest=False).softmax(0), p)),
    "the first k of the vocabulary are kept": lambda x, t, k, p: F.pad(
        scaled(nucleus((x[:k] / t).softmax(0), p)), (0, len(x) - k)
    ),
    "top-k sets logits to 0": lambda x, t, k, p: scaled(nucleus(top(x / t, k, fill=0.0).softmax(0), p)),
    "top-p drops the token that crosses p": lambda x, t, k, p: scaled(nucleus(top(x / t, k).softmax(0), p, extra=0)),
    "top-p keeps one too many": lambda x, t, k, p: scaled(nucleus(top(x / t, k).softmax(0), p, extra=2)),
    "top-p is not used": lambda x, t, k, p: loop_sample(x, t, k, 2.0),
    "top-p begins with the least likely": lambda x, t, k, p: scaled(
        nucleus(top(x / t, k).softmax(0), p, biggest=False)
    ),
    "top-p counts in the order of the vocabulary": lambda x, t, k, p: scaled(
        (s := top(x / t, k).softmax(0)) * (s.cumsum(0) - s < p)
    ),
    "top-p counts what was held before top-k": lambda x, t, k, p: scaled(
        nucleus((x / t).softmax(0) * (top(x, k) > -INF), p)
    ),
    "a token is kept by comparison with the likeliest": lambda x, t, k, p: scaled(
        (s := top(x / t, k).softmax(0)) * (s >= (1 - p) * s.max())
    ),
    "a token is kept for its own probability": lambda x, t, k, p: scaled(
        (s := top(x / t, k).softmax(0)).where(s > 1 - p, 0)
    ),
    "top-p is a share of the tokens": lambda x, t, k, p: scaled(
        top(top(x / t, k).softmax(0), round(p * len(x)), fill=0.0)
    ),
    "all tokens that are left weigh the same": lambda x, t, k, p: scaled((shifted_sample(x, t, k, p) > 0).double()),
    "the order of the tokens is returned": lambda x, t, k, p: shifted_sample(x, t, k, p).argsort(descending=True),
    "the probabilities are not scaled again": lambda x, t, k, p: nucleus(top(x / t, k).softmax(0), p),
    "a softmax is taken of probabilities": lambda x, t, k, p: nucleus(top(x / t, k).softmax(0), p).softmax(0),
    "the probabilities are not put back in their places": lambda x, t, k, p: sorted(loop_sample(x, t, k, p))[::-1],
    "logarithms are returned": lambda x, t, k, p: shifted_sample(x, t, k, p).log(),
    "a mask is returned": lambda x, t, k, p: shifted_sample(x, t, k, p) > 0,
    "the most likely token is always taken": lambda x, t, k, p: F.one_hot(x.argmax(), len(x)),
    "top-k is not used and top-p drops the token that crosses p": lambda x, t, k, p: scaled(
        nucleus((x / t).softmax(0), p, extra=0)
    ),
    "nothing is left where one token holds more than top_p": forgets_the_first,
    "NaN or infinity at a low temperature": naive_sample,
}
RIGHT_SAMPLE = [
    loop_sample,
    shifted_sample,
    lambda x, t, k, p: scaled(nucleus(top(x / t, k).softmax(0), p)),
    lambda x, t, k, p: __import__("sslab.evaluation.language", fromlist=["x"]).next_probabilities(x, t, k, p),
]


# ---- bits_per_character


def bits(log, c):
    return -sum(value / math.log(2) for value in log.tolist()) / sum(c.tolist())


WRONG_BITS = {
    "nats, not bits": lambda log, c: -log.sum() / c.sum(),
    "the logarithm is to base 10": lambda log, c: -(log / math.log(10)).sum() / c.sum(),
    "multiplied by log 2 in place of divided": lambda log, c: -log.sum() * math.log(2) / c.sum(),
    "per token, not per character": lambda log, c: -log.mean() / math.log(2),
    "a mean of each token's bits per character": lambda log, c: (-log / math.log(2) / c).mean(),
    "the sum is not divided": lambda log, c: -log.exp().log2().sum(),
    "tokens without characters cost nothing": lambda log, c: bits(log[c != 0], c[c != 0]),
    "tokens without characters count as characters": lambda log, c: bits(log, c + (c == 0)),
    "the sign is wrong": lambda log, c: -bits(log, c),
    "each logarithm is weighted by its probability": lambda log, c: bits(log * torch.exp(log), c),
    "the mean is taken before the logarithm": lambda log, c: -math.log2(log.exp().mean()) * len(log) / c.sum(),
    "the perplexity is returned": lambda log, c: torch.exp(-log.mean()),
    "the perplexity of characters is returned": lambda log, c: 2 ** bits(log, c),
    "a mean of perplexities": lambda log, c: (1 / log.exp()).mean(),
    "characters per bit": lambda log, c: c.sum() * math.log(2) / -log.sum(),
    "nats, not bits and per token, not per character": lambda log, c: F.nll_loss(log[:, None], torch.zeros_like(c)),
    "NaN or infinity at a very unlikely token": lambda log, c: -log.exp().log2().sum() / c.sum(),
}
RIGHT_BITS = [
    bits,
    lambda log, c: -(log / math.log(2)).sum() / c.sum(),
    lambda log, c: -log.mean() / math.log(2) / c.double().mean(),
    lambda log, c: -math.log2(math.e) * log.numpy().sum() / c.numpy().sum(),
    lambda log, c: __import__("sslab.evaluation.language", fromlist=["x"]).TextScore(
        float(-log.sum()), len(log), int(c.sum())
    ).bits_per_character,
]

WRONG = {
    "hide_tokens": WRONG_HIDE,
    "masked_tokens": WRONG_MASKED,
    "unigram": WRONG_UNIGRAM,
    "next_token": WRONG_NEXT,
    "causal_mask": WRONG_CAUSAL,
    "causal_weights": WRONG_WEIGHTS,
    "sample": WRONG_SAMPLE,
    "bits_per_character": WRONG_BITS,
}
RIGHT = {
    "hide_tokens": RIGHT_HIDE,
    "masked_tokens": RIGHT_MASKED,
    "unigram": RIGHT_UNIGRAM,
    "next_token": RIGHT_NEXT,
    "causal_mask": RIGHT_CAUSAL,
    "causal_weights": RIGHT_WEIGHTS,
    "sample": RIGHT_SAMPLE,
    "bits_per_character": RIGHT_BITS,
}


def test_ours_are_the_packages_own():
    """The checks' right answers and the package's own functions give the same."""
    from sslab import objectives
    from sslab.evaluation.language import TextScore, next_probabilities

    for case in check.masked_tokens.cases():
        torch.testing.assert_close(objectives.masked_tokens(*case), check.masked_tokens.reference(*case))
    for case in check.next_token.cases():
        torch.testing.assert_close(objectives.next_token(*case), check.next_token.reference(*case))
    for case in check.sample.cases():
        torch.testing.assert_close(next_probabilities(*case), check.sample.reference(*case))
    for log, characters in check.bits_per_character.cases():
        score = TextScore(float(-log.sum()), len(log), int(characters.sum()))
        assert float(check.bits_per_character.reference(log, characters)) == pytest.approx(score.bits_per_character)
    for (length,) in check.causal_mask.cases():
        q, k = torch.randn(2, length, 4, generator=torch.Generator().manual_seed(length))
        ours = F.scaled_dot_product_attention(q, k, torch.eye(length), attn_mask=check.causal_mask.reference(length))
        torch.testing.assert_close(ours, F.scaled_dot_product_attention(q, k, torch.eye(length), is_causal=True))
        torch.testing.assert_close(check.causal_weights.reference(q @ k.T / 2), ours)


def test_inputs_show_what_is_asked():
    """Every kind of token and every fate of a chosen one comes, no margin is thin, and no token alone holds top_p."""
    for tokens, u, v, words, share in check.hide_tokens.cases():
        seen, chosen = loop_hide(tokens, u, v, words, share)
        assert not (words == tokens).any() and {0, 2, 3} <= set(tokens.flatten().tolist()) and 1 not in tokens
        fates = [(seen == 4), (seen == words), (seen == tokens)]
        assert all((chosen & fate).any() for fate in fates) and torch.equal(sum(fates)[chosen], torch.ones_like(seen)[chosen])
    for name in ("masked_tokens", "next_token"):
        for _, tokens, *rest in getattr(check, name).cases():
            assert (tokens == 0).any() and not any((chosen & (tokens == 0)).any() for chosen in rest)
    for logits, temperature, top_k, top_p in check.sample.cases():
        reach = top(logits / temperature, top_k).softmax(0).sort(descending=True).values.cumsum(0)
        assert reach[0] < top_p and (top_p == 1 or (reach - top_p).abs().min() > 0.01)


def test_values_by_hand():
    """Small cases whose answer is known without a computer."""
    even = torch.zeros(1, 3, 4)
    assert float(check.next_token.reference(even, torch.tensor([[1, 2, 3]]))) == pytest.approx(math.log(4))
    assert float(check.masked_tokens.reference(even, torch.tensor([[1, 2, 3]]), torch.tensor([[False, True, False]]))
                 ) == pytest.approx(math.log(4))
    assert check.causal_mask.reference(2).tolist() == [[True, False], [True, True]]
    assert check.causal_weights.reference(torch.zeros(2, 2)).tolist() == [[1, 0], [0.5, 0.5]]
    drawn = check.sample.reference(torch.tensor([0.1, 0.4, 0.2, 0.3]).log(), 1.0, 4, 0.6)
    torch.testing.assert_close(drawn, torch.tensor([0.0, 4 / 7, 0.0, 3 / 7]))
    half = torch.full((4,), math.log(0.5))
    assert float(check.bits_per_character.reference(half, torch.tensor([2, 3, 3, 0]))) == pytest.approx(0.5)
    assert float(check.unigram.reference(torch.tensor([0, 0]), torch.tensor([0, 1]), 2)) == pytest.approx(
        -math.log(3 / 4 * 1 / 4) / 2
    )


def test_a_softmax_over_all_and_then_the_mask_loses_small_weights():
    """Right on paper, and nothing is left where a later score outweighs all that may be seen."""
    result = check.causal_weights(lambda s: (w := s.softmax(1).tril()) / w.sum(1, keepdim=True))
    assert result.misconception == "NaN or infinity at large scores"


def test_a_mask_of_numbers_hides_nothing():
    """What the hint says: torch adds a mask of 0 and 1, so that a later token still gets weight."""
    q, k = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    weights = F.scaled_dot_product_attention(q, k, torch.eye(3), attn_mask=torch.ones(3, 3).tril())
    assert weights[0, 2] > 0
