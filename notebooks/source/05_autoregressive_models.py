# %% [markdown]
# # 05 · Autoregressive models: GPT
#
# *In the morning the* ... You have already gone on. A **GPT** does nothing else: it reads a text from left to right and says, at every
# place, how likely each next token is. Every word that anybody ever wrote is a question with its answer. Here you train a small one on
# Shakespeare, Austen, Melville and the presidents of the United States, watch it learn to spell, to make words and to make sentences,
# hold it against models that count, let it see the future, and choose how boldly it writes.
#
# ## What you will be able to do
#
# - write the probability of a text as a product, and its loss in nats, bits and perplexity;
# - say what the causal mask is for, by taking it away;
# - compare language models that cut text into different pieces, and hold them against an n-gram model;
# - generate with temperature, top-k and top-p, and say what each does to the text;
# - read a curve of loss against time, and say how much longer something takes.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 05/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured
# that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.course.lessons.nb05 import honest_bits, prompts, repeated, short_run, tokens_ngram
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# An **n-gram** model counts: which token followed the last five or six, how often? It is built in seconds and has no network.

# %%
guess_ngram = predict("05/ngram", "After two minutes on two cores, against an n-gram model of the same tokens, a small GPT foretells new texts ...",
                      ["better", "about as well", "worse"])
guess_ngram

# %%
guess_future = predict("05/future", "You let each token see also those after it. The loss will ...",
                       ["fall to nearly 0, and the model writes perfectly", "fall to nearly 0, and the model writes rubbish",
                        "stay as it was: nobody needs the future"])
guess_future

# %%
guess_cold = predict("05/cold", "You always take the likeliest next token (temperature 0). The text is ...",
                     ["the best that the model can write", "full of repetitions", "full of spelling mistakes"])
guess_cold

# %% [markdown]
# ## 2. See the data and the task (10 minutes)

# %%
passages = datasets.load("passages")
passages.card

# %%
text = passages.decode(passages.validation.tokens[0])
text[:300]

# %%
pieces = passages.tokenizer.pieces
[pieces[code] for code in passages.tokenizer.encode("It was a dark and stormy night; the rain fell in torrents.")]

# %% [markdown]
# 2,000 pieces, found by **byte-pair encoding**: begin with single bytes, join the pair that stands together most often, and again. Frequent
# words are one piece, rare ones several; a space belongs to the piece after it. No text is ever unknown.
#
# The task makes itself: a row of 128 tokens holds 127 questions.
#
# $$p(x_1, \ldots, x_T) = \prod_{t=1}^{T} p(x_t \mid x_1, \ldots, x_{t-1})$$
#
# This is no model yet, only the rule for probabilities: a text is as likely as its first token, times its second given the first, and so
# on. Any model of "what comes next" is therefore a model of whole texts. See it word by word, with a GPT that was trained for
# {{ 05/pretrained/train-seconds | minutes }} before this lesson (a **checkpoint**, beside the data):

# %%
teacher = sslab.pretrained("gpt", "passages")
line = passages.tokenizer.encode("It is a truth universally acknowledged, that a single man must be in want of a wife.").long()
with torch.no_grad(), evaluation.evaluating(teacher):
    chances = teacher.logits(line[None])[0].softmax(dim=1)           # [T, V]

# %% tags=["figure"]
figures.next_words(line, chances, pieces)

# %% [markdown]
# **Finding:** the darker, the more of a surprise. The second half of a long word is hardly ever one, and neither is *of* after *in want*.
# Where a new noun begins, much was possible. A text costs its surprises, and most of what a language model pays, it pays at
# few places. (The sentence, less a few words that we left out, is from a novel among the training texts. Try one of your own.)

# %% [markdown]
# ## 3. Read the objective (12 minutes)
#
# The loss is minus the logarithm of that product, for one token on average (of a row's $T$ tokens our code leaves out the first: nothing
# stands before it):
#
# $$\ell = -\frac1T \sum_t \log p_\theta(x_t \mid x_1, \ldots, x_{t-1})$$

# %%
show_source(objectives.next_token)

# %%
show_source(objectives.GPT.forward)

# %% [markdown]
# One pass answers all 127 questions, since the **causal mask** lets each place look at itself and at what came before it, never at what
# comes after. The scores at place $t$ are for the token at $t+1$: the labels are **shifted** by one.

# %% tags=["figure"]
weights = {f"block {block + 1}": teacher.encoder.net.attention(line[None], block)[0].mean(dim=0)[:14, :14] for block in (0, 3)}
figures.attention_words(weights, [pieces[code] for code in line[:14]])

# %% [markdown]
# **Finding:** grey is what a token may not see. Compare with BERT in lesson 04, where both sides are open.
#
# Three units for one thing. In **nats** a token: the loss. As **perplexity**, its exponential: among how many equally likely tokens the
# model hesitates. In **bits per character**: the bits of the whole text by its characters. Only the last compares models whose tokens differ:
# whoever cuts text into longer pieces has fewer, harder questions.
#
# Chance is $\log V$ = 7.6 nats. And the control that counts, an interpolated n-gram model (Kneser-Ney): what followed the last five tokens,
# mixed with what followed the last four, three, and so on. Built here and now (the records below take
# {{ 05/ngram/tokens-order | .0f }}, the best on validation):

# %%
ngram = tokens_ngram()
score = ngram.score("validation")
f"{score.bits_per_character:.3f} bits per character, perplexity {score.perplexity:.0f}"

# %%
"In the morning the" + ngram.sample("In the morning the", 40)

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# The lab goes on with a held-out text while it trains, and with yours. **Type a beginning.** Watch: first frequent pieces in any order; then
# spaces and words; then phrases. A continuation costs time: it is a token at a time.

# %%
lab = Lab("gpt", "passages", seed=0, **sslab.recipe("gpt", "passages", share=0.85))
lab.ask("In the morning the")
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"GPT": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** from $\log V$ down. The line *unigram* is what it costs to know only how frequent each token is; the loss goes through it within
# a few dozen steps, and everything below it comes from the past.

# %%
gpt = lab.objective.cpu()
yours = evaluation.bits_per_character(gpt, passages, "test", windows=400)
claim("05/ngram-first", yours={"05/class": yours})

# %% tags=["figure"]
ours, curve = record("05/class/curve").series, teacher.origin["curve"]
counting = {"n-gram of tokens": record("05/ngram/tokens-validation").value,
            "n-gram of characters": record("05/ngram/characters-validation").value}
figures.progress({"the checkpoint": (curve["seconds"], curve["value"])}, counting, xlabel="seconds of training", logarithmic=True)

# %% [markdown]
# **Finding:** bits per character of validation texts by the time that the checkpoint had been trained, on one of two cores; a ring where it passes a
# model that counts. On test texts the n-gram of tokens has {{ 05/ngram/tokens | .3f }}, that of characters
# {{ 05/ngram/characters | .3f }}; GPT after a run of class length {{ 05/class | .3f }}, the checkpoint {{ 05/pretrained | .3f }} (perplexity
# {{ 05/pretrained/perplexity | .0f }}). {{ claim 05/ngram-first }} {{ claim 05/checkpoint-passes }} So on these texts the network needs its
# time before it is worth more than counting: read off the rings how much. (One checkpoint, one size.)

# %%
guess_ngram.reveal("worse")

# %% [markdown]
# ## 5. Explain: what it writes (18 minutes)

# %%
def go_on(model, prompt, length=60, seed=0, **settings):
    """How a model continues a text."""
    tokens = evaluation.generate(model, passages.tokenizer.encode(prompt), length, generator=torch.Generator().manual_seed(seed), **settings)
    return passages.decode(tokens)


for name, model in {"two minutes": gpt, "checkpoint": teacher}.items():
    print(f"{name}: {go_on(model, 'In the morning the', temperature=0.8)}\n")

# %% [markdown]
# Compare the two: spelling, grammar, sense, facts. Which has come, and which has not? (To train the checkpoint further, with a
# dashboard: `Lab(sslab.pretrained("gpt", "passages"), "passages", learning_rate=3e-4)`.) Now the knobs of **sampling**. The model gives
# probabilities; a text needs one token. **Temperature** divides the logits before the softmax. **top-k** keeps the $k$ likeliest tokens.
# **top-p** keeps the likeliest ones that hold a share $p$ together: few where the model is sure, many where it is not.

# %% tags=["figure"]
start = passages.tokenizer.encode("She was a very").long()
with torch.no_grad(), evaluation.evaluating(teacher):
    logits = teacher.logits(start[None])[0, -1]                      # [V]
figures.sampling(logits, (0.4, 1.0, 1.5), pieces, top_p=0.9)

# %% [markdown]
# **Finding:** blue may be drawn. Temperature changes the heights, top-p moves its border with them: sharp, a few tokens hold nine tenths; flat, it
# takes hundreds.

# %% tags=["figure"]
degrees = ("0", "0.4", "0.8", "1.0", "1.5")


def with_interval(path):
    return record(path).value, record(path).interval


rows = {f"temperature {t}": {"runs of 4 tokens seen before": with_interval(f"05/sampling/{t}/repeated"),
                             "bits per character, for the n-gram": with_interval(f"05/sampling/{t}/bits")} for t in degrees}
real = {"real text": record("05/real/repeated").value}
figures.ablation(rows, {"runs of 4 tokens seen before": real, "bits per character, for the n-gram": {"real text": record("05/real/bits").value}})

# %% [markdown]
# **Finding:** what the checkpoint wrote after 40 held-out beginnings. At temperature `0` {{ 05/sampling/0/repeated | percent }} of the runs of four
# tokens stood in the same text before, in real texts {{ 05/real/repeated | percent }}: it goes round in circles. A model that counts finds
# real texts cost {{ 05/real/bits | .2f }} bits per character, those written at `0.4` {{ 05/sampling/0.4/bits | .2f }}, at `0.8`
# {{ 05/sampling/0.8/bits | .2f interval }}, at `1.0` {{ 05/sampling/1.0/bits | .2f interval }}, at `1.5` {{ 05/sampling/1.5/bits | .2f }}.
# {{ claim 05/cold-repeats }} Taking the likeliest token each time does not give a typical text (Holtzman et al. 2019). Nor does the model's own
# temperature, `1.0`: such texts repeat less than real ones and cost more. (Intervals over three drawings; one checkpoint.)

# %%
cold = evaluation.generate(teacher, passages.tokenizer.encode("In the morning the"), 96, temperature=0)
claim("05/cold-repeats", yours={"05/sampling/0/repeated": repeated(cold)})

# %%
guess_cold.reveal("full of repetitions")

# %% [markdown]
# ### In whose style?
#
# Give it the beginning of a passage from a text that was held out whole (a play, a novel, an address; of *Moby Dick*, a chapter), and see
# whether it goes on like its author. A judge that counts words, trained on the training texts, says whose each continuation is.

# %%
rows, authors = prompts(passages, each=1)
for row, author in zip(rows, authors.tolist(), strict=True):
    print(f"{passages.class_names[author]}: {passages.decode(row[:32])} | {go_on(teacher, passages.decode(row[:32]), 40, temperature=0.8)[-160:]}\n")

# %% tags=["figure"]
names = {"what really follows": "real", "GPT, the checkpoint": "gpt", "n-gram of tokens": "ngram"}
keys = {"all four": "", **{name: f"/author-{number}" for number, name in enumerate(passages.class_names)}}
figures.ablation({label: {name: with_interval(f"05/style/{path}{key}") for name, path in names.items()} for label, key in keys.items()},
                 {name: {"guessing": 0.25} for name in names})

# %% [markdown]
# **Finding:** the share of continuations that are taken for their author's. Of 200 real ones the judge gives {{ 05/style/real | percent }} to their
# author, of the checkpoint's {{ 05/style/gpt | percent interval }}, of the n-gram's {{ 05/style/ngram | percent interval }}; guessing gives
# one in four, and the n-gram's interval holds that. {{ claim 05/style }} Two things differ: an n-gram has forgotten the beginning after
# five tokens, and it draws as it counts, where GPT draws at temperature `0.8`. By author: Melville is hardest, for the judge
# {{ 05/style/real/author-2 | percent }}, for the checkpoint {{ 05/style/gpt/author-2 | percent interval }}; the n-gram is above guessing with the
# presidents, {{ 05/style/ngram/author-3 | percent interval }}, and below it with Melville, {{ 05/style/ngram/author-2 | percent interval }}. (The
# four authors are in the training texts, these texts of theirs are not. An author of whom nothing was read would be a harder test.)

# %% [markdown]
# ## 6. Break it (10 minutes)
#
# **What if a token may see those after it?** The causal mask is a knob. (Small batches here: to copy is learned in many small steps.)

# %% tags=["pretrain"]
cheat = Lab("gpt", "passages", seed=0, **short_run())
cheat.set(causal=False)
cheat.start()
cheat.join()
cheat.status

# %% tags=["figure"]
figures.loss({"GPT": [row["loss"] for row in lab.history], "no causal mask": [row["loss"] for row in cheat.history]},
             lab.objective.reference_levels())

# %% [markdown]
# **Finding:** a splendid curve. The answer to every question stands one place further on, and copying it is all there is to learn. (The other
# curve is your run of part 4, with larger batches. Runs in equal batches come below.)

# %%
seer = cheat.objective.cpu()
go_on(seer, "In the morning the", temperature=0.8)

# %%
claim("05/seer", yours={"05/broken/no-mask": honest_bits(seer, passages), "05/broken/no-mask/loss": cheat.history[-1]["loss"]})

# %%
guess_future.reveal("fall to nearly 0, and the model writes rubbish")

# %% tags=["figure"]
names = {"GPT": "gpt", "no causal mask": "no-mask", "labels not shifted": "no-shift"}
figures.ablation({name: {"training loss": with_interval(f"05/broken/{path}/loss"),
                         "bits per character, asked honestly": with_interval(f"05/broken/{path}")} for name, path in names.items()})

# %% [markdown]
# **Finding:** short runs of as many steps. Without the mask the loss is {{ 05/broken/no-mask/loss | .3f }}, with labels that are not shifted
# {{ 05/broken/no-shift/loss | .3f }}, where GPT's is {{ 05/broken/gpt/loss | .2f }}. Asked as a model is used, for a token that nobody has
# written yet, they need {{ 05/broken/no-mask | .1f }} and {{ 05/broken/no-shift | .1f }} bits for each character, GPT
# {{ 05/broken/gpt | .2f }}. Even to give all 2,000 tokens the same chance costs less: 11 bits a token, and a token is some three characters.
# Both are common bugs, and both look like success. A loss far below what others reach is a reason to look for the leak.

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: who may see whom
#
# *Difficulty 1/5 · importance 4/5 · 4 minutes*
#
# Make the causal mask for a text of `length` tokens: each may look at itself and at those before it.

# %% tags=["exercise"] name="causal_mask"
def my_causal_mask(length):
    """T -> bool [T, T], True where the token of the row may look at the token of the column"""
    ### BEGIN SOLUTION
    return torch.ones(length, length, dtype=torch.bool).tril()
    ### END SOLUTION

# %% tags=["check"] name="causal_mask"
check.causal_mask(my_causal_mask)

# %% [markdown]
# ### Exercise 2: attention that does not see the future
#
# *Difficulty 2/5 · importance 4/5 · 6 minutes*
#
# Scores of all tokens (rows) for all tokens (columns). Each row is to be a softmax over itself and those before it, and exactly 0 elsewhere.

# %% tags=["exercise"] name="causal_weights"
def my_causal_weights(scores):
    """[T, T] -> [T, T], rows sum to 1"""
    ### BEGIN SOLUTION
    # stub: future = ...                                     # bool [T, T]
    # stub: return scores.masked_fill(...).softmax(...)
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=1)
    ### END SOLUTION

# %% tags=["check"] name="causal_weights"
check.causal_weights(my_causal_weights)

# %% [markdown]
# ### Exercise 3: the loss
#
# *Difficulty 3/5 · importance 5/5 · 8 minutes*
#
# The scores at place $t$ are for the token at $t+1$. Texts may end in [PAD] (its number is 0), which is no answer. One mean over all answers
# of the batch.

# %% tags=["exercise"] name="next_token" points=2
def my_next_token(logits, tokens):
    """[B, T, V], [B, T] -> scalar, in nats"""
    ### BEGIN SOLUTION
    # stub: answers = ...                                    # [B, T - 1]
    # stub: log_p = ...                                      # of the answers, [B, T - 1]
    # stub: return ...
    answers = tokens[:, 1:]
    log_p = logits[:, :-1].log_softmax(dim=2).gather(2, answers[..., None])[..., 0]
    return -log_p[answers != 0].mean()
    ### END SOLUTION

# %% tags=["check"] name="next_token" points=2
check.next_token(my_next_token)

# %% [markdown]
# ### Exercise 4: from nats to bits per character
#
# *Difficulty 2/5 · importance 4/5 · 5 minutes*
#
# For each token of a text you get the natural logarithm of its probability and how many characters it stands for (0 for the end of a text).
# Return the bits of all tokens together, divided by all characters.

# %% tags=["exercise"] name="bits_per_character"
def my_bits_per_character(log_probabilities, characters):
    """[N], [N] -> scalar"""
    ### BEGIN SOLUTION
    bits = -log_probabilities / torch.tensor(2.0).log()
    return bits.sum() / characters.sum()
    ### END SOLUTION

# %% tags=["check"] name="bits_per_character"
check.bits_per_character(my_bits_per_character)

# %% [markdown]
# ### Exercise 5: sampling
#
# *Difficulty 4/5 · importance 4/5 · 10 minutes*
#
# Divide the logits by the temperature; keep the `top_k` largest and scale their probabilities to sum to 1; of these keep the likeliest until
# they hold `top_p` together (the one that reaches it stays), and scale again. Each token keeps its place in the result.

# %% tags=["exercise"] name="sample" points=2
def my_sample(logits, temperature, top_k, top_p):
    """[V], three numbers -> probabilities [V]"""
    ### BEGIN SOLUTION
    # stub: p, order = ...                                   # after the temperature, the likeliest first
    # stub: p[top_k:] = 0                                    # and renormalise
    # stub: before = ...                                     # what the likelier ones hold
    # stub: p = p * (before < top_p)                         # and renormalise
    # stub: return ...                                       # back in their places
    p, order = (logits / temperature).softmax(dim=0).sort(descending=True)
    p = p * (torch.arange(len(p)) < top_k)
    p = p / p.sum()
    before = p.cumsum(dim=0) - p
    p = p * (before < top_p)
    return torch.zeros_like(p).scatter(0, order, p / p.sum())
    ### END SOLUTION

# %% tags=["check"] name="sample" points=2
check.sample(my_sample)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - The probability of a text is a product over its tokens; a model of what comes next is a model of texts.
# - The causal mask lets one pass answer all questions, and keeps the answers out of sight.
# - From log V through the unigram line, then past the n-gram: only there does a network pay.
# - Bits per character compare models with different tokens; perplexities do not.
# - Temperature, top-k, top-p: always the likeliest token does not make a typical text.
# - A loss that is too good is a leak until you have shown that it is not.
#
# ## Papers
#
# - Radford, Narasimhan, Salimans, Sutskever 2018: *Improving language understanding by generative pre-training* (OpenAI)
# - Radford, Wu, Child, Luan, Amodei, Sutskever 2019: *Language models are unsupervised multitask learners* (OpenAI)
# - Su, Lu, Pan, Murtadha, Wen, Liu 2021: *RoFormer: enhanced transformer with rotary position embedding*, arXiv:2104.09864
# - Holtzman, Buys, Du, Forbes, Choi 2019: *The curious case of neural text degeneration*, arXiv:1904.09751
# - Sennrich, Haddow, Birch 2015: *Neural machine translation of rare words with subword units*, arXiv:1508.07909
# - Chen, Goodman 1998: *An empirical study of smoothing techniques for language modeling*, Harvard TR-10-98
