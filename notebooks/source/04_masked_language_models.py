# %% [markdown]
# # 04 · Masked language models: BERT and RoBERTa
#
# *The cat sat on the [MASK].* You know what may stand there, and what may not. You know because of everything you have read, and
# nobody ever labelled a sentence for you. **BERT** turns that into a task: hide some words of a text, and let a network that
# sees both sides fill them in. Here you train one on 108,000 definitions from a dictionary, watch it guess, compare it with
# models that merely count, walk from BERT to RoBERTa one change at a time, and use what it learned to sort definitions with a
# handful of labels.
#
# ## What you will be able to do
#
# - cut a text into tokens, hide some of them the way BERT does, and say why not all of them become [MASK];
# - write the loss, and name the two lines it must fall below before anything interesting has been learned;
# - compare a language model with counting, and say what beating it shows;
# - say what static and dynamic masks, sentence pairs and larger batches are, and when a difference between runs means something;
# - use a pretrained model in two ways, frozen and fine-tuned, and know when a table of word counts is as good.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 04/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured
# that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record, verdict
from sslab.course.lessons.nb04 import nearest
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# In definitions that the model has never seen, one word is hidden at a time. Two rivals only **count** in the training texts: one knows
# which words came after the same left neighbour, the other which stood between the same two neighbours.

# %%
guess_count = predict("04/count", "After two minutes of training on two cores, a small BERT finds the hidden word among its first five ...",
                      ["less often than counting the left neighbour", "more often than that, less often than counting both",
                       "more often than counting both"])
guess_count

# %%
guess_all = predict("04/all", "You let all tokens count in the loss, not only the hidden ones. The loss will ...",
                    ["be lower, and more is learned: six times as many answers", "be lower, and less is learned",
                     "be higher"])
guess_all

# %%
guess_static = predict("04/static", "750 windows of text, read eight times. BERT gives a text the same mask every time, RoBERTa a new one. On new "
                       "texts, the new masks ...", ["are clearly better", "make no difference that we could measure", "are worse"])
guess_static

# %%
guess_labels = predict("04/labels", "You sort definitions into 12 kinds with 10 labels for each. What is best?",
                       ["counting words (TF-IDF)", "the pretrained BERT, fine-tuned", "a network trained on these labels only"])
guess_labels

# %% [markdown]
# ## 2. See the data and the task (10 minutes)

# %%
wordnet = datasets.load("wordnet")
wordnet.card

# %%
text = "a large mammal with a long trunk that lives in herds"
codes = wordnet.tokenizer.encode(text)
[wordnet.tokenizer.pieces[code] for code in codes]

# %% [markdown]
# A **token** is what the network reads: a frequent word, or a piece of a rare one (`##` goes on a word). The 4,000 pieces were chosen
# on the training texts so that few of them are needed; hardly anything is unknown. Each token has a number, and each number a vector,
# its **embedding**. A row begins with [CLS], ends with [SEP], and is filled up with [PAD].
#
# Now the task. BERT chooses 15 % of the tokens. Of these, 80 % become [MASK], 10 % a random word, 10 % stay as they are; all
# must be answered.

# %%
torch.manual_seed(0)
untrained = objectives.create("bert", objectives.encoder_for("bert", wordnet))
tokens = wordnet.encode([text]).long()                               # [1, 32]


def through_epochs(dynamic):
    untrained.set(dynamic=dynamic)
    rows = [untrained.hide(tokens, torch.Generator().manual_seed(epoch)) for epoch in range(4)]
    return tuple(torch.cat(part) for part in zip(*rows, strict=True))            # [4, 32] each

# %% tags=["figure"]
static, dynamic = through_epochs(False), through_epochs(True)
figures.masks(wordnet.tokenizer.pieces, tokens[0], {"static (BERT)": static[0], "dynamic (RoBERTa)": dynamic[0]},
              {"static (BERT)": static[1], "dynamic (RoBERTa)": dynamic[1]})

# %% [markdown]
# **Finding:** coloured words are asked for. (Of the two that the static masks chose, neither happened to become [MASK].) With **static**
# masks a text always asks the same question. With **dynamic** masks it is another one nearly every time, and one answer learned by heart
# is not enough. Why do some chosen words stay as they are, or become another word? [MASK] will never come in a real text. A network that
# must answer only at [MASK] need not say anything about the other words; this one never knows which of them will be asked for, and so has
# to keep something about each.

# %% [markdown]
# ## 3. Read the objective (12 minutes)
#
# With $M$ the chosen places of all texts of a batch, $x_t$ the true token at place $t$, and $\tilde x$ the text with words hidden:
#
# $$\ell = -\frac1{|M|} \sum_{t \in M} \log p_\theta(x_t \mid \tilde x)$$

# %%
show_source(objectives.masked_tokens)

# %%
show_source(objectives.MaskedLanguageModel.hide)

# %%
show_source(objectives.MaskedLanguageModel.forward)

# %% [markdown]
# Two lines to draw before any training. **Chance**: all $V$ tokens equally likely, $\log V$ = 8.3 for 4,000. **Unigram**: the best answer
# that never looks at the text, which is to say the frequency of each token. A network learns *that* within a few dozen steps, and nobody
# needs a transformer for it. What is below the second line was read from the text.
#
# The answers come from a softmax over the vocabulary, whose weights are the embeddings themselves: one matrix for reading and
# answering.
#
# And a control with no network at all: count, in the training texts, which words stood between the same two neighbours.

# %%
counts = evaluation.count_words(wordnet).fit(evaluation.hidden_words(wordnet, "validation", sslab.by_mode(50, 1000)))
hidden = evaluation.hidden_words(wordnet, "test", sslab.by_mode(200, 5000))
counted = counts.accuracy(hidden, top=(1, 5))
counted

# %% [markdown]
# Each number is the share of hidden words of *test* definitions that are among the first 1 or 5 guesses. Both neighbours are a strong
# model: between *with* and *long* there is almost always an *a*. It does not know that the sentence was about an animal. (BERT will be
# asked for the same words. It is told how many pieces a word has, and must find each of them.)

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# The lab fills in a blank while it trains: one from a text that is held out, and one of yours. **Type into the box.** Watch what comes
# first: the frequent words everywhere; then the right *kind* of word; then, late, the right meaning. We set **mask_share** to
# 0.3 for this short run: a step then asks twice as many questions (Wettig et al. 2022 found 15 % not to be special).

# %%
lab = Lab("bert", "wordnet", seed=0, **{**sslab.recipe("bert", "wordnet"), "learning_rate": 3e-3})
lab.set(mask_share=0.3)
lab.ask("the cat sat on the [MASK]")
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"BERT": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** two falls. A steep one from chance to the line *unigram*, where the curve bends (a run that rests there for some hundred steps
# comes in part 5); then a slower one below it, and only this one comes from the words around the blank. If you had stopped at the line,
# you would have trained a list of frequent words.

# %%
bert = lab.objective.cpu()
yours = evaluation.masked_accuracy(bert, wordnet, hidden=hidden)
claim("04/above-the-left-neighbour", yours={"04/class/top-5": yours[5]})

# %% tags=["figure"]
steps = record("04/class/curve").series["step"]
lines = {name: counted[name][5] for name in counted}
figures.progress({"BERT (ours)": (steps, record("04/class/curve").series["top-5"])}, lines, ylabel="hidden words among the first five",
                 rising=True)

# %% [markdown]
# **Finding:** of the hidden words of new definitions, {{ 04/class/top-5 | percent interval }} are among the first five after our runs of
# this length; the most frequent words alone find {{ 04/counts/most-frequent/top-5 | percent }}, the left neighbour
# {{ 04/counts/left-neighbour/top-5 | percent }}, both {{ 04/counts/both-neighbours/top-5 | percent }}. {{ claim 04/above-the-left-neighbour }}
# But the lead is only {{ 04/class/top-5 - 04/counts/left-neighbour/top-5 | .3f }} of the words, and the interval is over three trainings,
# all asked for the same 5,000 words: other words might turn it round. (The curve is of validation texts.)

# %%
guess_count.reveal("more often than that, less often than counting both")

# %% [markdown]
# ## 5. Explain: what has it learned, and what is it worth? (20 minutes)
#
# Two minutes are not much. Beside the data lies a **checkpoint**: the same network, trained for {{ 04/pretrained/train-seconds | minutes }} on
# one core, with new masks every time. It is loaded only if its checksum is right, and it says how it was made.

# %%
teacher = sslab.pretrained("bert", "wordnet")
{name: teacher.origin[name] for name in ("command", "run", "seconds", "device", "commit")}

# %%
blank = "a large mammal with a long [MASK] that lives in herds"
panels = {"two minutes": evaluation.fill_in(bert, wordnet, blank), "checkpoint": evaluation.fill_in(teacher, wordnet, blank),
          "both neighbours": counts.guess("long", "that")}

# %% tags=["figure"]
figures.word_bars(panels, blank)

# %% [markdown]
# **Finding:** counting knows what stands between *long* and *that*, and cannot know that the sentence is about an animal. The checkpoint puts
# parts of a body first, and then a handle and a stalk. (*Trunk* cannot come: it is three tokens, and the gap is one.) Change `blank` to
# sentences in which the word that decides is far from the gap, and to others in which a neighbour decides. Where does it fail?

# %%
share = evaluation.masked_accuracy(teacher, wordnet, hidden=hidden)
claim("04/checkpoint-above-both", yours={"04/pretrained/top-5": share[5]})

# %% tags=["figure"]
from_origin = teacher.origin["curve"]
figures.progress({"the checkpoint": (from_origin["step"], from_origin["value"])}, lines,
                 ylabel="hidden words among the first five", logarithmic=True, rising=True)

# %% [markdown]
# **Finding:** on test texts the checkpoint finds {{ 04/pretrained/top-5 | percent }} among its first five. {{ claim 04/checkpoint-above-both }}
# It is {{ 04/pretrained/top-5 - 04/counts/both-neighbours/top-5 | points }} above. That does not yet say that it reads further than the
# neighbours: it may also know which neighbours are alike, where the table has never seen the pair. The axis is logarithmic: once past
# the left neighbour, the same gain takes more and more steps. (The curve is of validation texts, the lines of test texts.)

# %% [markdown]
# ### What does a word look at?

# %% tags=["figure"]
with_mask = wordnet.encode(["a young [MASK] that is not yet able to fly"]).long()
words = [wordnet.tokenizer.pieces[code] for code in with_mask[0] if code != 0]
weights = {f"block {block + 1}": teacher.encoder.net.attention(with_mask, block)[0].mean(dim=0)[:len(words), :len(words)]
           for block in (0, 3)}
figures.attention_words(weights, words)

# %% [markdown]
# **Finding:** a row is a token, a column what it takes something from, the mean over the heads. Look at the row of [MASK]: both sides are
# open to it. To fill a gap that is what one wants. To write it is not: BERT has never had to say what comes *next*, with nothing on the right.

# %% [markdown]
# ### Definitions near each other
#
# `encoder(tokens)` gives one vector a text, the mean over its tokens. Nearest by cosine among 20,000 training definitions, without any
# label:

# %%
queries = ["a bird that cannot fly", "a person who writes books", "the act of stealing"]
for query, near in nearest(teacher.encoder, wordnet, queries, top=4).items():
    print(f"{query}\n   " + "\n   ".join(near))

# %% [markdown]
# Which of these share the meaning, and which only a word or the shape of the sentence?
#
# Of test definitions' nearest neighbours among the labelled training ones, {{ 04/neighbours/bert | percent }} are of the same kind; by
# **TF-IDF** (words counted, rare ones weighing more) {{ 04/neighbours/tf-idf | percent }}, by the untrained network
# {{ 04/neighbours/random-encoder | percent }}; chance is one in twelve. So to find the like of a text as it stands, counting is better here.
#
# ### Few labels
#
# Twelve kinds of nouns: acts, animals, artefacts, and so on. Six ways to sort definitions into them, on the same draws of labels:
# TF-IDF with logistic regression; the same with **LSA** (directions found in all unlabelled definitions: a fair peer, it has read them
# too); TF-IDF of **parts of words**; the same transformer **from scratch** (*supervised* in the figure); and the checkpoint, **frozen**
# with a linear probe, or **fine-tuned**: from that probe on, all weights go on learning with the labels (Kumar et al. 2022). The untrained
# network with a probe (*random encoder*) is a control.

# %%
budgets = (10, 50, 200)


def ours(names):
    return {name: {b: (record(f"{path}/{b}").value, record(f"{path}/{b}").interval) for b in budgets} for name, path in names.items()}


table = ours({"BERT, fine-tuned": "04/classify/fine-tuned", "BERT, frozen": "04/frozen/bert", "parts of words": "04/words/parts",
              "TF-IDF": "04/words/tf-idf", "TF-IDF + LSA": "04/words/lsa", "supervised": "04/classify/from-scratch",
              "random encoder": "04/frozen/random-encoder"})

# %% tags=["figure", "comparison"]
figures.label_efficiency(table, chance=1 / 12, of="texts")

# %% [markdown]
# **Finding:** with 10 labels a class the fine-tuned checkpoint is right on {{ 04/classify/fine-tuned/10 | percent interval }} of the test
# definitions, frozen with a probe {{ 04/frozen/bert/10 | percent interval }}; TF-IDF, the raw text's control,
# {{ 04/words/tf-idf/10 | percent interval }}, with LSA {{ 04/words/lsa/10 | percent interval }}, parts of words
# {{ 04/words/parts/10 | percent interval }}; the same network supervised from scratch {{ 04/classify/from-scratch/10 | percent interval }}, the
# random encoder {{ 04/frozen/random-encoder/10 | percent interval }}, chance one in twelve. {{ claim 04/fine-tuning-wins }} With 200 labels
# a class: fine-tuned {{ 04/classify/fine-tuned/200 | percent interval }}, parts of words {{ 04/words/parts/200 | percent interval }}, TF-IDF
# {{ 04/words/tf-idf/200 | percent interval }}, with LSA {{ 04/words/lsa/200 | percent interval }}, from scratch
# {{ 04/classify/from-scratch/200 | percent interval }}; and frozen only {{ 04/frozen/bert/200 | percent interval }}, now below everything that
# counts. With all labels that there are: fine-tuned {{ 04/all-labels/fine-tuned | percent interval }}, TF-IDF {{ 04/all-words | percent }}, from
# scratch {{ 04/all-labels/from-scratch | percent interval }}: over TF-IDF little is left of the lead. (Intervals over ten draws of labels;
# with all labels, over three trainings. The checkpoint is one.)

# %%
rows = evaluation.draw_labels(wordnet.train.labels, 10, draw=0)      # [120]
tuned = evaluation.fine_tune(teacher.encoder, wordnet, rows, learning_rate=1e-3, steps=60)
f"yours, one draw of 10 labels a class: {evaluation.accuracy(tuned, wordnet.test):.2f}"

# %%
best = max(("fine-tuned", "from-scratch"), key=lambda how: record(f"04/classify/{how}/10").value)
words_better = record("04/words/parts/10").value > record(f"04/classify/{best}/10").value
guess_labels.reveal("counting words (TF-IDF)" if words_better else "the pretrained BERT, fine-tuned")

# %% [markdown]
# ## 6. Break it, and walk to RoBERTa (15 minutes)
#
# **What if all tokens count?** Six times as many answers a step, for nothing?

# %% tags=["pretrain"]
copier = Lab("bert", "wordnet", seed=0, **sslab.recipe("bert", "wordnet", share=0.3))
copier.set(loss_on="all")
copier.start()
copier.join()
copier.status

# %%
yours = evaluation.masked_accuracy(copier.objective.cpu(), wordnet, hidden=hidden)
claim("04/copying", yours={"04/broken/all-tokens/top-5": yours[5], "04/broken/all-tokens/loss": copier.history[-1]["loss"]})

# %% tags=["figure"]
what = {"loss": "loss", "hidden words, first five": "top-5"}
names = {"hidden tokens count": "bert", "all tokens count": "all-tokens"}


def row(path):
    return {label: (record(f"{path}/{key}").value, record(f"{path}/{key}").interval) for label, key in what.items()}


figures.ablation({name: row(f"04/broken/{path}") for name, path in names.items()}, {"hidden words, first five": lines})

# %% [markdown]
# **Finding:** short runs of as many steps. Where all tokens count, the loss is {{ 04/broken/all-tokens/loss | .2f }}, where BERT's is
# {{ 04/broken/bert/loss | .2f }}; most answers can be seen, and copying is enough. Of hidden words it finds
# {{ 04/broken/all-tokens/top-5 | percent interval }}, no more than the list of frequent words; BERT
# {{ 04/broken/bert/top-5 | percent interval }}, after so few steps still far below the left neighbour. A loss says how hard the *questions* were.

# %%
guess_all.reveal("be lower, and less is learned")

# %% [markdown]
# ### From BERT to RoBERTa, one change at a time
#
# BERT had a second task: do these two passages follow each other? **RoBERTa** (2019) went through BERT's recipe line by line: new masks
# every time, no second task, larger batches, longer training. (The original BERT had ten masked copies of each text, ours has one.) We
# make the first three changes. The pairs need texts that go on, so this is done on the passages of lesson 05: 750 windows of them, each
# read eight or nine times, equal steps for all (so larger batches read each of them twice as often).

# %% tags=["figure"]
names = {"BERT: static masks, pairs": "bert", "+ dynamic masks": "dynamic-masks", "+ no pairs": "no-pairs",
         "+ batches twice as large": "larger-batches"}
what = {"loss on new passages": "loss", "hidden tokens, first five": "top-5"}
figures.ablation({name: row(f"04/walk/{path}") for name, path in names.items()},
                 {"hidden tokens, first five": {"most frequent tokens": record("04/walk-counts/most-frequent/top-5").value}})

# %% [markdown]
# **Finding:** hidden tokens of held-out passages among the first five, each model asked in the shape it was trained on: BERT
# {{ 04/walk/bert/top-5 | percent interval }}, with dynamic masks {{ 04/walk/dynamic-masks/top-5 | percent interval }}, without pairs
# {{ 04/walk/no-pairs/top-5 | percent interval }}, with larger batches {{ 04/walk/larger-batches/top-5 | percent interval }}. The changes, seed by
# seed: {{ 04/walk/dynamic-masks/top-5 - 04/walk/bert/top-5 | points interval }},
# {{ 04/walk/no-pairs/top-5 - 04/walk/dynamic-masks/top-5 | points interval }},
# {{ 04/walk/larger-batches/top-5 - 04/walk/no-pairs/top-5 | points interval }}. Each of the three intervals holds 0: we could not tell. In runs this
# short some seeds have learned little more than the most frequent tokens, which alone find {{ 04/walk-counts/most-frequent/top-5 | percent }}, and others are past them. All three changes together:
# {{ 04/walk/larger-batches/top-5 - 04/walk/bert/top-5 | points interval }}. That is above 0, but these runs have also read twice as much.

# %%
guess_static.reveal(verdict("04/walk/dynamic-masks/top-5", "04/walk/bert/top-5",
                            "are clearly better", "make no difference that we could measure", "are worse"))

# %% [markdown]
# ## 7. Exercises (25 minutes)
#
# ### Exercise 1: hide tokens
#
# *Difficulty 3/5 · importance 5/5 · 9 minutes*
#
# You get two random numbers, `u` and `v`, and a random word for each place. A token that is text (not [PAD], [CLS] or [SEP]) is chosen
# where `u < mask_share` (simpler than `hide`, which chooses so many in each text). Of the chosen ones: [MASK] where `v < 0.8`, the random
# word where `v` is from 0.8 to below 0.9, else as it was.

# %% tags=["exercise"] name="hide_tokens" points=2
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP


def my_hide_tokens(tokens, u, v, words, mask_share):
    """[B, T] four times, a number -> what is seen [B, T], chosen bool [B, T]"""
    ### BEGIN SOLUTION
    # stub: text = ...                                       # bool [B, T]
    # stub: chosen = ...
    # stub: seen = torch.where(chosen & ..., MASK, tokens)
    # stub: seen = torch.where(chosen & ..., words, seen)
    # stub: return seen, chosen
    text = (tokens != PAD) & (tokens != CLS) & (tokens != SEP)
    chosen = text & (u < mask_share)
    seen = torch.where(chosen & (v < 0.8), MASK, tokens)
    seen = torch.where(chosen & (v >= 0.8) & (v < 0.9), words, seen)
    return seen, chosen
    ### END SOLUTION

# %% tags=["check"] name="hide_tokens" points=2
check.hide_tokens(my_hide_tokens)

# %% [markdown]
# ### Exercise 2: the loss
#
# *Difficulty 2/5 · importance 5/5 · 7 minutes*
#
# Minus the log-probability of the true token, the mean over the chosen places of all texts together. Which places must not count?

# %% tags=["exercise"] name="masked_tokens" points=2
def my_masked_tokens(logits, tokens, chosen):
    """[B, T, V], [B, T], bool [B, T] -> scalar, in nats"""
    ### BEGIN SOLUTION
    # stub: log_p = ...                                      # [B, T, V]
    # stub: of_truth = ...                                   # [B, T]
    # stub: return ...
    log_p = logits.log_softmax(dim=2)
    of_truth = log_p.gather(2, tokens[..., None])[..., 0]
    return -of_truth[chosen].mean()
    ### END SOLUTION

# %% tags=["check"] name="masked_tokens" points=2
check.masked_tokens(my_masked_tokens)

# %% [markdown]
# ### Exercise 3: the line that a network must beat
#
# *Difficulty 3/5 · importance 4/5 · 9 minutes*
#
# What does a held-out text cost someone who knows only how frequent each token is in the training texts? Add one to every count, so that a
# token that was never seen does not cost infinitely much. In nats, the mean over the tokens of the held-out text.

# %% tags=["exercise"] name="unigram"
def my_unigram(train, held_out, vocabulary):
    """tokens [N], tokens [M], V -> scalar, in nats"""
    ### BEGIN SOLUTION
    # stub: counts = ...                                     # [V], one more than each was seen
    # stub: p = ...
    # stub: return ...
    counts = torch.bincount(train, minlength=vocabulary) + 1.0
    p = counts / counts.sum()
    return -p.log()[held_out].mean()
    ### END SOLUTION

# %% tags=["check"] name="unigram"
check.unigram(my_unigram)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - Hide some words, see both sides, fill them in: a task made from texts alone.
# - Chance is log V. The unigram line is the one that counts: below it, the text was read.
# - Only hidden tokens count. Where an answer can be seen, copying is enough.
# - Counting neighbours is a strong control. Beat it before you speak of understanding.
# - Static masks, sentence pairs, batch size: RoBERTa questioned and measured each of them. Our runs were too short to tell them apart.
# - Pretrain on unlabelled text, fine-tune on few labels; and look at TF-IDF before you call it a success.
#
# ## Papers
#
# - Devlin, Chang, Lee, Toutanova 2018: *BERT: pre-training of deep bidirectional transformers for language understanding*,
#   arXiv:1810.04805
# - Liu, Ott, Goyal, Du, Joshi, Chen, Levy, Lewis, Zettlemoyer, Stoyanov 2019: *RoBERTa: a robustly optimized BERT pretraining
#   approach*, arXiv:1907.11692
# - Wettig, Gao, Zhong, Chen 2022: *Should you mask 15% in masked language modeling?*, arXiv:2202.08005
# - Vaswani et al. 2017: *Attention is all you need*, arXiv:1706.03762
# - Kumar, Raghunathan, Jones, Ma, Liang 2022: *Fine-tuning can distort pretrained features and underperform out-of-distribution*,
#   arXiv:2202.10054
