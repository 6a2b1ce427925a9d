"""A small whole lesson, for the tests of the course pipeline: it passes the lint and runs in seconds."""

from pathlib import Path

LESSON = '''\
# %% [markdown]
# # 99 · A small lesson
# ## What you will be able to do
# Say what a loss is.
# ## Time
# 40 minutes of yours. The machine needs {{ 99/time/cpu | minutes }} on a CPU and less on a GPU.

# %% [markdown]
# ## 1. Predict (2 minutes)

# %%
import torch
from sslab.lab import check, predict

# %%
guess = predict("99/loss", "Does it fall?", ["yes", "no"])
guess

# %% [markdown]
# ## 2. See the data (3 minutes)
# ## 3. Read the objective (3 minutes)
# ## 4. Run it (4 minutes)

# %% tags=["pretrain"]
losses = [1.0 / (step + 1) for step in range(5)]

# %%
guess.reveal("yes")

# %% [markdown]
# ## 5. Explain (5 minutes)

# %% tags=["figure", "comparison"]
accuracy = {"chance": 0.1, "raw": 0.4, "random": 0.3, "supervised": 0.5, "ours": 0.6}
accuracy

# %% [markdown]
# **Finding:** ours is right on {{ 99/probe/5/ours | percent interval }}, {{ 99/probe/5/ours - 99/probe/5/raw
# | points }} above raw pixels, at temperature `0.5`.

# %% [markdown]
# ## 6. Break it (5 minutes)
# {{ claim 99/ours-beats-raw }}

# %% [markdown]
# ## 7. Exercises (20 minutes)
# ### Exercise 1: the similarities
# *Difficulty 2/5 · importance 5/5 · 5 minutes*

# %% tags=["exercise"] name="cosine"
def cosine(z1, z2):
    ### BEGIN SOLUTION
    # stub: unit = ...                    # z1, each row of length 1
    unit = z1 / z1.norm(dim=1, keepdim=True)
    ### END SOLUTION
    z2 = z2 / z2.norm(dim=1, keepdim=True)
    return unit @ z2.T

# %% tags=["check"] name="cosine" points=3
check.cosine_similarity_matrix(cosine)

# %% [markdown]
# ### Exercise 2: the partners
# *Difficulty 1/5 · importance 3/5 · 5 minutes*

# %% tags=["exercise"] name="partners"
def partners(b):
    ### BEGIN SOLUTION
    return torch.arange(2 * b).roll(b)
    ### END SOLUTION

# %% tags=["check"] name="partners"
check.positive_index(partners)

# %% [markdown]
# ### Exercise 3: the rank
# *Difficulty 3/5 · importance 2/5 · 10 minutes*

# %% tags=["exercise"] name="rank"
def rank(z):
    s = torch.linalg.svdvals(z - z.mean(0))
    ### BEGIN SOLUTION
    # stub: p = ...                       # sums to 1
    p = s / s.sum()
    ### END SOLUTION
    return torch.special.entr(p).sum().exp()

# %% tags=["check"] name="rank"
check.effective_rank(rank)

# %% [markdown]
# ## 8. What to remember (1 minute)
# ## Papers
'''


def write(root: Path, text: str = LESSON, slug: str = "99_small_lesson") -> Path:
    """Put a lesson's source below `root`, where the notebooks would be."""
    path = root / "source" / f"{slug}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
