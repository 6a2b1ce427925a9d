"""Language models: fill in the hidden words of a text (BERT, RoBERTa), or say which word comes next (GPT)."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, WORDS, in_text
from sslab.encoders import transformer
from sslab.encoders.transformer import mean_over_tokens
from sslab.knobs import Knob, choice, number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, Objective, full_precision, raised
from sslab.views import Augment

LEFT_OUT = -100                                                      # a target that does not count
SHORTEST = 8                                                         # context that the knob goes down to

DYNAMIC = ("On: new masks in every epoch. Off: a text always gets the same mask, so that the network can learn the "
           "answers by heart.")
PAIRS = ("On: rows are [CLS] A [SEP] B [SEP], and the network also says whether B really followed A or comes from another "
         "row, as it does in half of the rows.")


@takes(logits="float [B, T, V]", tokens="int [B, T]", mask="bool [B, T]")
@full_precision
def masked_tokens(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """BERT's loss: the cross-entropy of the true tokens under the mask, all others left out.

    Log V is chance. Its exponential is between how many words the network hesitates.

    Args:
        logits: [B, T, V]. tokens: the true ones, [B, T]. mask: bool [B, T], True where a token counts.
    Returns:
        scalar, in nats: a mean over the marked tokens of all texts; 0 where nothing is marked.
    Raises:
        ValueError: shapes that do not fit.
    Source:
        Devlin et al. 2018, arXiv:1810.04805, section 3.1, task 1.
    """
    _check(logits, tokens)
    if mask.shape != tokens.shape or mask.dtype != torch.bool:
        raise ValueError(f"mask: got {mask.dtype} {list(mask.shape)}, takes bool {list(tokens.shape)}")
    return _mean_entropy(logits, tokens.long().masked_fill(~mask, LEFT_OUT))


@takes(logits="float [B, T, V]", tokens="int [B, T]")
@full_precision
def next_token(logits: Tensor, tokens: Tensor, *, shift: bool = True) -> Tensor:
    """GPT's loss: the cross-entropy of each token, given those before it.

    The logits at place t are for the token at t + 1, so that the last ones are not used. [PAD] is no answer.

    Args:
        logits: [B, T, V]. tokens: what was read, [B, T].
        shift: False compares the logits at t with the token at t, a common mistake: that one was just read.
    Returns:
        scalar, in nats: a mean over the tokens of all texts; 0 where there are none.
    Raises:
        ValueError: shapes that do not fit.
    Source:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", equation 1.
    """
    _check(logits, tokens)
    return _mean_entropy(logits, next_targets(tokens, shift))


@takes(tokens="int [B, T]")
def next_targets(tokens: Tensor, shift: bool = True) -> Tensor:
    """What comes after each token [B, T] -> int64 [B, T]; -100 at the last place and where it is [PAD]."""
    following = F.pad(tokens[:, 1:], (0, 1), value=PAD) if shift else tokens
    return following.long().masked_fill(following == PAD, LEFT_OUT)


def _mean_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=LEFT_OUT, reduction="sum")
    return total / (targets != LEFT_OUT).sum().clamp(min=1)


def _check(logits: Tensor, tokens: Tensor) -> None:
    if logits.ndim != 3 or logits.shape[:2] != tokens.shape or tokens.is_floating_point():
        raise ValueError(f"logits, tokens: got {list(logits.shape)} and {tokens.dtype} {list(tokens.shape)}, "
                         "takes [B, T, V] and whole numbers [B, T]")


class Language(Objective):
    """What language models share: an encoder of tokens, the length of what it reads, and how often each token came.

    Args:
        encoder: `sslab.encoders.create("transformer", dataset)`.
        views: of pictures; texts have none.
    Raises:
        ValueError: an encoder that reads no text, or that looks the wrong way.
    """

    learns_from = "text"
    views_per_image = 1
    augmented = False
    architecture: ClassVar[dict[str, Any]] = {"name": "transformer"}

    context = number(512, SHORTEST, 512, integer=True,
                     help="Tokens in a row. Shorter: less to go by, and a step costs less. Long texts are cut into more "
                          "rows, short ones end there.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, **values: Any) -> None:
        if not callable(getattr(encoder, "hidden", None)):
            got = getattr(encoder, "name", type(encoder).__name__)
            takes = "one that reads text: sslab.encoders.create(\"transformer\", dataset)"
            raise ValueError(f"encoder: got {got}, takes {takes}")   # noqa: TRY004
        causal = self.architecture.get("causal", False)
        if bool(encoder.net.causal) != causal:
            raise ValueError(f"encoder: got one with causal={encoder.net.causal}, {self.title} takes causal={causal}")
        super().__init__(encoder, None, **{"context": encoder.context, **values})
        self.register_buffer("counts", torch.zeros(encoder.vocabulary, dtype=torch.int64))   # of the answers so far

    @property
    def view_knobs(self) -> dict[str, Knob]:
        return {}

    @property
    def knobs(self) -> dict[str, Knob]:
        found, longest = super().knobs, self.encoder.context
        return {**found, "context": replace(found["context"], default=longest, low=min(SHORTEST, longest), high=longest)}

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.knobs}

    def rows(self, batch: Tensor) -> Tensor:
        """Tokens [B, T] of any whole type -> int64, cut to the context C in force.

        Returns:
            pieces of long texts are cut into [B (T // C), C]; texts end there, [B, C].
        """
        tokens = batch.long()
        length = min(self.context, tokens.shape[1])
        if self.encoder.continuous:
            return tokens[:, : tokens.shape[1] // length * length].reshape(-1, length)
        return tokens[:, :length]

    def logits(self, tokens: Tensor) -> Tensor:
        """What the model says at each place, [B, T] -> [B, T, V]: of the word there, or of the next one for GPT."""
        tokens = tokens.to(self.encoder.net.embed.weight.device)
        return self.encoder.scores(self.encoder.hidden(tokens, causal=self._causal()))

    def reference_levels(self) -> dict[str, float]:
        """chance: every token equally likely. unigram: the best answer that reads nothing, from the tokens so far."""
        levels = {"chance": math.log(len(self.counts))}
        counts = self.counts.double()
        total = float(counts.sum())
        if total:
            levels["unigram"] = -float(torch.special.xlogy(counts, counts / total).sum()) / total
        return levels

    def _causal(self) -> bool:
        return False

    @torch.no_grad()
    def _see(self, targets: Tensor, counted: Tensor) -> None:
        """Count the answers [B, K] that are marked in `counted` [B, K]."""
        if self.training:
            new = torch.zeros_like(self.counts).index_add_(0, targets.clamp(min=0).flatten(), counted.long().flatten())
            self.counts += across.summed(new)


class MaskedLanguageModel(Language):
    """Some tokens of a text are hidden, and a network that sees both sides fills them in.

    The scores are computed where they count only.
    """

    guesses = "hidden"

    mask_share = number(0.15, 0.02, 0.95, help="Share of the tokens that must be filled in. Few: little is learned from a "
                                               "step. Many: too little is left to go by.")
    replaced = number(0.8, 0.0, 1.0, help="Share of those that become [MASK]. [MASK] never comes in real texts.")
    random = number(0.1, 0.0, 1.0, help="Share of those that become a random word, as far as `replaced` leaves room; the "
                                        "rest stays as it is. So no word that is seen can be trusted blindly.")
    dynamic = switch(True, help=DYNAMIC)
    sentence_pair = switch(False, help=PAIRS)
    loss_on = choice("masked", ("masked", "all"), help="Tokens whose error counts. masked is right. all: most of them can be "
                                                       "seen, and copying is enough.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.follows = nn.Linear(encoder.dim, 1) if self._pairable() else None       # does B follow A?

    @property
    def knobs(self) -> dict[str, Knob]:
        found = super().knobs
        return found if self._pairable() else {name: knob for name, knob in found.items() if name != "sentence_pair"}

    def set(self, **values: Any) -> None:
        """Change knobs, all of them or none; see `Objective.set`. Where rows stand alone, `sentence_pair` can only be off."""
        if "sentence_pair" in values and not self._pairable():
            if values["sentence_pair"]:
                raise ValueError(f"sentence_pair: got {values['sentence_pair']!r}, takes False unless rows are pieces of "
                                 "long texts, 5 tokens or more, and the encoder was made with segments=True")
            values = {name: value for name, value in values.items() if name != "sentence_pair"}
        super().set(**values)

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Tokens [B, T] -> tokens with some hidden, the true ones, and bool where they were chosen, [B, T] each.

        With sentence pairs also segments [B, T], 0 or 1, and whether B follows A, float [B].
        """
        tokens = self.rows(batch)
        if not self._pairing():
            seen, chosen = self.hide(tokens, generator)
            return seen, tokens, chosen
        half = (tokens.shape[1] - 3) // 2
        pieces = torch.cat([tokens[:, :half], tokens[:, half: 2 * half]])            # [2B, h]
        seen, chosen = self.hide(pieces, generator)                  # each half by itself: static masks stay static
        partner, follows = self._partners(len(tokens), generator, tokens.device)
        views = [_join(part[: len(tokens)], part[len(tokens):][partner]) for part in (seen, pieces, chosen)]
        segments = (torch.arange(views[0].shape[1], device=tokens.device) >= half + 2).long().expand_as(views[0])
        return *views, segments, follows

    def hide(self, tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Choose tokens and hide them: [B, T] -> tokens with some hidden, and bool where they were chosen.

        A row of n words has `mask_share` n chosen, rounded up or down at random so that the mean is right, and at least
        one. Special tokens are left alone, but for [UNK].
        """
        u = self._uniform(tokens, generator)                         # [4, B, T]
        words = in_text(tokens)                                     # [B, T]
        many = words.sum(dim=1, keepdim=True) * self.mask_share + u[0, :, :1]
        many = many.floor().clamp(1, _most(tokens.shape[1], self.mask_share))        # [B, 1]
        rank = u[1].masked_fill(~words, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
        chosen = words & (rank < many)
        others = (WORDS + (u[3] * (self.encoder.vocabulary - WORDS)).long()).clamp(max=self.encoder.vocabulary - 1)
        instead = torch.where(u[2] < self.replaced, MASK, torch.where(u[2] < self.replaced + self.random, others, tokens))
        return torch.where(chosen, instead, tokens), chosen

    def forward(self, views: tuple[Tensor, ...]) -> Loss:
        seen, tokens, chosen, *pair = views
        hidden = self.encoder.hidden(seen, causal=False, segments=pair[0] if pair else None)         # [B, T, D]
        counted = chosen if self.loss_on == "masked" else in_text(tokens)           # [B, T]
        logits, targets, counted, chosen = self._answers(hidden, tokens, counted, chosen, self._places(tokens, pair))
        self._see(targets, counted)
        total = words = masked_tokens(logits, targets, counted) * across.weight(counted.sum())
        terms = _accuracies(logits, targets, chosen)
        if pair:
            said = raised(self.follows(hidden[:, 0])[:, 0])          # [B]
            follows = F.binary_cross_entropy_with_logits(said, pair[1].to(said))
            total, terms = words + follows, {"masked tokens": words, "sentence pair": follows, **terms}
        return Loss(total, terms, mean_over_tokens(hidden, seen))

    def _answers(self, hidden: Tensor, tokens: Tensor, counted: Tensor, chosen: Tensor, most: int) -> tuple[Tensor, ...]:
        """Scores where they count, and what belongs to them: [B, K, V] and [B, K] three times, K = `most` places of each row.

        Where shapes may vary, all places that count are one row, [1, M]: short texts have fewer of them than room.
        """
        if transformer.shapes_may_vary(hidden):
            index = counted.flatten().nonzero()[:, 0]                # [M]
            hidden = hidden.flatten(0, 1)[index][None]               # [1, M, D]
            return self.encoder.scores(hidden), *(each.flatten()[index][None] for each in (tokens, counted, chosen))
        places = counted.int().argsort(dim=1, descending=True, stable=True)[:, :most]                # [B, K]
        logits = self.encoder.scores(hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[2])))
        return logits, *(each.gather(1, places) for each in (tokens, counted, chosen))

    def reference_levels(self) -> dict[str, float]:
        """As for every language model; where there are sentence pairs, guessing costs log 2 more."""
        return {name: level + math.log(2) * self._pairing() for name, level in super().reference_levels().items()}

    def _pairable(self) -> bool:
        """Can rows be two passages?"""
        return self.encoder.continuous and self.encoder.net.segment is not None and self.encoder.context >= 5

    def _pairing(self) -> bool:
        return self.sentence_pair and self._pairable()

    def _partners(self, n: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """Whose second half each row gets [n], and whether that is its own, float [n]: in half of the rows."""
        own, source = torch.arange(n), generator.device
        other = (own + torch.randint(1, max(n, 2), (n,), generator=generator, device=source).cpu()) % n
        swapped = torch.rand(n, generator=generator, device=source).cpu() < 0.5
        partner = torch.where(swapped, other, own)
        return partner.to(device), (partner == own).float().to(device)

    def _places(self, tokens: Tensor, pair: list[Tensor]) -> int:
        """K: at how many places of a row scores are computed."""
        length = tokens.shape[1]
        if self.loss_on == "all":
            return length
        return 2 * _most((length - 3) // 2, self.mask_share) if pair else _most(length, self.mask_share)

    def _uniform(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Numbers in [0, 1), [4, B, T]: from the generator, or always the same for the same text."""
        if not self.dynamic:
            return _hashed(tokens, 4)
        return torch.rand(4, *tokens.shape, generator=generator, device=generator.device).to(tokens.device)


class BERT(MaskedLanguageModel):
    """Devlin et al. 2018, arXiv:1810.04805: masks that never change, and passages that follow each other or do not."""

    title = "BERT"
    architecture: ClassVar[dict[str, Any]] = {"name": "transformer", "segments": True}

    dynamic = switch(False, help=DYNAMIC)
    sentence_pair = switch(True, help=PAIRS)


class RoBERTa(MaskedLanguageModel):
    """Liu et al. 2019, arXiv:1907.11692: BERT with new masks every time, and without the task of sentence pairs."""

    title = "RoBERTa"
    architecture: ClassVar[dict[str, Any]] = {"name": "transformer", "segments": True}


class GPT(Language):
    """Each token from those before it (Radford et al. 2018; the network is that of GPT-2, 2019, with rotary positions)."""

    title = "GPT"
    guesses = "next"
    architecture: ClassVar[dict[str, Any]] = {"name": "transformer", "causal": True, "positions": "rotary"}

    causal = switch(True, help="Off: a token also sees those after it, and with them the answer. The loss falls to nearly 0, "
                               "and nothing of use is learned.")
    shift = switch(True, help="Off: the answer at a place is the token that was just read there, a common bug. Copying is "
                              "enough.")

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        """Tokens [B, T] -> tokens [B, T]: the text itself is the task."""
        return (self.rows(batch),)

    def forward(self, views: tuple[Tensor]) -> Loss:
        (tokens,) = views
        hidden = self.encoder.hidden(tokens, causal=self.causal)     # [B, T, D]
        logits = self.encoder.scores(hidden)                         # [B, T, V]
        targets = next_targets(tokens, self.shift)                   # [B, T]
        counted = targets != LEFT_OUT
        self._see(targets, counted)
        count = counted.sum()
        share = across.weight(count)
        right = (logits.detach().argmax(dim=2) == targets).sum() / count.clamp(min=1)
        total = next_token(logits, tokens, shift=self.shift) * share
        return Loss(total, {"accuracy": right * share}, mean_over_tokens(hidden, tokens))

    def _causal(self) -> bool:
        return self.causal


def _most(length: int, share: float) -> int:
    """The most tokens that are chosen in a row."""
    return min(length, int(length * share) + 1)


def _join(first: Tensor, second: Tensor) -> Tensor:
    """[B, h] twice -> [CLS] first [SEP] second [SEP], [B, 2h + 3]; of masks, False at the special tokens."""
    cls, sep = (first.new_full((len(first), 1), 0 if first.dtype == torch.bool else each) for each in (CLS, SEP))
    return torch.cat([cls, first, sep, second, sep], dim=1)


@torch.no_grad()
def _accuracies(logits: Tensor, targets: Tensor, chosen: Tensor) -> dict[str, Tensor]:
    """How often the hidden token is the likeliest, and among the five likeliest: [B, K, V], [B, K], bool [B, K]."""
    hits = logits.topk(min(5, logits.shape[2]), dim=2).indices == targets[..., None] # [B, K, 5]
    hits, count = hits & chosen[..., None], chosen.sum()
    share, count = across.weight(count), count.clamp(min=1)
    return {"accuracy": hits[..., 0].sum() / count * share, "top 5": hits.sum() / count * share}


def _hashed(tokens: Tensor, streams: int) -> Tensor:
    """Numbers in [0, 1) that depend on a row's tokens only: [B, T] -> float32 [streams, B, T].

    The mixing function is that of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    place = torch.arange(tokens.shape[1], device=tokens.device)
    row = _mix(tokens.long() * _GOLDEN + _mix(place)).sum(dim=1)     # [B]; sums and products wrap around
    cell = place + len(place) * torch.arange(streams, device=tokens.device)[:, None]                 # [streams, T]
    mixed = _mix(row[None, :, None] + (cell[:, None] + 1) * _GOLDEN) # [streams, B, T]
    return _right(mixed, 40).float() / 2**24


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _right(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _right(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _right(x, 31)


def _right(x: Tensor, bits: int) -> Tensor:
    """Shift right, zeros coming in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


_GOLDEN = _signed(0x9E3779B97F4A7C15)
