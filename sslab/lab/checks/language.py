"""Checks of masked language models: what is hidden, what the loss counts, and what can be said without reading."""


import torch
from torch import Tensor

from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP
from sslab.lab.checks.engine import Check, Misconception, changes
from sslab.lab.checks.words import (
    DETACHED,
    LOSS_MISTAKES,
    corpus_case,
    cost_of_tokens,
    counted_case,
    hidden_case,
    loud,
    reduce_costs,
)


def wrong_hide_tokens(tokens: Tensor, u: Tensor, v: Tensor, words: Tensor, mask_share: float, *, who="words", coin="each",
                      second="v", split="80/10/10", where="chosen", symbol=MASK, marks="chosen", result="both"):
    """What is seen and which tokens were chosen, [B, T] each, with switches for what is often done otherwise."""
    real, mark = tokens != PAD, (tokens == CLS) | (tokens == SEP)
    may = {"words": real & ~mark, "all": torch.ones_like(real), "padding too": ~mark, "marks too": real}[who]      # [B, T]
    rank = u.masked_fill(~may, 2.0).argsort(1).argsort(1)            # [B, T], among a text's words
    hit = {"each": lambda: u < mask_share, "exact": lambda: rank < (may.sum(1, keepdim=True) * mask_share).round(),
           "text": lambda: u[:, :1] < mask_share, "place": lambda: u[:1] < mask_share, "batch": lambda: u[0, 0] < mask_share,
           "above": lambda: u >= mask_share, "kept": lambda: u < 1 - mask_share, "largest": lambda: u > 1 - mask_share,
           "v": lambda: v < mask_share, "80 %": lambda: u < 0.8 * mask_share}[coin]()
    chosen = may & hit                                               # [B, T]
    w = {"v": v, "u": u, "rest of u": u / mask_share}[second]
    first, middle, last = w < 0.8, (w >= 0.8) & (w < 0.9), w >= 0.9
    none = torch.zeros_like(first)
    hidden, random = {"80/10/10": (first, middle), "last": (first, last), "all hidden": (~none, none),
                      "all random": (none, ~none), "no rest": (first, ~first), "no random": (first, none),
                      "overwritten": (none, first | middle), "exchanged": (middle, first), "nothing": (none, none)}[split]
    at = {"chosen": chosen, "everywhere": may}.get(where, chosen)
    seen = torch.where(at & hidden, symbol, tokens)                  # [B, T]
    seen = torch.where(random & (at if where != "random everywhere" else may), words, seen)
    marked = {"chosen": chosen, "hidden": chosen & hidden, "changed": chosen & (hidden | random), "others": ~chosen,
              "words": may}[marks]
    labels = torch.where(chosen, tokens, -100)
    return {"both": (seen, marked), "exchanged": (marked, seen), "labels": (seen, labels), "seen": seen,
            "chosen": marked}[result]


hide_tokens = Check(
    "hide_tokens",
    f"Convention: tokens int64 [B, T] in which [PAD] is {PAD}, [CLS] {CLS}, [SEP] {SEP} and [MASK] {MASK}; u, v [B, T], "
    "evenly random in [0, 1); words [B, T], a random word for each place; mask_share -> (seen [B, T], chosen bool [B, T]). "
    "A word is chosen where u < mask_share; [PAD], [CLS] and [SEP] never are. A chosen one becomes [MASK] where v < 0.8, "
    "the random word where 0.8 <= v < 0.9, and stays as it is otherwise. Devlin et al. 2018, section 3.1 (there exactly so "
    "many in a text).",
    wrong_hide_tokens,
    wrong_hide_tokens,
    [
        Misconception("the target leaks: nothing is hidden", {"split": "nothing"},
                      "Your first result is the text itself: the network would only have to copy. What stands where a word "
                      "was chosen (and did you return what you made)?"),
        Misconception("special tokens and padding are chosen", {"who": "all"},
                      "Print the tokens where chosen is True. Is there anything to be learned from foretelling [CLS] or "
                      "[PAD]?"),
        Misconception("padding is chosen", {"who": "padding too"},
                      "Short texts end in [PAD]: what would the network learn from foretelling it?"),
        Misconception("[CLS] and [SEP] are chosen", {"who": "marks too"},
                      "They stand in every text, at places that are known. What would be learned from foretelling them?"),
        Misconception("chosen marks only what became [MASK]", {"marks": "hidden"},
                      "Tokens that became a random word, or stayed as they are, must be foretold too: else why change "
                      "them, and why would the network look at the words it sees?"),
        Misconception("chosen marks only what was changed", {"marks": "changed"},
                      "A chosen token that stays as it is must be foretold too: how else does the network learn that what it "
                      "sees may be right?"),
        Misconception("chosen is True where a token was not chosen", {"marks": "others"},
                      "Count the True in it at mask_share 0.15."),
        Misconception("chosen marks all words", {"marks": "words"},
                      "The loss will be over chosen: most of those words can be seen, and copying is enough."),
        Misconception("the random and the kept 10 % are exchanged", {"split": "last"},
                      "A mere convention, as random as ours: here v from 0.8 to 0.9 is the random word, above it stays."),
        Misconception("[MASK] and the random word are exchanged", {"split": "exchanged"},
                      "How many of your chosen tokens are [MASK]? It should be 80 %."),
        Misconception("all chosen tokens become [MASK]", {"split": "all hidden"},
                      "[MASK] never comes in real texts. Which 20 % of the chosen tokens do not become [MASK]?"),
        Misconception("all chosen tokens become random words", {"split": "all random"},
                      "How would the network know which words to doubt? 80 % of the chosen ones are [MASK]."),
        Misconception("no chosen token is kept", {"split": "no rest"},
                      "What happens where v is above 0.9?"),
        Misconception("no chosen token becomes a random word", {"split": "no random"},
                      "What happens where v lies between 0.8 and 0.9? (v < 0.8 and v < 0.1 are not two different tenths.)"),
        Misconception("random words overwrite [MASK]", {"split": "overwritten"},
                      "Where v < 0.8, v < 0.9 is true as well, and the later line wins."),
        Misconception("tokens that were not chosen are changed too", {"where": "everywhere"},
                      "Compare seen with tokens outside of chosen: the text that is left to go by must be true."),
        Misconception("random words come where nothing was chosen", {"where": "random everywhere"},
                      "A tenth of the chosen tokens becomes a random word, not a tenth of all tokens."),
        Misconception("a whole text is chosen or not", {"coin": "text"},
                      "Each token has a number u of its own."),
        Misconception("the same places are chosen in all texts", {"coin": "place"},
                      "Each text has its own row of u."),
        Misconception("the whole batch is chosen or not", {"coin": "batch"},
                      "Each token has a number u of its own."),
        Misconception("mask_share is the share that is left alone", {"coin": "above"},
                      "At mask_share 0.15 how many tokens does yours choose?"),
        Misconception("tokens are chosen with 1 - mask_share", {"coin": "kept"},
                      "At mask_share 0.15 how many tokens does yours choose?"),
        Misconception("the largest u are chosen", {"coin": "largest"},
                      "A mere convention, as random as ours: here a word is chosen where u < mask_share."),
        Misconception("each text has exactly so many chosen", {"coin": "exact"},
                      "The paper's own way, and sslab's. Here each token throws its own coin: u < mask_share."),
        Misconception("only 80 % of mask_share are chosen", {"coin": "80 %"},
                      "80 % of the chosen tokens become [MASK]; the other 20 % are chosen too."),
        Misconception("u and v are exchanged", {"coin": "v", "second": "u"},
                      "A mere convention, as random as ours: here u chooses and v says what becomes of a chosen token."),
        Misconception("u is used twice", {"second": "u"},
                      "Where a token is chosen, u is already known to be below mask_share: so is it ever above 0.8?"),
        Misconception("v is not used", {"second": "rest of u"},
                      "As random as ours, from u alone. Here v says what becomes of a chosen token."),
        Misconception("[PAD] in place of [MASK]", {"symbol": PAD},
                      "Nobody looks at [PAD], and it says that the text is over. Which token says that a word is missing?"),
        Misconception("[UNK] in place of [MASK]", {"symbol": 1},
                      "[UNK] is a word that the vocabulary does not have. Which token says that a word is missing?"),
        Misconception("the two results are exchanged", {"result": "exchanged"},
                      "First what is seen, then what was chosen."),
        Misconception("labels are returned, not a mask", {"result": "labels"},
                      "A convention, that of Hugging Face: the answers, and -100 elsewhere. Here True and False."),
        Misconception("only what is seen is returned", {"result": "seen"},
                      "The loss must know which tokens were chosen: you cannot tell by looking for [MASK]."),
        Misconception("only what was chosen is returned", {"result": "chosen"},
                      "The network also needs the text with its gaps."),
    ],
    cases=lambda: [corpus_case(6, 12, 0.5, 0), corpus_case(5, 16, 0.35, 1), corpus_case(4, 20, 0.95, 2)],
    promises=[
        (Misconception("the tokens are changed in place", {},
                       "What you return is right, but the text you were given now has gaps as well, and with it the "
                       "answers are lost: the network would be taught to say [MASK]. Begin with a clone."),
         lambda function, case: changes(function, case)[0]),
    ],
    shapes="hide_tokens takes tokens, u, v, words [B, T] and a share and returns (seen [B, T], chosen [B, T]).",
)


def wrong_masked_tokens(logits: Tensor, tokens: Tensor, chosen: Tensor, *, counts="chosen", softmax="words", cost="log",
                        reduce="counted") -> Tensor:
    """BERT's loss of logits [B, T, V], with switches for what is often done otherwise."""
    everywhere = torch.ones_like(chosen)
    keep = {"chosen": chosen, "others": ~chosen, "words": tokens != PAD, "other words": (tokens != PAD) & ~chosen,
            }.get(counts, everywhere)
    if counts == "zero answers":
        tokens = tokens * chosen
    if counts == "zero logits":
        logits = logits * chosen[..., None]
    each = cost_of_tokens(logits, tokens, softmax, cost)
    if reduce == "words":
        return (each * keep).sum() / (tokens != PAD).sum()
    return reduce_costs(each, keep, reduce)


masked_tokens = Check(
    "masked_tokens",
    "Convention: logits [B, T, V], tokens [B, T], the true ones, chosen bool [B, T] -> scalar; the cross-entropy of the true "
    "tokens in nats, a mean over the chosen tokens of the whole batch. Devlin et al. 2018, section 3.1.",
    wrong_masked_tokens,
    wrong_masked_tokens,
    [
        Misconception("the loss is over all places", {"counts": "all"},
                      "Most of those words can be seen, and padding foretold without reading. Where does chosen come in?"),
        Misconception("the loss is over all words", {"counts": "words"},
                      "Padding is left out, but most of the words can be seen: copying is enough. Where does chosen come "
                      "in?"),
        Misconception("the loss is over the places that were not chosen", {"counts": "others"},
                      "Those words can be seen. Which ones must be foretold?"),
        Misconception("the loss is over the words that were not chosen", {"counts": "other words"},
                      "Those words can be seen. Which ones must be foretold?"),
        Misconception("divided by the number of all places", {"reduce": "every place"},
                      "Choose half as many tokens and your loss is half as large, at the same error. How many numbers did "
                      "you add that are not 0?"),
        Misconception("divided by the number of all words", {"reduce": "words"},
                      "Choose half as many tokens and your loss is half as large, at the same error. How many numbers did "
                      "you add that are not 0?"),
        Misconception("where nothing was chosen the answer is token 0", {"counts": "zero answers"},
                      "Token 0 is an answer like any other, [PAD], and the network learns to say it. What does "
                      "ignore_index do?"),
        Misconception("where nothing was chosen the logits are 0", {"counts": "zero logits"},
                      "Logits of 0 make all words equally likely: each such place costs log V. It should not count at all."),
        *LOSS_MISTAKES,
    ],
    cases=lambda: [hidden_case(3, 6, 8, (2, 4, 1), 0), hidden_case(4, 5, 7, (1, 3, 2, 4), 1), hidden_case(2, 8, 9, (5, 2), 2)],
    extreme=(lambda: [loud(hidden_case(3, 6, 8, (2, 4, 1), 3))],
             Misconception("NaN or infinity at large logits", {},
                           "exp(300) does not fit into float32. logsumexp, log_softmax and cross_entropy subtract the "
                           "largest value first.")),
    promises=[DETACHED],
    shapes="masked_tokens takes logits [B, T, V], tokens [B, T] and chosen [B, T] and returns a scalar. cross_entropy wants "
           "[N, V] and [N].",
)


def wrong_unigram(train: Tensor, held_out: Tensor, vocabulary: int, *, counted="train", add=1.0, total="smoothed",
                  scored="held out", guess="counts", unit="nats", reduce="mean") -> Tensor:
    """What a held-out text costs who knows how frequent words are, with switches for what is often done otherwise."""
    source = {"train": train, "held out": held_out, "both": torch.cat([train, held_out])}[counted]
    counts = torch.bincount(source, minlength=vocabulary).double()   # [V]
    n = {"smoothed": len(source) + add * vocabulary, "words": len(source), "one": len(source) + add,
         "different": len(source) + add * len(source.unique())}[total]
    p = (counts + add) / n                                           # [V]
    p = {"counts": p, "even": torch.full_like(p, 1 / vocabulary), "largest": p.max().expand_as(p)}[guess]
    text = {"held out": held_out, "train": train, "different": held_out.unique(), "vocabulary": torch.arange(vocabulary)}
    if scored == "entropy":
        each, reduce = -(p * p.log()), "sum"
    else:
        each = {"nats": -p.log(), "plus": p.log(), "bits": -p.log2(), "share": p}.get(unit, -p.log())[text[scored]]       # [M]
    value = {"mean": each.mean(), "sum": each.sum(), "each": each, "log of mean": -(-each).exp().mean().log()}[reduce]
    return value.exp() if unit == "perplexity" else value


unigram = Check(
    "unigram",
    "Convention: train int64 [N], held_out int64 [M], vocabulary V -> scalar; p(w) = (times that w is in train + 1) / (N + "
    "V); the mean over held_out of -log p, in nats. It is the line that a model must get under to have learned more than "
    "how frequent words are.",
    wrong_unigram,
    wrong_unigram,
    [
        Misconception("the training text is scored", {"scored": "train"},
                      "Its words have just been counted. Which text has the model not seen?"),
        Misconception("the held-out text is counted", {"counted": "held out"},
                      "Who counts the answers before the test knows too much. Which text may be counted?"),
        Misconception("both texts are counted", {"counted": "both"},
                      "Who counts the answers before the test knows too much. Which text may be counted?"),
        Misconception("a word that train does not have costs infinitely much", {"add": 0.0},
                      "It has probability 0, and that logarithm is minus infinity. Where does the + 1 go?"),
        Misconception("the probabilities do not sum to 1", {"total": "words"},
                      "Sum your p over the vocabulary: you have added 1 how many times?"),
        Misconception("1 is added to the total only once", {"total": "one"},
                      "Sum your p over the vocabulary: you have added 1 how many times?"),
        Misconception("words that train does not have are not in the total", {"total": "different"},
                      "Sum your p over the whole vocabulary: every word got its + 1."),
        Misconception("all words are equally likely", {"guess": "even"},
                      "That is chance, log V. What do the counts say?"),
        Misconception("every word gets the probability of the most frequent one", {"guess": "largest"},
                      "The held-out text has rare words too: each costs by its own count."),
        Misconception("the entropy of the counts is returned", {"scored": "entropy"},
                      "Your value does not know the held-out text. How often does each word come there?"),
        Misconception("each different word is counted once", {"scored": "different"},
                      "A word that comes ten times costs ten times. Index p with the text."),
        Misconception("the mean goes over the vocabulary", {"scored": "vocabulary"},
                      "The mean is over the words of the held-out text. Index p with the text."),
        Misconception("the value is in bits", {"unit": "bits"},
                      "A mere convention: here it is in nats, like the loss."),
        Misconception("the sign is wrong", {"unit": "plus"},
                      "Logarithms of probabilities are negative; what a word costs is not."),
        Misconception("the mean probability is returned", {"unit": "share"},
                      "Where is the logarithm?"),
        Misconception("the perplexity is returned", {"unit": "perplexity"},
                      "Its logarithm is wanted, to be drawn beside the loss."),
        Misconception("the mean is taken before the logarithm", {"reduce": "log of mean"},
                      "A loss is a mean of logarithms: a rare word then costs a lot."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "A longer text must not mean a larger value."),
        Misconception("one value for each word is returned", {"reduce": "each"},
                      "One number is wanted."),
    ],
    cases=lambda: [counted_case(40, 15, 8, 0), counted_case(25, 12, 10, 1), counted_case(60, 30, 7, 2)],
    shapes="unigram takes train [N], held_out [M] and the size of the vocabulary and returns a scalar.",
)
