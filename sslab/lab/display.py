"""What a lab looks like in a notebook: the dashboard, a still picture for where there is no kernel, a sentence."""

import base64
import io
from typing import Any


def bundle(lab) -> dict[str, Any]:
    """MIME bundle of a lab, the dashboard included where anywidget is installed."""
    data = {"text/plain": repr(lab), "image/png": base64.b64encode(still(lab)).decode()}
    try:
        from sslab.lab.widget import Dashboard
    except ImportError:                                              # no anywidget: the picture and the sentence
        return data
    if lab.dashboard is None:
        lab.dashboard = Dashboard(lab)
    shown = lab.dashboard._repr_mimebundle_()
    shown = shown[0] if isinstance(shown, tuple) else shown or {}
    return {**shown, **data}


def still(lab) -> bytes:
    """Map, loss with its reference lines, gauges and probe, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)                                          # no pyplot: no global state, any thread
    figure.suptitle(lab.status, fontsize=9, wrap=True)
    panels = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 1, 1))
    rows, run = lab.history, lab.run
    _draw_map(panels[0], run)
    _draw_curve(panels[1], rows, "loss", "Loss")
    for name, level in run.levels.items():
        panels[1].axhline(level, color="0.4", linestyle="--", linewidth=1)
        panels[1].annotate(name, (0.02, level), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    _draw_curve(panels[2], rows, "std", "Spread of the projections (1 even, 0 collapsed)")
    panels[2].set_ylim(0, 1.2)
    _draw_curve(panels[3], rows, "probe", "Probe accuracy, 10 labels a class")
    panels[3].set_ylim(0, 1)
    for name, level in lab.controls.items():
        panels[3].axhline(level, color="0.4", linestyle="--", linewidth=1)
        panels[3].annotate(name, (0.02, level), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")     # Okabe-Ito, no black, no yellow
MARKERS = "os^Dv*Pp"


def _draw_map(axes, run) -> None:
    axes.set_title("Embeddings of validation images", fontsize=8)
    axes.set(xticks=[], yticks=[], aspect="equal")
    picture = run.watcher.picture
    if picture is None:
        axes.text(0.5, 0.5, "not started", ha="center", transform=axes.transAxes, fontsize=9)
        return
    labels = run.dataset.validation.labels[run.watcher.shown]
    for label in labels.unique().tolist():
        x, y = picture.points[labels == label].T
        axes.scatter(x, y, s=7, color=COLOURS[label % 6], marker=MARKERS[label % 8], linewidths=0)


def _draw_curve(axes, rows, key: str, title: str) -> None:
    measured = [(row["step"], row[key]) for row in rows if row[key] is not None]
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("step", fontsize=7)
    axes.tick_params(labelsize=7)
    if measured:
        axes.plot(*zip(*measured, strict=True), color=COLOURS[3], linewidth=1.5, marker="." if len(measured) < 3 else "")
