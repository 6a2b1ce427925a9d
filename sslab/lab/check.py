"""Checks of exercises: `check.nt_xent(my_function)` says whether it is right and, if not, what went wrong.

A check compares with our function on random inputs and accepts any implementation that gives the same. It
never raises in a notebook; under SSLAB_CHECKS=strict (tests, nbgrader) it does. The result has .passed,
.misconception and .hint.
"""

from sslab.lab.checks.contrastive import cosine_similarity_matrix, nt_xent, positive_index, push_weights
from sslab.lab.checks.measuring import effective_rank, knn_predict

__all__ = ["cosine_similarity_matrix", "effective_rank", "knn_predict", "nt_xent", "positive_index",
           "push_weights"]
