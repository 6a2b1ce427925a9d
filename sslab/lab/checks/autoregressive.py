"""Checks of autoregressive models: words to come, what is drawn from them, and what a text costs in bits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.datasets.tokenizer import PAD
from sslab.lab.checks.engine import Check, Misconception
from sslab.lab.checks.words import (
    DETACHED,
    LOSS_MISTAKES,
    cost_of_tokens,
    loud,
    next_case,
    reduce_costs,
    scored_case,
    scores_case,
    texts_case,
)


def wrong_next_token(logits: Tensor, tokens: Tensor, *, shift=1, last="left out", padding="left out", softmax="words",
                     cost="log", reduce="counted") -> Tensor:
    """GPT's loss of logits [B, T, V], with switches for what is often done otherwise."""
    length = tokens.shape[1]
    if last == "left out":
        a, b = max(shift, 0), max(-shift, 0)
        logits, read, answers = logits[:, b: length - a], tokens[:, b: length - a], tokens[:, a: length - b]    # [B, T - 1]
    else:
        read, answers = tokens, tokens.roll(-shift, 1)
        if last == "[PAD]":
            answers = F.pad(tokens[:, 1:], (0, 1), value=PAD)
    keep = {"left out": answers != PAD, "counted": torch.ones_like(read, dtype=torch.bool), "by what was read": read != PAD,
            "only": answers == PAD}[padding]
    return reduce_costs(cost_of_tokens(logits, answers, softmax, cost), keep, reduce)


next_token = Check(
    "next_token",
    f"Convention: logits [B, T, V], tokens [B, T], what was read, with [PAD] {PAD} at the ends of short texts -> scalar; "
    "the logits at place t are for the token at t + 1; the cross-entropy in nats, a mean over all tokens of the batch that "
    "have one before them, [PAD] left out. Radford et al. 2018, equation 1.",
    wrong_next_token,
    wrong_next_token,
    [
        Misconception("the labels are not shifted", {"shift": 0},
                      "The logits at t are compared with the token at t, which was just read: copying is enough. Of which "
                      "token do they speak?"),
        Misconception("the labels are shifted the wrong way", {"shift": -1},
                      "The logits at t are compared with the token at t - 1, which is past. Write both rows under each other "
                      "for T = 3."),
        Misconception("the labels are shifted by two", {"shift": 2},
                      "Did you shift twice? The logits at t are for the very next token."),
        Misconception("the last place wraps round", {"last": "wraps round"},
                      "roll brings the first token to the end: at the last place yours must foretell how the text began."),
        Misconception("padding is counted", {"padding": "counted"},
                      "A short text ends in [PAD], which is easy to foretell and worth nothing."),
        Misconception("padding, and [PAD] after the row's end, are counted", {"padding": "counted", "last": "[PAD]"},
                      "The last token of a row has no next one, and [PAD] is no answer. What does ignore_index do?"),
        Misconception("padding is looked for in what was read", {"padding": "by what was read"},
                      "After a text's last word comes [PAD]. Is that place left out? What must be no [PAD]: the question, "
                      "or the answer?"),
        Misconception("only padding is counted", {"padding": "only"},
                      "Is your mask the wrong way round?"),
        Misconception("divided by the number of all places", {"reduce": "every place"},
                      "A batch with more padding has a smaller loss, at the same error. How many numbers did you add that "
                      "are not 0?"),
        *LOSS_MISTAKES,
    ],
    cases=lambda: [texts_case(3, 6, 8, (6, 3, 5), 0), texts_case(4, 5, 7, (2, 5, 5, 4), 1), texts_case(2, 8, 9, (5, 8), 2)],
    extreme=(lambda: [loud(texts_case(3, 6, 8, (6, 3, 5), 3))],
             Misconception("NaN or infinity at large logits", {},
                           "exp(300) does not fit into float32. logsumexp, log_softmax and cross_entropy subtract the "
                           "largest value first.")),
    promises=[DETACHED],
    shapes="next_token takes logits [B, T, V] and tokens [B, T] and returns a scalar. cross_entropy wants [N, V] and [N].",
)


def _looks(length: int, look: str) -> Tensor:
    """Who may look where, bool [T, T]."""
    every = torch.ones(length, length, dtype=torch.bool)
    return {"past": every.tril(), "upside down": every.triu(), "without itself": every.tril(-1), "one too far": every.tril(1),
            "everything": every, "itself": every.tril().triu(), "one before": every.tril().triu(-1),
            "mirrored": every.tril().flip(1), "future": every.triu(1)}[look]


def wrong_causal_mask(length: int, *, look="past", result="bool") -> Tensor:
    """Where each token may look, [T, T], with switches for what is often done otherwise."""
    mask = _looks(length, look)
    zero = torch.zeros(length, length)
    return {"bool": mask, "not": ~mask, "minus infinity": zero.masked_fill(~mask, -math.inf),
            "large": zero.masked_fill(~mask, -1e9), "weights": mask.double() / mask.double().sum(1, keepdim=True),
            "one row": mask.sum(1)}[result]


causal_mask = Check(
    "causal_mask",
    "Convention: a length T -> bool [T, T], True where the token of a row may look at the token of a column: at itself and "
    "at those before it. As attn_mask of torch's scaled_dot_product_attention takes it. Vaswani et al. 2017, section 3.2.3.",
    wrong_causal_mask,
    wrong_causal_mask,
    [
        Misconception("the mask is upside down", {"look": "upside down"},
                      "In yours the first token sees the whole text, and so its own answer. Which row belongs to the first "
                      "token?"),
        Misconception("the diagonal is missing", {"look": "without itself"},
                      "A token may look at itself: it is not the answer there, the next one is. And in yours the first token "
                      "looks nowhere, which gives NaN."),
        Misconception("True is where a token may not look", {"look": "future"},
                      "A convention, that of nn.MultiheadAttention. scaled_dot_product_attention takes True where it may "
                      "look."),
        Misconception("a token sees one place too far", {"look": "one too far"},
                      "The token at t + 1 is the answer at t: with yours it can be read off."),
        Misconception("everybody sees everything", {"look": "everything"},
                      "That is BERT. The answers lie in sight."),
        Misconception("a token sees only itself", {"look": "itself"},
                      "What could be foretold from one word? Those before it may be seen too."),
        Misconception("only the token before can be seen", {"look": "one before"},
                      "All tokens before may be seen, not only the nearest one."),
        Misconception("the mask is mirrored", {"look": "mirrored"},
                      "The diagonal runs from above left to below right. What may the first token see in yours?"),
        Misconception("numbers to be added to the scores", {"result": "minus infinity"},
                      "A mere convention, 0 and minus infinity. Here True and False."),
        Misconception("large negative numbers to be added to the scores", {"result": "large"},
                      "A mere convention, 0 and -1e9. Here True and False."),
        Misconception("weights, not a mask", {"result": "weights"},
                      "Your rows sum to 1: what a token takes from which one, the softmax says later."),
        Misconception("how many tokens each may see", {"result": "one row"},
                      "One answer for each pair of tokens is wanted: [T, T]."),
    ],
    cases=lambda: [(5,), (3,), (8,)],
    promises=[
        (Misconception("0 and 1 as numbers, not True and False", {},
                       "scaled_dot_product_attention adds a mask of numbers to the scores: 1 more for what may be seen, and "
                       "nothing is hidden. The entries are right; what is their dtype?"),
         lambda function, case: torch.as_tensor(function(*case)).dtype != torch.bool),
    ],
    shapes="causal_mask takes a number T and returns booleans [T, T].",
)


def wrong_causal_weights(scores: Tensor, *, look="past", hide="minus infinity", softmax="rows", scale="no") -> Tensor:
    """What each token takes from which one, [T, T], with switches for what is often done otherwise."""
    seen, dim = _looks(len(scores), look), {"rows": 1, "columns": 0, "all": None}[softmax]

    def soft(x: Tensor) -> Tensor:
        return x.flatten().softmax(0).view_as(x) if dim is None else x.softmax(dim)

    if scale == "root":
        scores = scores / math.sqrt(len(scores))
    return {"minus infinity": lambda: soft(scores.masked_fill(~seen, -math.inf)), "zero": lambda: soft(scores * seen),
            "added": lambda: soft(scores + seen), "after": lambda: soft(scores) * seen,
            "infinity": lambda: soft(scores).masked_fill(~seen, -math.inf),
            "exp": lambda: scores.exp() * seen, "scores": lambda: scores.masked_fill(~seen, -math.inf),
            "even": lambda: seen / seen.sum(1, keepdim=True),
            "linear": lambda: scores * seen / (scores * seen).sum(1, keepdim=True),
            "log": lambda: scores.masked_fill(~seen, -math.inf).log_softmax(1)}[hide]()


causal_weights = Check(
    "causal_weights",
    "Convention: scores [T, T], already scaled, the row is the token that looks -> weights [T, T]; in each row a softmax "
    "over the token itself and those before it, 0 for those after it. Vaswani et al. 2017, section 3.2.3.",
    wrong_causal_weights,
    wrong_causal_weights,
    [
        Misconception("nothing is masked", {"look": "everything"},
                      "Change a score above the diagonal: no weight may change."),
        Misconception("the mask is upside down", {"look": "upside down"},
                      "In yours the first token sees the whole text. Which row belongs to the first token?"),
        Misconception("the diagonal is missing", {"look": "without itself"},
                      "A token may look at itself. In yours the first one looks nowhere, and a softmax over nothing is NaN."),
        Misconception("a token sees one place too far", {"look": "one too far"},
                      "The token at t + 1 is the answer at t: with yours it can be read off."),
        Misconception("True and False are exchanged in the mask", {"look": "future"},
                      "masked_fill fills where the mask is True. What does yours hide?"),
        Misconception("scores are masked with 0", {"hide": "zero"},
                      "exp(0) is 1, so later tokens still get weight. Whose exponential is 0?"),
        Misconception("0 and 1 are added to the scores", {"hide": "added"},
                      "A score that is 1 smaller is not hidden. What must be added so that the exponential is 0?"),
        Misconception("weights are masked after the softmax", {"hide": "after"},
                      "Sum your rows: they no longer give 1. And the later scores still change what is left."),
        Misconception("minus infinity after the softmax", {"hide": "infinity"},
                      "exp turns minus infinity into 0. Does it still come after it in yours?"),
        Misconception("weights are not normalised", {"hide": "exp"},
                      "Sum your rows: each must give 1."),
        Misconception("the exponential is missing", {"hide": "linear"},
                      "Scores may be negative, weights may not."),
        Misconception("scores are returned", {"hide": "scores"},
                      "The softmax is missing."),
        Misconception("logarithms are returned", {"hide": "log"},
                      "softmax, not log_softmax: the rows sum to 1."),
        Misconception("all earlier tokens weigh the same", {"hide": "even"},
                      "Your weights do not know the scores."),
        Misconception("the softmax goes over the columns", {"softmax": "columns"},
                      "Sum your rows: each token has one unit of attention to give. Which dim?"),
        Misconception("the softmax goes over the whole matrix", {"softmax": "all"},
                      "Sum your rows: each must give 1."),
        Misconception("the scores are scaled again", {"scale": "root"},
                      "They are already divided by the root of the width (which is not T)."),
    ],
    cases=lambda: [scores_case(5, 0), scores_case(4, 1), scores_case(7, 2)],
    extreme=(lambda: [(100 * scores_case(5, 3)[0].float(),)],
             Misconception("NaN or infinity at large scores", {},
                           "exp(300) does not fit into float32, and exp(-300) is 0 there. A softmax over what may be seen "
                           "takes the largest of just those scores away first.")),
    differentiable=(0,),
    shapes="causal_weights takes scores [T, T] and returns [T, T].",
)


def wrong_sample(logits: Tensor, temperature: float, top_k: int, top_p: float, *, temper="divide", k="k", cut="minus infinity",
                 held="of the rest", nucleus="crosses", order="likely", again="yes", result="probabilities") -> Tensor:
    """What is drawn from, [V], with switches for what is often done otherwise."""
    s = {"multiply": logits * temperature, "divide": logits / temperature}.get(temper, logits)
    place = s.argsort(descending=True).argsort()                     # [V], 0 for the most likely
    keep = {"k": place < top_k, "one less": place < top_k - 1, "one more": place <= top_k, "no": place >= 0,
            "least": place >= len(s) - top_k, "first": torch.arange(len(s)) < top_k}[k]
    whole = s.softmax(0)
    s = s.masked_fill(~keep, {"minus infinity": -math.inf, "zero": 0.0}[cut])
    p = s.softmax(0)                                                 # [V]
    for_cut = {"of the rest": p, "of all": whole * keep}[held]
    at = {"likely": for_cut.argsort(descending=True), "unlikely": for_cut.argsort(),
          "as they stand": torch.arange(len(s))}[order]              # [V]
    reach = for_cut[at].cumsum(0)                                    # [V]
    n = {"crosses": lambda: int((reach - for_cut[at] < top_p).sum()), "dropped": lambda: int((reach <= top_p).sum()),
         "one more": lambda: int((reach - for_cut[at] < top_p).sum()) + 1, "no": lambda: len(s),
         "share of words": lambda: round(top_p * len(s)), "own": lambda: 0, "largest": lambda: 0}[nucleus]()
    inside = torch.zeros(len(s), dtype=torch.bool).index_fill(0, at[:n], True)
    if nucleus in ("own", "largest"):
        inside = for_cut >= (1 - top_p) * (1 if nucleus == "own" else for_cut.max())
    if temper == "after":
        p = (s / temperature).softmax(0)
    cut_p = p * inside
    value = {"yes": cut_p / cut_p.sum(), "no": cut_p, "softmax": cut_p.softmax(0), "without zeros": cut_p / inside.sum()}[again]
    return {"probabilities": value, "logarithms": value.log(), "sorted": value.sort(descending=True).values,
            "kept": inside & keep, "even": (inside & keep) / (inside & keep).sum(), "reach": value.cumsum(0),
            "likeliest": F.one_hot(value.argmax(), len(s)), "list": value.argsort(descending=True)}[result]


def _keeps_the_first(function, case: tuple) -> bool:
    """Whether a token that alone holds more than top_p is cut off."""
    logits = torch.tensor([0.5, 6.0, -1.0, 1.0, 0.0], dtype=torch.float64)
    given = torch.as_tensor(function(logits, 1.0, 5, 0.4)).double()
    return not torch.allclose(given, torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64), atol=1e-4)


sample = Check(
    "sample",
    "Convention: logits [V], temperature above 0, top_k from 1 to V, top_p above 0 and at most 1 -> the probabilities [V] "
    "to draw the next token from; logits / temperature, then the top_k largest, of what they hold the most likely tokens "
    "until their sum reaches top_p (the one that reaches it stays in), scaled to sum to 1. Tokens keep their places. "
    "Holtzman et al. 2019, section 3.1.",
    wrong_sample,
    wrong_sample,
    [
        Misconception("temperature multiplies", {"temper": "multiply"},
                      "A lower temperature must make the likely tokens likelier still."),
        Misconception("temperature is not used", {"temper": "no"},
                      "Change the temperature: your probabilities stay the same. (Dividing all of them by one number, and "
                      "then scaling them to sum to 1, does nothing.)"),
        Misconception("temperature comes after the cut", {"temper": "after"},
                      "Here the temperature changes the probabilities first, and top_p counts with the changed ones."),
        Misconception("top-k keeps one too few", {"k": "one less"},
                      "How many of yours are above 0 with top_p 1?"),
        Misconception("top-k keeps one too many", {"k": "one more"},
                      "How many of yours are above 0 with top_p 1? < or <=?"),
        Misconception("top-k is not used", {"k": "no"},
                      "How many of yours are above 0 with top_k 2 and top_p 1?"),
        Misconception("the k least likely are kept", {"k": "least"},
                      "Which end of the sorted list do you cut off?"),
        Misconception("the first k of the vocabulary are kept", {"k": "first"},
                      "Which tokens have the k largest logits? They stand anywhere."),
        Misconception("top-k sets logits to 0", {"cut": "zero"},
                      "exp(0) is 1: those tokens can still be drawn, and often. Whose exponential is 0?"),
        Misconception("top-p drops the token that crosses p", {"nucleus": "dropped"},
                      "Sum what you kept: does it reach top_p? The smallest set that does is wanted."),
        Misconception("top-p keeps one too many", {"nucleus": "one more"},
                      "Take away the least likely token that you kept: is top_p still reached? Then it was too many."),
        Misconception("top-p is not used", {"nucleus": "no"},
                      "How many of yours are above 0 with top_p 0.1?"),
        Misconception("top-p is a share of the tokens", {"nucleus": "share of words"},
                      "top_p is a share of the probability: a sure model keeps few tokens, an unsure one many."),
        Misconception("a token is kept for its own probability", {"nucleus": "own"},
                      "Compare with top_p what the likely tokens hold together: a running sum."),
        Misconception("a token is kept by comparison with the likeliest", {"nucleus": "largest"},
                      "That is another cut, called min-p. Compare with top_p what the likely tokens hold together."),
        Misconception("top-p counts in the order of the vocabulary", {"order": "as they stand"},
                      "cumsum goes through the tokens as they stand. In which order should they be?"),
        Misconception("top-p begins with the least likely", {"order": "unlikely"},
                      "sort and argsort rise. Which tokens should the sum begin with?"),
        Misconception("top-p counts what was held before top-k", {"held": "of all"},
                      "A mere convention: here top_k comes first, its rest sums to 1 again, and top_p counts in that."),
        Misconception("the probabilities are not scaled again", {"again": "no"},
                      "Sum your probabilities: what was cut off is missing."),
        Misconception("a softmax is taken of probabilities", {"again": "softmax"},
                      "exp(0) is 1: what was cut off can be drawn again. Divide by the sum, or cut the logits."),
        Misconception("divided by the number of tokens that are left", {"again": "without zeros"},
                      "Sum your probabilities: by what must they be divided to give 1?"),
        Misconception("logarithms are returned", {"result": "logarithms"},
                      "Probabilities are wanted: they sum to 1."),
        Misconception("the probabilities are not put back in their places", {"result": "sorted"},
                      "Yours are in order of size. Which token does the first one belong to? Look at scatter, or index "
                      "with the order."),
        Misconception("a mask is returned", {"result": "kept"},
                      "It says which tokens may be drawn; how likely is each?"),
        Misconception("all tokens that are left weigh the same", {"result": "even"},
                      "Of what is left, likely tokens are still likelier."),
        Misconception("running sums are returned", {"result": "reach"},
                      "The probabilities themselves are wanted."),
        Misconception("the most likely token is always taken", {"result": "likeliest"},
                      "That is temperature 0. At a temperature above 0 others must have a chance."),
        Misconception("the order of the tokens is returned", {"result": "list"},
                      "A probability for each token is wanted."),
    ],
    cases=lambda: [next_case(8, 0.7, 6, 0.8, 0), next_case(10, 1.5, 5, 0.85, 1), next_case(9, 1.2, 7, 0.6, 2), next_case(6, 0.8, 4, 0.97, 3)],
    extreme=(lambda: [(40 * next_case(8, 1.0, 8, 1.0, 4)[0].float(), 0.1, 5, 0.9)],
             Misconception("NaN or infinity at a low temperature", {},
                           "exp(400) does not fit into float32. softmax subtracts the largest value first.")),
    promises=[
        (Misconception("nothing is left where one token holds more than top_p", {},
                       "Try logits [6, 0, 0] with top_p 0.4: the first token alone holds more than that. At least one must "
                       "stay."),
         _keeps_the_first),
    ],
    shapes="sample takes logits [V], a temperature, top_k and top_p and returns probabilities [V], not a token.",
)


def wrong_bits_per_character(log_probabilities: Tensor, characters: Tensor, *, base="2", per="characters", ends="in", sign=-1.0,
                             weights="no", value="bits") -> Tensor:
    """What a text costs, from the log-probabilities of its tokens [N], with switches for what is often done otherwise."""
    log, c = log_probabilities, characters
    if ends == "left out":
        log, c = log[c > 0], c[c > 0]
    if ends == "characters":
        c = c.clamp(min=1)
    if weights == "p":
        log = log * log.exp()
    if weights == "mean":
        log = log.exp().mean().log().expand_as(log)
    cost = sign * log * {"2": 1 / math.log(2), "e": 1.0, "10": 1 / math.log(10), "times": math.log(2)}[base]              # [N]
    bits = {"characters": lambda: cost.sum() / c.sum(), "tokens": lambda: cost.mean(), "each": lambda: (cost / c).mean(),
            "no": lambda: cost.sum(), "means": lambda: cost.mean() / c.double().mean().round(),
            "all": lambda: cost / c.sum()}[per]()
    return {"bits": lambda: bits, "perplexity": lambda: (-log.mean()).exp(),
            "mean of perplexities": lambda: (-log).exp().mean(),
            "log of mean": lambda: (-log).exp().mean().log2() * len(log) / c.sum(), "perplexity of characters": lambda: 2**bits,
            "inverse": lambda: 1 / bits, "per perplexity": lambda: (-log.mean()).exp() / (c.sum() / len(c))}[value]()


bits_per_character = Check(
    "bits_per_character",
    "Convention: log_probabilities [N], the natural logarithm of what each token of a text was thought to be likely; "
    "characters int64 [N], how many characters each token stands for, 0 for the end of a text -> scalar; all tokens' bits "
    "(logarithm to base 2) together, divided by all characters. So models with different tokens compare.",
    wrong_bits_per_character,
    wrong_bits_per_character,
    [
        Misconception("nats, not bits", {"base": "e"},
                      "A coin toss, probability 0.5, is 1 bit. How many nats is it?"),
        Misconception("the logarithm is to base 10", {"base": "10"},
                      "A coin toss, probability 0.5, is 1 bit."),
        Misconception("multiplied by log 2 in place of divided", {"base": "times"},
                      "A coin toss is 0.69 nats and 1 bit. Which one is the larger number?"),
        Misconception("per token, not per character", {"per": "tokens"},
                      "With longer tokens there are fewer of them, and each is harder: who has the larger vocabulary would "
                      "look worse. What do all models share?"),
        Misconception("a mean of each token's bits per character", {"per": "each"},
                      "A long token has more characters, so it must count more. (And what of a token without any?)"),
        Misconception("the sum is not divided", {"per": "no"},
                      "A longer text must not mean a larger value."),
        Misconception("one value for each token is returned", {"per": "all"},
                      "One number is wanted."),
        Misconception("characters a token are rounded", {"per": "means"},
                      "Divide by all characters, with no rounding on the way."),
        Misconception("tokens without characters cost nothing", {"ends": "left out"},
                      "The end of a text has to be foretold too: its bits count, though it is no character."),
        Misconception("tokens without characters count as characters", {"ends": "characters"},
                      "The end of a text is no character: the text has as many as its letters, spaces and marks."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Logarithms of probabilities are negative; what a text costs is not."),
        Misconception("each logarithm is weighted by its probability", {"weights": "p"},
                      "That is how an entropy is made of all tokens that might come. Here the text says which one came, "
                      "and each of its tokens counts once."),
        Misconception("the mean is taken before the logarithm", {"weights": "mean"},
                      "A text's probability is a product: so what adds up are the logarithms."),
        Misconception("the perplexity is returned", {"value": "perplexity"},
                      "That depends on what a token is. Bits, and characters, are wanted."),
        Misconception("the perplexity of characters is returned", {"value": "perplexity of characters"},
                      "Its logarithm to base 2 is wanted."),
        Misconception("a mean of perplexities", {"value": "mean of perplexities"},
                      "One word that was thought impossible outweighs all others. What adds up are the logarithms."),
        Misconception("the logarithm of a mean of perplexities", {"value": "log of mean"},
                      "Of a mean of 1 / p one word that was thought impossible is nearly all. What adds up are the "
                      "logarithms."),
        Misconception("the perplexity is divided by the characters", {"value": "per perplexity"},
                      "Perplexity is an exponential, and does not add up. Divide the bits."),
        Misconception("characters per bit", {"value": "inverse"},
                      "Better models must have a smaller value."),
    ],
    cases=lambda: [scored_case(12, True, 0), scored_case(9, False, 1), scored_case(20, True, 2)],
    extreme=(lambda: [(torch.tensor([-800.0, -0.1, -2.0]), torch.tensor([4, 3, 0]))],
             Misconception("NaN or infinity at a very unlikely token", {},
                           "exp(-800) is 0 to a computer. Stay with the logarithms: they only need to be added.")),
    shapes="bits_per_character takes log_probabilities [N] and characters [N] and returns a scalar.",
)
