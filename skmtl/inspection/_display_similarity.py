"""Display of task similarity."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from skmtl._typing import Axes, Estimator
from skmtl.inspection._plotting import NAMED, Display, shortened, thinned
from skmtl.inspection._similarity import task_similarity


class TaskSimilarityDisplay(Display):
    """Heat map of a (T, T) matrix, with tasks ordered by hierarchical clustering.

    Up to 40 tasks are labeled; of more, about 20 at regular distances.

    Parameters
    ----------
    matrix : DataFrame or array-like of shape (T, T)
        As `task_similarity` or `task_affinity` returns it.
    tasks : sequence of T labels, default=None
        None: those of the DataFrame, or 0, ..., T - 1.
    kind : {"similarity", "distance", "affinity"}, default="similarity"
        Range of values: from -1 to 1; nonnegative; or gains around 0.
    label : str, default=None
        Label of the color bar. None: ``kind``.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    order_ : ndarray of shape (T,)
        Indices of the tasks as drawn.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import TaskSimilarityDisplay
    >>> X, y = make_multitask_regression(5, 30, 3, random_state=0)
    >>> model = MeanRegularizedRegressor(task_column=0).fit(X, y)
    >>> display = TaskSimilarityDisplay.from_estimator(model)  # doctest: +SKIP
    """

    _layout = "compressed"

    def __init__(
        self, matrix: Any, tasks: Any = None, *, kind: str = "similarity", label: str | None = None
    ) -> None:
        if kind not in ("similarity", "distance", "affinity"):
            raise ValueError(f"kind must be 'similarity', 'distance' or 'affinity', got {kind!r}.")
        if tasks is None:
            tasks = getattr(matrix, "index", None)
        self.matrix = np.asarray(matrix, dtype=np.float64)
        self.tasks = list(range(len(self.matrix)) if tasks is None else tasks)
        self.kind, self.label = kind, kind if label is None else label

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        metric: str = "correlation",
        *,
        X: ArrayLike | None = None,
        centered: bool = False,
        ax: Axes | None = None,
    ) -> Self:
        """Draw `task_similarity` of a fitted model.

        Parameters
        ----------
        estimator : estimator
            Fitted model.
        metric, X, centered : str, dataframe or array-like, and bool
            As in `task_similarity`.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        TaskSimilarityDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        matrix = task_similarity(estimator, metric, X=X, centered=centered)
        of = "predictions" if X is not None else "coefficients"
        of = f"deviations of {of}" if centered else of
        kind = "distance" if metric == "distance" else "similarity"
        return cls(matrix, kind=kind, label=f"{metric} of {of}").plot(ax)

    def _size(self):
        side = 3.2 + 0.17 * min(len(self.matrix), NAMED)
        return side + 1.2, side

    def _draw(self, ax):
        T, affinity = len(self.matrix), self.kind == "affinity"
        self.order_ = self._clustered()
        shown = self.matrix[np.ix_(self.order_, self.order_)]
        largest = np.nanmax(np.abs(shown)) if np.isfinite(shown).any() else 1.0
        style = {"cmap": "RdBu", "vmin": -1, "vmax": 1}
        if affinity:
            style |= {"vmin": -largest, "vmax": largest}
        elif self.kind == "distance":
            style = {"cmap": "cividis", "vmin": 0}
        image = ax.imshow(shown, interpolation="nearest", **style)
        ax.set_facecolor("0.85")  # NaN
        bar = self.figure_.colorbar(image, ax=ax, shrink=0.8)
        bar.set_label(self.label)
        bar.outline.set_visible(False)
        at = np.arange(T) if T <= NAMED else thinned(T, 20)
        names = shortened([self.tasks[t] for t in self.order_[at]], 14)
        size = 9 if T <= 15 else 7
        turned = {"rotation": 90} if max(map(len, names)) > 2 else {}
        ax.set_xticks(at, names, fontsize=size, **turned)
        ax.set_yticks(at, names, fontsize=size)
        some = "" if T <= NAMED else f" (some of {T} named)"
        ax.set_ylabel(("task that gains" if affinity else "task") + some)
        ax.set_xlabel(("trained together with" if affinity else "task") + some)
        ax.spines[:].set_visible(False)
        if T <= NAMED:
            ax.tick_params(length=0)

    def _clustered(self):
        """Return the order of the leaves of average linkage; NaN is the largest distance."""
        if len(self.matrix) < 3:
            return np.arange(len(self.matrix))
        apart = self.matrix if self.kind == "distance" else -self.matrix
        apart = 0.5 * (apart + apart.T)
        off = ~np.eye(len(apart), dtype=bool)
        known = apart[off & ~np.isnan(apart)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        apart = np.where(np.isnan(apart), high, apart) - low
        np.fill_diagonal(apart, 0.0)
        tree = linkage(squareform(apart, checks=False), "average", optimal_ordering=True)
        return leaves_list(tree)
