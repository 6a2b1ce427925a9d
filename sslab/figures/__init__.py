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
from sslab.figures.pictures import samples, tile, views
from sslab.figures.style import COLOURS, MARKERS, class_style

__all__ = ["COLOURS", "MARKERS", "ablation", "choices", "class_style", "clusters", "codes", "correlations", "crops",
           "embedding_map", "gauges", "label_efficiency", "leaderboard", "loss", "removals", "samples", "settings",
           "similarity_matrix", "spectrum", "switched", "teacher_memory", "temperature_weights", "tile", "views"]
