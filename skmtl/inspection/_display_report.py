"""Display of a sharing report."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from skmtl._typing import Axes, Estimator, Table
from skmtl.inspection._folds import metric_name
from skmtl.inspection._models import final_step
from skmtl.inspection._plotting import (
    BLUE,
    GRAY,
    NAMED,
    ORANGE,
    make_axes,
    shortened,
    tidy,
)
from skmtl.inspection._report import sharing_report

MENTIONED = 11  # flagged tasks that the legend names


class SharingReportDisplay:
    """Gains from sharing by task, sorted, with standard errors; flagged tasks are highlighted.

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
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
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

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw gains with error bars of plus and minus one standard error.

        Up to 40 tasks are drawn as labeled rows; more are drawn as columns, and the legend names
        those that are flagged.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        SharingReportDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        shown = np.flatnonzero(~np.isnan(self.gain))
        self.order_ = shown[np.argsort(self.gain[shown], kind="stable")]
        few = len(self.order_) <= NAMED
        size = (6.0, 1.3 + 0.24 * len(self.order_)) if few else (8.0, 4.0)
        self.figure_, self.ax_ = make_axes(ax, *size)
        place = np.arange(len(self.order_))
        hurts = "sharing hurts" if few else self._named()
        for flag, color, label in ((False, BLUE, None), (True, ORANGE, hurts)):
            chosen = self.flagged[self.order_] == flag
            if not chosen.any():
                continue
            own = self.order_[chosen]
            at, gain, error = place[chosen], self.gain[own], self.gain_std[own]
            points = (gain, at) if few else (at, gain)
            bars = {"xerr" if few else "yerr": error}
            style = {"fmt": "s" if flag else "o", "ms": 5 if few else 3.5, "lw": 1.2}
            self.ax_.errorbar(*points, **bars, color=color, label=label, **style)
        self._hollow(place, few)
        (self._rows if few else self._columns)(place)
        if self.ax_.get_legend_handles_labels()[1]:
            # free corners, as gains ascend
            corner = "upper left" if few else "lower right"
            self.ax_.legend(frameon=False, loc=corner, fontsize=8)
        tidy(self.ax_)
        return self

    def _named(self):
        """Return the legend entry of the flagged tasks, with at most ``MENTIONED`` names."""
        flagged = [self.tasks[t] for t in self.order_ if self.flagged[t]]
        names = shortened(flagged[:MENTIONED])
        if len(flagged) > MENTIONED:
            names.append(f"{len(flagged) - MENTIONED} more")
        lines = [", ".join(names[k : k + 4]) for k in range(0, len(names), 4)]
        return "\n".join(["sharing hurts:", *lines])

    def _hollow(self, place, few):
        """Draw hollow markers over tasks with too few rows for a standard error."""
        unsure = np.isnan(self.gain_std[self.order_])
        if unsure.any():
            at, gain = place[unsure], self.gain[self.order_[unsure]]
            style = {"mfc": "white", "mec": BLUE, "ms": 5 if few else 3.5, "zorder": 5}
            self.ax_.plot(*((gain, at) if few else (at, gain)), "o", **style, label="few rows")

    def _rows(self, place):
        """Label tasks that are drawn as rows."""
        ax = self.ax_
        ax.axvline(0, color=GRAY, lw=1, zorder=0)
        ax.set_yticks(place, shortened([self.tasks[t] for t in self.order_]))
        ax.set_ylim(-0.8, len(place) - 0.2)
        ax.set_xlabel(f"gain from sharing ± 1 s.e. ({self.unit})")
        ax.set_ylabel("task")
        ax.tick_params(axis="y", length=0)

    def _columns(self, place):
        """Label tasks that are drawn as columns."""
        ax = self.ax_
        ax.axhline(0, color=GRAY, lw=1, zorder=0)
        ax.set_xlim(-2, len(place) + 1)
        ax.set_xticks([])
        ax.set_xlabel(f"{len(place)} tasks, by their gain")
        ax.set_ylabel(f"gain from sharing ± 1 s.e.\n({self.unit})")
