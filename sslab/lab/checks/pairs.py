"""Checks of CLIP's parts: two losses over pairs of images and texts, recall, and classes by words."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def _units(image: Tensor, text: Tensor, normalise: str, over: int) -> tuple[Tensor, Tensor]:
    """Both normalised, or what is often done instead."""
    a = F.normalize(image, dim=over) if normalise in ("both", "image") else image
    b = F.normalize(text, dim=over) if normalise in ("both", "text") else text
    return a, b


_LENGTHS = [
    Misconception("features are not normalised", {"normalise": "no"},
                  "Multiply the images by 10: the loss must not change."),
    Misconception("only the images are normalised", {"normalise": "image"},
                  "Multiply the texts by 10: the loss must not change."),
    Misconception("only the texts are normalised", {"normalise": "text"},
                  "Multiply the images by 10: the loss must not change."),
    Misconception("features are normalised over the batch", {"over": 0},
                  "Each row has length 1: which dim runs along a row?"),
]
_SCALES = [
    Misconception("the scale divides", {"scale": "divide"},
                  "The scale is one over the temperature: a larger one must make the answers sharper."),
    Misconception("the scale is not used", {"scale": "ignore"},
                  "Change the scale: your loss stays the same."),
    Misconception("the scale is exponentiated once more", {"scale": "exp"},
                  "What is learned is its logarithm. Here the scale comes exponentiated already."),
    Misconception("the logarithm of the scale multiplies", {"scale": "log"},
                  "What is learned is its logarithm. Here the scale comes exponentiated already."),
]


def _scaled(cosine: Tensor, scale: Tensor, how: str) -> Tensor:
    scale = torch.as_tensor(scale)
    return {"multiply": lambda: cosine * scale, "divide": lambda: cosine / scale, "ignore": lambda: cosine,
            "exp": lambda: cosine * scale.exp(), "log": lambda: cosine * scale.log()}[how]()


def wrong_clip(image: Tensor, text: Tensor, logit_scale: Tensor, *, normalise="both", over=1, scale="multiply",
               target="diagonal", directions="both", average=0.5, log=True, sign=-1.0, reduce="mean") -> Tensor:
    """CLIP's loss with a switch for everything that is often done otherwise; image, text [B, D]."""
    a, b = _units(image, text, normalise, over)
    s = _scaled(a @ b.T, logit_scale, scale)                         # [B, B], rows are images
    index = torch.arange(len(s))
    index = {"diagonal": index, "next": index.roll(-1), "first": torch.zeros_like(index), "mirror": index.flip(0)}[target]
    parts = []
    for name, logits in {"image": s, "text": s.T}.items():
        value = logits[torch.arange(len(s)), index]
        if directions == "whole":
            log_p = value - logits.flatten().logsumexp(0)
        elif directions == "without":
            log_p = value - logits.masked_fill(F.one_hot(index, len(s)).bool(), -math.inf).logsumexp(1)
        else:
            log_p = value - logits.logsumexp(1)
        parts.append(sign * (log_p if log else log_p.exp()) * (directions in ("both", "whole", "without", name)))
    each = parts[0] + parts[1]                                       # [B]
    if directions in ("both", "whole", "without"):
        each = each * average
    return {"mean": each.mean(), "sum": each.sum(), "none": each}[reduce]


clip = Check(
    "clip",
    "Convention: image, text [B, D] at any scale, normalised inside; cosines [B, B] times logit_scale (exponentiated "
    "already, one over the temperature); row i is about image i, column i about text i, and the two belong together; the "
    "mean of the cross-entropy over the rows and that over the columns, in nats. Radford et al. 2021, figure 3.",
    wrong_clip,
    wrong_clip,
    [
        *_LENGTHS,
        *_SCALES,
        Misconception("only images look for texts", {"directions": "image"},
                      "Every text looks for its image too. What does that do to rows and columns?"),
        Misconception("only texts look for images", {"directions": "text"},
                      "Every image looks for its text too. What does that do to rows and columns?"),
        Misconception("the two directions are added, not averaged", {"average": 1.0},
                      "At chance the loss is log B. What is yours?"),
        Misconception("the labels are off by one", {"target": "next"},
                      "Image i belongs to text i: where in the matrix is that?"),
        Misconception("every row has the same label", {"target": "first"},
                      "Image i belongs to text i: where in the matrix is that?"),
        Misconception("the labels run backwards", {"target": "mirror"},
                      "Image i belongs to text i: where in the matrix is that?"),
        Misconception("the softmax goes over the whole matrix", {"directions": "whole"},
                      "Each row, and each column, is a question of its own."),
        Misconception("the matching pair is left out of the denominator", {"directions": "without"},
                      "It is a softmax: what is in the numerator is in the denominator too."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("one value for each pair is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the matching text likelier?"),
        Misconception("the logarithm is missing", {"log": False},
                      "Cross-entropy is made of the logarithm of a probability."),
    ],
    cases=lambda: [_matching(4, 6, 2.0, 0), _matching(3, 5, 5.0, 1), _matching(5, 4, 0.7, 2)],
    extreme=(lambda: [tuple(x.float() for x in _matching(4, 6, 300.0, 3))],
             Misconception("NaN or infinity at a large scale", {},
                           "exp(300) does not fit into float32. Which functions of torch take the logarithm of a "
                           "softmax without it?")),
    differentiable=True,
    shapes="clip takes image [B, D], text [B, D] and a scale and returns a scalar; the similarities are [B, B].",
)


def wrong_siglip(image: Tensor, text: Tensor, logit_scale: Tensor, logit_bias: Tensor, *, normalise="both", over=1,
                 scale="multiply", bias="plus", signs="plus and minus", pairs="all", kind="log sigmoid", sign=-1.0,
                 reduce="sum over B") -> Tensor:
    """SigLIP's loss with a switch for everything that is often done otherwise; image, text [B, D]."""
    a, b = _units(image, text, normalise, over)
    s = a @ b.T                                                      # [B, B]
    if bias == "inside":
        s = s + logit_bias
    s = _scaled(s, logit_scale, scale)
    s = s + {"plus": logit_bias, "minus": -logit_bias, "no": 0.0, "inside": 0.0}[bias]
    own = torch.eye(len(s), dtype=s.dtype)
    z = {"plus and minus": 2 * own - 1, "one and zero": own, "one": torch.ones_like(own), "reversed": 1 - 2 * own}[signs]
    each = {"log sigmoid": lambda: F.logsigmoid(z * s), "sigmoid": lambda: (z * s).sigmoid(),
            "softmax": lambda: own * s.log_softmax(1), "softplus": lambda: -F.logsigmoid(-z * s)}[kind]()      # [B, B]
    keep = {"all": torch.ones_like(own), "matching": own, "others": 1 - own, "half": torch.ones_like(own).triu()}[pairs]
    each = sign * each * keep
    b = len(s)
    return {"sum over B": each.sum() / b, "mean": each.sum() / b**2, "sum": each.sum(), "rows": each.sum(1),
            "balanced": (each * own).sum() / b + (each * (1 - own)).sum() / (b * (b - 1))}[reduce]


siglip = Check(
    "siglip",
    "Convention: image, text [B, D] at any scale, normalised inside; logits [B, B] are cosine times logit_scale "
    "(exponentiated already) plus logit_bias; each of the B x B pairs is a question of its own, with 1 for the matching ones "
    "and -1 for the others; the sum over all pairs of -log sigmoid(label times logit), divided by B. Zhai et al. 2023, "
    "algorithm 1.",
    wrong_siglip,
    wrong_siglip,
    [
        *_LENGTHS,
        *_SCALES,
        Misconception("the labels are 1 and 0", {"signs": "one and zero"},
                      "A pair that does not match must be pushed apart. What is 0 times its logit?"),
        Misconception("all pairs are labelled as matching", {"signs": "one"},
                      "Only image i and text i belong together. What is asked of the others?"),
        Misconception("the labels are the wrong way round", {"signs": "reversed"},
                      "Should training make the matching pairs' logits larger or smaller?"),
        Misconception("only the matching pairs are counted", {"pairs": "matching"},
                      "With those alone one vector for everything is perfect. Who pushes?"),
        Misconception("only the pairs that do not match are counted", {"pairs": "others"},
                      "Who pulls?"),
        Misconception("only half of the matrix is counted", {"pairs": "half"},
                      "Image i with text j is not image j with text i."),
        Misconception("the bias is not used", {"bias": "no"},
                      "Change the bias: your loss stays the same."),
        Misconception("the bias is subtracted", {"bias": "minus"},
                      "It starts at -10, for nearly all pairs do not match: which way must it move a logit?"),
        Misconception("the bias is scaled too", {"bias": "inside"},
                      "The scale is for the cosines; the bias comes after."),
        Misconception("the mean over all pairs is taken", {"reduce": "mean"},
                      "A mere convention, but B times smaller: by what does the paper divide the sum?"),
        Misconception("the sum is not divided by B", {"reduce": "sum"},
                      "By what does the paper divide the sum?"),
        Misconception("one value for each image is returned", {"reduce": "rows"},
                      "A loss is one number."),
        Misconception("matching pairs and others are averaged apart", {"reduce": "balanced"},
                      "That would be balanced. Here the bias takes care of the many that do not match."),
        Misconception("a softmax is taken", {"kind": "softmax"},
                      "That is CLIP, in one direction. Here no pair knows of the others."),
        Misconception("the logarithm is missing", {"kind": "sigmoid"},
                      "It is the logarithm of a probability."),
        Misconception("the probability of the wrong answer is taken", {"kind": "softplus"},
                      "For a matching pair with a large logit the loss must be near 0."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the right answers likelier?"),
    ],
    cases=lambda: [(*_matching(4, 6, 2.0, 0), _number(-1.5)), (*_matching(3, 5, 5.0, 1), _number(-3.0)),
                   (*_matching(5, 4, 0.7, 2), _number(0.6))],
    extreme=(lambda: [(*(x.float() for x in _matching(4, 6, 300.0, 3)), torch.tensor(-150.0))],
             Misconception("NaN or infinity at a large scale", {},
                           "The sigmoid of -300 is 0 in float32, and its logarithm is not finite. Which function of "
                           "torch takes both at once?")),
    differentiable=True,
    shapes="siglip takes image [B, D], text [B, D], a scale and a bias and returns a scalar; the logits are [B, B].",
)


def wrong_recall_at(similarity: Tensor, truth: Tensor, k: int, *, ask="rows", order="largest", answer="truth", first="k",
                    rank="place", reduce="mean") -> Tensor:
    """Recall at k with a switch for everything that is often done otherwise; similarity [N, N], truth [N]."""
    s = similarity if ask == "rows" else similarity.T
    n = len(s)
    index = {"truth": truth, "diagonal": torch.arange(n), "inverse": truth.argsort()}[answer]
    order = s.argsort(1, descending=order == "largest")              # [N, N], candidates from first to last
    places = order.argsort(1) if rank == "place" else order          # [N, N], place of each candidate
    place = places[torch.arange(n), index]                           # [N], from 0
    k = {"k": k, "one": 1, "k + 1": k + 1, "k - 1": k - 1}[first]
    found = (place == k - 1) if reduce == "exactly" else place < k
    found = found.double()
    return {"mean": lambda: found.mean(), "exactly": lambda: found.mean(), "sum": lambda: found.sum(), "none": lambda: found,
            "precision": lambda: found.mean() / k, "percent": lambda: 100 * found.mean(), "misses": lambda: 1 - found.mean(),
            "mean rank": lambda: place.double().mean() + 1, "reciprocal": lambda: (found / (place + 1)).mean()}[reduce]()


recall_at = Check(
    "recall_at",
    "Convention: similarity [N, N], row i holds how well each of the N candidates fits query i; truth [N], the candidate that "
    "is right for each; k -> the share, from 0 to 1, of the queries whose right candidate is among their k most similar ones.",
    wrong_recall_at,
    wrong_recall_at,
    [
        Misconception("rows and columns are swapped", {"ask": "columns"},
                      "Each row is a query: along which dim are its candidates?"),
        Misconception("the least similar ones are taken", {"order": "smallest"},
                      "A cosine is large for what is alike: which end of the order comes first?"),
        Misconception("the right answers are taken to be on the diagonal", {"answer": "diagonal"},
                      "Change the truth: your recall stays the same."),
        Misconception("the truth is read the wrong way round", {"answer": "inverse"},
                      "truth[i] is the candidate of query i, not the query of candidate i."),
        Misconception("argsort is read as a rank", {"rank": "order"},
                      "argsort says who stands at a place. At which place does the right one stand?"),
        Misconception("only the first one counts", {"first": "one"},
                      "Change k: your recall stays the same."),
        Misconception("k + 1 candidates are looked at", {"first": "k + 1"},
                      "Places from 0: which ones are the first k?"),
        Misconception("k - 1 candidates are looked at", {"first": "k - 1"},
                      "Places from 1: is k among the first k?"),
        Misconception("only place k counts", {"reduce": "exactly"},
                      "An answer that comes sooner is found too."),
        Misconception("the number of queries is returned, not their share", {"reduce": "sum"},
                      "Twice the queries must not be twice the recall."),
        Misconception("one value for each query is returned", {"reduce": "none"},
                      "Recall is one number for all queries."),
        Misconception("it is divided by k", {"reduce": "precision"},
                      "That is precision: the share of what was shown that is right."),
        Misconception("a percentage is returned", {"reduce": "percent"},
                      "A mere convention. Here it is a share, from 0 to 1."),
        Misconception("the misses are counted", {"reduce": "misses"},
                      "A larger k must not lower it."),
        Misconception("the mean rank is returned", {"reduce": "mean rank"},
                      "That says where the right answers stand. How many stand among the first k?"),
        Misconception("early places count more", {"reduce": "reciprocal"},
                      "That is the reciprocal rank. Among the first k all places count the same."),
    ],
    cases=lambda: [_search(17, 3, 0), _search(23, 5, 1), _search(29, 2, 2)],
    shapes="recall_at takes similarity [N, N], truth [N] and k and returns a number.",
)


def wrong_zero_shot(images: Tensor, prompts: Tensor, *, each="rows", combine="mean", mean="rows", pick="largest",
                    over="classes", images_are="as they are", result="class") -> Tensor:
    """Classes of images by words, with switches for what is often done otherwise; images [N, D], prompts [C, M, D]."""
    p = {"rows": F.normalize(prompts, dim=2), "no": prompts, "prompts": F.normalize(prompts, dim=1)}[each]
    x = {"as they are": images, "over the batch": F.normalize(images, dim=0)}[images_are]
    if combine == "mean":
        c = p.mean(1)                                                # [C, D]
        c = F.normalize(c, dim=1) if mean == "rows" else c
        s = x @ c.T                                                  # [N, C]
    elif combine == "flat":
        return (x @ p.flatten(0, 1).T).argmax(1)                     # the number of a prompt, not of a class
    else:
        s = torch.einsum("nd,cmd->ncm", x, p)
        s = {"best": s.amax(2), "first": s[..., 0], "last": s[..., -1]}[combine]
    if over == "images":
        return s.argmax(0)
    if result == "similarity":
        return s
    if result == "softmax":
        return s.softmax(1)
    return s.argmax(1) if pick == "largest" else s.argmin(1)


zero_shot = Check(
    "zero_shot",
    "Convention: images [N, D] and prompts [C, M, D], M prompts for each of C classes, all at any scale -> the class of each "
    "image, N whole numbers from 0. A class is the mean of its normalised prompts, normalised again; an image gets the class "
    "with the largest cosine. Radford et al. 2021, section 3.1.4.",
    wrong_zero_shot,
    wrong_zero_shot,
    [
        Misconception("prompts are not normalised before they are averaged", {"each": "no"},
                      "Multiply one prompt by 100: should its class then listen to nothing else?"),
        Misconception("the mean is not normalised", {"mean": "no"},
                      "Prompts that disagree have a short mean. Should their class be chosen less for that?"),
        Misconception("neither the prompts nor their mean are normalised", {"each": "no", "mean": "no"},
                      "A class is a direction: how long its prompts are must not matter."),
        Misconception("prompts are normalised over the prompts of a class", {"each": "prompts"},
                      "Each prompt is a vector of its own: which dim runs along it?"),
        Misconception("the best prompt decides", {"combine": "best"},
                      "That is a nearest neighbour among prompts. Here the prompts of a class are averaged first."),
        Misconception("only the first prompt is used", {"combine": "first"},
                      "Change the other prompts: your classes stay the same."),
        Misconception("only the last prompt is used", {"combine": "last"},
                      "Change the other prompts: your classes stay the same."),
        Misconception("images are normalised over the batch", {"images_are": "over the batch"},
                      "An image's class must not depend on the other images."),
        Misconception("the least similar class is taken", {"pick": "smallest"},
                      "A cosine is large for what is alike."),
        Misconception("each class gets an image, not each image a class", {"over": "images"},
                      "N images, N answers: over which dim is the largest?"),
        Misconception("the number of a prompt is returned", {"combine": "flat"},
                      "There are C classes, and the answer is one of 0 to C - 1."),
        Misconception("the similarities are returned", {"result": "similarity"},
                      "Which class is it? One whole number for each image."),
        Misconception("probabilities are returned", {"result": "softmax"},
                      "Which class is it? One whole number for each image."),
    ],
    cases=lambda: [_worded(40, 5, 3, 6, 0), _worded(60, 4, 2, 5, 1), _worded(50, 7, 4, 4, 2)],
    shapes="zero_shot takes images [N, D] and prompts [C, M, D] and returns N whole numbers.",
)


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _matching(b: int, d: int, scale: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Texts that resemble their images, of lengths that differ, and a scale."""
    g = generator(seed)
    image = torch.randn(b, d, generator=g, dtype=torch.float64)
    text = image + 0.8 * torch.randn(b, d, generator=g, dtype=torch.float64)
    a, t = (x * (torch.rand(b, 1, generator=g, dtype=torch.float64) * 2 + 0.5) for x in (image, text))
    return a, t, _number(scale)


def _search(n: int, k: int, seed: int) -> tuple[Tensor, Tensor, int]:
    """Similarities in which the right one stands at many places."""
    g = generator(seed)
    truth = torch.randperm(n, generator=g)
    similarity = torch.randn(n, n, generator=g, dtype=torch.float64)
    similarity[torch.arange(n), truth] += torch.linspace(-0.5, 1.5, n, dtype=torch.float64)
    return similarity, truth, k


def _worded(n: int, c: int, m: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images, and prompts of lengths that differ, in some classes of one mind and in others not."""
    g = generator(seed)
    centre = torch.randn(c, 1, d, generator=g, dtype=torch.float64)
    spread = torch.linspace(0.3, 1.5, c, dtype=torch.float64)[:, None, None]
    prompts = centre + spread * torch.randn(c, m, d, generator=g, dtype=torch.float64)
    prompts = prompts * (torch.rand(c, m, 1, generator=g, dtype=torch.float64) * 3 + 0.3)
    images = centre[torch.arange(n) % c, 0] + 1.2 * torch.randn(n, d, generator=g, dtype=torch.float64)
    return images * (torch.rand(n, 1, generator=g, dtype=torch.float64) * 2 + 0.5), prompts
