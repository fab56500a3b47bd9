"""Solvers: a Problem in, a Solution out; they know no estimator."""

from skmtl.solvers._base import NewtonSolver, Solution
from skmtl.solvers._cg import ConjugateGradientSolver
from skmtl.solvers._direct import DirectSolver

SOLVERS = {"direct": DirectSolver, "cg": ConjugateGradientSolver}

__all__ = ["SOLVERS", "ConjugateGradientSolver", "DirectSolver", "NewtonSolver", "Solution"]
