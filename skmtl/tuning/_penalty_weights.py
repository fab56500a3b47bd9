"""Penalty weights estimated from the data: what ``alpha="auto"`` does in a fit."""

from skmtl.fitting import with_estimates
from skmtl.tuning._evidence import by_evidence
from skmtl.tuning._identified import check_identified, check_scale, warn_of_units
from skmtl.tuning._random_coefficients import RandomCoefficients


def with_penalty_weights(spec, posed, last=None):
    """Return a problem with estimates in place of the penalty weights that are "auto".

    Parameters
    ----------
    spec : Spec
    posed : Posed
    last : Fit, optional
        Earlier fit of the same rows with other task weights.
    """
    names = spec.auto
    if last is not None and spec.weighting == "minimax":
        # Minimax weights are no noise variances, and they belong to one penalty: that of the
        # first fit, whose task weights are 1.
        return with_estimates(posed, names, last.posed.estimated, last.posed.found)
    check_identified(names, posed.rows, posed.problem.penalty)
    check_scale(posed.problem)
    if "alpha" in names:
        warn_of_units(posed.problem.data)
    if spec.classifier:
        estimate = by_evidence(spec, names, posed.problem)
    else:
        estimate = RandomCoefficients(spec, names, posed.problem).estimate()
    return with_estimates(posed, names, estimate.weights, estimate.found)
