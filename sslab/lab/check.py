"""Checks of exercises: `check.nt_xent(my_function)` says whether it is right and, if not, what went wrong.

A check compares with our function on random inputs and accepts any implementation that gives the same. It
never raises in a notebook; under SSLAB_CHECKS=strict (tests, nbgrader) it does. The result has .passed,
.misconception and .hint.
"""

from sslab.lab.checks.autoregressive import (
    bits_per_character,
    causal_mask,
    causal_weights,
    next_token,
    sample,
)
from sslab.lab.checks.capstone import own_objective, share_interval, spectral  # noqa: F401  the first takes a way to make one: no Check
from sslab.lab.checks.clustering import sinkhorn
from sslab.lab.checks.contrastive import cosine_similarity_matrix, nt_xent, positive_index, push_weights
from sslab.lab.checks.decorrelation import barlow_twins, cross_correlation, vicreg_covariance, vicreg_variance
from sslab.lab.checks.distillation import center_update, dino, negative_cosine
from sslab.lab.checks.factors import allowed, angular_distance, equal_classes, moved
from sslab.lab.checks.language import hide_tokens, masked_tokens, unigram
from sslab.lab.checks.leaks import copies, depends_on, honest_choice, is_frozen, name_the_leak
from sslab.lab.checks.masked import ijepa, masked_patches, patchify, random_mask, unpatchify
from sslab.lab.checks.measuring import effective_rank, feature_std, knn_predict, uniformity
from sslab.lab.checks.momentum import enqueue, info_nce, momentum_update
from sslab.lab.checks.pairs import clip, recall_at, siglip, zero_shot
from sslab.lab.checks.pretext import annealed_mean, colour_weights, neighbour_index, rotation_task
from sslab.lab.checks.prototypes import prototypes_used, swapped_prediction
from sslab.lab.checks.reconstruction import (
    elbo,
    kl_divergence,
    make_denoising_pair,
    pca_reconstruct,
    reparametrise,
)
from sslab.lab.checks.scale import power_law, read_curve, run_cost, scaled_rate
from sslab.lab.checks.transfer import break_even, fold_scaling, layer_rates, mean_corruption_error

__all__ = ["allowed", "angular_distance", "annealed_mean", "barlow_twins", "bits_per_character",
           "break_even", "causal_mask", "causal_weights", "center_update", "clip", "colour_weights",
           "copies", "cosine_similarity_matrix", "cross_correlation", "depends_on", "dino", "effective_rank",
           "elbo", "enqueue", "equal_classes", "feature_std", "fold_scaling", "hide_tokens", "honest_choice",
           "ijepa", "info_nce", "is_frozen", "kl_divergence", "knn_predict", "layer_rates",
           "make_denoising_pair", "masked_patches", "masked_tokens", "mean_corruption_error",
           "momentum_update", "moved", "name_the_leak", "negative_cosine", "neighbour_index", "next_token",
           "nt_xent", "patchify", "pca_reconstruct", "positive_index", "power_law", "prototypes_used",
           "push_weights", "random_mask", "read_curve", "recall_at", "reparametrise", "rotation_task",
           "run_cost", "sample", "scaled_rate", "share_interval", "siglip", "sinkhorn", "spectral",
           "swapped_prediction", "uniformity", "unigram", "unpatchify", "vicreg_covariance",
           "vicreg_variance", "zero_shot"]
