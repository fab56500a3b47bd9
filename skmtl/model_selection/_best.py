"""Methods that a search delegates to the refitted best estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import check_scoring
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._typing import Array, Estimator
from skmtl.linear_model import scored_targets
from skmtl.model_selection._scoring import call_scorer, of_kinds, weights_for


def _delegated(name):
    """Make a method available if the estimator has it and ``refit`` is set."""

    def check(search):
        search._check_refit(name)
        getattr(getattr(search, "best_estimator_", search.estimator), name)
        return True

    return available_if(check)


class BestEstimatorMixin:
    """Delegate predictions and scores to ``best_estimator_``; requires ``refit``."""

    refit: bool
    scoring: Any

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the score of the best estimator under ``scoring``.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; NaN in the wide form is not observed.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or, in the wide form, of each target.

        Returns
        -------
        float
            Greater is better.
        """
        self._check_refit("score")
        best = self._best()
        scorer = check_scoring(best, scoring=self.scoring)
        if of_kinds(best):
            return scorer(best, X, y, **weights_for(sample_weight))
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        return call_scorer(scorer, best, X, scored_targets(best, y, sample_weight), weight)

    @_delegated("predict")
    def predict(self, X: ArrayLike, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Predict with the best estimator.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        return_std : bool, default=False
            Whether to return standard deviations too, of an estimator that has them.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            As the estimator returns it.
        std : ndarray, same shape
            With ``return_std``. Standard deviation of a new observation.
        """
        return self._best().predict(X, **({"return_std": True} if return_std else {}))

    @_delegated("adapt")
    def adapt(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Estimator:
        """Fit the tasks of new rows with the center of the best estimator fixed.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and the column of task labels, as in ``fit``.
        y : array-like of shape (n_samples,)
            Target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        estimator
            A new fitted one, of the class of the best estimator, which is unchanged.
        """
        return self._best().adapt(X, y, sample_weight)

    @_delegated("predict_proba")
    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probabilities of the best estimator.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_tasks)
            As the estimator returns it.
        """
        return self._best().predict_proba(X)

    @_delegated("decision_function")
    def decision_function(self, X: ArrayLike) -> Array:
        """Return the decision function of the best estimator.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_tasks)
            As the estimator returns it.
        """
        return self._best().decision_function(X)

    @property
    def classes_(self) -> Array:
        """Class labels of the best estimator (classifiers only)."""
        return self._best().classes_

    def _check_refit(self, name):
        if not self.refit:
            raise AttributeError(
                f"The search has no {name} with refit=False. Fit the estimator with "
                "best_params_, or set refit to True."
            )

    def _best(self):
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_
