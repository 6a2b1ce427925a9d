"""GPT's training, against its own network alone and against plain code of the same size, taking turns in one run.

    python benchmarks/text.py [--precision float32 bf16] [--batch 32] [--rounds 20] [--steps 2]

4 blocks of width 128 with 4 heads, context 128, 2,000 tokens, on `passages`. In tokens a second, medians over the rounds:

    end to end      `sslab.train`: rows chosen, the text made a task, forward, backward, AdamW, checks for NaN
    network alone   forward, cross-entropy and backward of the same network on tokens that are there already
    plain           a whole step of the network below, in the manner of minGPT: attention written out with a buffer for
                    the mask, learned positions, torch's AdamW as it comes
    plain alone     its forward, cross-entropy and backward

No training is faster than its network alone; end to end as a share of it says what the rest costs. Plain code has the
same number of blocks, width, heads and tied embeddings, no dropout and torch's own GELU, which is kinder to it than
minGPT's. Ours has rotary positions, which cost more than learned ones.
"""

import argparse
import copy
import math
import os
import statistics
import time

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # see benchmarks/README.md

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sslab
from sslab import encoders, objectives
from sslab.objectives.language import next_targets
from sslab.training import limit_threads
from sslab.training.devices import Precision, autocast, describe, pick_device, place

TARGET = 0.9
SIZE = {"dim": 128, "depth": 4, "heads": 4}
CONTEXT, VOCABULARY = 128, 2000


class PlainBlock(nn.Module):
    """Attention with its table of weights, and an MLP."""

    def __init__(self, dim: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.register_buffer("mask", torch.ones(context, context).tril()[None, None])

    def forward(self, x: Tensor) -> Tensor:                          # [B, T, D]
        batch, length, dim = x.shape
        h = self.norm1(x)
        q, k, v = (layer(h).view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
                   for layer in (self.query, self.key, self.value))  # [B, heads, T, D / heads]
        scores = q @ k.transpose(2, 3) / math.sqrt(dim // self.heads)                # [B, heads, T, T]
        scores = scores.masked_fill(self.mask[:, :, :length, :length] == 0, -math.inf)
        mixed = scores.softmax(dim=3) @ v                            # [B, heads, T, D / heads]
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(batch, length, dim))
        return x + self.mlp(self.norm2(x))


class PlainGPT(nn.Module):
    """Tokens [B, T] -> scores of what comes next, [B, T, V]."""

    def __init__(self, vocabulary: int, context: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, dim), nn.Embedding(context, dim)
        self.blocks = nn.Sequential(*(PlainBlock(dim, heads, context) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocabulary, bias=False)
        self.head.weight = self.words.weight
        for table in (self.words, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


def contestants(dataset, precision: Precision, batch: int, device: torch.device) -> dict:
    """name -> a function that takes one step."""
    options = dict(objectives.GPT.architecture)
    torch.manual_seed(0)
    encoder = encoders.create(options.pop("name"), dataset, **SIZE, **options)
    alone = place(copy.deepcopy(encoder), device, precision).train()
    plain = PlainGPT(dataset.vocabulary, dataset.context, **SIZE).to(device)
    plain_alone, optimizer = copy.deepcopy(plain), torch.optim.AdamW(plain.parameters(), lr=2e-3)
    rows = dataset.train.tokens.long().to(device)
    tokens = rows[:batch]
    targets = next_targets(tokens)
    steps = sslab.train(objectives.GPT(encoder), dataset, steps=10**6, batch_size=batch, precision=precision, device=device)

    def backward(scores, tokens: Tensor, targets: Tensor) -> None:
        with autocast(device, precision):
            logits = scores(tokens)                                  # [B, T, V]
        F.cross_entropy(logits.float().flatten(0, 1), targets.flatten()).backward()

    def network_alone() -> None:
        backward(lambda x: alone.scores(alone.hidden(x)), tokens, targets)
        alone.zero_grad()

    def plain_step() -> None:
        some = rows[torch.randint(len(rows), (batch,), device=device)]
        backward(plain, some, next_targets(some))
        optimizer.step()
        optimizer.zero_grad()

    def plain_network_alone() -> None:
        backward(plain_alone, tokens, targets)
        plain_alone.zero_grad()

    return {"end to end": lambda: next(steps), "network alone": network_alone, "plain": plain_step,
            "plain alone": plain_network_alone}


def clock(work, steps: int, device: torch.device) -> float:
    """Seconds a step."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        work()
    wait()
    return (time.perf_counter() - start) / steps


def take_turns(works: dict, rounds: int, steps: int, warm: int, device: torch.device) -> dict[tuple[str, str], list[float]]:
    """Seconds a step of each, one after the other in every round."""
    for work in works.values():
        clock(work, warm, device)
    times = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: 1 if number % 2 == 0 else -1]:    # each is as often behind as before its neighbour
            times[name].append(clock(works[name], steps, device))
    return times


def ratio(over: list[float], under: list[float]) -> float:
    """How many times as fast the second is, round by round: the median."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", nargs="+", choices=["float32", "bf16"], default=["float32", "bf16"])
    parser.add_argument("--batch", type=int, default=32, help="rows of 128 tokens in a step")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2, help="of each contestant, a round")
    parser.add_argument("--warm", type=int, default=3, help="steps of each before anything is measured")
    options = parser.parse_args()
    for name in ("batch", "rounds", "steps", "warm"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: got {getattr(options, name)}, takes a whole number from 1")
    threads, device = limit_threads(), pick_device()
    dataset = sslab.load("passages", vocabulary=VOCABULARY, context=CONTEXT)
    works = {}
    for name in options.precision:
        made = contestants(dataset, Precision(name, channels_last=False), options.batch, device)
        works |= {(name, who): work for who, work in made.items()}
    times = take_turns(works, options.rounds, options.steps, options.warm, device)
    each = options.batch * CONTEXT                                   # tokens in a step
    print(f"GPT {SIZE}, context {CONTEXT}, {dataset.vocabulary:,} tokens, {options.batch} rows; {describe(device)}, "
          f"{threads} threads; medians of {options.rounds} rounds of {options.steps} steps")
    print("precision  contestant       tokens/s")
    for (precision, who), seconds in times.items():
        print(f"{precision:10} {who:14} {each / statistics.median(seconds):10,.0f}")
    for name in options.precision:
        share = ratio(times[name, "network alone"], times[name, "end to end"])
        print(f"{name}: end to end {share:.1%} of the network alone (target {TARGET:.0%}, {'met' if share >= TARGET else 'missed'}); "
              f"{ratio(times[name, 'plain'], times[name, 'end to end']):.2f} times as fast as plain code, "
              f"the networks alone {ratio(times[name, 'plain alone'], times[name, 'network alone']):.2f} times")
    if len(options.precision) == 2:
        first, second = options.precision
        print(f"end to end, {second} {ratio(times[first, 'end to end'], times[second, 'end to end']):.2f} times as fast as {first}")


if __name__ == "__main__":
    main()
