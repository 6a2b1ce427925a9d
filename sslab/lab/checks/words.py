"""What the checks of language models share: inputs, the cross-entropy of tokens, and what goes wrong with it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.datasets.tokenizer import CLS, PAD, SEP, WORDS
from sslab.lab.checks.engine import Misconception, generator, reaches


def cost_of_tokens(logits: Tensor, targets: Tensor, softmax: str, cost: str) -> Tensor:
    """What each answer costs: logits [B, T, V], targets [B, T] -> [B, T]."""
    log = {"words": lambda: logits.log_softmax(2), "places": lambda: logits.log_softmax(1),
           "texts": lambda: logits.log_softmax(0), "no": lambda: logits, "twice": lambda: logits.softmax(2).log_softmax(2),
           }[softmax]()                                              # [B, T, V]
    log = log.gather(2, targets[..., None])[..., 0]                  # [B, T]
    return {"log": -log, "plus": log, "bits": -log / math.log(2), "no log": -log.exp(), "1 - p": 1 - log.exp()}[cost]


def reduce_costs(each: Tensor, keep: Tensor, reduce: str) -> Tensor:
    """[B, T], and bool which count -> mostly a scalar."""
    kept = each * keep
    if reduce == "texts":
        return (kept.sum(1) / keep.sum(1)).mean()
    if reduce == "likelihood":
        return (kept.sum() / keep.sum()).exp()
    if reduce in ("each", "list"):
        return kept if reduce == "each" else each[keep]
    return kept.sum() / {"counted": keep.sum(), "every place": keep.numel(), "batch": len(keep), "no": 1}[reduce]


LOSS_MISTAKES = [                                                    # of every cross-entropy of tokens
    Misconception("the sum is taken, not the mean", {"reduce": "no"},
                  "Twice the batch must not be twice the loss."),
    Misconception("the sum is divided by the batch", {"reduce": "batch"},
                  "Longer texts must not mean a larger loss at the same error."),
    Misconception("a mean over texts of means over tokens", {"reduce": "texts"},
                  "Here each token counts the same, in a short text as in a long one."),
    Misconception("one value for each place is returned", {"reduce": "each"},
                  "A loss is one number."),
    Misconception("one value for each token is returned", {"reduce": "list"},
                  "A loss is one number."),
    Misconception("the perplexity is returned", {"reduce": "likelihood"},
                  "exp of the loss says between how many words the network hesitates. The loss itself is wanted."),
    Misconception("the softmax goes over the places", {"softmax": "places"},
                  "At each place the words compete with each other: along which dim do they lie?"),
    Misconception("the softmax goes over the texts", {"softmax": "texts"},
                  "At each place the words compete with each other: along which dim do they lie?"),
    Misconception("there is no softmax", {"softmax": "no"},
                  "Raise all logits by 1: the loss must not change."),
    Misconception("the softmax is taken twice", {"softmax": "twice"},
                  "cross_entropy has its own softmax. What does it take?"),
    Misconception("the sign is wrong", {"cost": "plus"},
                  "Training makes the loss smaller. Should that make the right word likelier?"),
    Misconception("the logarithm is missing", {"cost": "no log"},
                  "A cross-entropy is minus the logarithm of the probability."),
    Misconception("1 - p in place of the logarithm", {"cost": "1 - p"},
                  "What should a word cost that was thought impossible? Yours costs 1 at most."),
    Misconception("the loss is in bits", {"cost": "bits"},
                  "A mere convention: here it is in nats, with the natural logarithm."),
]


DETACHED = (
    Misconception("the logits are detached", {},
                  "The value is right, but nothing would be learned: look for .item(), .detach(), float() or no_grad."),
    lambda function, case: not reaches(function, case, 0),
)


def end_texts(b: int, t: int, lengths: tuple[int, ...], tokens: Tensor) -> Tensor:
    """Tokens [B, T], [PAD] from each row's length on."""
    return tokens.masked_fill(torch.arange(t) >= torch.tensor(lengths)[:, None], PAD)


def corpus_case(b: int, t: int, share: float, seed: int) -> tuple:
    """Rows [CLS] words [SEP] [PAD] ... without [UNK], and random words of which none is the true one."""
    g, kinds = generator(seed), 30
    tokens = torch.randint(WORDS, WORDS + kinds, (b, t), generator=g)
    other = torch.randint(1, kinds, (b, t), generator=g)
    words = WORDS + (tokens - WORDS + other) % kinds
    tokens[:, 0] = CLS
    lengths = [t - 2 * i % (t // 2) for i in range(b)]
    tokens[torch.arange(b), torch.tensor(lengths) - 1] = SEP
    u, v = torch.rand(2, b, t, generator=g, dtype=torch.float64)
    return end_texts(b, t, tuple(lengths), tokens), u, v, words, share


def random_logits(tokens: Tensor, vocabulary: int, g: torch.Generator) -> Tensor:
    """Logits [B, T, V] of a model that half knows the tokens [B, T]."""
    return 1.5 * torch.randn(*tokens.shape, vocabulary, generator=g, dtype=torch.float64) + F.one_hot(tokens, vocabulary)


def hidden_case(b: int, t: int, vocabulary: int, many: tuple[int, ...], seed: int) -> tuple:
    """Logits, tokens with padding after those that may be chosen, and as many chosen in each row as `many` says."""
    g = generator(seed)
    tokens = torch.randint(1, vocabulary, (b, t), generator=g)
    tokens = end_texts(b, t, tuple(t - i % 2 for i in range(b)), tokens)
    rank = torch.rand(b, t, generator=g).masked_fill(tokens == PAD, 2.0).argsort(1).argsort(1)
    return random_logits(tokens, vocabulary, g), tokens, rank < torch.tensor(many)[:, None]


def texts_case(b: int, t: int, vocabulary: int, lengths: tuple[int, ...], seed: int) -> tuple:
    """Logits and tokens; texts of these lengths, then padding."""
    g = generator(seed)
    tokens = end_texts(b, t, lengths, torch.randint(1, vocabulary, (b, t), generator=g))
    return random_logits(tokens.roll(-1, 1), vocabulary, g), tokens


def loud(case: tuple) -> tuple:
    logits, *rest = case
    return 300 * logits.float(), *rest


def counted_case(n: int, m: int, vocabulary: int, seed: int) -> tuple:
    """Two texts of words that are more and less frequent; the last word is only in the held-out one."""
    g = generator(seed)
    share = 1.0 / torch.arange(1, vocabulary).double()
    train, held_out = (torch.multinomial(share, k, replacement=True, generator=g) for k in (n, m))
    held_out[m // 2] = vocabulary - 1
    return train, held_out, vocabulary


def scores_case(t: int, seed: int) -> tuple:
    return (2 * torch.randn(t, t, generator=generator(seed), dtype=torch.float64),)


def next_case(vocabulary: int, temperature: float, top_k: int, top_p: float, seed: int) -> tuple:
    """Logits of which none holds top_p alone."""
    order = torch.randperm(vocabulary, generator=generator(seed))
    wiggle = 0.3 * torch.rand(vocabulary, generator=generator(seed + 100), dtype=torch.float64)
    return 0.4 * order.double() + wiggle, temperature, top_k, top_p


def scored_case(n: int, ends: bool, seed: int) -> tuple:
    """Log-probabilities of tokens, and their characters; every sixth token is the end of a text."""
    g = generator(seed)
    log = -3 * torch.rand(n, generator=g, dtype=torch.float64) - 0.1
    characters = torch.randint(1, 7, (n,), generator=g)
    if ends:
        characters[5::6] = 0
    return log, characters
