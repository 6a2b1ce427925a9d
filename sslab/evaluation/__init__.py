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
from sslab.evaluation.features import calibrate, evaluating, features, random_encoder, raw_pixels
from sslab.evaluation.from_scratch import accuracy, supervised, train_supervised
from sslab.evaluation.labels import (
                                          FIXED_PENALTY,
                                          Efficiency,
                                          controls,
                                          draw_labels,
                                          label_efficiency,
)
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import Probe, Scaling, knn, linear_probe

__all__ = ["FIXED_PENALTY", "Diagnosis", "Efficiency", "Probe", "Scaling", "accuracy", "alignment", "alpha_req",
           "calibrate", "controls", "diagnose", "draw_labels", "effective_rank", "evaluating", "feature_std", "features",
           "fit_logistic", "knn", "label_efficiency", "lidar", "linear_probe", "random_encoder", "rankme",
           "raw_pixels", "singular_values", "supervised", "train_supervised", "uniformity"]
