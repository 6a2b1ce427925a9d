# %% [markdown]
# # 17 · Capstone: your own data, and your own objective
#
# Sixteen lessons used data that somebody had prepared and objectives that somebody had written. Here both are yours. First a
# folder of pictures (or a text, or pictures with captions) goes all the way from the files on your disk to one page that you
# can show. Then you write an objective that this course does not have, in about forty lines.
#
# ## What you will be able to do
#
# - look at data of your own and say which objective to try first, and why;
# - say what came out of it, beside the controls it must beat, and how sure that is;
# - find the leak that people's own folders have more often than any other;
# - write an objective, hold it to the contract, and put it on screen.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 17/time/cpu | minutes }} on a two-core CPU and less on a GPU. A folder of your own
# adds the time to read its files; one of twenty thousand pictures adds a minute of measuring to that.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives, report
from sslab.course import claim, record
from sslab.course.lessons import nb17
from sslab.knobs import number
from sslab.lab import Lab, check, predict, show_source
from sslab.objectives import Loss, TwoViews, across
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (4 minutes)
#
# About a thousand drawings lie in seven folders: animals, buildings, food and so on. Seven in ten of them are to train on.

# %%
guess_first = predict("17/first", "With 5 labels of each class, which is right most often on drawings it has never seen?",
                      ["raw pixels", "an encoder that was never trained", "SimCLR on these drawings", "training from scratch"])
guess_first

# %%
guess_copies = predict("17/copies", "Half of the drawings are saved a second time, smaller, under another name. Nothing is trained. "
                       "kNN on raw pixels ...", ["gets worse", "stays as it is", "seems to get better"])
guess_copies

# %%
guess_push = predict("17/push", "Your own loss will pull partners together and push others apart. You set the push to 0. The loss ...",
                     ["rises", "stays where it is", "falls to the lowest value it can have"])
guess_push

# %% [markdown]
# ## 2. See your data (10 minutes)
#
# **This is the line to change.** Without a path of yours the notebook makes a folder from clip art that comes with it, in many sizes
# and kinds of file, and with some damage, as folders have it.

# %%
MY_DATA = os.environ.get("SSLAB_MY_DATA", "")                # or write it here: "folder:~/Pictures", "text:novel.txt", "pairs:captions.csv"
scratch = tempfile.TemporaryDirectory()                      # it is gone when this notebook's kernel ends
KEEP = Path(scratch.name)                                    # where the reports go: a folder of yours, to keep them

# %%
example = datasets.folder.write_example(Path(scratch.name) / "clipart")
data = sslab.load(MY_DATA or f"folder:{example}")
data

# %% [markdown]
# Some files could not be read. Each is listed with the reason, and nothing stops because of it.

# %%
data.skipped

# %% [markdown]
# Read the card. Are these all of your files? Are the classes what you mean by them? Whose pictures are they? Then ask for a
# suggestion. It comes from a few rules that look at kind, size, labels and colours, and it cannot see what you want.

# %%
first = report.suggest(data)
first

# %% tags=["figure"]
views = objectives.views_for(first.objective, data.name)
views.set(**{name: value for name, value in first.knobs.items() if name in views.knobs})
figures.views(data.train.images[::max(1, len(data.train) // 5)][:5], views) if hasattr(data, "channels") and hasattr(data, "images") else data

# %% [markdown]
# **Finding:** on drawings a view may be mirrored, in other colours or a part of the whole. Everything that changes here is what the
# encoder will be taught to ignore. Look for what *you* need: if it is gone from the views, set that knob lower before you train.

# %% [markdown]
# ## 3. Read the contract (8 minutes)
#
# What makes something an objective? It turns a batch into views, and views into a loss. Most objectives of this course that compare
# two views begin with this:

# %%
show_source(TwoViews)

# %% [markdown]
# You will add a loss that none of the lessons has. For partners $z_i, z_i'$ and other pictures $z_j'$:
#
# $$L = -2\, \frac{1}{B} \sum_i z_i^\top z_i' \; + \; \lambda\, \frac{1}{B (B - 1)} \sum_{i \neq j} \left( z_i^\top z_j' \right)^2$$
#
# It is the *spectral contrastive loss*. Partners should have a large inner product. Others should have one of **zero**, neither
# large nor negative, for the square punishes both. Its authors show that, at $\lambda = 1$ and with $z$ free, the best $z$ are, up to a rotation and a scale for each view, the leading
# eigenvectors of a graph in which two views are joined if they may come from one picture: the reason for the name, and a rare case of a proof of what is learned.
#
# A new objective is held to this. Our tests run it on every one of ours.

# %%
show_source(sslab.testing.check_objective)

# %% [markdown]
# ## 4. Run it on your data (10 minutes)
#
# Run the cell below it, or press Start here and skip that cell. Watch the map and the gauges. Does the loss fall below chance? Does the rank hold?

# %%
options = sslab.recipe(first.objective, data.name, images=len(data.train), share=nb17.SHARE)
lab = Lab(first.objective, data, encoder=first.encoder, seed=0, **options)
lab.set(**first.knobs)
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% [markdown]
# ## 5. Explain: what is it worth? (14 minutes)
#
# One call measures it beside its controls: chance, raw pixels, a random encoder, and supervised, the same encoder from scratch on the same labels.
# Here supervised gets one setting, so that it ends within a minute; our records search through four.
# If your data has no labels, other questions take their place.

# %% tags=["figure", "comparison"]
labels = (5,) if data.num_classes else None
one = ({"learning_rate": 3e-3, "steps": sslab.by_mode(4, 150), "weight_decay": 0.3},)
levels = lab.objective.reference_levels()
found = report.examine(lab.objective, data, labels=labels, draws=5, supervised=one)
found

# %% [markdown]
# **Finding:** on the drawings, with 5 labels a class, SimCLR is right on {{ 17/clipart/small/5/simclr | percent interval }} of the test
# drawings, raw pixels on {{ 17/clipart-raw/5/raw-pixels | percent }}, the random encoder on
# {{ 17/clipart/large/5/random-encoder | percent interval }}, supervised from scratch on {{ 17/clipart-supervised/5 | percent }}; chance is one
# in seven. With 20 labels it is {{ 17/clipart/small/20/simclr | percent interval }}, against {{ 17/clipart-raw/20/raw-pixels | percent }},
# {{ 17/clipart/large/20/random-encoder | percent interval }} and {{ 17/clipart-supervised/20 | percent }}: with 20 labels training from scratch is ahead. With 5 its single run
# is higher too, but has no interval, and our three seeds cannot tell SimCLR from the random encoder. By kNN among all labelled drawings it is {{ 17/clipart/small/knn/simclr | percent interval }} against
# {{ 17/clipart/large/knn/random-encoder | percent interval }} and {{ 17/clipart-raw/knn/raw-pixels | percent }} for pixels. Seven hundred drawings are few to learn to see from. Ours are three runs, supervised and raw pixels one. Yours is one, and its
# intervals are about labels and test pictures alone.

# %%
measured = {"raw pixels": "17/clipart-raw/5/raw-pixels", "an encoder that was never trained": "17/clipart/large/5/random-encoder",
            "SimCLR on these drawings": "17/clipart/small/5/simclr", "training from scratch": "17/clipart-supervised/5"}
guess_first.reveal(max(measured, key=lambda name: record(measured[name]).value))

# %%
claim("17/clipart-beats-pixels")

# %% [markdown]
# A drawing stands on white, and a small part of it may show nothing else. So larger parts, half of it or more, should make better views? That is a guess, and a guess can be
# measured. On *validation* drawings, since whoever compares settings is choosing:

# %% tags=["figure", "comparison"]
rows = {f"{100 * share:.0f} % or more": (record(f"17/clipart/{name}/validation/simclr").value, record(f"17/clipart/{name}/validation/simclr").interval)
        for name, share in nb17.CROPS.items()}
lines = {"raw pixels": record("17/clipart-raw/validation/raw-pixels").value,
         "random encoder": record("17/clipart/large/validation/random-encoder").value, "chance": 1 / 7}
figures.settings({"SimCLR": rows}, lines, "validation accuracy, 5 labels a class", "of a drawing in a view")

# %% [markdown]
# **Finding:** views of a fifth or more give {{ 17/clipart/small/validation/simclr | percent interval }}, of half or more
# {{ 17/clipart/large/validation/simclr | percent interval }}; raw pixels {{ 17/clipart-raw/validation/raw-pixels | percent }}, the random encoder
# {{ 17/clipart/large/validation/random-encoder | percent interval }}, chance one in seven; supervised stands above. There are about a hundred
# validation drawings: a small difference could not be seen here even if there was one. So the usual setting stays. (We had written the guess into the suggestion above, measured
# this, and took it out again.)

# %% [markdown]
# ### One page
#
# What was found, the table, neighbours, curves, diagnosis, what was skipped, settings, and what it does *not* say. One file, nothing else
# is needed to open it, and nothing of yours is overwritten.

# %%
page = report.write(found, KEEP / "report.html", lab.history, report.settings(lab), levels)
print(f"{page}: {page.stat().st_size / 1000:.0f} kB. Open it in a browser; print it from there to get a PDF.")

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# ### The leak that nobody plants
#
# In people's folders pictures lie twice: sent to a friend and saved again, resized for a page, ten of a series. The bytes differ, so the
# split does not know. One copy is then trained on and the other tested on.

# %%
twice = Path(shutil.copytree(example, Path(scratch.name) / "twice"))
print(nb17.save_again(twice), "drawings of the clip art saved again")
once, doubled, right = sslab.load(f"folder:{example}"), sslab.load(f"folder:{twice}"), {}
for name, some in (("once", once), ("half of them twice", doubled)):
    near = evaluation.knn(evaluation.raw_pixels(some.train.images), some.train.labels, evaluation.raw_pixels(some.test.images))
    right[name] = float((near == some.test.labels).float().mean())
right, report.near_copies(once), report.near_copies(doubled)

# %% tags=["figure", "comparison"]
kinds = {"raw-pixels": "raw pixels, kNN", "random-encoder": "random encoder, kNN"}
rows = {says: {("once" if name == "without" else "half of them twice"): (record(f"17/copies/{name}/{of}").value, record(f"17/copies/{name}/{of}").interval)
               for name in ("without", "with")} for of, says in kinds.items()}
figures.settings(rows, {"chance": 1 / 7}, "test accuracy")

# %% [markdown]
# **Finding:** kNN on raw pixels goes from {{ 17/copies/without/raw-pixels | percent interval }} to {{ 17/copies/with/raw-pixels | percent interval }},
# on a random encoder from {{ 17/copies/without/random-encoder | percent interval }} to {{ 17/copies/with/random-encoder | percent interval }}; chance is one
# in seven. Nothing was trained, neither self-supervised nor supervised: a copy among the neighbours is enough. It has one vote of twenty,
# which is why so many copies add no more. The report looks for near copies and found them for
# {{ 17/copies/with/copies | percent interval }} of the test drawings, where {{ 17/copies/without/copies | percent interval }} had one before: a few are in the
# collection twice.

# %%
claim("17/copies-flatter", yours={"17/copies/with/raw-pixels": right["half of them twice"], "17/copies/without/raw-pixels": right["once"]})

# %%
guess_copies.reveal("seems to get better")

# %% [markdown]
# The cure is not to delete copies from the test alone. Keep what belongs together (a series, a person, a day) in one part. Our folder loader cannot do
# that, as it splits by each file's bytes: keep one picture of each series, or make the split in code of your own, and say in the report what you did.
#
# ### What the report cannot see
#
# It measures what it is given. If a folder is called *cats* and every cat sits on the same sofa, an encoder that knows the sofa does well, on test
# too. Lesson 14 has the tools for such questions; lesson 01 has the cheats that can be found by looking at the code.

# %% [markdown]
# ## 7. Exercises (40 minutes)
#
# ### Exercise 1: the loss
#
# *Difficulty 2/5 · importance 5/5 · 10 minutes*
#
# Write the spectral contrastive loss of section 3. `z1` and `z2` are taken as they are; `push` is the $\lambda$ of the second term. The line
# above the function keeps half precision out of it, where a product has three digits.

# %% tags=["exercise"] name="spectral"
@objectives.base.full_precision
def my_spectral(z1, z2, push=1.0):
    """[B, D], [B, D], number -> scalar"""
    ### BEGIN SOLUTION
    # stub: inner = ...                                            # [B, B], row i of z1 with row j of z2
    # stub: partners = ...                                         # [B], where are they?
    # stub: others = ...                                           # a mean over B (B - 1) squares
    # stub: return ...
    inner = z1 @ z2.T
    partners = inner.diagonal()
    others = (inner.square().sum() - partners.square().sum()) / (len(z1) * (len(z1) - 1))
    return -2 * partners.mean() + push * others
    ### END SOLUTION

# %% tags=["check"] name="spectral" points=3
check.spectral(my_spectral)

# %% [markdown]
# ### Exercise 2: the objective
#
# *Difficulty 3/5 · importance 5/5 · 20 minutes*
#
# `TwoViews` makes the views and has encoder and projector. You write what happens to $z$. Put it on a sphere whose squared radius is the knob `radius`
# (free lengths train less steadily; with a fixed one the proof of section 3 no longer applies), in float32. Several processes see a part of the batch each: `across.gather(z, 2)` gives everybody's
# two views, stacked.
#
# Then the lines for the plot. What is the loss if all $z$ are the same? And if partners and others alike are as unrelated as random directions,
# whose squared cosine is $1 / 128$ on average?

# %% tags=["exercise"] name="own_objective"
class Spectral(TwoViews):
    title = "Spectral contrastive"
    push = number(1.0, 0.0, 10.0, help="How hard other pictures are pushed away. 0: nothing pushes.")
    radius = number(4.0, 0.5, 32.0, log=True, help="Squared length of z: about so many directions are worth using.")
    def forward(self, views):
        h, z = self.see(views)                                     # [2B, D], [2B, P]
        ### BEGIN SOLUTION
        # stub: z = ...                                            # float32, of squared length self.radius
        # stub: z1, z2 = ...                                       # [B, P] each, of all processes
        # stub: total = ...
        z = torch.nn.functional.normalize(z.float(), dim=1) * self.radius**0.5
        z1, z2 = across.gather(z, 2).chunk(2)
        total = my_spectral(z1, z2, self.push)
        ### END SOLUTION
        return Loss(total, {"attraction": my_spectral(z1, z2, 0.0)}, h, z)
    def reference_levels(self):
        ### BEGIN SOLUTION
        # stub: return {"collapsed": ..., "unrelated": ...}
        return {"collapsed": self.push * self.radius**2 - 2 * self.radius, "unrelated": self.push * self.radius**2 / 128}
        ### END SOLUTION

# %% tags=["check"] name="own_objective" points=4
mine = check.own_objective(lambda: Spectral(encoders.create("conv", (1, 28)), Augment.named("digits")))
mine

# %% [markdown]
# Green? Then it goes on screen. Start it, and turn **push** and **radius** while it trains.

# %%
own, digits = "Exercise 2 comes first.", datasets.load("digits")
if mine.passed:
    torch.manual_seed(0)
    own = Lab(Spectral(encoders.create("conv", digits), Augment.named("digits")), digits, seed=0, **sslab.recipe("simclr", "digits", share=0.08))
own

# %% tags=["pretrain"]
pushed = {}
for push in (1.0, 0.0) if mine.passed else ():
    own.set(push=push)
    own.start()
    own.join()
    pushed[f"push {push:g}"] = [row["loss"] for row in own.history]
    print(f"push {push:g}:", own.status)

# %% tags=["figure"]
figures.loss(pushed, {"collapsed at push 0": -2 * 4.0}) if pushed else "Exercise 2 comes first."

# %% [markdown]
# **Finding:** without the push the loss falls to the lowest value it can have, minus twice the knob **radius**: all partners at the
# same place, and everybody else there too. In our records the std of the projections is {{ 17/own/off/std | .3f }} then, and {{ 17/own/on/std | .2f }} with the
# push.

# %%
guess_push.reveal("falls to the lowest value it can have")

# %%
claim("17/no-push-collapses")

# %% tags=["figure", "comparison"]
names = {"Spectral": "17/own/on", "Spectral, no push": "17/own/off", "SimCLR": "07/temperature/0.5"}
rows = {says: (record(f"{name}/probe").value, record(f"{name}/probe").interval) for says, name in names.items()}
lines = {"raw pixels": record("07/untrained/raw-pixels").value, "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}
figures.settings({"three runs each": rows}, lines, "validation accuracy, 5 labels a class")

# %% [markdown]
# **Finding:** after a short run on digits your objective gives {{ 17/own/on/probe | percent interval }} with 5 labels a class, SimCLR for the same steps
# {{ 07/temperature/0.5/probe | percent interval }}, raw pixels {{ 07/untrained/raw-pixels | percent }}, a random encoder
# {{ 07/untrained/random-encoder | percent }}, chance one in ten; supervised from scratch, on test images, {{ 00/supervised/digits/5 | percent }}. On digits, after a
# short run, that is about where SimCLR is. Neither was tuned against the other, so do not rank them by this.

# %%
claim("17/own-objective-learns")

# %% [markdown]
# And on your own data? The same encoder and views as in section 4, your objective, a second page. (Pictures only.)

# %% tags=["pretrain"]
second = None
if mine.passed and first.objective == "simclr":
    torch.manual_seed(0)
    made = Spectral(encoders.create(first.encoder or "conv", data), objectives.views_for("simclr", data.name))
    again = Lab(made, data, seed=0, **{**options, "steps": max(3, options["steps"] // 3)})
    again.set(**first.knobs)
    again.start()
    again.join()
    second = report.examine(again.objective, data, labels=labels, draws=5, supervised=False)
    report.write(second, KEEP / "report_spectral.html", again.history, report.settings(again))
second

# %% [markdown]
# ### Exercise 3: how sure is a share?
#
# *Difficulty 2/5 · importance 5/5 · 10 minutes*
#
# Your test part has 20 pictures and the encoder is right on all of them. Is it always right? The usual interval, share ± 1.96 standard errors, says yes, from
# 100 % to 100 %. Wilson asks it the other way round: which true shares $p$ would make what was seen no surprise? With $\hat p$ right of $n$ and $z = 1.96$:
#
# $$\frac{1}{1 + z^2/n} \left( \hat p + \frac{z^2}{2n} \; \pm \; z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}} \right)$$

# %% tags=["exercise"] name="share_interval"
def my_share_interval(right, count):
    """two whole numbers -> (low, high), shares from 0 to 1"""
    z = 1.959964
    ### BEGIN SOLUTION
    # stub: share = ...
    # stub: middle = ...
    # stub: half = ...
    # stub: return ...
    share, below = right / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / below
    half = z / below * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return middle - half, middle + half
    ### END SOLUTION

# %% tags=["check"] name="share_interval" points=2
check.share_interval(my_share_interval)

# %%
if check.share_interval(my_share_interval).passed:
    for right_of, count in ((20, 20), (18, 20), (45, 50), (180, 200), (1800, 2000)):
        low, high = my_share_interval(right_of, count)
        print(f"{right_of:5} of {count:5}: {100 * low:5.1f} to {100 * high:5.1f} %")

# %% [markdown]
# With 90 % right, how many test pictures does it take until the interval no longer holds 85 %? Read it off, and then look at your own report again.

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - Read the card, the list of what was skipped and a sheet of views before anything is trained.
# - Every number stands beside its controls and has an interval. If the interval of the difference holds zero, no difference was shown.
# - Copies between training and test are the leak of people's own data. They flatter everything, also what has learned nothing.
# - An objective is a task and a loss. The contract is what makes it one that others can use: knobs, levels, seeds, several processes.
# - A report says what it does not say.
#
# ## Papers
#
# - HaoChen, Wei, Gaidon, Ma 2021: *Provable guarantees for self-supervised deep learning with spectral contrastive loss*, arXiv:2106.04156
# - Chen, Kornblith, Norouzi, Hinton 2020: *A simple framework for contrastive learning of visual representations*, arXiv:2002.05709
# - Wilson 1927: *Probable inference, the law of succession, and statistical inference*, Journal of the American Statistical Association 22(158)
# - Gebru et al. 2018: *Datasheets for datasets*, arXiv:1803.09010
# - Barz, Denzler 2019: *Do we train on test data? Purging CIFAR of near-duplicates*, arXiv:1902.00423
