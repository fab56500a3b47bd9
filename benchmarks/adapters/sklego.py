"""scikit-lego: averages of the predictions of a pooled model and of one model per task.

``GroupedPredictor`` with shrinkage averages the same models, and is left out.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklego.meta import HierarchicalClassifier, HierarchicalRegressor

from benchmarks.adapters._base import Method

LIBRARY = "scikit-lego"
SOLVERS = ()
NO_SOLVERS = "averages the predictions of several models"
ALPHAS = (1e0, 1e2)
SHARES = (0.1, 0.5, 0.9)  # weights of the parent in a prediction


class TolerantLogistic(ClassifierMixin, BaseEstimator):
    """A LogisticRegression that supports groups with a single class."""

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if len(self.classes_) > 1:
            self.model_ = LogisticRegression(C=self.C, max_iter=1000).fit(X, y)
        return self

    def predict_proba(self, X):
        if len(self.classes_) == 1:
            return np.ones((len(X), 1))
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def frame(X, tasks):
    """Return the rows in the input format of scikit-lego."""
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(task=tasks)


def searched(kind):
    """Return a method: a search over alpha and the weight of the parent."""

    def predict(fold):
        if fold.classify:
            model, scoring = TolerantLogistic(), "neg_log_loss"
            grid = {"estimator__C": [1 / alpha for alpha in ALPHAS]}
        else:
            model, scoring = Ridge(), "neg_mean_squared_error"
            grid = {"estimator__alpha": ALPHAS}
        grid["shrinkage_kwargs"] = [{"alpha": share} for share in SHARES]
        whole = kind(model, groups=["task"], shrinkage="constant", check_X=False)
        search = GridSearchCV(whole, grid, cv=fold.folds, scoring=scoring, error_score="raise")
        search.fit(frame(fold.X, fold.tasks), fold.y)
        rows = frame(fold.X_test, fold.tasks_test)
        return search.predict_proba(rows)[:, 1] if fold.classify else search.predict(rows)

    return predict


METHODS = (
    Method(
        LIBRARY,
        "HierarchicalRegressor, GridSearchCV",
        ("long",),
        ("regression",),
        searched(HierarchicalRegressor),
    ),
    Method(
        LIBRARY,
        "HierarchicalClassifier, GridSearchCV",
        ("long",),
        ("classification",),
        searched(HierarchicalClassifier),
    ),
)
