"""Figures: one function, one figure, returned so that a cell's last line shows it."""

from sslab.figures.curves import (
                                  embedding_map,
                                  label_efficiency,
                                  loss,
                                  settings,
                                  similarity_matrix,
                                  spectrum,
                                  temperature_weights,
)
from sslab.figures.factors import factor_heat_maps, pairs
from sslab.figures.family import (
                                  ablation,
                                  choices,
                                  clusters,
                                  codes,
                                  correlations,
                                  crops,
                                  gauges,
                                  leaderboard,
                                  removals,
                                  switched,
                                  teacher_memory,
)
from sslab.figures.image_text import drawings, modality_gap, pair_matrix, ranked, who_wins
from sslab.figures.language import (
                                  attention_words,
                                  masks,
                                  next_words,
                                  progress,
                                  sampling,
                                  word_bars,
)
from sslab.figures.masked import (
                                  attention_maps,
                                  context_and_targets,
                                  filled_in,
                                  masks_and_fillings,
                                  patch_filters,
)
from sslab.figures.pictures import neighbours, samples, tile, views
from sslab.figures.pretext import (
                                  answers,
                                  by_class,
                                  confusion,
                                  palette,
                                  patches,
                                  turns,
)
from sslab.figures.reconstruction import (
                                  denoising_steps,
                                  generated,
                                  interpolation,
                                  latents_in_use,
                                  reconstructions,
                                  traversal,
)
from sslab.figures.style import COLOURS, MARKERS, class_style
from sslab.figures.transfer import robustness, spoiled, worth

__all__ = ["COLOURS", "MARKERS", "ablation", "answers", "attention_maps", "attention_words", "by_class", "choices",
           "class_style", "clusters", "codes", "confusion", "context_and_targets", "correlations", "crops",
           "denoising_steps", "drawings", "embedding_map", "factor_heat_maps", "filled_in", "gauges", "generated", "interpolation",
           "label_efficiency", "latents_in_use", "leaderboard", "loss", "masks", "masks_and_fillings", "modality_gap",
           "neighbours", "next_words", "pair_matrix", "pairs", "palette", "patch_filters", "patches", "progress",
           "ranked", "reconstructions", "removals", "robustness", "samples", "sampling", "settings",
           "similarity_matrix", "spectrum", "spoiled", "switched", "teacher_memory", "temperature_weights", "tile",
           "traversal", "turns", "views", "who_wins", "word_bars", "worth"]
