"""Display of a sharing report."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from skmtl._typing import Axes, Estimator, Table
from skmtl.inspection._folds import metric_name
from skmtl.inspection._models import final_step
from skmtl.inspection._plotting import BLUE, GRAY, NAMED, ORANGE, Display, shortened
from skmtl.inspection._report import sharing_report

MENTIONED = 11  # flagged tasks that the legend names


class SharingReportDisplay(Display):
    """Gains from sharing by task, sorted, with standard errors; flagged tasks are highlighted.

    Error bars are plus and minus one standard error. Up to 40 tasks are drawn as labeled rows; more
    are drawn as columns, and the legend names those that are flagged.

    Parameters
    ----------
    tasks : sequence of T labels
        Labels of the tasks.
    gain : ndarray of shape (T,)
        Gain from sharing; positive means that sharing helps.
    gain_std : ndarray of shape (T,)
        Standard errors. NaN, for too few rows, is drawn as a hollow marker.
    flagged : bool ndarray of shape (T,)
        Whether sharing hurts the task significantly.
    unit : str, default="score"
        Name of the metric.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    order_ : ndarray
        Indices of the tasks as drawn, by ascending gain, without those whose gain is NaN.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import SharingReportDisplay, sharing_report
    >>> X, y = make_multitask_regression(5, 30, 3, random_state=0)
    >>> report = sharing_report(X, y, MeanRegularizedRegressor(9.0, task_column=0))
    >>> display = SharingReportDisplay.from_report(report)  # doctest: +SKIP
    """

    def __init__(
        self,
        tasks: Any,
        gain: ArrayLike,
        gain_std: ArrayLike,
        flagged: ArrayLike,
        *,
        unit: str = "score",
    ) -> None:
        self.tasks = list(tasks)
        self.gain, self.gain_std = np.asarray(gain, float), np.asarray(gain_std, float)
        self.flagged, self.unit = np.asarray(flagged, bool), unit
        shown = np.flatnonzero(~np.isnan(self.gain))
        self.order_ = shown[np.argsort(self.gain[shown], kind="stable")]

    @classmethod
    def from_report(
        cls, report: Table, *, unit: str = "mean squared error", ax: Axes | None = None
    ) -> Self:
        """Draw the result of `sharing_report`.

        Parameters
        ----------
        report : DataFrame or dict
            As `sharing_report` returns it.
        unit : str, default="mean squared error"
            Name of the metric, with its unit.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        SharingReportDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        tasks = report["task"] if isinstance(report, dict) else report.index
        columns = (np.asarray(report[c]) for c in ("gain", "gain_std", "negative_transfer"))
        return cls(tasks, *columns, unit=unit).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        ax: Axes | None = None,
        unit: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Run `sharing_report` and draw it.

        Parameters
        ----------
        estimator : estimator
            The shared model, as in `sharing_report`.
        X, y : array-like
            Data, as in its ``fit``.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        unit : str, default=None
            Name of the metric; None: that of ``scoring``.
        **kwargs : dict
            Passed to `sharing_report`.

        Returns
        -------
        SharingReportDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        report = sharing_report(X, y, estimator, **kwargs)
        if unit is None:
            scoring = metric_name(kwargs.get("scoring"), is_classifier(final_step(estimator)))
            unit = str(getattr(scoring, "__name__", scoring)).replace("_", " ")
        return cls.from_report(report, unit=unit, ax=ax)

    def _size(self):
        n = len(self.order_)
        return (6.0, 1.3 + 0.24 * n) if n <= NAMED else (8.0, 4.0)

    def _draw(self, ax):
        order, n = self.order_, len(self.order_)
        as_rows = n <= NAMED
        self._legend_corner = "upper left" if as_rows else "lower right"  # free, as gains ascend
        points, error, size = np.array([np.arange(n), self.gain[order]]), "yerr", 3.5
        if as_rows:
            points, error, size = points[::-1], "xerr", 5
        flagged, hurts = self.flagged[order], "sharing hurts" if as_rows else self._named()
        groups = [(~flagged, BLUE, "o", None), (flagged, ORANGE, "s", hurts)]
        for own, color, marker, label in groups:
            if own.any():
                style = {"color": color, "fmt": marker, "ms": size, "lw": 1.2, "label": label}
                ax.errorbar(*points[:, own], **{error: self.gain_std[order[own]]}, **style)
        few = np.isnan(self.gain_std[order])  # rows, too few for a standard error
        if few.any():
            style = {"mfc": "white", "mec": BLUE, "ms": size, "zorder": 5}
            ax.plot(*points[:, few], "o", **style, label="few rows")
        (self._label_rows if as_rows else self._label_columns)(ax, n)

    def _named(self):
        """Return the legend entry of the flagged tasks, with at most ``MENTIONED`` names."""
        flagged = [self.tasks[t] for t in self.order_ if self.flagged[t]]
        names = shortened(flagged[:MENTIONED])
        if len(flagged) > MENTIONED:
            names.append(f"{len(flagged) - MENTIONED} more")
        lines = [", ".join(names[k : k + 4]) for k in range(0, len(names), 4)]
        return "\n".join(["sharing hurts:", *lines])

    def _label_rows(self, ax, n):
        ax.axvline(0, color=GRAY, lw=1, zorder=0)
        ax.set_yticks(range(n), shortened([self.tasks[t] for t in self.order_]))
        ax.set_ylim(-0.8, n - 0.2)
        ax.set_xlabel(f"gain from sharing ± 1 s.e. ({self.unit})")
        ax.set_ylabel("task")
        ax.tick_params(axis="y", length=0)

    def _label_columns(self, ax, n):
        ax.axhline(0, color=GRAY, lw=1, zorder=0)
        ax.set_xlim(-2, n + 1)
        ax.set_xticks([])
        ax.set_xlabel(f"{n} tasks, by their gain")
        ax.set_ylabel(f"gain from sharing ± 1 s.e.\n({self.unit})")
