# %% [markdown]
# # 09 · Language and images: CLIP and SigLIP
#
# Until now two views of a thing were two pictures of it. They need not be. A drawing of a dog and the words *a dog* are two views of one
# thing as well, and on the web one stands beside the other some billions of times. **CLIP** trains an encoder for pictures and an encoder for
# texts so that a picture finds its caption among the others of the batch. Then a class is a sentence: nobody labels anything, and you can
# search a heap of pictures by typing. Here you train one on emoji in five styles, and hold it against a sixth that it has never seen.
#
# ## What you will be able to do
#
# - write CLIP's loss and SigLIP's, and say what differs;
# - search pictures by words and words by pictures, and read recall@k against the right controls;
# - classify without a label, by prompts, and say what a control without words reaches;
# - tell the three kinds of "new" apart: a new hand, a new thing, both;
# - see the modality gap, and what adding and subtracting meanings does and does not do.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 09/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured
# that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.course.lessons.nb09 import BATCHES, VENDOR, asked, equations, held_pairs, new_drawings
from sslab.evaluation.pairs import CLIPART_PROMPTS, EMOJI_PROMPTS
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# Six vendors draw emoji, each in a way of its own (Noto's two generations count as two; not every vendor has drawn every emoji). OpenMoji's drawings,
# flat with black outlines, are in no training pair. The second question compares new emoji drawn by the other five with known emoji drawn by OpenMoji.

# %%
pixels = record("09/control/raw/plain/all").value
guess_vendor = predict("09/vendor", "A drawing by OpenMoji, and 1,644 names. Guessing has the right one among its first ten 0.6 % of the time; the "
                       f"names of the training drawings whose pixels are most alike, {pixels:.0%}. CLIP, after two minutes?",
                       ["about 5 %", "about 20 %", "more than 30 %"])
guess_vendor

# %%
guess_new = predict("09/new", "Now emoji of which no drawing and no name was in the training. Against those it knows, CLIP has the name "
                    "among its first ten ...", ["about as often", "less than half as often", "never"])
guess_new

# %%
guess_heart = predict("09/heart", "\"red heart\" minus \"red\" plus \"blue\": of all hearts, circles and squares, what does that direction find most often?",
                      ["the shape in the new colour", "the shape in the old colour", "something else"])
guess_heart

# %% [markdown]
# ## 2. See the data and the task (10 minutes)

# %%
emoji = datasets.load("emoji-pairs")
emoji

# %% tags=["figure"]
figures.drawings(emoji, ["red apple", "dog face", "umbrella", "ship", "sleeping face"])

# %% [markdown]
# **Finding:** one thing, six hands. What differs from hand to hand (outlines, shading, the colour of an umbrella) is what its name says nothing about.

# %%
row = emoji.texts.index("red apple")
{kind: emoji.decode(tokens) for kind, tokens in zip(emoji.captions, emoji.pairs.captions[row], strict=True)}

# %% [markdown]
# A row of the data is a *thing*: up to six drawings and three kinds of caption, its name, its tags and a sentence around its name. A batch holds each thing
# once: two drawings of an apple in one batch would be told to be strangers, which is false. Two things are kept back at once, and that gives three kinds of
# **new**: a hand that was never seen (OpenMoji) drawing things that were; things that were never seen, by known hands; and both.
# A new thing may have close relatives in the training: *man astronaut* there, *woman astronaut* kept back.
#
# | | emoji of the training | emoji kept back |
# | --- | --- | --- |
# | **five vendors** | what it trains on | a new thing |
# | **OpenMoji** | a new hand | both |

# %% [markdown]
# Each view is a drawing changed a little. OpenMoji draws smaller, and with outlines. We tell the model that hands differ in this: some views are shown smaller, some are inked and
# faded. (That is knowledge of ours, not of the data. What it is worth is measured below. We chose it on OpenMoji's drawings of *validation* emoji and of every fourth emoji of the
# training, which are asked again below. So what we say of a new hand may be a little too kind.)

# %% tags=["figure"]
figures.views(emoji.pairs.images[[row, row + 300, row + 600], 0], objectives.views_for("clip", "emoji-pairs"))

# %% [markdown]
# **Finding:** views may be paler, but no hue is changed and nothing is mirrored: some captions name a colour or a side. Compare the inked ones with
# OpenMoji's column above.
#
# ## 3. Read the objective (12 minutes)
#
# Two **towers**: a network for pictures $f$, one for texts $g$. Both end in a linear map into the same space, where all vectors have length 1. For a batch of $B$ pairs,
# $s_{ij} = \tau^{-1} \cos(f(x_i), g(t_j))$ is a table of all against all. Each row is a question, "which caption is picture $i$'s?", each column
# another, "which picture is caption $j$'s?", and the answers are the diagonal:
#
# $$\ell_\text{CLIP} = -\frac{1}{2B} \sum_i \left( \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \right)$$

# %%
show_source(objectives.clip)

# %% [markdown]
# It is SimCLR's loss with three differences: the views come from two networks; a picture is compared with captions only, never with another picture; and
# the temperature is learned with the rest (its logarithm, so that it cannot become negative; the scale $1/\tau$ is at most 100). **SigLIP** asks each
# of the $B^2$ pairs by itself: *do you belong together?* No pair is compared with another:
#
# $$\ell_\text{SigLIP} = -\frac1B \sum_{i,j} \log \sigma\big(y_{ij}\,(s_{ij} + b)\big), \qquad y_{ij} = \begin{cases} 1 & i = j \\ -1 & i \ne j \end{cases}$$
#
# The bias $b$ begins at -10: nearly all pairs are strangers, and a fair coin would cost a lot.

# %%
show_source(objectives.siglip)

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# The lab searches held-out drawings for a phrase while it trains. Leave Start alone for now: a cell below presses it. Then **type another phrase**
# into the lab: *a sad cat*, *something to eat*, *blue*. The map shows drawings in the space that both share.

# %%
lab = Lab("clip", "emoji-pairs", seed=0)
lab.ask("a red heart")
lab

# %% tags=["figure"]
some = emoji.validation.pairs[torch.arange(0, 156, 13)]
names = [emoji.decode(tokens) for tokens in some.captions[:, 0]]
figures.pair_matrix(lab.objective.embed_images(some.pictures), lab.objective.embed_texts(some.captions[:, 0]), names, some.pictures)

# %% [markdown]
# **Finding:** before training there are stripes, and no diagonal. The loss of one who answers by lot is $\log B$.

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
clip = lab.objective.cpu()
figures.pair_matrix(clip.embed_images(some.pictures), clip.embed_texts(some.captions[:, 0]), names, some.pictures)

# %% [markdown]
# **Finding:** none of these twelve things was in the training. Most of the diagonal is the best of its row, among twelve. Other fields are red too,
# some of them between things of one kind, such as faces or people: there it has found the neighbourhood, if not the house.

# %% tags=["figure"]
figures.loss({"CLIP": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** it begins above chance, $\log B$, lingers there and falls. At the end the learning rate is near 0, so that a flat end does not say that nothing
# more can be learned.

# %% [markdown]
# ## 5. Explain: three uses (20 minutes)
#
# ### Which name?
#
# A drawing by OpenMoji asks, all 1,644 names may answer. **recall@10** is how often the right one is among the first ten.

# %%
found = asked(clip)
{part: both.image_to_text for part, both in found.items()}

# %% tags=["figure"]
def with_interval(path):
    return record(path).value, record(path).interval


kinds = {"a new hand": "new-vendor", "a new thing": "new-emoji", "both": "both"}
figures.ablation({name: {"recall@10": with_interval(f"09/class/{key}")} for name, key in kinds.items()},
                 {"recall@10": {"raw pixels": record("09/control/raw/plain/new-vendor").value}})

# %% [markdown]
# **Finding:** three kinds of new, three results (the dotted line, raw pixels, belongs to the new hand alone):
# {{ 09/class/new-vendor | percent interval }} for a new hand, {{ 09/class/new-emoji | percent interval }} for a new thing,
# {{ 09/class/both | percent interval }} for both. {{ claim 09/new-thing }} The temperature that it learned is {{ 09/class/temperature | .3f }}. Over all of OpenMoji's drawings it is
# {{ 09/class/all | percent interval }}; the median rank of the right name is {{ 09/class/all/median-rank | .0f }} of 1,644.
#
# And the control that has no words: it gives a drawing the name of the training drawing that is most alike. By raw pixels that finds
# {{ 09/control/raw/plain/all | percent }}, with a random encoder {{ 09/control/random/plain/all | percent }}. If the mean of each vendor's drawings
# is subtracted first, raw pixels find {{ 09/control/raw/centred/all | percent }}, and {{ 09/control/raw/centred/new-vendor | percent }} for the new
# hand alone: a stronger control than the dotted line. (It takes a look at many drawings of the new vendor. Whether it helps the random encoder, three
# seeds do not tell.) {{ claim 09/held-out-vendor }} For a new *thing* the control is at 0 by construction: nobody told it the name. CLIP can read it.

# %%
claim("09/held-out-vendor", yours={"09/class/all": found["all"].image_to_text.recall(10)})

# %%
claim("09/new-thing", yours={f"09/class/{key}": found[key].image_to_text.recall(10) for key in ("new-vendor", "new-emoji")})

# %%
guess_vendor.reveal("more than 30 %")
guess_new.reveal("less than half as often")

# %% [markdown]
# ### Which picture?

# %% tags=["figure"]
images, things = emoji.drawings("test")
z = clip.embed_images(images)                                        # [n, P]
best = {}
for phrase in ("a red heart", "a cat face", "something to eat", "an animal with wings"):
    scores = z @ clip.embed_texts(emoji.encode([phrase]))[0]         # [n]
    order = scores.argsort(descending=True)[:10]
    best[phrase] = images[order], scores[order]
figures.ranked(best)

# %% [markdown]
# **Finding:** drawings of emoji that were kept back, best first. A phrase like a name finds its things by several vendors; in our run others of
# their colour stand among them. A phrase that *describes* mostly does not: *eat* stands in the captions of
# three things of the training, *wings* in those of two, and our text side has read nothing else. CLIP's answers to such phrases come from 400 million captions. Put your own phrase in.

# %% [markdown]
# ### Zero-shot: a class is a sentence
#
# No label was used. Give each class a few phrases (**prompts**), average where they point, and take the nearest class. Write your own first. (Ours
# were written before anything was measured. If you try many and keep the best, you have chosen on test drawings.)

# %%
prompts = dict(EMOJI_PROMPTS)
prompts["food and drink"] = evaluation.prompts(["food", "fruit", "vegetable", "cake", "drink"])      # change these
images, labels = new_drawings()
mine = evaluation.zero_shot(clip, emoji, images, prompts, labels)
f"{mine.accuracy:.3f} with yours, {evaluation.zero_shot(clip, emoji, images, EMOJI_PROMPTS, labels).accuracy:.3f} with ours"

# %% tags=["figure", "comparison"]
unseen = new_drawings(VENDOR)[1]                                     # groups of the drawings by a vendor never seen
ways = {"CLIP, prompts": "class/zero-shot/{}/ensemble", "CLIP, the class's name": "class/zero-shot/{}/name",
        "raw pixels, nearest name": "control/raw/plain/zero-shot/{}", "random encoder, nearest name": "control/random/plain/zero-shot/{}",
        "raw pixels, nearest label (supervised)": "control/raw/plain/with-labels/{}"}
figures.ablation({name: {title: with_interval("09/" + path.format(key)) for title, key in
                         {"new things": "new-emoji", "both new": "both"}.items()} for name, path in ways.items()},
                 {"new things": {"majority": record("09/control/raw/plain/majority").value},
                  "both new": {"majority": float(unseen.bincount().max() / len(unseen))}})

# %% [markdown]
# **Finding:** accuracy among 8 groups. On new things CLIP with prompts is right on {{ 09/class/zero-shot/new-emoji/ensemble | percent interval }},
# with the bare name of the class on {{ 09/class/zero-shot/new-emoji/name | percent interval }}, less than always saying the largest group,
# {{ 09/control/raw/plain/majority | percent }} (on the right, among OpenMoji's, it is a little more); chance is one in eight. Two of
# the controls have no label either: they take the name of the training drawing that is most alike, and then the group whose prompts share words with
# that name and its tags. By raw pixels that gives {{ 09/control/raw/plain/zero-shot/new-emoji | percent }} on new things, by a random encoder
# {{ 09/control/random/plain/zero-shot/new-emoji | percent }}. So where the style is known, copying a neighbour's name and reading it is better than
# this CLIP, by {{ 09/control/raw/plain/zero-shot/new-emoji - 09/class/zero-shot/new-emoji/ensemble | points interval }} with raw pixels; with the
# neighbour's label, which is supervised, better still: {{ 09/control/raw/plain/with-labels/new-emoji | percent }}. Where the hand is new as well,
# CLIP leads. {{ claim 09/zero-shot }} Only the strongest control, not in the figure, is too near to call: raw pixels less each vendor's mean, with
# the neighbour's label, reach {{ 09/control/raw/centred/with-labels/both | percent }}, and the interval of the paired difference holds 0.

# %%
claim("09/zero-shot", yours={"09/class/zero-shot/both/ensemble": evaluation.zero_shot(clip, emoji, new_drawings(VENDOR)[0], EMOJI_PROMPTS,
                                                                                  new_drawings(VENDOR)[1]).accuracy})

# %% [markdown]
# What holds it back? Give it the right *name* of each new thing, no picture at all, and ask for the group:
# {{ 09/class/zero-shot/names | percent interval }}, no safe difference from the picture
# ({{ 09/class/zero-shot/names - 09/class/zero-shot/new-emoji/ensemble | points interval }}). Sharing words does that in
# {{ 09/control/raw/plain/names-by-words | percent }}, but with the help of the tags, which CLIP was not given here. {{ claim 09/words-limit }} So
# better eyes alone would not do; we suspect the reading: captions of 1,232 things are little to learn English from, and *mammal* stands in those of
# one.

# %% [markdown]
# And out of its world? **Clip art**, drawn by many people, in seven classes of things:

# %%
art = datasets.load("openclipart")
drawn = evaluation.zero_shot(clip, emoji, art.images, CLIPART_PROMPTS, art.labels)
f"{drawn.accuracy:.3f}; balanced over the classes {drawn.balanced:.3f}; always the largest class {drawn.majority:.3f}"

# %% [markdown]
# Over three seeds {{ 09/class/clip-art | percent interval }}: not told from always saying the largest class,
# {{ 09/class/clip-art/majority | percent }}. Balanced, as the mean over the classes, it is {{ 09/class/clip-art/balanced | percent interval }}, where
# both chance and the largest class give one in seven. (No neighbour was measured here.) The real CLIP saw 400 million pairs; this one saw 1,232
# things.

# %% [markdown]
# ### The gap between the two
#
# One space for both, so pictures and words should be mixed in it. Look:

# %% tags=["figure"]
figures.modality_gap(*held_pairs(clip))

# %% [markdown]
# **Finding:** they are not quite. Seen along the plane that divides them best there are two clouds that touch: such a plane tells
# {{ 09/class/gap/separability | percent }} of pictures and words apart, and the means lie {{ 09/class/gap | .2f }} apart, on a sphere of radius 1.
# The loss asks only that the right caption is nearer than the wrong ones: a constant between all pictures and all words costs nothing. (Liang et al.
# 2022 found a gap in all the models of this kind that they looked at.) {{ claim 09/gap }} Therefore compare pictures with words, never a picture-word
# cosine with a word-word cosine.

# %% [markdown]
# ### Does meaning add up?

# %%
mine = equations(clip)
mine

# %% tags=["figure"]
ends = {"the new colour": "right", "the old colour": "stayed", "asked by its name": "asked"}
figures.ablation({name: {"share found": with_interval(f"09/class/equations/{key}")} for name, key in ends.items()})

# %% [markdown]
# **Finding:** *red heart* minus *red* plus *blue*, for hearts, circles and squares in seven colours, 126 equations. What is nearest is the shape in
# the new colour in {{ 09/class/equations/right | percent interval }}, and in the old one in {{ 09/class/equations/stayed | percent interval }}. The
# same things asked for by their own names: {{ 09/class/equations/asked | percent interval }}. {{ claim 09/equations }} Nothing in the loss asks that
# meanings add up. Our guess is that the build does it: our text side ends in a mean over tokens, and names like *red heart* are made of words. Two
# things help: only these 21 things could be found, and the training had 16 of them. Try it among all names, and where words do not add up:

# %%
for plus, minus in ((["red heart", "blue"], ["red"]), (["fire", "engine"], []), (["king", "woman"], ["man"])):
    direction = evaluation.compose(clip, emoji, plus, minus)
    order = (clip.embed_texts(emoji.pairs.captions[:, 0]) @ direction).argsort(descending=True)
    print(plus, minus, "->", [emoji.texts[index] for index in order[:5]])

# %%
claim("09/equations", yours={f"09/class/equations/{key}": mine[key] for key in ("right", "stayed")})

# %%
guess_heart.reveal("the shape in the new colour")

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# **What if every picture gets somebody else's caption?** The switch *shuffled captions* does it; your run takes a tenth of the steps.

# %% tags=["pretrain"]
broken = Lab("clip", "emoji-pairs", seed=0, **sslab.recipe("clip", "emoji-pairs", share=0.1))
broken.set(shuffled_captions=True)
broken.start()
broken.join()
asked(broken.objective.cpu())["new-vendor"].image_to_text

# %% tags=["figure"]
ways = {"CLIP": "clip", "neither inked nor smaller": "no-outlines", "temperature 1, not learned": "hot", "captions shuffled": "shuffled"}
figures.ablation({name: {title: with_interval(f"09/broken/{path}/{key}") for title, key in
                         {"a new hand": "new-vendor", "a new thing": "new-emoji"}.items()} for name, path in ways.items()})

# %% [markdown]
# **Finding:** recall@10 of short runs, three tenths of the steps; all of them stay below raw pixels, {{ 09/control/raw/plain/new-vendor | percent }}
# for a new hand. What we told it about other hands is worth {{ 09/broken/clip/new-vendor | percent interval }} against
# {{ 09/broken/no-outlines/new-vendor | percent interval }} for a new hand, and in runs this short it costs where the hands are known:
# {{ 09/broken/clip/new-emoji | percent interval }} against {{ 09/broken/no-outlines/new-emoji | percent interval }} for new things.
# {{ claim 09/told }} {{ claim 09/hot }} At temperature 1 a cosine, which lies between -1 and 1, can make no answer more than $e^2$ times as likely as
# another: the loss cannot fall far, however right the model is. Shuffled captions leave {{ 09/broken/shuffled/new-vendor | percent }}, which is
# guessing. {{ claim 09/shuffled }}

# %%
claim("09/shuffled", yours={"09/broken/shuffled/new-vendor": asked(broken.objective)["new-vendor"].image_to_text.recall(10)})

# %% [markdown]
# ### CLIP or SigLIP?
#
# The same number of pairs, cut into small batches or large ones:

# %% tags=["figure"]
wins = {batch: {title: with_interval(f"09/wins/{who}/{batch}/new-vendor") for title, who in {"CLIP": "clip", "SigLIP": "siglip"}.items()}
        for batch in BATCHES}
figures.who_wins(wins, {"raw pixels": record("09/control/raw/plain/new-vendor").value})

# %% [markdown]
# **Finding:** recall@10 for a new hand after 38,400 pairs, a short run. In batches of 32, which makes 1,200 steps, CLIP has
# {{ 09/wins/clip/32/new-vendor | percent interval }} and SigLIP {{ 09/wins/siglip/32/new-vendor | percent interval }}; in batches of 128, 300 steps,
# {{ 09/wins/clip/128/new-vendor | percent interval }} and {{ 09/wins/siglip/128/new-vendor | percent interval }}. {{ claim 09/wins }} In batches of
# 32 the two are not told apart. CLIP loses a little from 32 to 128
# ({{ 09/wins/clip/32/new-vendor - 09/wins/clip/128/new-vendor | points interval }}), SigLIP most of what it had. Batch and steps change together
# here, and both have the learning rate that was chosen for CLIP. Our guess: SigLIP begins with "no" to everything and needs many steps to leave that.
# No run beats raw pixels, the dotted line. SigLIP's authors found it ahead of CLIP below batches of 16,000, after billions of pairs.

# %% [markdown]
# ### Nature's augmentation
#
# Two vendors drawing one thing are two views that nobody had to invent. SimCLR, no words: its two views are two vendors' drawings, each changed as
# above, or one drawing changed twice. Then a drawing of a new thing by Noto looks for the same thing among another vendor's 1,644.

# %%
show_source(objectives.TwoDrawers.partners)

# %% tags=["figure", "comparison"]
ways = {"two vendors": "drawers/two-vendors", "one drawing twice": "drawers/one-drawing", "random encoder": "drawers-control/random",
        "raw pixels": "drawers-control/raw"}
figures.ablation({name: {title: with_interval(f"09/{path}/{key}") for title, key in
                         {"OpenMoji, never seen": VENDOR, "Twemoji, seen": "twemoji"}.items()} for name, path in ways.items()})

# %% [markdown]
# **Finding:** how often the very first is right. Chance is one in 1,644; nothing here is supervised. Trained on two vendors' drawings it is
# {{ 09/drawers/two-vendors/openmoji | percent interval }} for OpenMoji and {{ 09/drawers/two-vendors/twemoji | percent interval }} for Twemoji; on
# changed drawings {{ 09/drawers/one-drawing/openmoji | percent interval }} and {{ 09/drawers/one-drawing/twemoji | percent interval }}; raw pixels
# {{ 09/drawers-control/raw/openmoji | percent }} and {{ 09/drawers-control/raw/twemoji | percent }}, a random encoder
# {{ 09/drawers-control/random/openmoji | percent }} and {{ 09/drawers-control/random/twemoji | percent }}. {{ claim 09/two-hands }}
# {{ claim 09/nature }} A second hand tells what to ignore, and nobody had to write that down as an augmentation. (The changed views are in both. For
# OpenMoji the difference is too small for three seeds to tell:
# {{ 09/drawers/two-vendors/openmoji - 09/drawers/one-drawing/openmoji | points interval }}.)

# %%
claim("09/two-hands")

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: CLIP's loss
#
# *Difficulty 3/5 · importance 5/5 · 12 minutes*
#
# Two batches of representations, as they come out of the towers (not yet of length 1). `logit_scale` is $\tau^{-1}$.

# %% tags=["exercise"] name="clip"
def my_clip(image, text, logit_scale):
    """[B, D], [B, D], a scalar -> a scalar"""
    ### BEGIN SOLUTION
    # stub: logits = ...                                     # [B, B], pictures are rows
    # stub: return ...                                       # the mean of two cross-entropies
    image, text = (torch.nn.functional.normalize(z, dim=1) for z in (image, text))
    logits = logit_scale * image @ text.T
    own = torch.arange(len(image))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    ### END SOLUTION

# %% tags=["check"] name="clip" points=3
check.clip(my_clip)

# %% [markdown]
# ### Exercise 2: SigLIP's loss
#
# *Difficulty 3/5 · importance 3/5 · 8 minutes*
#
# The same inputs and a bias, which is added after the scale. Logits may be large: the logarithm must stay finite.

# %% tags=["exercise"] name="siglip"
def my_siglip(image, text, logit_scale, logit_bias):
    """[B, D], [B, D], two scalars -> a scalar: summed over all pairs, divided by B"""
    ### BEGIN SOLUTION
    # stub: signs = ...                                      # [B, B], 1 on the diagonal, -1 elsewhere
    image, text = (torch.nn.functional.normalize(z, dim=1) for z in (image, text))
    logits = logit_scale * image @ text.T + logit_bias
    signs = 2 * torch.eye(len(image), dtype=logits.dtype) - 1
    return -torch.nn.functional.logsigmoid(signs * logits).sum() / len(image)
    ### END SOLUTION

# %% tags=["check"] name="siglip" points=2
check.siglip(my_siglip)

# %% [markdown]
# ### Exercise 3: recall
#
# *Difficulty 2/5 · importance 4/5 · 5 minutes*
#
# `similarity[i, j]`: how much query $i$ is like candidate $j$. `truth[i]`: the right candidate.

# %% tags=["exercise"] name="recall_at"
def my_recall_at(similarity, truth, k):
    """[N, N], [N], a number -> the share of queries whose answer is among the k most similar"""
    ### BEGIN SOLUTION
    first = similarity.topk(k, dim=1).indices                # [N, k]
    return (first == truth[:, None]).any(dim=1).float().mean()
    ### END SOLUTION

# %% tags=["check"] name="recall_at"
check.recall_at(my_recall_at)

# %% [markdown]
# ### Exercise 4: zero-shot with several prompts
#
# *Difficulty 3/5 · importance 4/5 · 7 minutes*
#
# `prompts[c, m]` is the embedding of prompt $m$ of class $c$, not normalised. Average the *directions*; a class is the direction of that mean.

# %% tags=["exercise"] name="zero_shot"
def my_zero_shot(images, prompts):
    """[N, P], [C, M, P] -> the nearest class of each image, int64 [N]"""
    ### BEGIN SOLUTION
    # stub: classes = ...                                    # [C, P]
    normalize = torch.nn.functional.normalize
    classes = normalize(normalize(prompts, dim=2).mean(dim=1), dim=1)
    return (normalize(images, dim=1) @ classes.T).argmax(dim=1)
    ### END SOLUTION

# %% tags=["check"] name="zero_shot" points=2
check.zero_shot(my_zero_shot)

# %% [markdown]
# ### Your own pictures and captions
#
# A CSV or JSON with columns `file` and `caption`: `Lab("clip", "pairs:PATH")`. The lab is the same. `temperature`, `learned temperature`, the kind of caption and a frozen picture tower
# (LiT) are knobs.
#
# ## 8. What to remember (2 minutes)
#
# - Two towers, one space: a picture must find its caption among the batch's, and a caption its picture.
# - Search, classes by words and names for pictures are one operation: a cosine, and the largest wins.
# - "Zero-shot" depends on what was seen: here a new hand was easier than a new thing, and both the hardest. Say which of them was measured.
# - A control without words (the nearest training drawing) is stronger than chance. Beat that.
# - Pictures and words stay in two parts of the space. That meanings add up is nothing that the loss asks for.
#
# ## Papers
#
# - Radford et al. 2021, *Learning Transferable Visual Models From Natural Language Supervision* (CLIP), arXiv:2103.00020
# - Jia et al. 2021, *Scaling Up Visual and Vision-Language Representation Learning With Noisy Text Supervision* (ALIGN), arXiv:2102.05918
# - Zhai et al. 2022, *LiT: Zero-Shot Transfer with Locked-image text Tuning*, arXiv:2111.07991
# - Zhai et al. 2023, *Sigmoid Loss for Language Image Pre-Training* (SigLIP), arXiv:2303.15343
# - Liang et al. 2022, *Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation Learning*, arXiv:2203.02053
# - Tian et al. 2019, *Contrastive Multiview Coding*, arXiv:1906.05849
