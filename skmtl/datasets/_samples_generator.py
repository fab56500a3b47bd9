"""Generators of multi-task data with known coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state, check_scalar


def make_multitask_regression(
    n_tasks: int = 20,
    n_samples: int | Sequence[int] = 50,
    n_features: int = 10,
    *,
    relatedness: float = 0.8,
    imbalance: float = 0.0,
    n_outlier_tasks: int = 0,
    noise: float = 1.0,
    intercept_scale: float = 1.0,
    return_coef: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    """Generate related linear regression tasks in the long form.

    Features are independent standard normal, y = x . w_t + b_t + e, e ~ N(0, noise^2), and

        w_t = sqrt(relatedness) w_s + sqrt(1 - relatedness) v_t

    with w_s and all v_t ~ N(0, I / d), so that x . w_t has variance 1 and ``relatedness`` is the
    correlation of two tasks' coefficients. Given w_s, this is the random-coefficient model of
    mean regularization, with alpha = noise^2 d / (1 - relatedness) and
    alpha_intercept = noise^2 / intercept_scale^2.

    Parameters
    ----------
    n_tasks : int, default=20
        Number of tasks T, labeled 0, ..., T - 1.
    n_samples : int, default=50
        Rows per task, on average.
    n_features : int, default=10
        Number of features d, the task column not counted.
    relatedness : float, default=0.8
        Correlation of two tasks' coefficients, in [0, 1]: 0 = unrelated, 1 = the same.
    imbalance : float, default=0.0
        The r-th largest task has a number of rows proportional to 1 / r^imbalance, rounded, at
        least one; tasks have a random order.
    n_outlier_tasks : int, default=0
        Number of tasks, the last ones, with coefficients independent of all others, w_t = v_t.
    noise : float, default=1.0
        Standard deviation of e.
    intercept_scale : float, default=1.0
        Standard deviation of the intercepts b_t, which are normal about 0.
    return_coef : bool, default=False
        Whether to return the coefficients and intercepts, too.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes the data reproducible.

    Returns
    -------
    X : ndarray of shape (n, d + 1)
        The task label in column 0, then the features; rows in random order. n is
        T * n_samples, except for the rounding under ``imbalance``.
    y : ndarray of shape (n,)
        Targets.
    coef, intercept : ndarray of shape (T, d) and (T,)
        Only with ``return_coef``.

    Examples
    --------
    >>> from skmtl.datasets import make_multitask_regression
    >>> X, y = make_multitask_regression(n_tasks=3, n_samples=4, n_features=2, random_state=0)
    >>> X.shape, sorted(X[:, 0].tolist())[::4]
    ((12, 3), [0.0, 1.0, 2.0])
    """
    check_scalar(noise, "noise", Real, min_val=0)
    random = check_random_state(random_state)
    shape = n_tasks, n_samples, 1, n_features
    X, scores, coef, intercept = _make_scores(
        random, shape, 1.0, relatedness, imbalance, n_outlier_tasks, intercept_scale
    )
    y = scores[:, 0] + noise * random.standard_normal(len(X))
    return (X, y, coef[:, 0], intercept[:, 0]) if return_coef else (X, y)


def make_multitask_classification(
    n_tasks: int = 20,
    n_samples: int | Sequence[int] = 50,
    n_features: int = 10,
    *,
    n_classes: int = 2,
    relatedness: float = 0.8,
    imbalance: float = 0.0,
    n_outlier_tasks: int = 0,
    class_sep: float = 3.0,
    intercept_scale: float = 1.0,
    return_coef: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    """Generate related classification tasks in the long form.

    Labels are drawn from the logistic model of each task: P(y = 1 | x) is the logistic function
    of z = x . w_t + b_t or, with K > 2 classes, P(y = k | x) is the softmax of
    z_k = x . w_tk + b_tk. Features are independent standard normal. The coefficients are

        w_tk = class_sep (sqrt(relatedness) w_sk + sqrt(1 - relatedness) v_tk)

    with all w_sk and v_tk ~ N(0, I / d), so that ``class_sep`` is the standard deviation of
    x . w_tk, and ``relatedness`` the correlation of two tasks' coefficients.

    Parameters
    ----------
    n_tasks : int, default=20
        Number of tasks T, labeled 0, ..., T - 1.
    n_samples : int, default=50
        Rows per task, on average.
    n_features : int, default=10
        Number of features d, the task column not counted.
    n_classes : int, default=2
        Number of classes K, labeled 0, ..., K - 1. A small task may lack some of them.
    relatedness : float, default=0.8
        Correlation of two tasks' coefficients, in [0, 1]: 0 = unrelated, 1 = the same.
    imbalance : float, default=0.0
        The r-th largest task has a number of rows proportional to 1 / r^imbalance, rounded, at
        least one; tasks have a random order.
    n_outlier_tasks : int, default=0
        Number of tasks, the last ones, with independent coefficients, w_tk = class_sep v_tk.
    class_sep : float, default=3.0
        Standard deviation of x . w_tk; larger values separate the classes better.
    intercept_scale : float, default=1.0
        Standard deviation of the intercepts b_tk, which are normal about 0.
    return_coef : bool, default=False
        Whether to return the coefficients and intercepts, too.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes the data reproducible.

    Returns
    -------
    X : ndarray of shape (n, d + 1)
        The task label in column 0, then the features; rows in random order. n is
        T * n_samples, except for the rounding under ``imbalance``.
    y : ndarray of int of shape (n,)
        Classes, 0 to K - 1.
    coef, intercept : ndarray of shape (T, d) and (T,), or (T, K, d) and (T, K) if K > 2
        Only with ``return_coef``.

    Examples
    --------
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(n_tasks=3, n_samples=40, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((120, 11), [0, 1])
    """
    check_scalar(n_classes, "n_classes", Integral, min_val=2)
    check_scalar(class_sep, "class_sep", Real, min_val=0)
    random = check_random_state(random_state)
    shape = n_tasks, n_samples, 1 if n_classes == 2 else n_classes, n_features
    X, scores, coef, intercept = _make_scores(
        random, shape, class_sep, relatedness, imbalance, n_outlier_tasks, intercept_scale
    )
    if n_classes == 2:
        y = (scores[:, 0] > random.logistic(size=len(X))).astype(int)
        coef, intercept = coef[:, 0], intercept[:, 0]
    else:  # argmax of z_k plus Gumbel noise has the softmax probabilities
        y = np.argmax(scores + random.gumbel(size=scores.shape), axis=1)
    return (X, y, coef, intercept) if return_coef else (X, y)


def _make_scores(random, shape, scale, relatedness, imbalance, n_outlier_tasks, intercept_scale):
    """Draw X (n, d + 1), scores (n, K), coef (T, K, d) and intercept (T, K).

    ``shape`` is (T, rows per task, K, d). Checks the parameters common to both generators.
    """
    n_tasks, n_samples, n_scores, n_features = shape
    check_scalar(n_tasks, "n_tasks", Integral, min_val=1)
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_features, "n_features", Integral, min_val=1)
    check_scalar(relatedness, "relatedness", Real, min_val=0, max_val=1)
    check_scalar(imbalance, "imbalance", Real, min_val=0)
    check_scalar(n_outlier_tasks, "n_outlier_tasks", Integral, min_val=0, max_val=n_tasks)
    check_scalar(intercept_scale, "intercept_scale", Real, min_val=0)

    rho = np.full((n_tasks, 1, 1), float(relatedness))
    rho[n_tasks - n_outlier_tasks :] = 0.0
    shared = random.standard_normal((n_scores, n_features))
    own = random.standard_normal((n_tasks, n_scores, n_features))
    coef = scale / np.sqrt(n_features) * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
    intercept = intercept_scale * random.standard_normal((n_tasks, n_scores))

    share = 1.0 / (1.0 + random.permutation(n_tasks)) ** imbalance
    sizes = np.maximum(1, np.rint(n_tasks * n_samples * share / share.sum())).astype(int)
    tasks = random.permutation(np.repeat(np.arange(n_tasks), sizes))
    features = random.standard_normal((len(tasks), n_features))
    scores = intercept[tasks]
    for j in range(n_features):  # an array of shape (n, K, d) may not fit into memory
        scores += features[:, [j]] * coef[tasks, :, j]
    return np.column_stack([tasks, features]), scores, coef, intercept
