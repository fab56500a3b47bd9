"""Methods of scikit-learn, tuned by its CV estimators."""

import numpy as np
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskElasticNetCV,
    MultiTaskLassoCV,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from benchmarks.adapters._augment import Augment, one_hot
from benchmarks.adapters._base import INNER_FOLDS, RIDGE_ALPHAS, Method

LIBRARY = "scikit-learn"
COARSE_ALPHAS = RIDGE_ALPHAS[2::3]  # 1e-2 to 1e4, for searches of slow fits


def logistic_search(folds):
    """Return a LogisticRegressionCV on the grid of the ridges, by log loss."""
    return LogisticRegressionCV(
        Cs=1 / RIDGE_ALPHAS[::2],
        l1_ratios=(0.0,),
        cv=folds,
        scoring="neg_log_loss",
        max_iter=1000,
        use_legacy_attributes=False,
    )


def pooled(expand):
    """Return a method: one model for all tasks on the features of ``expand``."""

    def predict(fold):
        Z = expand(fold.X, fold.tasks, fold.n_tasks)
        Z_test = expand(fold.X_test, fold.tasks_test, fold.n_tasks)
        if fold.classify:
            return logistic_search(fold.folds).fit(Z, fold.y).predict_proba(Z_test)[:, 1]
        return RidgeCV(RIDGE_ALPHAS).fit(Z, fold.y).predict(Z_test)

    return predict


def loop(fold):
    """Fit and tune one model per task.

    A task with a single row predicts its mean. One with fewer rows of a class than folds is fitted
    with C=1. One with a single class predicts the class frequency after adding a row of each class.
    """
    found = np.empty(len(fold.X_test))
    for _, train, test in fold.rows_by_task():
        X, y, X_test = fold.X[train], fold.y[train], fold.X_test[test]
        if fold.classify:
            fewest = min(np.count_nonzero(y == 0), np.count_nonzero(y == 1))
            if fewest == 0:
                found[test] = (y.sum() + 1) / (len(y) + 2)
                continue
            few = fewest < INNER_FOLDS
            model = LogisticRegression() if few else logistic_search(INNER_FOLDS)
            found[test] = model.fit(X, y).predict_proba(X_test)[:, 1]
        elif len(y) < 2:
            found[test] = y.mean()
        else:
            found[test] = RidgeCV(RIDGE_ALPHAS).fit(X, y).predict(X_test)
    return found


def augmented_search(fold):
    """Search over alpha and the ratio alpha_shared / alpha, on augmented features."""
    grid = {"augment__ratio": [0.01, 1.0]}
    if fold.classify:
        model, scoring = LogisticRegression(max_iter=1000), "neg_log_loss"
        grid["logisticregression__C"] = 1 / COARSE_ALPHAS
    else:
        model, scoring = Ridge(tol=1e-4), "neg_mean_squared_error"
        grid["ridge__alpha"] = COARSE_ALPHAS
    pipeline = make_pipeline(Augment(fold.n_tasks), model)
    search = GridSearchCV(pipeline, grid, cv=fold.folds, scoring=scoring).fit(fold.long, fold.y)
    if fold.classify:
        return search.predict_proba(fold.long_test)[:, 1]
    return search.predict(fold.long_test)


def wide_ridge(fold):
    """Tune by leave-one-out, one alpha for each column of Y."""
    return RidgeCV(RIDGE_ALPHAS, alpha_per_target=True).fit(fold.X, fold.y).predict(fold.X_test)


def wide_logistic(fold):
    """Fit and tune one model per column of y."""
    columns = []
    for y in fold.y.T:
        model = logistic_search(INNER_FOLDS).fit(fold.X, y)
        columns.append(model.predict_proba(fold.X_test)[:, 1])
    return np.column_stack(columns)


def lasso(fold):
    model = MultiTaskLassoCV(cv=fold.folds, max_iter=10_000)
    return model.fit(fold.X, fold.y).predict(fold.X_test)


def elastic_net(fold):
    model = MultiTaskElasticNetCV(l1_ratio=[0.1, 0.5, 0.9], cv=fold.folds, max_iter=10_000)
    return model.fit(fold.X, fold.y).predict(fold.X_test)


BOTH = ("regression", "classification")
METHODS = (
    Method(LIBRARY, "CV model, loop over tasks", ("long",), BOTH, loop),
    Method(LIBRARY, "CV model, pooled", ("long",), BOTH, pooled(lambda X, tasks, n_tasks: X)),
    Method(LIBRARY, "CV model, pooled, tasks one-hot", ("long",), BOTH, pooled(one_hot)),
    Method(LIBRARY, "GridSearchCV, augmented", ("long",), BOTH, augmented_search),
    Method(LIBRARY, "RidgeCV, each target", ("wide",), ("regression",), wide_ridge),
    Method(LIBRARY, "LogisticRegressionCV, each label", ("wide",), BOTH[1:], wide_logistic),
    Method(LIBRARY, "MultiTaskLassoCV", ("wide",), ("regression",), lasso),
    Method(LIBRARY, "MultiTaskElasticNetCV", ("wide",), ("regression",), elastic_net),
)
