"""The base of the displays, and their colors and labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmtl._typing import Axes

# The color-blind safe palette of Okabe and Ito.
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#8c8c8c"
LINES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NAMED = 40  # most tasks that are named along an axis


class Display:
    """Base of the displays.

    ``_draw`` draws on axes; ``_size`` is the width and height in inches of a new figure.
    """

    ax_: Axes
    figure_: Any
    _layout = "constrained"
    _legend_corner: Any = None

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        object
            The display itself, with the drawn ``figure_`` and ``ax_``.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError(
                "Displays need matplotlib, which is not installed. pip install matplotlib."
            ) from None
        if ax is None:
            ax = plt.subplots(figsize=self._size(), layout=self._layout)[1]
        self.figure_, self.ax_ = ax.figure, ax
        self._draw(ax)
        if ax.get_legend_handles_labels()[1]:
            ax.legend(frameon=False, fontsize=8, loc=self._legend_corner)
        ax.spines[["top", "right"]].set_visible(False)
        return self

    def _size(self):
        return 6.4, 4.0

    def _draw(self, ax):
        raise NotImplementedError


def shortened(labels, length=18):
    """Return labels as strings, truncated to ``length``; those of several columns as "a / b"."""
    texts = [
        " / ".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in labels
    ]
    return [text if len(text) <= length else text[: length - 1] + "…" for text in texts]


def thinned(n, most):
    """Return at most ``most`` evenly spaced positions below n, including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
