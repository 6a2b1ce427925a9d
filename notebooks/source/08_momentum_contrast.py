# %% [markdown]
# # 08 · Momentum contrast: a queue of negatives, and a slow encoder to fill it
#
# SimCLR takes its negatives from the batch: more negatives need a larger batch, and a larger batch needs more memory.
# MoCo keeps the keys of earlier batches in a **queue** and uses them again. But an old key was made by an older encoder.
# So the keys come from a second encoder that changes **slowly**. Two ideas, one problem each, and here you measure what
# each of them is worth in a run of two minutes, which need not be what it is worth in a run of two weeks.
#
# ## What you will be able to do
#
# - write the momentum update, the queue and the loss of MoCo;
# - work out how old the keys in a queue are, and how old the teacher is that makes them;
# - explain a loss that rises at the start although nothing is wrong;
# - work out what a paper's momentum leaves of the random start in a run of another length.
#
# ## Time
#
# 80 minutes of yours. The machine needs {{ 08/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import math

import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (4 minutes)
#
# Three numbers, before anything has run.

# %%
guess_chance = predict("08/chance", "SimCLR with 256 pictures a batch scores log(511) = 6.2 at chance. A queue of 4,096 keys: "
                       "what does MoCo score at chance?", low=0, high=15, unit="nats")
guess_chance

# %%
guess_queue = predict("08/queue", "Negatives from the batch alone, or from a queue of 4,096 keys. How many points does the queue "
                      "add to the probe, in a short run on digits?", low=-30, high=30, unit="points")
guess_queue

# %%
guess_momentum = predict("08/momentum", "Momentum 0: the key encoder is the query encoder itself, at every step. How many points "
                         "does the probe change by, from momentum 0.99?", low=-60, high=30, unit="points")
guess_momentum

# %% [markdown]
# ## 2. See the data and the task (7 minutes)
#
# Digits, and two views of each. One view is the **query**, the other one the **key**: the query has to find its own key
# among the keys of other pictures.

# %%
digits = datasets.load("digits")
digits.card

# %% tags=["figure"]
figures.views(digits.train.images[:4], Augment.named("digits"))

# %% [markdown]
# **Finding:** shifted, turned, partly hidden, still the same digit. Any two of one row may be a query and its key.
#
# Now the queue. It has a fixed number of places and a pointer to the next one. Here are 5 places and batches of 2:

# %%
queue = objectives.Queue(size=5, dim=1)
for batch in (1, 2, 3, 4):
    queue.put(torch.full((2, 1), 10.0 * batch))
    print(f"after batch {batch}:", [f"{key:+.0f}" for key in queue.keys.flatten()], "next place:", int(queue.pointer))

# %% [markdown]
# A key of batch 1 reads +10, of batch 2 +20, and so on; the random start values are +1 or -1. The third batch fills the last place
# and goes on at the first: the oldest key is overwritten. In the lab the queue holds 4,096 keys, and in each step both
# views of every picture are keys once. So a key waits this many steps:

# %%
wait = 4096 // (2 * sslab.recipe("moco", "digits")["batch_size"])
wait

# %% [markdown]
# ## 3. Read the objective (10 minutes)
#
# For a query $q$ with its key $k_+$ and the keys $k_1 \ldots k_K$ of the queue, all of length 1, and the temperature $\tau$:
#
# $$\ell = -\log \frac{e^{q \cdot k_+ / \tau}}{e^{q \cdot k_+ / \tau} + \sum_{i=1}^{K} e^{q \cdot k_i / \tau}}$$
#
# It is a classification with $K + 1$ classes, in which the right one is always the first. Chance is $\log(K + 1)$, and so is
# a collapse, where all cosines are the same.

# %%
show_source(objectives.info_nce)

# %% [markdown]
# The keys get no gradient. Their encoder, the **teacher**, follows the weights of the query encoder, the **student**:
#
# $$\theta_{\text{teacher}} \leftarrow m \, \theta_{\text{teacher}} + (1 - m) \, \theta_{\text{student}}$$

# %%
show_source(objectives.Teacher)

# %%
show_source(objectives.MoCo)

# %%
guess_chance.reveal(math.log(4096 + 1))

# %% [markdown]
# What does the queue alone do to the loss? Nothing is trained here: the batches go through an untrained MoCo, and only their
# keys are kept.

# %% tags=["figure"]
torch.manual_seed(0)
untrained = objectives.create("moco", encoders.create("conv", digits), views=Augment.named("digits"))
generator, losses = torch.Generator().manual_seed(0), []
for images in digits.train.images[:3072].split(128):
    with torch.no_grad():
        losses.append(float(untrained(untrained.make_views(images, generator)).total))
    untrained.after_step()                                           # the keys go into the queue
figures.loss({"untrained": losses}, untrained.reference_levels())

# %% [markdown]
# **Finding:** the loss climbs until the queue is full, after 16 batches, up to chance, and no model became worse. At first the queue holds random
# directions, which are easily told from a key. Then real keys replace them, and those resemble each other: the question got
# harder. A loss can be compared with another only where the question is the same, which is also why the losses of MoCo and
# SimCLR do not say which of them is better.

# %% [markdown]
# A teacher is an average of past students. Of how many? The students of the last $n$ steps make up $1 - m^n$ of it:

# %% tags=["figure"]
figures.teacher_memory((0.0, 0.9, 0.99, 0.999), wait)

# %% [markdown]
# **Finding:** this is arithmetic, not a measurement. At momentum `0` all of the teacher is replaced at every step. At `0.9`
# nearly all of it is while a key waits in the queue, at `0.99` about a quarter (with batches of `64`). At `0.999` even `500` steps replace
# less than half: in our short runs, of `450`, such a teacher is for the most part still the random network that it began as. The
# paper's `0.999` belongs to runs that are hundreds of times longer.

# %% [markdown]
# ## 4. Run it live (8 minutes)
#
# Press **Start** in the lab. While it trains, set **momentum** to 0 for a while, then back. Watch the loss. When it has ended, skip
# the cell below the lab, which begins a new run. Or run that cell and only watch.
# This run takes seven tenths of the recipe's steps, to end within two minutes.

# %%
lab = Lab("moco", "digits", seed=0, **sslab.recipe("moco", "digits", share=0.7))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"MoCo": [row["loss"] for row in lab.history[:100]]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** the first steps hold two things at once: the model learns, which lowers the loss, and the queue fills with real
# keys, which raises it until the queue is full. So an early rise is no sign that something is wrong. Later the loss stays well above
# zero. It would even with the own key at cosine 1 and all others at 0: $\log(1 + 4096\, e^{-1/\tau})$ is more than 3 nats at temperature
# `0.2`. And among 4,096 keys there are hundreds of the same digit, which count as wrong answers.

# %% [markdown]
# ## 5. Explain: what do the queue and the slow teacher buy? (15 minutes)
#
# First the whole, on test images, with its controls: chance, raw pixels, the random encoder, supervised from scratch.
# Yours is one run with three draws of labels; the bands of ours are 95 % intervals over 3 pretraining runs. Raw pixels and supervised
# have no pretraining, and so no band.

# %%
budgets = (1, 5, 20, 100)


def ours(dataset):
    paths = {"MoCo (ours)": "13/board/{}/moco/{}", "SimCLR (ours)": "13/board/{}/simclr/{}", "raw pixels": "00/pixels/{}/{}",
             "random encoder": "13/board/{}/random-encoder/{}", "supervised": "00/supervised/{}/{}"}
    return {name: {b: (record(path.format(dataset, b)).value, record(path.format(dataset, b)).interval) for b in budgets}
            for name, path in paths.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(lab.objective.encoder, digits, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"MoCo (yours)": yours, **ours("digits")}, chance=0.1)

# %% [markdown]
# **Finding:** with 5 labels a class MoCo is right on {{ 13/board/digits/moco/5 | percent interval }} of the test digits. The
# difference is {{ 13/board/digits/moco/5 - 00/pixels/digits/5 | points interval }} to raw pixels,
# {{ 13/board/digits/moco/5 - 13/board/digits/random-encoder/5 | points interval }} to the random encoder and
# {{ 13/board/digits/moco/5 - 00/supervised/digits/5 | points interval }} to supervised training from scratch. To SimCLR, with
# the same encoder, views and steps but another temperature (its `0.5`, MoCo's `0.2`), it is
# {{ 13/board/digits/moco/5 - 13/board/digits/simclr/5 | points interval }}: MoCo is behind. With 100 labels a class it is behind supervised training
# too, {{ 13/board/digits/moco/100 - 00/supervised/digits/100 | points interval }}. Chance is one in ten.

# %% tags=["figure", "comparison"]
figures.label_efficiency(ours("fashion"), chance=0.1)

# %% [markdown]
# **Finding:** on clothes, with 5 labels a class, the difference to raw pixels is
# {{ 13/board/fashion/moco/5 - 00/pixels/fashion/5 | points interval }}, to the random encoder
# {{ 13/board/fashion/moco/5 - 13/board/fashion/random-encoder/5 | points interval }}, to supervised training
# {{ 13/board/fashion/moco/5 - 00/supervised/fashion/5 | points interval }} and to SimCLR
# {{ 13/board/fashion/moco/5 - 13/board/fashion/simclr/5 | points interval }}. With 100 labels a class it is
# {{ 13/board/fashion/moco/100 - 00/pixels/fashion/100 | points interval }} to raw pixels and
# {{ 13/board/fashion/moco/100 - 13/board/fashion/simclr/100 | points interval }} to SimCLR, and both intervals hold 0; to supervised training it is
# {{ 13/board/fashion/moco/100 - 00/supervised/fashion/100 | points interval }}, behind. Chance is one in ten.

# %% [markdown]
# ### How slow must the teacher be?
#
# Short runs on digits, three seeds each, on *validation* images. First the reason for a slow teacher: how much does a key
# change while it waits? In the second half of each run we compared the keys of 500 pictures with the keys that these pictures had 32
# steps before, which is the age of the oldest keys in the queue.

# %% tags=["figure"]
momenta = (0.0, 0.9, 0.99, 0.999)
drift = {words: {m: (record(f"08/drift/{m}/{key}").value, record(f"08/drift/{m}/{key}").interval) for m in momenta}
         for words, key in {"own old key": "own", "another picture's old key": "others"}.items()}
figures.settings(drift, {}, "cosine with the old key", "momentum")

# %% [markdown]
# **Finding:** the cosine of a picture's key with its own old key is {{ 08/drift/0.0/own }} at momentum `0`,
# {{ 08/drift/0.9/own }} at `0.9`, {{ 08/drift/0.99/own | .3f }} at `0.99` and {{ 08/drift/0.999/own | .4f }} at `0.999`; with
# another picture's old key it is {{ 08/drift/0.0/others }}, {{ 08/drift/0.9/others }}, {{ 08/drift/0.99/others }} and
# {{ 08/drift/0.999/others }}. Read the two side by side: the old key is still the most similar of all 500 for
# {{ 08/drift/0.0/found | percent }} of the pictures at momentum `0`, {{ 08/drift/0.9/found | percent }} at `0.9` and
# {{ 08/drift/0.99/found | percent }} at `0.99`. {{ claim 08/slow-keys-keep }} But the slowest does not change least: from `0.99` to `0.999` the
# cosine with the own old key moves by {{ 08/drift/0.999/own - 08/drift/0.99/own | .4f interval }}.

# %%
claim("08/slow-keys-keep")

# %% [markdown]
# If that is the reason, then only the queue needs it. Without a queue no key is older than the step, and a fast teacher should
# do no harm. So the same momenta again, with the batch's other keys as negatives:

# %% tags=["figure", "comparison"]
lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}
series = {words: {m: (record(f"{name}/{m}/probe").value, record(f"{name}/{m}/probe").interval) for m in momenta}
          for words, name in {"queue of 4,096": "08/momentum", "negatives from the batch": "08/no-queue"}.items()}
figures.settings(series, lines, "validation accuracy, 5 labels a class", "momentum")

# %% [markdown]
# **Finding:** with the queue the probe gives {{ 08/momentum/0.0/probe | percent interval }} at momentum `0`,
# {{ 08/momentum/0.9/probe | percent interval }} at `0.9`, {{ 08/momentum/0.99/probe | percent interval }} at `0.99` and
# {{ 08/momentum/0.999/probe | percent interval }} at `0.999`. Without the queue: {{ 08/no-queue/0.0/probe | percent interval }},
# {{ 08/no-queue/0.9/probe | percent interval }}, {{ 08/no-queue/0.99/probe | percent interval }} and
# {{ 08/no-queue/0.999/probe | percent interval }}. Raw pixels have {{ 07/untrained/raw-pixels | percent }}, the random encoder
# {{ 07/untrained/random-encoder | percent }}, chance is one in ten; supervised training stands in the figure of test digits above.
# {{ claim 08/queue-needs-slow-keys }} With the queue `0.999` is {{ 08/momentum/0.999/probe - 08/momentum/0.99/probe | points interval }} from
# `0.99`, which holds 0. Without it slowness costs: {{ 08/no-queue/0.99/probe - 08/no-queue/0.0/probe | points interval }} from `0` to `0.99`, and
# {{ 08/no-queue/0.999/probe - 08/no-queue/0.99/probe | points interval }} from there to `0.999`. The highest mean of all eight has neither queue nor
# slow teacher: {{ 08/no-queue/0.0/probe - 08/momentum/0.99/probe | points interval }} above MoCo with both (momentum `0.99`). That is nearly
# SimCLR, from which it differs at the same temperature (`0.2`) by {{ 08/no-queue/0.0/probe - 07/temperature/0.2/probe | points interval }}.

# %%
claim("08/queue-needs-slow-keys")

# %%
claim("08/fast-teacher-fails")

# %%
guess_momentum.reveal(100 * (record("08/momentum/0.0/probe").value - record("08/momentum/0.99/probe").value))

# %% [markdown]
# ### How many negatives?
#
# The batch's other keys, a queue of 256, a queue of 4,096. And one more saving: MoCo v2 uses each picture's first view as
# the query only, which is half the work of a step, and half the keys.

# %% tags=["figure", "comparison"]
kinds = {"the batch": "08/queue/off", "queue of 256": "08/queue/256", "queue of 4096": "08/queue/4096",
         "4096, one way": "08/symmetric/one-direction"}
rows = {kind: (record(f"{name}/probe").value, record(f"{name}/probe").interval) for kind, name in kinds.items()}
figures.settings({"MoCo": rows}, lines, "validation accuracy, 5 labels a class", "negatives")

# %% [markdown]
# **Finding:** {{ 08/queue/off/probe | percent interval }} with the batch's own keys, {{ 08/queue/256/probe | percent interval }}
# with a queue of `256`, {{ 08/queue/4096/probe | percent interval }} with `4096`. From the batch to `4096` the difference is
# {{ 08/queue/4096/probe - 08/queue/off/probe | points interval }}, which holds 0. One direction instead of both costs
# {{ 08/symmetric/one-direction/probe - 08/symmetric/both/probe | points interval }} at as many steps. Raw pixels, random encoder and chance as
# before, supervised above. {{ claim 08/queue-hardly-matters }} The queue of `4096` at momentum `0.99` was trained three times, with the
# same settings and seeds: {{ 08/momentum/0.99/probe | .3f }}, {{ 08/queue/4096/probe | .3f }}, {{ 08/symmetric/both/probe | .3f }}. Differences
# of that size say nothing. So batches of `64` had negatives enough here. The paper's case, batches of `256`, a queue of `65,536` and a large
# network, we did not measure.

# %%
guess_queue.reveal(100 * (record("08/queue/4096/probe").value - record("08/queue/off/probe").value))

# %%
claim("08/queue-hardly-matters")

# %% [markdown]
# ## 6. Break it (8 minutes)
#
# Take the queue and all other negatives away: each query approaches its key, and nothing pushes. The slow teacher is still
# there. Is it enough to hold the projections up?

# %% tags=["pretrain"]
broken = Lab("moco", "digits", seed=0, **sslab.recipe("moco", "digits", share=0.15))
broken.set(negatives=False)
broken.start()
broken.join()

# %% tags=["figure"]
with torch.no_grad(), evaluation.evaluating(broken.objective):
    z = broken.objective.project(broken.objective.encoder(digits.validation.images[:1000]))
figures.loss({"without negatives": [row["loss"] for row in broken.history]}, broken.objective.reference_levels())

# %% [markdown]
# **Finding:** the loss runs down towards its collapse line, the perfect score of a task without a question. In our records,
# which train twice as long, the std of the projections is
# {{ 08/broken/no-negatives/std | .3f }} without negatives and {{ 08/momentum/0.99/std | .2f }} with them, where 1 means spread
# over the sphere.

# %%
evaluation.diagnose(z)

# %%
claim("08/no-negatives-collapses", yours={"08/broken/no-negatives/std": float(evaluation.feature_std(z))})

# %% [markdown]
# The probe of our broken runs is at {{ 08/broken/no-negatives/probe | percent interval }}, that of a random encoder at
# {{ 07/untrained/random-encoder | percent interval }}, raw pixels at {{ 07/untrained/raw-pixels | percent }}: far from useless, far from
# {{ 08/momentum/0.99/probe | percent }} with negatives. SimCLR without negatives, which has no teacher, had a std of
# {{ 07/broken/no-negatives/std | .3f }} after as many steps. So this cloud shrinks and is not a point; how far a longer run would go we did not
# measure. `diagnose` draws its line at a std of a tenth and may still call your run healthy: read the number, not the verdict. A slow teacher
# alone is no substitute for negatives. Lesson 10 adds one small network, which holds more than the slow teacher does.
#
# Two more to try in the lab above: **momentum** 1, a teacher that never moves, so that the model learns to agree with a random
# network; and a queue that you switch off and on again while it trains.

# %% [markdown]
# ## 7. Exercises (25 minutes)
#
# ### Exercise 1: the slow encoder
#
# *Difficulty 1/5 · importance 5/5 · 5 minutes*
#
# Return the teacher's new weights: momentum times the old ones, the rest from the student. At momentum 1 the teacher stays,
# at 0 it becomes the student. It must carry no gradient.

# %% tags=["exercise"] name="momentum_update"
def my_momentum_update(teacher, student, momentum):
    """two tensors of one shape -> the new teacher"""
    ### BEGIN SOLUTION
    return momentum * teacher.detach() + (1 - momentum) * student.detach()
    ### END SOLUTION

# %% tags=["check"] name="momentum_update"
check.momentum_update(my_momentum_update)

# %% [markdown]
# ### Exercise 2: the queue
#
# *Difficulty 3/5 · importance 4/5 · 10 minutes*
#
# Put B keys into a queue of K places, from place `pointer` on, and go round from the last place to the first. Return the queue
# and the place where the next batch starts, from 0 to K - 1. B is at most K and need not divide it. Keys go in as they are (do not
# normalise them here) and carry no gradient.

# %% tags=["exercise"] name="enqueue" points=2
def my_enqueue(queue, keys, pointer):
    """[K, D], [B, D], int -> ([K, D], int)"""
    ### BEGIN SOLUTION
    # stub: places = ...                                     # [B], which rows the keys take
    # stub: queue = ...                                      # with the keys in these rows
    # stub: return queue, ...
    places = (pointer + torch.arange(len(keys))) % len(queue)
    queue = queue.index_copy(0, places, keys.detach())
    return queue, (pointer + len(keys)) % len(queue)
    ### END SOLUTION

# %% tags=["check"] name="enqueue" points=2
check.enqueue(my_enqueue)

# %% [markdown]
# ### Exercise 3: the loss
#
# *Difficulty 3/5 · importance 5/5 · 10 minutes*
#
# Write InfoNCE with a queue: normalise all three, one column of cosines with the own keys, K columns with the queue,
# temperature, cross-entropy with the right class. Which class is right, for every row?

# %% tags=["exercise"] name="info_nce" points=3
def my_info_nce(queries, keys, queue, temperature=0.07):
    """[B, D], [B, D], [K, D] -> scalar"""
    ### BEGIN SOLUTION
    # stub: q, k, n = ...                                    # rows of length 1
    # stub: logits = ...                                     # [B, 1 + K], the own key first
    # stub: return ...                                       # cross-entropy
    q, k, n = (torch.nn.functional.normalize(x, dim=1) for x in (queries, keys, queue))
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ n.T], dim=1) / temperature
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
    ### END SOLUTION

# %% tags=["check"] name="info_nce" points=3
check.info_nce(my_info_nce)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - A queue separates the number of negatives from the size of the batch. Its price is age.
# - A slow teacher makes old keys comparable with new ones. Its price is age too: it lags behind what was learned.
# - A teacher remembers about $1 / (1 - m)$ steps, and after $n$ steps $m^n$ of it is its random start. A momentum belongs to a length of run.
# - What a part is worth depends on what else is there: the slow teacher is for the queue. Here neither was needed, and SimCLR was ahead
#   with few labels.
# - A loss says something only beside its own chance line, and a queue changes the question while it fills.
# - Without negatives a slow teacher is not enough.
#
# ## Papers
#
# - He, Fan, Wu, Xie, Girshick 2019: *Momentum contrast for unsupervised visual representation learning*, arXiv:1911.05722
# - Chen, Fan, Girshick, He 2020: *Improved baselines with momentum contrastive learning*, arXiv:2003.04297
# - Chen, Xie, He 2021: *An empirical study of training self-supervised vision transformers*, arXiv:2104.02057
# - Wu, Xiong, Yu, Lin 2018: *Unsupervised feature learning via non-parametric instance discrimination*, arXiv:1805.01978
