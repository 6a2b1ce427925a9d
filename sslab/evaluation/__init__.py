"""Evaluation: probes, neighbours, controls and diagnostics, honest by default."""

from sslab.evaluation.diagnostics import (
                                          Diagnosis,
                                          alignment,
                                          alpha_req,
                                          diagnose,
                                          effective_rank,
                                          feature_std,
                                          lidar,
                                          rankme,
                                          singular_values,
                                          uniformity,
)
from sslab.evaluation.factors import (
                                          FACTORS,
                                          above_chance,
                                          equal_classes,
                                          factor_chance,
                                          factor_moves,
                                          moved,
                                          read_factors,
)
from sslab.evaluation.features import calibrate, evaluating, features, random_encoder, raw_pixels
from sslab.evaluation.from_scratch import accuracy, supervised, train_supervised
from sslab.evaluation.generation import (
                                          PCA,
                                          Confidence,
                                          classifier,
                                          confident_share,
                                          fit_pca,
                                          pca_gaussian_samples,
                                          pca_reconstruct,
)
from sslab.evaluation.labels import (
                                          FIXED_PENALTY,
                                          Efficiency,
                                          controls,
                                          draw_labels,
                                          label_efficiency,
)
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import Probe, Scaling, knn, linear_probe

__all__ = ["FACTORS", "FIXED_PENALTY", "PCA", "Confidence", "Diagnosis", "Efficiency", "Probe", "Scaling", "above_chance",
           "accuracy", "alignment", "alpha_req", "calibrate", "classifier", "confident_share", "controls", "diagnose",
           "draw_labels", "effective_rank", "equal_classes", "evaluating", "factor_chance", "factor_moves", "feature_std",
           "features", "fit_logistic", "fit_pca", "knn", "label_efficiency", "lidar", "linear_probe", "moved",
           "pca_gaussian_samples", "pca_reconstruct", "random_encoder", "rankme", "raw_pixels", "read_factors",
           "singular_values", "supervised", "train_supervised", "uniformity"]
