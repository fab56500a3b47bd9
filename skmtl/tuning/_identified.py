"""Whether variances are identified: what is said before they are estimated, by name."""

import numpy as np
from scipy.sparse import issparse

from skmtl._warn import warn
from skmtl.solvers import check_finite

_UNITS = 30.0  # ratio of standard deviations of features at which to warn
_CONFOUNDED = 1e-9  # smallest eigenvalue of correlations of the parts of a covariance


def which(names):
    """Return the parameters that are "auto", for messages."""
    names = ["alpha"] if "alpha" in names else names  # by default, the others come with it
    return " and ".join(f"{name}='auto'" for name in names)


def check_identified(names, rows, penalty):
    """Raise where differences between tasks are not identified."""
    own = [name for name in names if name != "alpha_shared"]
    if "alpha_shared" in names and "alpha" not in names and not penalty.alpha.any():
        raise ValueError(
            "alpha_shared='auto' estimates the variance of the center of the tasks, and with "
            "alpha=0 they have nothing in common. Set alpha to a positive number or 'auto'."
        )
    if not own:
        return
    T, advice = len(rows.tasks), f"Set {'alpha' if 'alpha' in own else own[0]} to a number"
    free_center = penalty.alpha_shared == 0 or "alpha_shared" in names
    if T == 1 and ("alpha_intercept" in names or free_center):
        raise ValueError(
            f"{which(own)} estimates how tasks differ, and there is one task. {advice}, or set "
            "task_column to the column of task labels."
        )
    if penalty.nesting is not None:
        _check_columns(own, penalty.nesting, free_center or "alpha_intercept" in names, advice)
        advice += f", or leave the column {penalty.nesting.columns[0]!r} out of task_column"
    if rows.counts.max() == 1:
        raise ValueError(
            f"{which(own)} estimates how tasks differ, and each of the {T} tasks has one row: "
            f"differences between tasks cannot be distinguished from noise. {advice}."
        )


def _check_columns(names, nesting, free_center, advice):
    """Raise where the groups of a column are those of another, or all rows."""
    columns, sizes = nesting.columns, nesting.sizes
    if sizes[-1] == 1 and free_center:
        raise ValueError(
            f"{which(names)} estimates how the labels of {columns[-1]!r} differ, and there is one. "
            f"{advice}, or leave the column out of task_column."
        )
    for level, parent in enumerate(nesting.parents):
        inner, outer = columns[level : level + 2]
        if len(parent) == sizes[level + 1]:
            raise ValueError(
                f"{which(names)} estimates how labels of {inner!r} differ within one of {outer!r}, "
                f"and each of the {len(parent)} labels of {outer!r} has one of {inner!r}. "
                f"{advice}, or leave one of these columns out of task_column."
            )


def check_confounded(names, known, parts, products):
    """Raise where a combination of variances does not change the likelihood.

    Parameters
    ----------
    names : tuple of str
        Penalty weights to estimate.
    known : ndarray of shape (d + 1,)
        Variances of slopes and intercepts that are known.
    parts : dict
        For each variance to estimate, a mask of slopes and intercepts (d + 1,).
    products : ndarray of shape (d + 2, d + 2)
        Inner products of the parts of the covariance: noise, slopes and intercepts.
    """
    mix = np.array([[1.0, *known], *([0.0, *own] for own in parts.values())])
    products, parts = mix @ products @ mix.T, ["of the noise", *parts]
    scale = np.sqrt(np.diag(products))
    kept = scale > 0
    scale, products = scale[kept], products[np.ix_(kept, kept)]
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale))
    if values[0] > _CONFOUNDED:
        return
    variances = np.array(parts)[kept][np.abs(vectors[:, 0]) > 1e-3]
    raise ValueError(
        f"{which(names)}: the variances {', '.join(variances)} "
        "cannot be told apart. The rows of every task have the same covariance for many values of "
        "them, as with two rows per task and a feature of two values, with a feature that is "
        "constant within tasks, or with weights far below 1, which count rows. Set a penalty "
        "weight to a number, leave the feature out, or scale the weights."
    )


def check_scale(problem):
    """Raise where squares overflow, before a search that would only see inf and nan."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        check_finite(float(problem.null_sums().value.sum()))
        squares, totals = problem.data.square_norms.sum(axis=0), problem.data.totals.sum()
        if not np.isfinite(np.square(np.append(squares, totals))).all():  # covariances have these
            raise ValueError(
                "The squares of X, or of their products, are not finite: values of X or the "
                "weights are too large. Scale them."
            )


def warn_of_units(data):
    """Warn where features have so different units that coefficients differ in size, too."""
    scale = np.sqrt(data.square_norms.sum(axis=0))
    scale = scale[scale > 0]
    if scale.size and scale.max() > _UNITS * scale.min():
        warn(
            "alpha='auto' prefers coefficients of about the same size, and the features' "
            f"standard deviations differ by a factor of {scale.max() / scale.min():.2g}. Scale "
            "them, as with make_task_pipeline(StandardScaler(), model)."
        )


def check_freedom(names, left, problem):
    """Raise where no degrees of freedom are left beside the coefficients without penalty.

    Warn where the center fits all rows for any penalty weights, and some are left, as by tasks with
    the same rows or weights above 1.
    """
    if left < 1:
        advice = "Use more rows"
        if "alpha_shared" not in names:
            advice = "Set alpha_shared to 'auto' or a positive number, use more rows"
        raise ValueError(
            f"{which(names)}: unpenalized coefficients fit the rows exactly, which leaves nothing "
            f"to estimate variances from (weights count rows, and {left:.3g} degrees of freedom "
            f"remain). {advice}, or weights that are not far below 1."
        )
    n, d = problem.data.n_rows, problem.data.n_features
    if problem.penalty.alpha_shared == 0 and n <= d:
        warn(
            f"{which(names)} estimates how tasks differ, and alpha_shared=0 leaves the center "
            f"unpenalized: {d} features fit {n} rows exactly. Set alpha_shared='auto', which "
            "estimates it too, or a number."
        )


def check_factors(names, basis):
    """Raise where a penalty factor of 0 leaves no variance to estimate."""
    if basis is not None and basis.free.any():
        raise ValueError(
            f"{which(names)} is estimated with positive factors, and penalty_factor has 0. Use a "
            "small number, such as 1e-4, or set the penalty weight to a number."
        )


def check_form(form, X, n, d):
    """Raise where a form of the covariance of d coefficients cannot be estimated from n rows X."""
    if form == "full" and issparse(X):
        raise TypeError(
            "covariance_type='full' requires a dense X, and it is sparse. Set this to 'diag' or "
            "'spherical', reduce the features first, as by TruncatedSVD, or pass X.toarray()."
        )
    if form == "full" and n <= d:
        raise ValueError(
            f"covariance_type='full' estimates a covariance of {d} coefficients, and there are "
            f"{n} rows. Set it to 'diag' or 'spherical'."
        )
