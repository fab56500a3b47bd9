"""Axes, colors and labels of the displays."""

import numpy as np

# The color-blind safe palette of Okabe and Ito.
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#8c8c8c"
LINES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NAMED = 40  # most tasks that are named along an axis


def make_axes(ax, width, height, layout="constrained"):
    """Return figure and axes: those given, or new ones of this size in inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            "Displays need matplotlib, which is not installed. pip install matplotlib."
        ) from None
    if ax is None:
        figure, ax = plt.subplots(figsize=(width, height), layout=layout)
        return figure, ax
    return ax.figure, ax


def tidy(ax):
    """Hide the upper and right spines."""
    ax.spines[["top", "right"]].set_visible(False)


def shortened(labels, length=18):
    """Return labels as strings, truncated to ``length``."""
    texts = [str(label) for label in labels]
    return [text if len(text) <= length else text[: length - 1] + "…" for text in texts]


def thinned(n, most=8):
    """Return at most ``most`` evenly spaced positions below n, including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
