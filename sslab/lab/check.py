"""Checks of exercises: `check.nt_xent(my_function)` says whether it is right and, if not, what went wrong.

A check compares with our function on random inputs and accepts any implementation that gives the same. It
never raises in a notebook; under SSLAB_CHECKS=strict (tests, nbgrader) it does. The result has .passed,
.misconception and .hint.
"""

from sslab.lab.checks.clustering import sinkhorn
from sslab.lab.checks.contrastive import cosine_similarity_matrix, nt_xent, positive_index, push_weights
from sslab.lab.checks.decorrelation import barlow_twins, cross_correlation, vicreg_covariance, vicreg_variance
from sslab.lab.checks.distillation import center_update, dino, negative_cosine
from sslab.lab.checks.measuring import effective_rank, feature_std, knn_predict, uniformity
from sslab.lab.checks.momentum import enqueue, info_nce, momentum_update
from sslab.lab.checks.prototypes import prototypes_used, swapped_prediction

__all__ = ["barlow_twins", "center_update", "cosine_similarity_matrix", "cross_correlation", "dino", "effective_rank",
           "enqueue", "feature_std", "info_nce", "knn_predict", "momentum_update", "negative_cosine", "nt_xent",
           "positive_index", "prototypes_used", "push_weights", "sinkhorn", "swapped_prediction", "uniformity",
           "vicreg_covariance", "vicreg_variance"]
