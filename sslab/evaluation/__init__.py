"""Evaluation: probes, neighbours, controls and diagnostics, honest by default."""

from sslab.evaluation.corruptions import CORRUPTIONS, corrupted, corruption_error, robustness
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
from sslab.evaluation.fine_tuning import (
    STRATEGIES,
    adapt,
    fine_tune,
    fine_tuned,
    layers,
    mean_head,
    overtakes,
    probe_head,
    reaches,
)
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
from sslab.evaluation.language import (
    HiddenWord,
    TextScore,
    bits_per_character,
    fill_in,
    generate,
    generate_steps,
    hidden_words,
    masked_accuracy,
    next_probabilities,
    perplexity,
    score_text,
    word_ranks,
)
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.ngrams import NGram, TextNGram, WordCounts, count_words
from sslab.evaluation.pairs import (
    CLIPART_PROMPTS,
    EMOJI_PROMPTS,
    CrossModal,
    Gap,
    Retrieval,
    Transfer,
    ZeroShot,
    across_drawers,
    centred_pixels,
    class_embeddings,
    classify,
    compose,
    cross_modal,
    modality_gap,
    nearest_name,
    prompts,
    retrieve,
    zero_shot,
)
from sslab.evaluation.probe import Probe, Scaling, knn, linear_probe
from sslab.evaluation.words import lsa, lsa_efficiency, tf_idf, tf_idf_efficiency, word_controls

__all__ = [
    "CLIPART_PROMPTS", "CORRUPTIONS", "EMOJI_PROMPTS", "FACTORS", "FIXED_PENALTY", "PCA", "STRATEGIES", "Confidence",
    "CrossModal", "Diagnosis", "Efficiency", "Gap", "HiddenWord", "NGram", "Probe", "Retrieval", "Scaling", "TextNGram",
    "TextScore", "Transfer", "WordCounts", "ZeroShot", "above_chance", "accuracy", "across_drawers", "adapt",
    "alignment", "alpha_req", "bits_per_character", "calibrate", "centred_pixels", "class_embeddings", "classifier",
    "classify", "compose", "confident_share", "controls", "corrupted", "corruption_error", "count_words", "cross_modal",
    "diagnose", "draw_labels", "effective_rank", "equal_classes", "evaluating", "factor_chance", "factor_moves",
    "feature_std", "features", "fill_in", "fine_tune", "fine_tuned", "fit_logistic", "fit_pca", "generate",
    "generate_steps", "hidden_words", "knn", "label_efficiency", "layers", "lidar", "linear_probe", "lsa",
    "lsa_efficiency", "masked_accuracy", "mean_head", "modality_gap", "moved", "nearest_name", "next_probabilities",
    "overtakes", "pca_gaussian_samples", "pca_reconstruct", "perplexity", "probe_head", "prompts", "random_encoder",
    "rankme", "raw_pixels", "reaches", "read_factors", "retrieve", "robustness", "score_text", "singular_values",
    "supervised", "tf_idf", "tf_idf_efficiency", "train_supervised", "uniformity", "word_controls", "word_ranks",
    "zero_shot",
]
