"""Display of cross-validated scores over alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl._typing import Axes, Estimator
from skmtl.inspection._plotting import GRAY, LINES, Display


class PathLine(NamedTuple):
    """Scores along alpha with all other parameters fixed."""

    label: str
    alpha: np.ndarray
    mean: np.ndarray
    error: np.ndarray


class RegularizationPathDisplay(Display):
    """Mean test score over alpha, with a band of one standard error over folds.

    Two values are marked: the alpha of the best mean score and the one-standard-error alpha, the
    largest whose mean score is within one standard error of the best (Hastie, Tibshirani,
    Friedman 2009, section 7.10).

    Parameters
    ----------
    lines : list of PathLine
        ``(label, alpha, mean, error)`` each, alpha ascending and positive.
    parameter : str, default="alpha"
        Label of the axis.
    score : str, default="score"
        Name of the score.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    best_alpha_, one_se_alpha_ : float
        On the line with the best score.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.inspection import RegularizationPathDisplay
    >>> results = {
    ...     "param_alpha": [1.0, 10.0, 100.0],
    ...     "mean_test_score": np.array([0.50, 0.60, 0.58]),
    ...     "std_test_score": np.array([0.06, 0.06, 0.06]),
    ...     **{f"split{k}_test_score": np.zeros(3) for k in range(4)},
    ... }
    >>> display = RegularizationPathDisplay.from_cv_results(results)  # doctest: +SKIP
    >>> display.best_alpha_, display.one_se_alpha_  # doctest: +SKIP
    (10.0, 100.0)
    """

    def __init__(
        self, lines: Sequence[Any], *, parameter: str = "alpha", score: str = "score"
    ) -> None:
        self.lines = [PathLine(*line) for line in lines]
        self.parameter, self.score = parameter, score
        line = max(self.lines, key=lambda line: np.nanmax(line.mean))
        best = int(np.nanargmax(line.mean))
        near = line.mean[best:] >= line.mean[best] - line.error[best]
        self.best_alpha_ = float(line.alpha[best])
        self.one_se_alpha_ = float(line.alpha[best:][near].max())

    @classmethod
    def from_estimator(cls, search: Estimator, *, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the scores of a fitted search.

        Parameters
        ----------
        search : estimator
            Fitted RegularizationPathCV or GridSearchCV.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        **kwargs : dict
            Passed on to ``from_cv_results``.

        Returns
        -------
        RegularizationPathDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        check_is_fitted(search)
        kwargs = {"n_splits": search.n_splits_} | kwargs
        names = [name for name in (search.scoring, search.scorer_) if isinstance(name, str)]
        if names:
            score = "R²" if names[0] == "r2" else names[0].replace("_", " ")
            kwargs = {"score": score} | kwargs
        return cls.from_cv_results(search.cv_results_, ax=ax, **kwargs)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        parameter: str | None = None,
        metric: str = "score",
        score: str | None = None,
        n_splits: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw ``cv_results_`` of a search over alpha.

        Each combination of other parameters has a line. An alpha of 0 or inf is omitted, as the
        axis is logarithmic.

        Parameters
        ----------
        cv_results : dict
            Results of GridSearchCV or RegularizationPathCV.
        parameter : str, default=None
            The parameter along the axis, as in ``params``. None: "alpha", or the only one that
            ends in "__alpha".
        metric : str, default="score"
            Metric to draw, of a search with several.
        score : str, default=None
            Name of the score on the axis. None: ``metric``.
        n_splits : int, default=None
            Number of splits; None counts the columns of ``cv_results``. Leave-one-out has none:
            pass ``n_splits_`` of the search, the number of rows.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        RegularizationPathDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        names = [key.removeprefix("param_") for key in cv_results if key.startswith("param_")]
        parameter = _choose(names, parameter)
        key = f"mean_test_{metric}"
        if key not in cv_results:
            known = [k.removeprefix("mean_test_") for k in cv_results if k.startswith("mean_test_")]
            raise ValueError(f"cv_results has no {key!r}. Set metric to one of {known}.")
        folds = [k for k in cv_results if k.startswith("split") and k.endswith(f"_test_{metric}")]
        mean = np.asarray(cv_results[key], dtype=np.float64)
        error = np.asarray(cv_results[f"std_test_{metric}"], dtype=np.float64)
        if not folds and n_splits is None:
            raise ValueError(
                "cv_results has no columns of splits, as with leave-one-out, and n_splits is None. "
                "Pass n_splits=search.n_splits_, or use from_estimator(search)."
            )
        # scikit-learn's std has no Bessel correction
        error = error / np.sqrt(max(1, len(folds) - 1 if folds else n_splits or 1))
        values = list(cv_results[f"param_{parameter}"])
        if any(isinstance(value, Mapping) for value in values):
            raise ValueError(
                f"{parameter} has dicts in cv_results, which have no place on an axis of numbers. "
                "Draw a search over numbers, or read cv_results."
            )
        alpha = np.array(values, dtype=np.float64)
        others = {name: cv_results[f"param_{name}"] for name in names if name != parameter}
        texts = [[_text(name, value) for value in values] for name, values in others.items()]
        labels = np.array([", ".join(own) for own in zip(*texts, strict=True)] or [""] * len(alpha))
        drawn = (alpha > 0) & np.isfinite(alpha) & ~np.isnan(mean)
        if not drawn.any():
            raise ValueError(
                f"No positive, finite {parameter} has a score in cv_results: nothing to draw."
            )
        lines = []
        for label in dict.fromkeys(labels[drawn]):
            index = np.flatnonzero(drawn & (labels == label))
            index = index[np.argsort(alpha[index], kind="stable")]
            lines.append(PathLine(str(label), alpha[index], mean[index], error[index]))
        return cls(lines, parameter=parameter, score=score or metric.replace("_", " ")).plot(ax)

    def _draw(self, ax):
        """Draw the lines, their bands and the two marked alphas."""
        for k, (label, alpha, mean, error) in enumerate(self.lines):
            style = {"color": LINES[k % len(LINES)]}
            ax.fill_between(alpha, mean - error, mean + error, alpha=0.15, lw=0, **style)
            style |= {"ls": "-" if k < len(LINES) else "--", "lw": 1.5}
            if len(alpha) <= 40:
                style |= {"marker": "o", "ms": 3}
            ax.plot(alpha, mean, label=label or "mean ± 1 s.e.", **style)
        marks = {"best": (self.best_alpha_, "-"), "one s.e.": (self.one_se_alpha_, "--")}
        if self.best_alpha_ == self.one_se_alpha_:
            marks = {"best, one s.e.": (self.best_alpha_, "-")}
        for name, (alpha, style) in marks.items():
            ax.axvline(alpha, color=GRAY, ls=style, lw=1, zorder=0, label=f"{name}: {alpha:.3g}")
        ax.set_xscale("log")
        ax.set_xlabel(self.parameter.split("__")[-1])
        ax.set_ylabel(f"mean test {self.score}")


def _choose(names, parameter):
    """Return the name of the parameter along the axis."""
    if parameter is None:
        found = [name for name in names if name == "alpha" or name.endswith("__alpha")]
        if len(found) == 1:
            return found[0]
    elif parameter in names:
        return parameter
    raise ValueError(
        f"parameter={parameter!r} does not name one parameter that the search varied: these are "
        f"{names}. Pass parameter=."
    )


def _text(name, value):
    name = name.split("__")[-1]
    return f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
