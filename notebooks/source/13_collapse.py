# %% [markdown]
# # 13 · Collapse: cause it, see it, measure it, cure it
#
# Each method of the last lessons has parts that keep its projections from collapsing. Here they all meet. You switch parts off
# while a model trains, watch the spectrum, and learn what each gauge sees and what it misses. Three results may surprise
# you: the best loss can belong to the worst encoder, a good gauge can belong to a useless one, and a low rank to a good one.
#
# ## What you will be able to do
#
# - tell complete, dimensional and cluster collapse apart, and say when there are too few samples to tell;
# - write the gauges, and say what each of them cannot see;
# - read loss, std and rank together, and name what is broken from the curves alone;
# - say for every method which part holds up what, and what it costs to take that part away;
# - compare methods fairly, and say where they lose.
#
# ## Time
#
# 95 minutes of yours. The machine needs {{ 13/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import random
import time
from collections import deque

import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives
from sslab.course import claim, ledger, record
from sslab.course.compare import table
from sslab.course.lessons.nb13 import REMOVED
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# $z$ is what the loss sees: 128 features. $h$ is the encoder's output, which you keep. The **std** of the normalised $z$, times
# $\sqrt{D}$, is 1 where $z$ is spread over the sphere and 0 where all pictures have the same. The **effective rank** says how many
# directions $z$ fills. Four guesses, before anything has run.

# %%
guess_std = predict("13/std", "VICReg without its covariance term: z falls into one or two directions. What is its std?",
                    low=0, high=1.2, unit="(1 is spread, 0 one point)")
guess_std

# %%
guess_rank = predict("13/low-rank", "SimCLR at temperature 5: z fills 4 of 128 directions. What is the encoder worth to a probe "
                     "with 5 labels a class?", ["as little as chance", "less than raw pixels", "more than raw pixels"])
guess_rank

# %%
guess_back = predict("13/comes-back", "VICReg trains. Its covariance weight goes to 0 for a while, then back to 1. The rank of z ...",
                     ["stays down", "comes back in part", "comes back in full"])
guess_back

# %%
guess_beaten = predict("13/fashion-beaten", "Nine methods, one recipe, trained on clothes. How many beat raw pixels with 5 labels a "
                       "class, so that three runs show it?", low=0, high=9, unit="methods of 9")
guess_beaten

# %% [markdown]
# ## 2. See the kinds of collapse (8 minutes)
#
# Five clouds, made by hand, in 64 dimensions. We know what each of them is.

# %%
g = torch.Generator().manual_seed(0)
def noise(*shape): return torch.randn(*shape, generator=g)

clouds = {"healthy": noise(600, 64),
          "complete": noise(1, 64) + 0.01 * noise(600, 64),                                    # one point, and remnants
          "dimensional": noise(600, 3) @ noise(3, 64) + 0.01 * noise(600, 64),                 # three directions
          "cluster": noise(6, 64)[torch.randint(6, (600,), generator=g)] + 0.005 * noise(600, 64),  # six points
          "too few": noise(48, 64)}                                                            # healthy, but 48 samples

# %%
print(f"{'':14}{'std':>6}{'rank':>6}   diagnose")
for name, z in clouds.items():
    print(f"{name:14}{evaluation.feature_std(z):6.2f}{evaluation.effective_rank(z):6.1f}   {evaluation.diagnose(z)}")

# %% tags=["figure"]
figures.spectrum(clouds)

# %% [markdown]
# **Finding:** read the table by columns. The std sees the point, and hardly anything else: three directions, or six points, are spread
# over the sphere as far as it can tell. The rank sees the few directions and the six points (six points span five directions). It does *not*
# see the one point: what is left there is noise, and noise fills all directions, so that its curve lies on the healthy one. No
# single number knows all three. The last row is healthy and looks poorer than it is: 48 samples span at most 47 directions.
# With no more samples than features a low rank says nothing, and `diagnose` refuses to answer.

# %% [markdown]
# The real pictures of this lesson are digits and, at the end, shapes.

# %%
digits, shapes = datasets.load("digits"), datasets.load("shapes")
shapes.card

# %% tags=["figure"]
figures.samples(shapes, per_class=6)

# %% [markdown]
# **Finding:** the label is the shape alone. Colour, size, place, turn and background vary freely, and they change many pixels
# without changing the label. Keep that in mind for section 6.

# %% [markdown]
# ## 3. Read the gauges (8 minutes)
#
# The std, and where its $\sqrt{D}$ comes from: a vector of length 1 with $D$ equal entries has entries of size $1 / \sqrt{D}$.

# %%
show_source(evaluation.feature_std)

# %% [markdown]
# The effective rank: with the singular values $s_i$ of the centred cloud and $p_i = s_i / \sum_j s_j$,
#
# $$\mathrm{rank} = \exp\Big(-\sum_i p_i \log p_i\Big)$$
#
# $k$ equal singular values give $k$. All depends on ratios: multiply $z$ by a thousandth and nothing changes. That is how
# it misses the point.

# %%
show_source(evaluation.effective_rank)

# %% [markdown]
# `diagnose` asks in an order that makes up for what each gauge misses: is it spread at all, then, are there gaps between a few
# points, then, are there enough samples, and only then, how many directions.

# %%
show_source(evaluation.diagnose)

# %% [markdown]
# ## 4. Run it live (15 minutes)
#
# The lab. Press Start, and turn a knob from the table while it trains. Watch the singular values, the std and the rank; then turn it
# back. The selector swaps the method: encoder and views stay.
#
# | method | knob | what to watch |
# |---|---|---|
# | simclr | **negatives** off | std to 0, the loss at its lower line |
# | simclr | **temperature** to its upper end | std stays, rank falls |
# | moco | **momentum** to 0, with its queue | the loss rises: the keys in the queue are stale |
# | simsiam | **stop_gradient** off; then **output_norm** off as well | std to 0; with the norm on, less far in training: it scales each feature up |
# | simsiam | **predictor_on** off | few directions |
# | byol | **momentum** to 0; **predictor_on** off; both | which of the two holds it up? |
# | dino | **centring** off; **sharpening** off | two collapses: the loss to 0, or to $\log K$ |
# | swav | **balanced** off | one prototype for all, the loss to 0 |
# | barlow_twins | **decorrelate** off | std stays, rank falls |
# | vicreg | **variance** to 0; **covariance** to 0 | one point; few directions |
# | lejepa | **gaussian_weight** to 0 | one point |

# %%
steps = sslab.recipe("vicreg", "digits", share=0.4)["steps"]
lab = Lab("vicreg", "digits", seed=0, steps=steps)
lab

# %% [markdown]
# The cell below does one of these for you. The covariance weight goes to 0 after three tenths of the run and back to 1 after six.

# %% tags=["pretrain"]
switched = Lab("vicreg", "digits", seed=0, steps=steps)
switched.start()
said = []
for share, weight in ((0.3, 0.0), (0.6, 1.0)):
    while len(switched.history) < share * steps and switched.state == "running":
        time.sleep(0.05)
    said.append(switched.status)
    switched.set(covariance=weight)
switched.join()
[*said, switched.status]

# %% [markdown]
# Above: what the status line said before the switch, at the end of the time without, and at the end of the run.

# %% tags=["figure"]
figures.switched(switched.history, "covariance", "effective_rank")

# %% [markdown]
# **Finding:** this is your run, so read it yourself. How long after the switch does the rank fall, and how far? In our
# records, where the weight is 0 from the first step on, it ends at {{ 11/removed/vicreg-no-covariance/effective-rank | .1f interval }};
# with the weight at 1 at {{ 11/removed/vicreg/effective-rank | .0f interval }}. When the weight comes back, copies of a feature are
# what the term punishes most. Then read the probe of the last line above (10 labels a class): with 5, our short runs give
# {{ 11/removed/vicreg/probe | percent }} with the term and {{ 11/removed/vicreg-no-covariance/probe | percent }} without. Has your
# encoder come back as far as the rank? Compare with the SimSiam of lesson 10, whose
# std went from {{ 10/switched/before/std | .2f }} to {{ 10/switched/off/std | .2f }} without stop-gradient and was at
# {{ 10/switched/after/std | .2f }} at the end of the run, stop-gradient back in place for half of it (while
# the learning rate fell to 0). In one point nothing pushes: the loss there is as good as it can be. So our reading of two
# runs that differ in more than this: lost directions can come back, at least in part, where the loss still protests.

# %%
def rank_of(rows):
    """The last reading in these rows of a history."""
    return next((row["effective_rank"] for row in reversed(rows) if row["effective_rank"] is not None), float("nan"))

off = [row for row in switched.history if row["knobs"]["covariance"] == 0]
cut = off[0]["step"] if off else 1
before, without, after = rank_of(switched.history[:cut]), rank_of(off), rank_of(switched.history)
print(f"rank before {before:.1f}, at the end of the time without {without:.1f}, at the end {after:.1f}")
guess_back.reveal("stays down" if after < 2 * without else "comes back in full" if after > 0.8 * before else "comes back in part")

# %% [markdown]
# ## 5. Explain (20 minutes)
#
# ### From the curves alone
#
# Four short runs. One is healthy, three lack a part. The letters are shuffled.

# %%
def watch(method, **knobs):
    """A short run -> (rows with loss, std and rank, the levels of the loss)."""
    torch.manual_seed(0)
    made = objectives.create(method, encoders.create("conv", digits), views=Augment.named("digits"), **knobs)
    rows, recent = [], deque(maxlen=5)                               # 5 batches: 640 projections for 128 features
    for step in sslab.train(made, digits, seed=0, **sslab.recipe(method, "digits", share=0.1)):
        recent.append(step.projection)
        row = {"step": step.index, "loss": float(step.loss), "std": None, "effective_rank": None}
        if step.index % 10 == 9 or step.index == 0:
            z = torch.cat(list(recent))
            row.update(std=float(evaluation.feature_std(z)), effective_rank=float(evaluation.effective_rank(z)))
        rows.append(row)
    return rows, made.reference_levels()

# %% tags=["pretrain"]
suspects = {"SimCLR": ("simclr", {}), "VICReg, no covariance": ("vicreg", {"covariance": 0.0}),
            "VICReg, no variance": ("vicreg", {"variance": 0.0}),
            "SimSiam, no norm, no stop-gradient": ("simsiam", {"output_norm": False, "stop_gradient": False})}
letters = dict(zip("ABCD", random.Random(3).sample(list(suspects), 4), strict=True))
runs = {letter: watch(suspects[name][0], **suspects[name][1]) for letter, name in letters.items()}

# %% tags=["figure"]
figures.gauges(runs, dimensions=128)

# %% [markdown]
# **Finding:** decide before you read on. Which run is healthy, which has lost its directions, which two have gone to one point?
# Cover the left column and try again: it is possible without the loss. Cover the other two: the named lines betray the two
# points, but no loss says which of the rest has lost its directions. Without those names
# a loss that falls smoothly looks like success.

# %%
guess_letter = predict("13/letter", "In which run did z keep its spread and lose its directions?", ["A", "B", "C", "D"])
guess_letter

# %%
print(letters)
guess_letter.reveal(next(letter for letter, name in letters.items() if name == "VICReg, no covariance"))

# %%
guess_std.reveal(record("11/removed/vicreg-no-covariance/std").value)

# %% [markdown]
# How to tell, in this order:
#
# | the loss | std of $z$ | rank of $z$ | prototypes in use | so it is |
# |---|---|---|---|---|
# | at the best value it can have | near 0 | *anything*, even high | one, if there are any | complete collapse: one answer for all |
# | at $\log K$, does not move | low | low or middling | says nothing: all are alike | all prototypes alike (DINO, SwAV) |
# | at the level of chance, does not move | low | low | | nothing to agree on: look at the views and pairs |
# | fine | near 1 | a few, from early on | a few | dimensional or cluster collapse, *or* a hot temperature: ask the probe |
# | fine | near 1 | tens | many | no collapse. Whether it is worth anything the probe must say |
# | any | any | at most the batch, of more features | | too few samples to tell |
#
# Why no column is enough by itself, from our records:

# %%
claim("13/std-misses-few-directions")

# %%
claim("13/rank-misses-one-point")

# %%
claim("13/best-loss-worst-encoder")

# %% [markdown]
# ### A low rank is no verdict
#
# SimCLR from cold to hot, short runs, three seeds each; probe with 5 labels a class on validation images.

# %%
def setting(name, key):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{key}").value, record(f"{name}/{key}").interval

lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}
what = {"std of z": "std", "effective rank of z": "effective-rank", "effective rank of h": "effective-rank-h",
        "validation accuracy": "probe"}

# %% tags=["figure", "comparison"]
measured = {0.05: "07", 0.1: "13", 0.2: "07", 0.5: "07", 1.0: "13", 2.0: "07", 5.0: "13"}
rows = {f"temperature {t:g}": {label: setting(f"{lesson}/temperature/{t}", key) for label, key in what.items()}
        for t, lesson in measured.items()}
rows["no views at all"] = {label: setting("07/views/none", key) for label, key in what.items()}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** at temperature `0.2` the projections fill {{ 07/temperature/0.2/effective-rank | .0f }} directions and the probe gives
# {{ 07/temperature/0.2/probe | percent interval }}; at `0.5` {{ 07/temperature/0.5/effective-rank | .0f }} directions and
# {{ 07/temperature/0.5/probe | percent interval }}; at `1` {{ 13/temperature/1.0/effective-rank | .0f }} and
# {{ 13/temperature/1.0/probe | percent interval }}; at `5` {{ 13/temperature/5.0/effective-rank | .1f }} and
# {{ 13/temperature/5.0/probe | percent interval }}. {{ claim 13/hotter-fewer-directions }} Below `0.2` the rank falls again, to
# {{ 07/temperature/0.05/effective-rank | .0f }} at `0.05`. From `0.5` up the probe falls with the rank, by
# {{ 07/temperature/0.5/probe - 13/temperature/5.0/probe | points interval }} to `5`. But from `0.2` to `0.5` the rank nearly halves and
# the probe gains {{ 07/temperature/0.5/probe - 07/temperature/0.2/probe | points interval }}; and
# {{ 13/temperature/5.0/effective-rank | .1f }} directions still leave an encoder above raw pixels, whose output $h$ fills
# {{ 13/temperature/5.0/effective-rank-h | .0f }}. The last row is the warning from the other side:
# without views all gauges are splendid, rank {{ 07/views/none/effective-rank | .0f }}, and the probe is at
# {{ 07/views/none/probe | percent interval }}, below the random encoder's {{ 07/untrained/random-encoder | percent interval }}. Raw
# pixels and chance are drawn; supervised training stands in the leaderboard below. Gauges find collapse. They do not find use.

# %%
guess_rank.reveal("more than raw pixels")

# %%
claim("13/low-rank-can-be-good")

# %%
claim("13/healthy-gauges-can-be-worthless")

# %% [markdown]
# ### $z$ falls, and $h$ stays for a while
#
# Lesson 10's SimSiam without norm on $z$: stop-gradient off after three tenths of a short run, on again after half of it.

# %% tags=["figure"]
curve = record("10/switched/curve").series
end = len(curve["step"])
rows = [{"step": int(step), "std": std, "knobs": {"stop_gradient": not 0.3 * end <= step < 0.5 * end}}
        for step, std in zip(curve["step"], curve["std"], strict=True)]
figures.switched(rows, "stop_gradient", levels={"named a collapse below": 0.1})

# %% [markdown]
# **Finding:** the std of $z$ goes from {{ 10/switched/before/std | .2f interval }} to {{ 10/switched/off/std | .2f interval }}, while kNN on
# $h$ goes from {{ 10/switched/before/knn | percent interval }} to {{ 10/switched/off/knn | percent interval }}. Our reading, without having
# measured a gradient: one layer can make $z$ constant, the last one, in the projector. From then on hardly any gradient reaches
# the encoder, and $h$ stays nearly as it was. An
# encoder that never had a signal is another matter: the same parts missing from the first step leave kNN at
# {{ 10/removed/simsiam-no-norm-no-stop-gradient/knn | percent interval }}, where the random encoder has
# {{ 10/untrained/knn/random-encoder | percent }} (and raw pixels {{ 10/untrained/knn/raw-pixels | percent }}, more than any of these). So a
# collapse seen early, in $z$, can be met before the encoder pays for it.

# %%
claim("13/z-falls-before-h")

# %% [markdown]
# ### The leaderboard
#
# All nine methods: the same encoder, views, steps and batch (SwAV sees two small crops besides), three runs each, accuracy on test
# images. Raw pixels and supervised training are one number each: the intervals hold the scatter of the methods only.

# %%
methods = {"SimCLR": "simclr", "MoCo": "moco", "BYOL": "byol", "SimSiam": "simsiam", "DINO": "dino", "SwAV": "swav",
           "Barlow Twins": "barlow_twins", "VICReg": "vicreg", "LeJEPA": "lejepa"}
boards = {data: {name: setting(f"13/board/{data}/{key}", 5) for name, key in methods.items()}
          for data in ("digits", "fashion", "emoji")}
controls = {data: {"chance": 1 / datasets.load(data).num_classes, "raw pixels": record(f"00/pixels/{data}/5").value,
                   "random encoder": record(f"13/board/{data}/random-encoder/5").value,
                   "supervised": record(f"00/supervised/{data}/5").value} for data in boards}

# %% tags=["figure", "comparison"]
figures.leaderboard(boards, controls)

# %% [markdown]
# **Finding:** 5 labels a class; the lines are raw pixels, the random encoder, supervised training from scratch and chance.
# {{ claim 13/digits-all-methods }} {{ claim 13/digits-beat-supervised }} DINO minus supervised is
# {{ 13/board/digits/dino/5 - 00/supervised/digits/5 | points interval }}; an interval that holds 0 shows no difference. VICReg has the
# highest mean, {{ 13/board/digits/vicreg/5 | percent interval }}, then SwAV, {{ 13/board/digits/swav/5 | percent interval }}; VICReg minus
# SwAV is {{ 13/board/digits/vicreg/5 - 13/board/digits/swav/5 | points interval }}. Their $z$ fills
# {{ 13/board/digits/vicreg/effective-rank | .0f }} and {{ 13/board/digits/swav/effective-rank | .0f }} directions. Barlow Twins
# fills {{ 13/board/digits/barlow_twins/effective-rank | .0f }}, the most of all, and gives
# {{ 13/board/digits/barlow_twins/5 | percent interval }}, at a std of {{ 13/board/digits/barlow_twins/std | .2f }}: well below 1, and no collapse.

# %% [markdown]
# And where they lose. {{ claim 13/fashion-all-but }} SimSiam minus raw pixels is
# {{ 13/board/fashion/simsiam/5 - 00/pixels/fashion/5 | points interval }}, DINO minus raw pixels
# {{ 13/board/fashion/dino/5 - 00/pixels/fashion/5 | points interval }}. {{ claim 13/labels-overtake }} {{ claim 13/emoji-all-but }}
# SimSiam minus raw pixels is
# {{ 13/board/emoji/simsiam/5 - 00/pixels/emoji/5 | points interval }} there, SwAV minus raw pixels
# {{ 13/board/emoji/swav/5 - 00/pixels/emoji/5 | points interval }}. Neither is shown to be above even the random encoder: the differences are
# {{ 13/board/emoji/simsiam/5 - 13/board/emoji/random-encoder/5 | points interval }} and
# {{ 13/board/emoji/swav/5 - 13/board/emoji/random-encoder/5 | points interval }}.
#
# Look at the gauges of the losers. SimSiam's $z$ fills {{ 13/board/digits/simsiam/effective-rank | .0f }} directions on digits,
# {{ 13/board/fashion/simsiam/effective-rank | .0f }} on clothes and {{ 13/board/emoji/simsiam/effective-rank | .0f }} on emoji, and its
# $h$ {{ 13/board/digits/simsiam/effective-rank-h | .0f }}, {{ 13/board/fashion/simsiam/effective-rank-h | .0f }} and
# {{ 13/board/emoji/simsiam/effective-rank-h | .0f }}. SwAV's $h$ fills {{ 13/board/digits/swav/effective-rank-h | .0f }} on digits and
# {{ 13/board/emoji/swav/effective-rank-h | .0f }} on emoji. Where these two lose, $h$ has lost directions as well. The std of SimSiam's
# $z$ is {{ 13/board/fashion/simsiam/std | .2f }} on clothes: it says nothing of that. All methods had the same steps and batch, and one
# learning rate on all three sets (SimSiam, BYOL and DINO a lower one than the rest). This ranks methods *under this recipe*; another
# one may rank them otherwise.

# %%
pixels = record("00/pixels/fashion/5")
above = sum(record(f"13/board/fashion/{key}/5").minus(pixels).interval[0] > 0 for key in methods.values())
guess_beaten.reveal(above)

# %%
claim("13/digits-beat-supervised")

# %%
claim("13/fashion-all-but")

# %%
claim("13/emoji-all-but")

# %%
claim("13/swav-fails-on-emoji")

# %%
claim("13/labels-overtake")

# %% [markdown]
# ### One row, made again
#
# `sslab compare --dataset digits --method vicreg` makes a row of that board, three seeds. Here is one seed, the full recipe, live.

# %% tags=["pretrain"]
row = Lab("vicreg", "digits", seed=0)
row.start()
row.join()
row.status

# %% tags=["comparison"]
budgets = (1, 5, 20, 100)
yours = evaluation.label_efficiency(row.objective.encoder, digits, budgets, seeds=3, penalties=(0.1,))
print(table(ledger.read(), "digits"))
print(f"{'yours: vicreg':15}" + "".join(f"{yours.mean(budget):14.3f}" for budget in budgets))
for name, path in {"raw pixels": "00/pixels/digits", "supervised": "00/supervised/digits"}.items():
    print(f"{name:15}" + "".join(f"{record(f'{path}/{budget}').value:14.3f}" for budget in budgets))

# %% [markdown]
# The random encoder is a row of the board, raw pixels and supervised training stand below it, chance is one in ten. Ours are means
# over three runs and ten draws of labels, with half the width of the interval; yours is one run with three draws. Single runs
# scatter more than their mean does, so do not be surprised if yours lies just outside.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# ### Every method, every part
#
# Three tenths of the recipe on digits, three seeds, validation images. Bold: the whole method. Red: less than the whole
# method has; blue: more. Losses of different methods, or with a term removed, cannot be compared and are not coloured.

# %% tags=["figure", "comparison"]
keys = {"loss": "loss", "std of z": "std", "rank of z": "effective-rank", "rank of h": "effective-rank-h", "kNN": "knn", "probe": "probe"}
parts = {name: {what: record(f"{path}/{key}").value for what, key in keys.items()} for name, path in REMOVED.items()}
figures.removals(parts, {"rank of z": ".1f", "rank of h": ".0f"}, plain=("loss",))

# %% [markdown]
# **Finding:** the controls first: with the same labels raw pixels give {{ 07/untrained/raw-pixels | percent }}, the random encoder
# {{ 07/untrained/random-encoder | percent interval }}, chance is one in ten (supervised: see the leaderboard). Now read down the
# probe. *Worse than an untrained encoder, or no better:* SimCLR without negatives
# {{ 07/broken/no-negatives/probe | percent interval }}, SimSiam without norm and stop-gradient
# {{ 10/removed/simsiam-no-norm-no-stop-gradient/probe | percent interval }}, BYOL without norm and predictor
# {{ 10/removed/byol-no-norm-no-predictor/probe | percent interval }}, SwAV without Sinkhorn
# {{ 12/removed/swav-no-sinkhorn/probe | percent interval }}, VICReg without variance
# {{ 11/removed/vicreg-no-variance/probe | percent interval }}, LeJEPA without its Gaussian
# {{ 11/removed/lejepa-no-gaussian/probe | percent interval }}. All of them have a std near 0; their ranks go from
# {{ 07/broken/no-negatives/effective-rank | .1f }} to {{ 11/removed/vicreg-no-variance/effective-rank | .0f }}. *Damaged:* VICReg without
# covariance {{ 11/removed/vicreg-no-covariance/probe | percent interval }} and Barlow Twins at weight `0`
# {{ 11/removed/barlow-no-decorrelation/probe | percent interval }}: few directions, std near 1, and both below raw pixels. SimSiam with its
# norm and without stop-gradient {{ 10/removed/simsiam-no-stop-gradient/probe | percent interval }}: its std is near 0 too, but the
# encoder kept more than without the norm. MoCo without negatives {{ 08/broken/no-negatives/probe | percent interval }}, at a std of
# {{ 08/broken/no-negatives/std | .2f }} on the way down (lesson 08). DINO without sharpening
# {{ 10/removed/dino-no-sharpening/probe | percent interval }}, against {{ 10/removed/dino/probe | percent interval }}. Momentum `0` moves
# MoCo, with its queue, by {{ 08/momentum/0.0/probe - 08/momentum/0.99/probe | points interval }}. *No difference shown:* BYOL at momentum `0`,
# {{ 10/removed/byol-momentum-0/probe - 10/removed/byol/probe | points interval }}; SimSiam without its norm,
# {{ 10/removed/simsiam-no-norm/probe - 10/removed/simsiam/probe | points interval }}; DINO without centring,
# {{ 10/removed/dino-no-centring/probe - 10/removed/dino/probe | points interval }}. And the column of kNN has a control that none of
# these short runs leaves far behind: raw pixels, {{ 10/untrained/knn/raw-pixels | percent }}.

# %% [markdown]
# Two rows are wide open. BYOL without its predictor, but with the norm: std {{ 10/removed/byol-no-predictor/std | .2f interval }}. And
# SimSiam without its predictor: std {{ 10/removed/simsiam-no-predictor/std | .2f interval }}. An interval that wide means that the three
# seeds did not agree: some runs fall, some do not, at least not yet. An honest table keeps such rows. About the rank of SimSiam
# all three agree. {{ claim 13/simsiam-needs-its-predictor }}
#
# Now the two columns of ranks. In eight rows $z$ has fewer than four directions left, and $h$ more than ten. What the loss looks at
# is $z$; the projector stands between that and what you keep. But directions of $h$ are no worth either: in six of the eight the
# probe is not shown to be above that of the untrained encoder.

# %%
claim("13/simsiam-needs-its-predictor")

# %% [markdown]
# ### The same on shapes
#
# VICReg on shapes: does the collapse look the same where pictures differ in colour, place and background?

# %%
raw = evaluation.label_efficiency(evaluation.raw_pixels, shapes, (5,), seeds=3, penalties=(0.1,), on="validation").mean(5)
torch.manual_seed(0)
untrained = evaluation.random_encoder(encoders.create("conv", shapes), shapes.train.images, seed=0)
untrained = evaluation.label_efficiency(untrained, shapes, (5,), seeds=3, penalties=(0.1,), on="validation").mean(5)
shape_lines = {"validation accuracy": {"chance": 1 / 6, "raw pixels": raw, "random encoder": untrained}}
shape_lines["validation accuracy"]

# %% tags=["figure", "comparison"]
rows = {name: {label: setting(f"13/shapes/{path}", key) for label, key in what.items()} for name, path in
        {"VICReg": "vicreg", "no covariance": "vicreg-no-covariance", "no variance": "vicreg-no-variance"}.items()}
figures.ablation(rows, shape_lines)

# %% [markdown]
# **Finding:** the gauges show the same two collapses. Without covariance the std is
# {{ 13/shapes/vicreg-no-covariance/std | .2f interval }} and the rank {{ 13/shapes/vicreg-no-covariance/effective-rank | .1f interval }};
# without variance {{ 13/shapes/vicreg-no-variance/std | .2f interval }} and
# {{ 13/shapes/vicreg-no-variance/effective-rank | .0f interval }}. The probe shows neither: {{ 13/shapes/vicreg/probe | percent interval }}
# whole, {{ 13/shapes/vicreg-no-covariance/probe | percent interval }} and {{ 13/shapes/vicreg-no-variance/probe | percent interval }}
# without, and the first of the two is even {{ 13/shapes/vicreg-no-covariance/probe - 13/shapes/vicreg/probe | points interval }} above
# the whole. {{ claim 13/shapes-probe-is-blind }} Raw pixels and the random encoder are drawn as you measured them just now, and the
# whole method is not above them; supervised training was not measured here, chance is one in six. Our guess at why: five labels a
# class are too few for outlines among all that colour, for this encoder, after so short a run. Where the probe finds nothing of the
# label, it has nothing to lose. Had you looked at the probe alone, you would
# have concluded that the parts do not matter. Had you looked at the gauges alone, that the whole method works.

# %%
claim("13/shapes-same-collapses")

# %%
claim("13/shapes-probe-is-blind")

# %% [markdown]
# ### Cure it
#
# | what you found | what to try, in this order |
# |---|---|
# | one point | is a part off or a weight 0? Then stop-gradient, predictor, negatives, the variance term: what does your method have? |
# | few directions | more weight on decorrelation, a lower temperature, a smaller learning rate where nothing pushes (SimSiam, BYOL, DINO) |
# | all prototypes alike | a sharper teacher; $\varepsilon$ below the temperature (SwAV) |
# | one prototype for all | centring, Sinkhorn |
# | healthy gauges, poor probe | the views: what do they leave for the task to use? |
# | a std that a norm keeps at 1 | read it without the norm, or with its running statistics |
#
# Start again with fresh weights after a complete collapse: the one of lesson 10 did not come back. The table is an order in which to try;
# these lessons measured only some of it.

# %% [markdown]
# ## 7. Exercises (25 minutes)
#
# ### Exercise 1: is it spread?
#
# *Difficulty 1/5 · importance 5/5 · 7 minutes*
#
# Scale each row of $z$ to length 1. Take the std over the batch of each feature (biased: divided by $B$), their mean, times
# $\sqrt{D}$.

# %% tags=["exercise"] name="feature_std"
def my_feature_std(z):
    """[B, D] -> scalar: about 1 spread over the sphere, 0 collapsed"""
    ### BEGIN SOLUTION
    z = torch.nn.functional.normalize(z, dim=1)
    return z.std(dim=0, unbiased=False).mean() * z.shape[1] ** 0.5
    ### END SOLUTION

# %% tags=["check"] name="feature_std"
check.feature_std(my_feature_std)

# %% [markdown]
# ### Exercise 2: how many directions?
#
# *Difficulty 2/5 · importance 5/5 · 8 minutes*
#
# Return the exponential of the entropy, in nats, of the singular values of the centred $z$, each divided by their sum. It has to be
# finite where some singular values are 0.

# %% tags=["exercise"] name="effective_rank" points=2
def my_effective_rank(z):
    """[B, D] -> scalar from 1 to D"""
    ### BEGIN SOLUTION
    # stub: s = ...                                          # singular values of the centred z
    # stub: p = ...                                          # they sum to 1
    # stub: return ...
    s = torch.linalg.svdvals(z - z.mean(dim=0))
    p = s / s.sum()
    return torch.special.entr(p).sum().exp()                         # entr(p) = -p log p, and 0 for p = 0
    ### END SOLUTION

# %% tags=["check"] name="effective_rank" points=2
check.effective_rank(my_effective_rank)

# %% [markdown]
# ### Exercise 3: how even?
#
# *Difficulty 3/5 · importance 3/5 · 10 minutes*
#
# Uniformity: normalise the rows; for every pair of different pictures take $\exp(-t\,\lVert z_i - z_j \rVert^2)$; return the log of the
# mean. It is 0 for one point. Think first: what would six points give, with many pictures on each? Would it see them?

# %% tags=["exercise"] name="uniformity" points=2
def my_uniformity(z, t=2.0):
    """[B, D] -> scalar, 0 for one point, lower is more even"""
    ### BEGIN SOLUTION
    # stub: squared = ...                                    # squared distances of all pairs i < j
    # stub: return ...
    squared = torch.pdist(torch.nn.functional.normalize(z, dim=1)).square()
    return (-t * squared).exp().mean().log()
    ### END SOLUTION

# %% tags=["check"] name="uniformity" points=2
check.uniformity(my_uniformity)

# %%
if check.uniformity(my_uniformity).passed:
    print({name: round(float(my_uniformity(z)), 2) for name, z in clouds.items()})

# %% [markdown]
# Lower is more even. If your function passed, the five clouds of section 2 stand above. The six points are clearly apart from the
# healthy cloud: about a sixth of all pairs has a distance near 0, so the mean of the exponentials stays near a sixth or above. The
# three directions are apart as well, which the std did not see.

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - Collapse has kinds: one point, few directions, few points. The std sees the first, the rank the others.
# - So std first, rank second, with more samples than features. And never the loss alone: its best value may be the collapse.
# - Look at $z$ for collapse, at $h$ for worth. $z$ falls first; what $h$ has learned stays for a while.
# - No gauge is a score. A rank of 4 can be useful and one of 100 useless. The probe decides, for the labels you have.
# - A part is needed, here, for this long, if a run without it is worse by more than the seeds differ. Take it out and measure.
# - A fair comparison shows its controls, its intervals, and where it loses.
#
# ## Papers
#
# - Jing, Vincent, LeCun, Tian 2021: *Understanding dimensional collapse in contrastive self-supervised learning*,
#   arXiv:2110.09348
# - Garrido, Balestriero, Najman, LeCun 2022: *RankMe: assessing the downstream performance of pretrained self-supervised
#   representations by their rank*, arXiv:2210.02885
# - Wang and Isola 2020: *Understanding contrastive representation learning through alignment and uniformity on the
#   hypersphere*, arXiv:2005.10242
# - Chen and He 2020: *Exploring simple Siamese representation learning*, arXiv:2011.10566
# - Roy and Vetterli 2007: *The effective rank: a measure of effective dimensionality*, EUSIPCO
