# %% [markdown]
# # 00 · Start here: learning without labels
#
# Labels are expensive, pictures are not. Self-supervised learning makes a task out of the pictures themselves,
# trains a network on it, and keeps what the network learned to see. This notebook takes you through the whole of
# it once: raw data, task, representation, a few labels. Every later notebook opens one of these boxes.
#
# ## What you will be able to do
#
# - say what is learned when nobody labels anything, and from what;
# - train an encoder on 18,000 digits without looking at one label, and watch its map of them form;
# - measure what the encoder is worth with very few labels, against controls that could embarrass it;
# - break the method in one click and name what happened.
#
# ## Time
#
# 40 minutes of yours. The machine needs {{ 00/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (2 minutes)
#
# Nothing has run yet, and that is the point: a guess that you wrote down before is worth more than the nod after.
#
# You get **five labelled digits of each kind**, fifty in all, and must sort 5,000 others. Fed to a linear classifier,
# the raw pixels do what they can. Then the same classifier gets the output of an encoder that saw 18,000 digits and
# *no label*.

# %%
guess_pixels = predict("00/pixels", "With 5 labels a class: which share of the test digits do raw pixels get right?",
                       low=0, high=1, unit="of the test images")
guess_pixels

# %%
guess_simclr = predict("00/simclr", "And the encoder that was trained without labels?",
                       low=0, high=1, unit="of the test images")
guess_simclr

# %% [markdown]
# ## 2. See the data and the task (4 minutes)
#
# 20,000 handwritten digits for training and choosing, 5,000 for testing. The card says where they come from.

# %%
digits = datasets.load("digits")
digits.card

# %% tags=["figure"]
figures.samples(digits)

# %% [markdown]
# **Finding:** the classes are plain to us. The network below never gets the column of names.
#
# What it gets is a game. Take a picture, make two random **views** of it: cropped, turned, faded, with a piece missing.
# Do so for 64 pictures, shuffle all 128 views, and ask: *which view was made from the same picture as this one?*
# The answer is known for free, because we made the views.

# %% tags=["figure"]
views = sslab.views.Augment.named("digits")
figures.views(digits.train.images[:5], views)

# %% [markdown]
# **Finding:** every row is one digit. To play the game well it does not help to remember pixels: they differ between
# the views. It helps to see what stays the same, which is, nearly always, *which digit it is, and in whose hand*.

# %% [markdown]
# ## 3. Read the objective (5 minutes)
#
# An **encoder** $f$ turns an image $x$ into a representation $h = f(x)$, and a small **projector** $g$ turns that into
# $z = g(h)$. For a view $i$ with partner $j$ among the $2B$ views of a batch, the loss is
#
# $$\ell_{i,j} = -\log \frac{\exp(\cos(z_i, z_j) / \tau)}{\sum_{k \neq i} \exp(\cos(z_i, z_k) / \tau)}$$
#
# and the batch's loss is its mean over all $2B$ views. The cosine is 1 where two projections point the same way, -1 where
# they point opposite ways. The temperature $\tau$ is a setting, here 0.5: the lower it is, the more the highest scores count.
# Read it as a quiz with $2B - 1$ answers: the partner must get the highest score. A network that knows nothing spreads
# its bets and pays $\log(2B - 1)$. This is the code that runs, not a copy of it:

# %%
show_source(objectives.nt_xent)

# %% [markdown]
# ## 4. Run it (5 minutes)
#
# Run the cell after the lab, or press **Start** and skip that cell. Each point of the map is a validation digit that the encoder never trains on;
# its colour and shape are its label. Watch three things: points of one colour gather on the map; the loss leaves the
# dashed line of chance; the **online probe**, a small classifier that reads the encoder with ten labels a class, climbs
# past the same classifier on raw pixels and on the untrained encoder. Here labels paint and judge; they train no encoder.
#
# No time, or a slow machine? `from sslab.lab import replay; replay("simclr")` in a cell of your own shows runs that were recorded: drag through their steps.

# %%
lab = Lab("simclr", "digits", seed=0)
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% [markdown]
# ## 5. Explain: what is it worth? (6 minutes)
#
# The pretraining used no label. Now we take a few, train a **linear probe** (one linear layer, the encoder frozen) and
# count right answers on test images that nothing above has touched. A number alone means little, so four controls
# stand beside it: **chance**; a probe on the **raw pixels**; a probe on the same encoder **untrained**; and the same
# encoder trained **from scratch on the same labels**, with the same views.

# %%
budgets = (1, 5, 20)
encoder = lab.objective.encoder
results = {"SimCLR": evaluation.label_efficiency(encoder, digits, budgets, seeds=3, penalties=(0.1,))}
results |= evaluation.controls(encoder, digits, budgets, seeds=3, penalties=(0.1,))

# %%
one_setting = ({"learning_rate": 1e-3, "steps": sslab.by_mode(4, 150)},)
results["supervised"] = evaluation.supervised(digits, budgets, draws=1, views=views, search=one_setting)

# %% tags=["figure", "comparison"]
figures.label_efficiency(results, chance=0.1)

# %% [markdown]
# **Finding:** over 5 pretraining runs and 10 draws of labels each, with 5 labels a class the encoder that never saw a
# label is right on {{ 00/probe/digits/5/simclr | percent interval }} of the test digits; raw pixels on
# {{ 00/pixels/digits/5 | percent }}, the random encoder on {{ 00/probe/digits/5/random-encoder | percent }}, supervised
# from scratch on {{ 00/supervised/digits/5 | percent }}, chance on one in ten. The fewer labels, the larger the gain:
# {{ 00/probe/digits/1/simclr - 00/supervised/digits/1 | points interval }} over supervised with one label a class,
# {{ 00/probe/digits/20/simclr - 00/supervised/digits/20 | points interval }} with twenty. With a hundred nothing is left
# of it: {{ 00/probe/digits/100/simclr | percent }} against {{ 00/supervised/digits/100 | percent }}. Brackets say how
# uncertain a mean is, over the pretraining runs. Your figure is one run with 3 draws of labels, and its supervised line
# one draw with one setting: ours had its settings chosen on validation digits.

# %%
guess_pixels.reveal(results["raw pixels"].mean(5))

# %%
guess_simclr.reveal(results["SimCLR"].mean(5))

# %%
claim("00/five-labels", yours={"00/probe/digits/5/simclr": results["SimCLR"].mean(5),
                               "00/pixels/digits/5": results["raw pixels"].mean(5),
                               "00/probe/digits/5/random-encoder": results["random encoder"].mean(5)})

# %% [markdown]
# Is that always so? No. On pictures of clothes the same recipe gains less, and
# [01](01_measuring_representations.ipynb) and [07](07_contrastive_simclr.ipynb) show where it stops:
# {{ claim 00/fashion-honest }} That it falls behind hangs on a detail: our probe keeps one setting at every budget
# (its penalty, lesson 01), and supervised training had its settings chosen on validation pictures. With the probe's chosen there, too,
# SimCLR is level or slightly ahead with 100 labels: {{ 00/probe/fashion/100/simclr-generous - 00/supervised/fashion/100 | points interval }}.

# %% tags=["figure"]
shown = digits.validation.images[:1000]
figures.embedding_map({"raw pixels": evaluation.raw_pixels(shown), "SimCLR": evaluation.features(encoder, shown)},
                      digits.validation.labels[:1000], digits.class_names)

# %% [markdown]
# **Finding:** the same 1,000 digits, flattened from many dimensions to the two in which they vary most. On the left most
# of them lie on top of one another; on the right they are better sorted by name, and many still overlap. The probe reads
# all directions, a map shows two of many: it is a picture to think with, and the probe above is the measurement.

# %% [markdown]
# ## 6. Break it (4 minutes)
#
# The loss pulls partners together and pushes all others apart. What if nothing pushes? Switch **negatives** off in the
# lab, or here. Guess first: what is the easiest way to make all partners agree?

# %%
guess_broken = predict("00/no-negatives", "Without negatives, where will the projections of all digits go?",
                       ["to ten islands, one a digit", "all to the same point", "nowhere: training stops"])
guess_broken

# %% tags=["pretrain"]
broken = Lab("simclr", "digits", seed=0, **sslab.recipe("simclr", "digits", share=0.15))
broken.set(negatives=False)
broken.start()
broken.join()

# %%
with torch.no_grad(), evaluation.evaluating(broken.objective):
    z = broken.objective.projector(broken.objective.encoder(shown))
evaluation.diagnose(z).text

# %%
guess_broken.reveal("all to the same point")

# %%
claim("00/no-negatives-collapses", yours={"00/negatives/off/std": float(evaluation.feature_std(z))})

# %% [markdown]
# Without negatives the loss is only the pull, $-\cos(z_i, z_j) / \tau$. It cannot go below -2; in our runs it ends at
# {{ 00/negatives/off/loss | .2f }}, and nothing was learned that a probe could find: in lesson 07 a probe of
# such an encoder, minus one of the untrained encoder, gives {{ 07/broken/no-negatives/probe - 07/untrained/random-encoder | points interval }}.
# This is **collapse**, the ghost of this whole field: a proxy solved perfectly in a way nobody meant.
# [07](07_contrastive_simclr.ipynb) shows how negatives prevent it; later
# notebooks show methods that need no negatives and what they need instead.

# %% [markdown]
# ## 7. Exercises (15 minutes)
#
# Small pieces of what you just used. A check tells you not only *whether* but *what* went wrong.
#
# ### Exercise 1: how alike are two embeddings?
#
# *Difficulty 1/5 · importance 5/5 · 4 minutes*
#
# Cosine similarity of every row of `z1` with every row of `z2`: divide each row by its length, then take products.

# %% tags=["exercise"] name="cosine_similarity_matrix"
def my_cosine_similarity(z1, z2):
    """[A, D], [B, D] -> [A, B]"""
    ### BEGIN SOLUTION
    z1 = z1 / z1.norm(dim=1, keepdim=True)
    z2 = z2 / z2.norm(dim=1, keepdim=True)
    return z1 @ z2.T
    ### END SOLUTION

# %% tags=["check"] name="cosine_similarity_matrix"
check.cosine_similarity_matrix(my_cosine_similarity)

# %% [markdown]
# ### Exercise 2: the classifier without training
#
# *Difficulty 2/5 · importance 4/5 · 6 minutes*
#
# Give each query the label that is most frequent among its `k` nearest labelled samples by cosine.

# %% tags=["exercise"] name="knn_predict"
def my_knn(bank, labels, queries, k):
    """bank [N, D], labels [N], queries [M, D] -> predicted labels [M]"""
    ### BEGIN SOLUTION
    # stub: similarity = ...                                  # [M, N], your function from above
    # stub: nearest = ...                                     # [M, k], which samples
    bank, queries = torch.nn.functional.normalize(bank, dim=1), torch.nn.functional.normalize(queries, dim=1)
    nearest = (queries @ bank.T).topk(k, dim=1).indices
    return labels[nearest].mode(dim=1).values
    ### END SOLUTION

# %% tags=["check"] name="knn_predict"
check.knn_predict(my_knn)

# %% [markdown]
# ### Exercise 3: a number for collapse
#
# *Difficulty 3/5 · importance 4/5 · 5 minutes*
#
# The **effective rank**: centre the embeddings (subtract their mean over the batch), take their singular values $s$, make
# shares $p_i = s_i / \sum_j s_j$ of them, and return $\exp(-\sum_i p_i \log p_i)$. It counts how many directions are in use.

# %% tags=["exercise"] name="effective_rank"
def my_effective_rank(z):
    """[B, D] -> scalar from 1 to D"""
    ### BEGIN SOLUTION
    s = torch.linalg.svdvals(z - z.mean(dim=0))
    p = s / s.sum()
    return torch.special.entr(p).sum().exp()
    ### END SOLUTION

# %% tags=["check"] name="effective_rank"
check.effective_rank(my_effective_rank)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - A **pretext task** takes its answers from the data: here, which two views belong together.
# - What is kept is the **encoder**; projector, loss and views are scaffolding.
# - What it is worth is measured on **another task**, with few labels, against **controls**.
# - A perfect score in the pretext task can mean that nothing was learned: **collapse**.
#
# Next: [07 · SimCLR in depth](07_contrastive_simclr.ipynb).
#
# ## Papers
#
# - Chen, Kornblith, Norouzi, Hinton 2020: *A simple framework for contrastive learning of visual representations*,
#   arXiv:2002.05709
# - Balestriero et al. 2023: *A cookbook of self-supervised learning*, arXiv:2304.12210
# - Roy and Vetterli 2007: *The effective rank: a measure of effective dimensionality*, EUSIPCO
