"""Newton steps by block elimination."""

from skmtl._memory import memory_limit
from skmtl.arrowhead import DualBlocks, Elimination, Groups, PrimalBlocks, block_kinds
from skmtl.penalties import Coefficients, GraphCoupling
from skmtl.problem import Problem
from skmtl.solvers._base import NewtonSolver
from skmtl.solvers._graph_system import GraphSystem
from skmtl.solvers._joint import JointSystem
from skmtl.solvers._row_system import RowSystem

_SMALL = 2**28  # bytes that are always there


class DirectSolver(NewtonSolver):
    """Compute Newton steps by ``Elimination``, exactly or to the accuracy needed.

    With one prediction per row the elimination of the tasks gives the step. With K, whose
    curvatures are coupled, the diagonal of the curvature is eliminated as the preconditioner of
    conjugate gradients (``JointSystem``); the same holds for coupling along a graph
    (``GraphSystem``). With fewer rows than features in total, all is computed in the row space;
    where tasks share these rows and nothing else, by one matrix of the rows (``RowSystem``).
    """

    def __init__(self, problem, max_iter, tol):
        super().__init__(problem, max_iter, tol)
        self._system = None
        self._on_graph = isinstance(problem.penalty, GraphCoupling)
        self._iterates = self._on_graph or not problem.loss.separable
        self._by_rows = not self._iterates and RowSystem.applies(problem)

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        reason = super().objection(problem)
        if reason is not None:
            return reason
        data, K = problem.data, problem.loss.n_outputs
        if 64 * K * data.n_tasks * data.n_dimensions**2 <= _SMALL:
            return None  # more than any kind of blocks takes
        needed, limit = _memory(problem), memory_limit()
        if needed > limit:
            return (
                f"its blocks would need about {needed / 2**30:.1f} GiB of memory, more than the "
                f"limit of {limit / 2**30:.1f} GiB"
            )
        return None

    @classmethod
    def gains_from_start(cls, problem):
        """Return whether a good start saves work: factoring the blocks costs the same."""
        return problem.loss.constant_curvature is None

    def setup(self, evaluation):
        """Factor the blocks of all tasks and the system of the center."""
        problem, derivative = self.problem, evaluation.sums.derivative
        if self._by_rows:
            self._system = RowSystem(problem)
            return
        data = problem.data.rotated
        if self._iterates:
            kind = GraphSystem if self._on_graph else JointSystem
            self._system = self._system or kind(Problem(data, problem.loss, problem.penalty))
            self._system.set_up(derivative, self.rtol)
            return
        data = problem.curved(derivative, data)
        if self._system is None:
            self._system = Elimination(data, problem.penalty)
        else:
            self._system.set_weights(data)

    @property
    def elimination(self):
        """That of the last step; None where the curvature couples several predictions."""
        if not self.problem.loss.separable or self._system is None or self._by_rows:
            return None
        return self._system.elimination if self._on_graph else self._system

    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step."""
        self.n_iter += 1
        if self._by_rows:
            return self._system.step(coefficients)
        G, R, basis = evaluation.sums.G, evaluation.sums.R, self.problem.data.row_basis
        if basis is None:
            return self._step(coefficients, G, R)
        V, w = coefficients.V @ basis, coefficients.w @ basis
        moved = self._step(coefficients._replace(V=V, w=w), G @ basis, R)
        # A fixed center may lie outside of the row space.
        w = coefficients.w if self.problem.penalty.fixed_center else moved.w @ basis.T
        return moved._replace(V=moved.V @ basis.T, w=w)

    def _step(self, point, G, R):
        if self._iterates:
            return self._system.step(point, G, R)
        step = self._system.step(point.of_output(0), G[0], R[0])
        return Coefficients(*(part[None] for part in step))


def _memory(problem):
    """Return about how many bytes the blocks and the system of the center take."""
    data = problem.data
    d = data.n_dimensions
    groups = Groups.of(data, problem.penalty.star().block_alpha)
    masks = block_kinds(data, groups)
    if problem.loss.constant_curvature is None:  # every task has curvatures of its own
        masks = {kind: mask[groups.of_task] for kind, mask in masks.items()}
        rows = data.block_sizes[data.block]
    else:
        rows = data.block_sizes[groups.block]
    dual = rows[masks[DualBlocks]] + 1.0
    systems = 16 * masks[PrimalBlocks].sum() * d**2 + 8 * (dual @ dual) + 48 * d**2
    return systems * problem.loss.n_outputs
