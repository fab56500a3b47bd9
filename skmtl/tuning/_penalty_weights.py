"""Penalty weights estimated from the data: what ``alpha="auto"`` does in a fit."""

from skmtl.data import Basis
from skmtl.fitting import with_estimates
from skmtl.tuning._evidence import RandomLogOdds
from skmtl.tuning._identified import check_factors, check_identified, check_scale, warn_of_units
from skmtl.tuning._nested import NestedVariances
from skmtl.tuning._random_coefficients import RandomCoefficients


def with_penalty_weights(spec, posed):
    """Return a problem with estimates in place of the penalty weights that are "auto".

    Parameters
    ----------
    spec : Spec
    posed : Posed
    """
    names, problem = spec.auto, posed.problem
    check_factors(names, posed.basis)
    check_identified(names, posed.rows, problem.penalty)
    check_scale(problem)
    reml = spec.covariance_prior == 0 and problem.penalty.alpha_shared == 0
    no_units = reml and spec.covariance_type != "spherical"
    # with factors, units are the user's choice
    if "alpha" in names and posed.basis is None and not no_units:
        warn_of_units(problem.data)
    kind = RandomLogOdds if spec.classifier else RandomCoefficients
    kind = kind if problem.penalty.nesting is None else NestedVariances
    estimate = kind(spec, names, posed).estimate()
    if (axes := estimate.axes) is not None:
        basis = Basis(axes.B, axes.fixed)
        posed = posed.in_basis(basis, shift=axes.shift, overwrite=True)
    return with_estimates(posed, estimate.weights, estimate.found)
