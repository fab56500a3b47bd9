"""Errors of linear models, gradient boosting and both together, on School, Exam and Parkinsons.

Run it: ``python -m benchmarks.beyond_linear [Exam] [Parkinsons] [School]``. All take about ten
minutes. The data are read from the folder ``SKMTL_DATA``.

The splits are the first five standard ones of School, and for the others ten random halves of the
rows of each task. All models of a split have the same training and test rows:

- linear: `MeanRegularizedRegressor` with ``alpha="auto"``, scaled features;
- boosting: ``HistGradientBoostingRegressor`` with the task as a category;
- linear on splines: cubic splines of each feature of more than two values, five knots, below the
  linear model;
- linear on boosting: the linear model with one more feature, the out-of-fold prediction of boosting
  (``StackingRegressor(..., passthrough=True)``, `TaskKFold`, five folds). Boosting has the task as
  a category, or all columns but the task;
- boosting on linear: boosting, with the task as a category, fitted to the out-of-fold residuals of
  the linear model, plus the prediction of the linear model.

The size and the number of trees are chosen by cross-validation (`TaskKFold`, three folds). Printed
are the mean squared error on test rows, in units of the variance of y (mean and standard error over
splits), and its difference from that of the linear model.
"""

import sys
import time

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, StackingRegressor
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from benchmarks import data
from skmtl import MeanRegularizedRegressor
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

GRID = {
    "histgradientboostingregressor__max_leaf_nodes": [3, 6, 15],
    "histgradientboostingregressor__max_iter": [60, 200],
}
# out-of-fold predictions need every row in a test fold, also those of tasks with a single row
FOLDS = TaskKFold(5, task_column=0, shuffle=True, random_state=0, min_train_rows=0)
INNER = TaskKFold(3, task_column=0, shuffle=True, random_state=0)


def linear(task_column=0, *transformers):
    """Return the linear model behind transformers of the features."""
    model = MeanRegularizedRegressor("auto", task_column=task_column, handle_unknown="shared")
    return make_task_pipeline(*transformers, StandardScaler(), model)


def splines(X):
    """Return a transformer of the features with more than two values."""
    many = [j for j in range(X.shape[1]) if len(np.unique(X[:, j])) > 2]
    basis = SplineTransformer(n_knots=5, knots="quantile", include_bias=False)
    return ColumnTransformer([("splines", basis, many)], remainder="passthrough")


def tuned(columns):
    """Return a search over boosting of some columns; column 0, the task, is a category."""
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        categorical_features=[0] if 0 in columns else None,
        random_state=0,
    )
    boosting = make_pipeline(ColumnTransformer([("columns", "passthrough", columns)]), trees)
    return GridSearchCV(boosting, GRID, cv=INNER, scoring="neg_mean_squared_error")


def stacked(boosting):
    """Return the linear model on boosting; its column 0 is the prediction, column 1 the task."""
    return StackingRegressor([("boosting", boosting)], linear(1), cv=FOLDS, passthrough=True)


def errors(X, y, train, test):
    """Return the mean squared error of each model, a dict; column 0 of X has the tasks."""
    X_train, y_train, X_test = X[train], y[train], X[test]
    every = list(range(X.shape[1]))
    model = linear().fit(X_train, y_train)
    with_task = tuned(every).fit(X_train, y_train)
    without_task = tuned(every[1:]).fit(X_train, y_train)
    residual = y_train - cross_val_predict(linear(), X_train, y_train, cv=FOLDS)
    on_residual = tuned(every).fit(X_train, residual)
    others = {
        "linear": model,
        "boosting": with_task,
        "linear on splines": linear(0, splines(X_train[:, 1:])).fit(X_train, y_train),
        "linear on boosting": stacked(with_task.best_estimator_).fit(X_train, y_train),
        "... without task": stacked(without_task.best_estimator_).fit(X_train, y_train),
    }
    predictions = {name: each.predict(X_test) for name, each in others.items()}
    predictions["boosting on linear"] = predictions["linear"] + on_residual.predict(X_test)
    return {name: np.mean((y[test] - found) ** 2) for name, found in predictions.items()}


def random_splits(X):
    """Yield halves of the rows of each task."""
    for seed in range(10):
        folds = TaskKFold(2, task_column=0, shuffle=True, random_state=seed)
        yield next(folds.split(X))


def school_splits(X):
    """Yield the standard splits."""
    return map(data.school_split, range(1, 6))


PROBLEMS = {
    "Exam": (data.exam, random_splits),
    "Parkinsons": (lambda: data.parkinsons("total_UPDRS"), random_splits),
    "School": (data.school, school_splits),
}


def problem(name, read, splits_of):
    """Print a table of one problem."""
    start, (X, tasks, y) = time.perf_counter(), read()
    X, y = np.column_stack([tasks, X]), (y - y.mean()) / y.std()
    found = [errors(X, y, train, test) for train, test in splits_of(X)]
    print(f"\n{name}: {X.shape[0]} rows, {X.shape[1] - 1} features, {tasks.max() + 1} tasks")
    print(f"{'':20}{'error':>18}{'minus linear':>20}")
    for model in found[0]:
        own = np.array([each[model] for each in found])
        gap = own - [each["linear"] for each in found]
        text = [f"{v.mean():.4f} +- {v.std(ddof=1) / len(v) ** 0.5:.4f}" for v in (own, gap)]
        print(f"{model:20}{text[0]:>18}{text[1] if gap.any() else '':>20}")
    print(f"{time.perf_counter() - start:.0f} s", flush=True)


def main(*names):
    for name in names or PROBLEMS:
        problem(name, *PROBLEMS[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
