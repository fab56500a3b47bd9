"""Solvers: compute the Solution of a Problem, independent of the estimators."""

from typing import Any

from skmtl.solvers._admm import ADMMSolver
from skmtl.solvers._base import NewtonSolver, Solution, check_finite, runs_away
from skmtl.solvers._cg import ConjugateGradientSolver
from skmtl.solvers._direct import DirectSolver
from skmtl.solvers._primal_system import PrimalSystem
from skmtl.solvers._proximal import ProximalSolver

SOLVERS: dict[str, type[Any]] = {
    "direct": DirectSolver,
    "cg": ConjugateGradientSolver,
    "admm": ADMMSolver,
    "proximal": ProximalSolver,
}

__all__ = [
    "SOLVERS",
    "ADMMSolver",
    "ConjugateGradientSolver",
    "DirectSolver",
    "NewtonSolver",
    "PrimalSystem",
    "ProximalSolver",
    "Solution",
    "check_finite",
    "runs_away",
]
