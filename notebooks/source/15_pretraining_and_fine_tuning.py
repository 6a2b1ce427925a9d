# %% [markdown]
# # 15 · Pretraining and fine-tuning: what a good start is worth
#
# The other lessons ended with an encoder and a probe. Here the encoder goes to work. You can leave it as it is, train a layer on it, or
# train all of it further, and there is more than one way to do that. You can take it to other data than it grew up on. And you can
# ask the question that decides whether any of it was a good idea: **what did the pretraining cost, and what did it buy?**
#
# ## What you will be able to do
#
# - use a pretrained encoder in five ways, and say which parts learn in each;
# - explain why a head that begins at random can harm an encoder, and measure whether it does;
# - read off, in seconds and in labels, where pretraining begins to pay and where it stops;
# - test a model on pictures that are not like those it was trained on, without fooling yourself;
# - use a pretrained network for classification, retrieval, prediction or generation.
#
# ## Time
#
# 105 minutes of yours. The machine needs {{ 15/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures
from sslab.course import claim, verdict
from sslab.course.lessons import nb15
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# An encoder was pretrained on clothes without labels. Then you get a few labels.

# %%
guess_head = predict("15/head", "You train the encoder further with 5 labels a class. The new last layer begins at random. Against one that begins as a "
                     "linear probe, the random one is ...", ["clearly better", "no different that we could measure", "clearly worse"])
guess_head

# %%
guess_labels = predict("15/labels", "From how many labels a class on is the same network, trained from scratch, better than the pretrained one, fine-tuned?",
                       ["from 20 or fewer", "from 20 to 100", "not with 100 either, that we could measure"])
guess_labels

# %%
guess_digits = predict("15/digits", "An encoder that has only ever seen handwritten digits looks at clothes, with 5 labels a class. A probe of it is ...",
                       ["better than one of raw pixels", "no different that we could measure", "worse than one of raw pixels"])
guess_digits

# %%
guess_shift = predict("15/shift", "Test pictures become noisy, blurred, pale or half hidden. The probe of the self-supervised encoder, against the "
                      "network trained with the same labels, is then ...", ["more often right", "no different that we could measure", "less often right"])
guess_shift

# %% [markdown]
# ## 2. See the data and the task (6 minutes)
#
# Clothes again, with 5 labels a class: fifty labelled pictures, and 18,000 without labels.

# %%
fashion = datasets.load("fashion")
rows = evaluation.draw_labels(fashion.train.labels, 5, draw=0)       # [50]
views = Augment.named("fashion")
fashion.card

# %% [markdown]
# And the test pictures as you may meet them one day. Noise and blur are in no training. Contrast and hidden parts are, in a milder form: the views change
# contrast and erase rectangles.

# %% tags=["figure"]
figures.spoiled(fashion.test.images[:3])

# %% [markdown]
# **Finding:** four ways to spoil a picture, each by severity. At severity `1` a person hardly minds; a network may. At `5` some pictures are beyond a person, too.
# A model is worth more if it fails late and slowly. That needs a test of its own: a good score on clean pictures says nothing about it.

# %% [markdown]
# ## 3. Read: five ways to use an encoder (10 minutes)
#
# | strategy | encoder | head |
# |---|---|---|
# | frozen | as it is | the nearest class mean; nothing is trained |
# | linear | as it is | logistic regression |
# | full | trained | trained, random at first |
# | linear then full | trained | trained, begins as the logistic regression |
# | discriminative | trained, more slowly the lower the layer | trained, begins as the logistic regression |

# %%
show_source(evaluation.adapt)

# %% [markdown]
# Why should the head's beginning matter? The loss reaches the encoder $h = f_\theta(x)$ only through the head $W$:
#
# $$\frac{\partial \ell}{\partial \theta} = \frac{\partial h}{\partial \theta}^{\!\top} \, W^{\top} (p - y)$$
#
# $p$ are the head's probabilities, $y$ is the true class as 0s and a 1, and $W$ has a row a class. With a random $W$ the error $p - y$ is large and is sent back in random directions. The encoder moves to suit a head that knows
# nothing yet. With a $W$ that has been fitted first, $p - y$ is small, and so is the gradient (Kumar et al. 2022). In plain gradient descent
# the first steps are then small, too. AdamW, which the lab uses, divides by the gradient's size: there the direction changes, hardly the size of the step.
#
# **Discriminative** rates say the same by layers. What is low in the network, edges and strokes, serves every task and should move little.
# With decay $d$ a layer that lies $k$ layers below the head learns at the rate $\eta d^k$ (Howard and Ruder 2018). How does the lab do it?

# %%
show_source(evaluation.fine_tuning.FineTuned)

# %% [markdown]
# A step of AdamW is proportional to its learning rate. So taking a share of the step that was made is the same as a smaller rate. A test in the
# package compares this with AdamW itself, with a group of parameters for each layer.

# %%
{f"layer {depth}": sum(p.numel() for p in layer)
 for depth, layer in enumerate(evaluation.layers(sslab.encoders.create("conv", fashion)))}

# %% [markdown]
# ## 4. Run it live (10 minutes)
#
# First the pretraining: SimCLR, half of the usual steps. Watch the probe, and note the seconds. They are the price.

# %%
lab = Lab("simclr", "fashion", seed=0, **sslab.recipe("simclr", "fashion", share=nb15.SHARE))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
encoder = lab.objective.encoder.cpu()
lab.status

# %% [markdown]
# Then all five strategies with the same fifty labels. This is one draw of labels and one setting for everybody: a look, not a result.

# %%
yours = nb15.side_by_side(encoder, fashion, rows, views, **nb15.short())
for strategy, (share, seconds) in yours.items():
    print(f"{strategy:18}{share:6.2f} of the test pictures, after {seconds:.1f} s")

# %% [markdown]
# ## 5. Explain (35 minutes)
#
# ### How much of it should learn?
#
# Our records: three pretraining runs, each with labels of its own, the same for all who are compared. The bands are 95 %
# intervals over the three runs. With few labels they are wide, since it matters much which pictures are labelled. Differences named below the figures are taken
# run by run, so that this mostly cancels. What is trained had a few settings to choose from, as many for each, tried once on the validation part with the first
# run's encoder. The tuned networks differ in the rate only and always take 60 steps; from scratch it is 150 or 300. Frozen and linear choose nothing. The
# test part was read once.

# %%
ways = {name: f"15/images/{nb15.slug(name)}/{{}}" for name in evaluation.STRATEGIES}
controls = {name: f"15/images/{nb15.slug(name)}/{{}}" for name in ("supervised", "raw pixels", "random encoder")}

# %% tags=["figure", "comparison"]
title = "clothes"
figures.worth({title: nb15.by_labels(ways | controls)}, {title: "labels a class"}, {title: {"chance": 0.1}})

# %% [markdown]
# **Finding:** with 5 labels a class: frozen {{ 15/images/frozen/5 | percent interval }}, linear {{ 15/images/linear/5 | percent interval }}, full
# {{ 15/images/full/5 | percent interval }}, linear then full {{ 15/images/linear-then-full/5 | percent interval }}, discriminative
# {{ 15/images/discriminative/5 | percent interval }}. The controls: supervised from scratch {{ 15/images/supervised/5 | percent interval }}, raw pixels
# {{ 15/images/raw-pixels/5 | percent interval }}, the random encoder {{ 15/images/random-encoder/5 | percent interval }}, chance one in ten.
# With these three draws we cannot tell linear from raw pixels ({{ 15/images/linear/5 - 15/images/raw-pixels/5 | points interval }}). Over ten draws we can.
# {{ claim 15/few-labels-images }} With 100 labels a class: linear {{ 15/images/linear/100 | percent interval }}, linear then full
# {{ 15/images/linear-then-full/100 | percent interval }}, supervised {{ 15/images/supervised/100 | percent interval }}, and raw pixels
# {{ 15/images/raw-pixels/100 | percent interval }}, as good as the probe. The head that begins as a probe
# gains {{ 15/images/linear-then-full/5 - 15/images/full/5 | points interval }} over the random one with 5 labels, and
# {{ 15/images/linear-then-full/100 - 15/images/full/100 | points interval }} with 100 (1,000 pictures in `60` steps are fewer than four rounds, so
# part of this may be that a random head had too little time; we did not test that); slower lower layers gain
# {{ 15/images/discriminative/5 - 15/images/linear-then-full/5 | points interval }} on top. An interval that holds 0 means: we could not tell.

# %%
claim("15/few-labels-images", yours={"15/images/ten-draws/linear": yours["linear"][0]})

# %%
guess_head.reveal(verdict("15/images/full/5", "15/images/linear-then-full/5", *guess_head.options))

# %% [markdown]
# Text next: the BERT of lesson 04, which read 108,000 definitions, and twelve kinds of them to tell apart. Its checkpoint lies beside the data.

# %%
wordnet = datasets.load("wordnet")
bert = sslab.pretrained("bert", wordnet)
few = evaluation.draw_labels(wordnet.train.labels, 10, draw=0)       # [120]
tuned = evaluation.adapt(bert.encoder, wordnet, few, "linear then full", **nb15.short())
f"yours, linear then full, one draw of 10 labels a class: {evaluation.accuracy(tuned, wordnet.test):.2f}"

# %% tags=["figure", "comparison"]
ways = {name: f"15/text/{nb15.slug(name)}/{{}}" for name in evaluation.STRATEGIES}
controls = {"supervised": "15/text/supervised/{}", "raw text (TF-IDF)": "15/text/raw-text/{}", "random encoder": "15/text/random-encoder/{}"}
title = "definitions"
figures.worth({title: nb15.by_labels(ways | controls, nb15.TEXT_BUDGETS)}, {title: "labels a class"}, {title: {"chance": 1 / 12}})

# %% [markdown]
# **Finding:** with 10 labels a class: frozen {{ 15/text/frozen/10 | percent interval }}, linear {{ 15/text/linear/10 | percent interval }}, full
# {{ 15/text/full/10 | percent interval }}, linear then full {{ 15/text/linear-then-full/10 | percent interval }}, discriminative
# {{ 15/text/discriminative/10 | percent interval }}; supervised from scratch {{ 15/text/supervised/10 | percent interval }}, the raw words by TF-IDF
# {{ 15/text/raw-text/10 | percent interval }}, the random encoder {{ 15/text/random-encoder/10 | percent interval }}, chance one in twelve.
# {{ claim 15/text-pays }} The head that begins as a probe gains {{ 15/text/linear-then-full/10 - 15/text/full/10 | points interval }} with 10
# labels and {{ 15/text/linear-then-full/200 - 15/text/full/200 | points interval }} with 200. Slower lower layers change it by
# {{ 15/text/discriminative/200 - 15/text/linear-then-full/200 | points interval }} with 200: in `60` steps too little moves. So how much should learn? All of it
# (linear then full) less the head alone (linear): {{ 15/text/linear-then-full/10 - 15/text/linear/10 | points interval }} with 10 labels and
# {{ 15/text/linear-then-full/200 - 15/text/linear/200 | points interval }} with 200; on clothes
# {{ 15/images/linear-then-full/5 - 15/images/linear/5 | points interval }} with 5 and {{ 15/images/linear-then-full/100 - 15/images/linear/100 | points interval }}
# with 100. With few labels the head is enough; with many, train all. (Three draws of labels; the checkpoint is one.)

# %%
claim("15/text-pays")

# %% [markdown]
# ### When is pretraining worth it?
#
# On the left, accuracy by seconds of training **pretraining included** (the checkpoint's seconds are those that it was made with, on one core). "Pretrained" is a linear probe,
# taken on the way; a dot more to the right is a longer pretraining. "Supervised" is the same network from scratch, for longer and longer. On the
# right, by labels: linear then full, and from scratch. (On clothes with 1 and 5 labels the linear probe has the higher mean.)

# %% tags=["figure", "comparison"]
figures.worth(*nb15.worth_panels())                              # dotted: controls on the left, chance everywhere

# %% [markdown]
# **Finding:** the dashed line stands where one mean is above the other for as far as we measured, read between two points on a straight line. It knows no
# intervals. On images with 100 labels supervised less linear then full is {{ 15/images/supervised/100 - 15/images/linear-then-full/100 | points interval }}: we
# could not tell. On images, pretraining took
# {{ 15/images/pretraining/seconds | .0f }} seconds and tuning with 5 labels a class {{ 15/images/linear-then-full/5/seconds | .1f }}; from scratch with
# the same labels took {{ 15/images/supervised/5/seconds | .1f }} seconds and got {{ 15/images/supervised/5 | percent interval }}; with twice the steps
# {{ 15/images/scratch/5/3 | percent interval }}. We did not go further. On text the checkpoint took {{ 15/text/pretraining/seconds | minutes }}, and tuning it
# {{ 15/text/linear-then-full/10/seconds | .0f }} seconds. A probe of another, short BERT run of {{ 15/text-short/after/1/seconds | .0f }} seconds is right on
# {{ 15/text-short/after/1/10 | percent interval }}, no better than the random encoder that we could measure. Between it and the checkpoint we have no point, so
# the dashed line there is a guess. {{ claim 15/early-end }} In the panels by labels, the gap between pretrained and supervised closes from left to right.
# The other controls, raw pixels or words, the random encoder and chance, cost next to nothing: look how far they get you.

# %%
claim("15/early-end")

# %% [markdown]
# The same as a price list: points for a minute of pretraining, and how many labels a class the network from scratch would need.

# %%
print(nb15.bought_in_words("images"), nb15.bought_in_words("text"), sep="\n\n")

# %%
ahead = [n for n in nb15.BUDGETS if verdict(f"15/images/supervised/{n}", f"15/images/linear-then-full/{n}", True, False, False)]
guess_labels.reveal(guess_labels.options[2 if not ahead else 0 if min(ahead) <= 20 else 1])

# %% [markdown]
# Two things are not in the figure. Pretraining is paid **once**, and its encoder serves many tasks: exercise 3 counts them. And labels cost more than
# seconds. If a person labels ten pictures a minute, what is an hour of pretraining worth?
#
# ### From other data
#
# An encoder from digits, taken to clothes. An encoder from digits that goes on for a short while on clothes (**continued pretraining**), beside
# one that had only that short while. And one that had clothes from the start.

# %% tags=["figure", "comparison"]
origins = {"digits": "digits", "digits, then some fashion": "digits-then-fashion", "some fashion": "little-fashion", "fashion": "fashion"}
table = {name: f"15/transfer/{key}/{{}}" for name, key in origins.items()}
table |= {name: f"15/transfer/{nb15.slug(name)}/{{}}" for name in ("raw pixels", "random encoder")}
table |= {"supervised": "15/images/supervised/{}"}
title = "linear probes on clothes"
figures.worth({title: nb15.by_labels(table)}, {title: "labels a class"}, {title: {"chance": 0.1}})

# %% [markdown]
# **Finding:** linear probes on clothes with 5 labels a class: pretrained on digits {{ 15/transfer/digits/5 | percent interval }}, on digits and then
# a little on clothes {{ 15/transfer/digits-then-fashion/5 | percent interval }}, a little on clothes alone
# {{ 15/transfer/little-fashion/5 | percent interval }}, on clothes {{ 15/transfer/fashion/5 | percent interval }}; raw pixels
# {{ 15/transfer/raw-pixels/5 | percent interval }}, random encoder {{ 15/transfer/random-encoder/5 | percent interval }}, supervised
# {{ 15/images/supervised/5 | percent interval }}, chance one in ten. {{ claim 15/home-is-best }} After the same number of steps on clothes,
# having seen digits before makes {{ 15/transfer/digits-then-fashion/5 - 15/transfer/little-fashion/5 | points interval }}: we could not tell. (Supervised is
# no probe, and has fewer draws of labels than the others.)

# %%
claim("15/home-is-best")

# %%
guess_digits.reveal(verdict("15/transfer/digits/5", "15/transfer/raw-pixels/5", *guess_digits.options))

# %% [markdown]
# Colour pictures: SimCLR on emoji, used on clip art that it never saw. There are 1,072 drawings of seven kinds. We did not try to pretrain on them.

# %%
kinds = nb15.clip_art().test.labels.bincount()
f"always saying the commonest kind is right on {kinds.max() / kinds.sum():.0%} of the test drawings"

# %% tags=["figure", "comparison"]
table = {"from emoji, linear": "15/clip-art/emoji/{}", "from emoji, linear then full": "15/clip-art/emoji-tuned/{}"}
table |= {name: f"15/clip-art/{nb15.slug(name)}/{{}}" for name in ("supervised", "raw pixels", "random encoder")}
title = "clip art"
figures.worth({title: nb15.by_labels(table, nb15.CLIP_BUDGETS)}, {title: "labels a class"}, {title: {"chance": 1 / 7}})

# %% [markdown]
# **Finding:** with 5 labels a class: linear {{ 15/clip-art/emoji/5 | percent interval }}, linear then full
# {{ 15/clip-art/emoji-tuned/5 | percent interval }}, supervised from scratch {{ 15/clip-art/supervised/5 | percent interval }}, raw pixels
# {{ 15/clip-art/raw-pixels/5 | percent interval }}, random encoder {{ 15/clip-art/random-encoder/5 | percent interval }}, chance one in seven. The
# kinds are unequal, and the commonest alone makes as much as the cell above the figure says: with 5 labels we cannot say that anybody beats that. With 20 labels: linear
# {{ 15/clip-art/emoji/20 | percent interval }}, supervised {{ 15/clip-art/supervised/20 | percent interval }}. The probe from emoji less the random
# encoder, with 20 labels: {{ 15/clip-art/emoji/20 - 15/clip-art/random-encoder/20 | points interval }}. We could not measure that anything useful came over.
#
# ### When the test data shifts
#
# Twenty labels a class, the same for everybody, and the same random views for whoever is trained on pictures. Then the test pictures of
# section 2.

# %% tags=["figure", "comparison"]
names = {"SimCLR, linear": "linear", "supervised": "supervised", "raw pixels": "raw-pixels", "random encoder": "random-encoder"}
figures.robustness(nb15.shift_rows("fashion", names), chance=0.1)

# %% [markdown]
# **Finding:** on clean clothes the probe of SimCLR is right on {{ 15/shift/fashion/linear/clean | percent interval }}, the supervised network on
# {{ 15/shift/fashion/supervised/clean | percent interval }}, raw pixels on {{ 15/shift/fashion/raw-pixels/clean | percent interval }}, the random encoder on
# {{ 15/shift/fashion/random-encoder/clean | percent interval }}. On spoiled ones, over all kinds and severities:
# {{ 15/shift/fashion/linear/spoiled | percent interval }}, {{ 15/shift/fashion/supervised/spoiled | percent interval }},
# {{ 15/shift/fashion/raw-pixels/spoiled | percent interval }} and {{ 15/shift/fashion/random-encoder/spoiled | percent interval }}; chance is one in ten.
# {{ claim 15/shift-hurts }} SimCLR less supervised on spoiled clothes:
# {{ 15/shift/fashion/linear/spoiled - 15/shift/fashion/supervised/spoiled | points interval }}; on spoiled digits
# {{ 15/shift/digits/linear/spoiled - 15/shift/digits/supervised/spoiled | points interval }}, where on clean digits it is
# {{ 15/shift/digits/linear/clean - 15/shift/digits/supervised/clean | points interval }}. Over all kinds raw pixels are best: SimCLR less
# raw pixels is {{ 15/shift/fashion/linear/spoiled - 15/shift/fashion/raw-pixels/spoiled | points interval }}. That is noise; at contrast `5` it is
# {{ 15/shift/fashion/linear/contrast/5 - 15/shift/fashion/raw-pixels/contrast/5 | points interval }}. So the mean says little without the kinds.
# {{ claim 15/noise-fools-networks }} Noise was not among the views. That may be why; but the probe of raw pixels saw no noise either.

# %%
claim("15/shift-hurts")

# %%
claim("15/noise-fools-networks")

# %%
guess_shift.reveal(verdict("15/shift/fashion/linear/spoiled", "15/shift/fashion/supervised/spoiled", *guess_shift.options))

# %% [markdown]
# A shift that nobody made up: emoji by a vendor whose drawings were in no training, with or without labels. The test emoji are the same ones, drawn
# by the vendors that are known and by the one that is not.

# %% tags=["figure", "comparison"]
names = {"linear": "linear", "linear then full": "linear-then-full", "supervised": "supervised", "raw pixels": "raw-pixels",
         "random encoder": "random-encoder"}
table = {where: {name: nb15.measured(f"15/vendor/{key}/20/{where}") for name, key in names.items()} for where in ("seen", "unseen")}
figures.settings({f"{where} vendors": {name: point for name, point in row.items() if point} for where, row in table.items()},
                 {"chance": 1 / 8}, "test accuracy, 20 labels a class")

# %% [markdown]
# **Finding:** from known vendors to the unknown one, the probe of SimCLR loses {{ 15/vendor/linear/20/lost | points interval }}, linear then full
# {{ 15/vendor/linear-then-full/20/lost | points interval }}, supervised {{ 15/vendor/supervised/20/lost | points interval }}, raw pixels
# {{ 15/vendor/raw-pixels/20/lost | points interval }}, the random encoder {{ 15/vendor/random-encoder/20/lost | points interval }}; chance is one in eight.
# Who has little to lose loses little: read the loss beside the accuracy it starts from, {{ 15/vendor/linear/20/seen | percent interval }} for the probe
# and {{ 15/vendor/supervised/20/seen | percent interval }} for the supervised network. What counts is the end. Linear then full less supervised is
# {{ 15/vendor/linear-then-full/20/seen - 15/vendor/supervised/20/seen | points interval }} on known vendors and
# {{ 15/vendor/linear-then-full/20/unseen - 15/vendor/supervised/20/unseen | points interval }} on the unknown one. (It is one vendor, with `248` drawings.)
#
# ### Four uses of a pretrained network
#
# | | takes | labels | gives |
# |---|---|---|---|
# | **classification** | the encoder and a new head | a few | a class |
# | **retrieval** | the encoder | none | what lies near |
# | **prediction** | the whole network | none | what is missing |
# | **generation** | the whole network | none | what comes next |
#
# A cell each. **Classification**: what does it say of twelve test pictures?

# %%
model = evaluation.adapt(encoder, fashion, rows, "linear then full", views, **nb15.short())
with torch.no_grad():
    said = model.head(evaluation.features(model.encoder, fashion.test.images[:12])).argmax(dim=1)
[(fashion.class_names[guess], fashion.class_names[truth]) for guess, truth in zip(said, fashion.test.labels[:12], strict=True)]

# %% [markdown]
# **Retrieval**: no label, no head. The nearest pictures by cosine.

# %% tags=["figure"]
some = fashion.test.images[: sslab.by_mode(200, 2000)]
figures.neighbours(some, {"encoder": evaluation.features(encoder, some), "raw pixels": evaluation.raw_pixels(some)}, queries=5)

# %% [markdown]
# **Finding:** on the left the query, then what the encoder and the raw pixels put nearest. Look for a row in which they differ: which of the two is
# led by the outline, and which by what the thing is?
#
# **Prediction**: what is missing? BERT was trained to say just that, and needs nothing more.

# %%
evaluation.fill_in(bert, wordnet, "a large mammal with a long [MASK] that lives in herds")

# %% [markdown]
# **Generation**: what comes next, again and again. The GPT of lesson 05.

# %%
passages = datasets.load("passages")
gpt = sslab.pretrained("gpt", passages)
start = passages.tokenizer.encode("In the morning the")
passages.decode(evaluation.generate(gpt, start, sslab.by_mode(5, 60), temperature=0.8, generator=torch.Generator().manual_seed(0)))

# %% [markdown]
# The first two use the encoder and throw away what it was trained with. The last two use the training task itself. Which of them a network is good for
# was decided when it was pretrained: BERT cannot write, and SimCLR cannot draw.
#
# ## 6. Break it (10 minutes)
#
# Fine-tuning can destroy what pretraining built. Take a random head and a learning rate that is far too large, and look at how far the
# representation of test pictures moved. The measure is that of lesson 14: 0 is not at all, 1 is as far as to another picture.

# %%
def broken(strategy, rate):
    made = evaluation.adapt(encoder, fashion, rows, strategy, views, **nb15.short(rate))
    before, after = (evaluation.features(part, some) for part in (encoder, made.encoder))
    return f"moved {float(evaluation.moved(before, after)):.2f}, right on {evaluation.accuracy(made, fashion.test):.2f}"


for strategy, rate in (("full", 3e-2), ("full", 1e-3), ("linear then full", 1e-3), ("discriminative", 1e-3)):
    print(f"{strategy}, rate {rate:g}: {broken(strategy, rate)}")

# %% [markdown]
# The moved features are not wrong by themselves: fine-tuning has to move something. They are wrong if fifty pictures decide where to. On *spoiled* clothes,
# with 20 labels a class, our records say: linear {{ 15/shift/fashion/linear/spoiled | percent interval }}, full
# {{ 15/shift/fashion/full/spoiled | percent interval }}, linear then full {{ 15/shift/fashion/linear-then-full/spoiled | percent interval }}. Kumar et al.
# found, in large networks, that full fine-tuning, against a linear probe, gains on test pictures like the training ones and loses on others. Here full less
# linear is {{ 15/shift/fashion/full/clean - 15/shift/fashion/linear/clean | points interval }} on clean pictures and
# {{ 15/shift/fashion/full/spoiled - 15/shift/fashion/linear/spoiled | points interval }} on spoiled ones: we could not tell. Linear then full less full is
# {{ 15/shift/fashion/linear-then-full/clean - 15/shift/fashion/full/clean | points interval }} on clean pictures and
# {{ 15/shift/fashion/linear-then-full/spoiled - 15/shift/fashion/full/spoiled | points interval }} on spoiled ones.
#
# Try it: in `broken`, add `decay=0.1` to the call of `adapt`; or write `**(nb15.short(rate) | {"steps": 600})` there. How far does the representation move
# now, and how often is it right?
#
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: a rate for each layer
#
# *Difficulty 1/5 · importance 4/5 · 5 minutes*
#
# The head, the last of `depth` layers, learns at `rate`. Each layer learns at `decay` times the rate of the one above it. Return all rates, the layer at
# the input first.

# %% tags=["exercise"] name="layer_rates"
def my_layer_rates(rate, depth, decay):
    """a number, a whole number, a number -> [depth]"""
    ### BEGIN SOLUTION
    return torch.tensor([rate * decay ** (depth - 1 - layer) for layer in range(depth)])
    ### END SOLUTION

# %% tags=["check"] name="layer_rates"
check.layer_rates(my_layer_rates)

# %% [markdown]
# ### Exercise 2: a head that begins as a probe
#
# *Difficulty 3/5 · importance 5/5 · 10 minutes*
#
# A probe was fitted on scaled features $\tilde h = (h - \mu) / \sigma$, feature by feature, and answers $\tilde h W + b$. The network gives $h$, not $\tilde h$.
# Find the linear layer on $h$ that answers the same: its weight [D, C] (a column a class here), and under it, as one more row, its bias.

# %% tags=["exercise"] name="fold_scaling" points=2
def my_fold_scaling(weight, bias, mean, scale):
    """[D, C], [C], [D], [D] -> [D + 1, C]"""
    ### BEGIN SOLUTION
    # stub: on_h = ...                                       # [D, C]
    # stub: moved = ...                                      # [C]
    # stub: return torch.cat([on_h, moved[None]])
    on_h = weight / scale[:, None]
    moved = bias - mean @ on_h
    return torch.cat([on_h, moved[None]])
    ### END SOLUTION

# %% tags=["check"] name="fold_scaling" points=2
check.fold_scaling(my_fold_scaling)

# %% [markdown]
# ### Exercise 3: how many tasks until it pays?
#
# *Difficulty 2/5 · importance 5/5 · 7 minutes*
#
# Pretraining takes `pretraining` seconds, once. Then each task takes `tuning` seconds. Without it, each task takes `scratch` seconds. For how many tasks, at
# least, is the first way quicker? If it never is: infinity.

# %% tags=["exercise"] name="break_even"
def my_break_even(pretraining, tuning, scratch):
    """three numbers of seconds -> a number of tasks"""
    ### BEGIN SOLUTION
    if scratch <= tuning:
        return float("inf")
    return int(pretraining // (scratch - tuning)) + 1
    ### END SOLUTION

# %% tags=["check"] name="break_even"
check.break_even(my_break_even)

# %% [markdown]
# Put in seconds: pretraining from `lab.status`, tuning from the list in section 4 (linear then full), and for scratch ours,
# {{ 15/images/supervised/5/seconds | .0f }}, as you have not run it. (And ask what it leaves out: the two ways are not equally often right.)
#
# ### Exercise 4: errors under corruption
#
# *Difficulty 2/5 · importance 3/5 · 8 minutes*
#
# A model's errors under $K$ corruptions at $S$ severities, and those of a baseline. For each corruption: the sum of the errors over the sum of the
# baseline's. Then the mean over the corruptions. Why not simply the mean of all errors?

# %% tags=["exercise"] name="mean_corruption_error"
def my_mean_corruption_error(errors, baseline):
    """[K, S], [K, S] -> scalar, 1 is as bad as the baseline"""
    ### BEGIN SOLUTION
    return (errors.sum(dim=1) / baseline.sum(dim=1)).mean()
    ### END SOLUTION

# %% tags=["check"] name="mean_corruption_error"
check.mean_corruption_error(my_mean_corruption_error)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - Frozen, linear, full, linear then full, discriminative: they differ in what learns, and in how the head begins.
# - Few labels: on texts a good start was worth much, on clothes a few points. Many labels: it matters less.
# - Price a pretraining in seconds and in labels, with the cheap controls beside it. It is paid once and used often.
# - An encoder from other data may help little: ours from digits stayed below raw pixels on clothes, with 5 labels a class, and ours from emoji was no
#   better than a random one on clip art, that we could measure.
# - A score on clean test pictures says nothing about spoiled ones. Test the shift that you expect.
# - Choose on validation, for every strategy alike; otherwise the one with most tries wins.
#
# ## Papers
#
# - Kumar, Raghunathan, Jones, Ma, Liang 2022: *Fine-tuning can distort pretrained features and underperform out-of-distribution*,
#   arXiv:2202.10054
# - Howard, Ruder 2018: *Universal language model fine-tuning for text classification*, arXiv:1801.06146
# - Gururangan et al. 2020: *Don't stop pretraining: adapt language models to domains and tasks*, arXiv:2004.10964
# - Hendrycks, Dietterich 2019: *Benchmarking neural network robustness to common corruptions and perturbations*, arXiv:1903.12261
# - Newell, Deng 2020: *How useful is self-supervised pretraining for visual tasks?*, arXiv:2003.14323
