"""What a lab looks like in a notebook: the dashboard, and a still picture for where there is no kernel."""

import base64
import html
import io
import textwrap
import uuid
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"


def bundle(lab) -> dict[str, Any]:
    """MIME bundle of a lab: the dashboard where anywidget is installed, a picture, a sentence."""
    data = {"text/plain": repr(lab), "image/png": base64.b64encode(still(lab)).decode()}
    if (dashboard := _dashboard(lab)) is None:
        return data
    shown = dashboard._repr_mimebundle_()
    return {**(shown[0] if isinstance(shown, tuple) else shown or {}), **data}


def show(lab) -> None:
    """In a notebook: two outputs, the dashboard and under it the still picture, which the dashboard hides.

    A front end shows one form of an output only, and of a widget without its kernel an error. So the picture is an
    output of its own; it is drawn again when a run ends, and the saved notebook shows how it ended.
    """
    from IPython import get_ipython
    from IPython.display import display

    data, shell = bundle(lab), get_ipython()
    if VIEW not in data or not hasattr(shell, "kernel"):
        display(data, raw=True)
        return
    picture = data.pop("image/png")
    display(data, raw=True)
    lab.dashboard.still = lab.dashboard.still or f"sslab-still-{uuid.uuid4().hex[:8]}"
    display(_page(lab, picture), raw=True, display_id=lab.dashboard.still)


def refresh(lab) -> None:
    """Draw the still picture again, if there is one."""
    if lab.dashboard is not None and getattr(lab.dashboard, "still", ""):
        from IPython.display import display

        picture = base64.b64encode(still(lab)).decode()
        display(_page(lab, picture), raw=True, display_id=lab.dashboard.still, update=True)


def _page(lab, picture: str) -> dict[str, str]:
    text = "A picture of the lab as it was. Run the cell to bring it back."
    said = "".join(f"<li>{html.escape(f'{name}: {reading}')}</li>" for name, reading in lab.readings.items())
    said = f"<ul>{said}</ul>" if said else ""
    return {"text/plain": text,
            "text/html": f'<div class="{lab.dashboard.still}"><img alt="{html.escape(lab.status)}" '
                         f'src="data:image/png;base64,{picture}">{said}<p>{text}</p></div>'}


def _dashboard(lab):
    if lab.dashboard is None:
        try:
            from sslab.lab.widget import Dashboard
        except ImportError:                                          # no anywidget
            return None
        lab.dashboard = Dashboard(lab)
    return lab.dashboard


def still(lab) -> bytes:
    """Map, loss with its reference lines, gauges and probe, and what the objective makes of pictures or texts, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, run, pictures = lab.history, lab.run, lab.pictures
    said = _written(lab.readings)
    below = ([0.2 + 0.6 * len(pictures)] if pictures else []) + ([0.3 + 0.17 * len(said)] if said else [])
    figure = Figure(figsize=(11, 3.6 + sum(below)), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)                                          # no pyplot: no global state, any thread
    figure.suptitle(lab.status, fontsize=9, wrap=True, parse_math=False)
    above = figure.subfigures(1 + len(below), 1, height_ratios=(3.6, *below)) if below else [figure]
    panels = above[0].subplots(1, 4, width_ratios=(1.2, 1.2, 1, 1))
    _draw_map(panels[0], run)
    _draw_curve(panels[1], rows, "loss", "Loss")
    for name, level in run.levels.items():
        panels[1].axhline(level, color="0.4", linestyle="--", linewidth=1)
        panels[1].annotate(name, (0.02, level), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    seen = "embeddings" if run.watcher.kind == "text" else "projections"
    _draw_curve(panels[2], rows, "std", f"Spread of the {seen} (1 even, 0 collapsed)")
    panels[2].set_ylim(0, 1.2)
    _draw_curve(panels[3], rows, "probe", "Probe accuracy, 10 labels a class")
    panels[3].set_ylim(0, 1)
    for name, level in lab.controls.items():
        panels[3].axhline(level, color="0.4", linestyle="--", linewidth=1)
        panels[3].annotate(name, (0.02, level), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    if pictures:
        _draw_pictures(above[1].subplots(len(pictures), 1, squeeze=False)[:, 0], pictures)
    if said:
        above[-1].text(0.01, 0.98, "\n".join(said), va="top", fontsize=8, parse_math=False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")     # Okabe-Ito, no black, no yellow
MARKERS = "os^Dv*Pp"
SHOWN = {"images": "images", "text": "texts", "pairs": "drawings"}


def _written(readings) -> list[str]:
    """Lines of text: what a language model said."""
    lines = (line for name, reading in readings.items() for line in textwrap.wrap(f"{name}: {reading}", 170))
    return ["".join(letter if letter.isprintable() else "·" for letter in line) for line in lines]       # no glyph for a control character


def _draw_map(axes, run) -> None:
    axes.set_title(f"Embeddings of validation {SHOWN[run.watcher.kind]}", fontsize=8)
    axes.set(xticks=[], yticks=[], aspect="equal")
    picture = run.watcher.picture
    if picture is None:
        axes.text(0.5, 0.5, "not started", ha="center", transform=axes.transAxes, fontsize=9)
        return
    labels = run.watcher.labels
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


def _draw_pictures(panels, pictures) -> None:
    from sslab.figures.pictures import tile

    for axes, (name, images) in zip(panels, pictures.items(), strict=True):
        axes.imshow(tile(images, len(images)).numpy(), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
