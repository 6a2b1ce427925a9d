"""Colours and shapes shared by every figure: Okabe-Ito without black and yellow, and a marker for each class."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
ROLES = {"chance": ("0.5", ":", ""), "raw pixels": ("#E69F00", "--", "s"), "random encoder": ("#CC79A7", "--", "^"),
         "supervised": ("#009E73", "--", "D")}


def class_style(label: int) -> dict:
    """Colour and marker of a class; ten classes differ in at least one of them."""
    return {"color": COLOURS[label % len(COLOURS)], "marker": MARKERS[label % len(MARKERS)]}


def ink(colour: str, contrast: float = 4.5) -> str:
    """The colour, or a darker one, in which words can be read on white: at least this contrast, as WCAG 2 measures it."""
    from matplotlib.colors import to_hex, to_rgb

    rgb = to_rgb(colour)
    while 1.05 / (luminance(rgb) + 0.05) < contrast:
        rgb = tuple(0.95 * each for each in rgb)
    return to_hex(rgb)


def luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance of sRGB from 0 to 1, black 0 and white 1."""
    linear = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in rgb)
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def new_figure(columns: int = 1, rows: int = 1, width: float = 4.2, height: float = 3.2):
    """(figure, axes) of a size that fits a notebook, without the top and right frame. `figure.says` what it shows."""
    import matplotlib.pyplot as plt

    from sslab.figures.describe import Described

    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False,
                                layout="constrained", FigureClass=Described)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    plt.close(figure)                                                # shown once, by being the cell's last value
    return figure, axes.flatten()
