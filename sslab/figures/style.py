"""Colours and shapes shared by every figure: Okabe-Ito without black and yellow, and a marker for each class."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
ROLES = {"chance": ("0.5", ":", ""), "raw pixels": ("#E69F00", "--", "s"), "random encoder": ("#CC79A7", "--", "^"),
         "supervised": ("#009E73", "--", "D")}


def class_style(label: int) -> dict:
    """Colour and marker of a class; ten classes differ in at least one of them."""
    return {"color": COLOURS[label % len(COLOURS)], "marker": MARKERS[label % len(MARKERS)]}


def new_figure(columns: int = 1, rows: int = 1, width: float = 4.2, height: float = 3.2):
    """(figure, axes) of a size that fits a notebook, without the top and right frame."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False,
                                layout="constrained")
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    plt.close(figure)                                                # shown once, by being the cell's last value
    return figure, axes.flatten()
