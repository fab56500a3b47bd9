"""Solvers: compute the Solution of a Problem, independent of the estimators."""

from typing import Any

from skmtl.solvers._admm import ADMMSolver
from skmtl.solvers._base import NewtonSolver, Solution, check_finite, runs_away
from skmtl.solvers._cg import ConjugateGradientSolver
from skmtl.solvers._direct import DirectSolver

SOLVERS: dict[str, type[Any]] = {
    "direct": DirectSolver,
    "cg": ConjugateGradientSolver,
    "admm": ADMMSolver,
}

__all__ = [
    "SOLVERS",
    "ADMMSolver",
    "ConjugateGradientSolver",
    "DirectSolver",
    "NewtonSolver",
    "Solution",
    "check_finite",
    "runs_away",
]
