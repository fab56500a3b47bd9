"""The Laplace evidence of a classifier with tasks in groups, and the search of its maximum."""

import numpy as np

from skmtl._warn import warn
from skmtl.tuning._evidence import CAUSES, check_evidence, evidence_of
from skmtl.tuning._laplace import EvidenceOfParameters
from skmtl.tuning._optimum import Descent, minimize_from
from skmtl.tuning._random_coefficients import SAMPLE, START

_USUAL = 4.0  # weight of deviations by about half a unit of log-odds
_GTOL = 1e-3  # norm of the gradient: that of the tolerance of the mode is little less
_CLOSE = 1.0  # difference of local minima, found roughly, of which either may be the global one
_SMALL = 2.0  # log of a weight of the start in all tasks, at most, above that of the search


class NestedEvidence:
    """The evidence, with what the search of its maximum needs; see ``NestedLikelihood``."""

    least, curvature, searches_center, has_noise = 1e-6, 0.25, True, False

    def __init__(self, spec, names, problem, _data):
        self._names, self.likelihood = names, evidence_of(spec, problem)
        check_evidence(self.likelihood, spec, names)
        self._whole = self.curvature * problem.data.totals.sum()

    @staticmethod
    def has_slopes(data):
        """Return whether there are derivatives, which are differences on Dask."""
        return hasattr(data, "X")

    def check(self, known, parts):
        """Do nothing: there is no variance of noise to confound others with."""

    def criterion(self, criterion, searches_shared):
        """Return the criterion of a ``DiagonalCovariance`` and, if it is searched, alpha_shared."""
        if "alpha_shared" in self._names and not searches_shared:
            self.likelihood.shared = np.inf
        return EvidenceOfParameters(criterion, shared=searches_shared)

    def start(self, typical, sizes, own):
        """Return where the search starts: deviations of all levels are of the same size.

        That is what the rows of a task determine, and at most some log-odds per row.
        """
        starts, of_tasks = [], {}
        for (name, level), each, size in zip(own, typical, sizes, strict=True):
            if level == 0:
                usual = np.log(_USUAL * size.sum() / self._whole)
                of_tasks.setdefault(name, []).append(min(each, usual))
            if level >= 0:
                starts.append(of_tasks[name][own[: len(starts)].count((name, level))])
            else:  # the center: that of the features of the largest scale
                starts.append(max(of_tasks.get("alpha", [each])))
        return np.array(starts)

    def minimum(self, criterion, starts, lower, upper, limits, *, final):
        """Return the minimum, searched from the best of the starts in a sample of many tasks.

        If it is not ``final``, that of the sample.
        On Dask, where derivatives are differences, there is one start.
        """
        sample, starts = criterion, starts if self.likelihood.has_slopes else starts[:1]
        if self.likelihood.has_samples and self.likelihood.n_tasks >= 2 * SAMPLE:
            sample = criterion.sample(SAMPLE)
        every = np.ones(len(lower), dtype=bool)
        ends = [Descent(sample, every, lower, upper).to(START, start) for start in starts]
        value, x = min(ends, key=lambda end: end[0])
        close = [end for at, end in ends if at <= value + _CLOSE]
        if sample is not criterion:  # variances that are small in the sample may not be
            x = np.minimum(x, starts[0] + _SMALL)
            close = [x]
        return minimize_from(criterion, close, lower, upper, limits, gtol=_GTOL) if final else x

    def unbounded(self, name, label, weight):
        """Warn that a weight, of a variance with a label, is at the end of the search."""
        warn(
            f"{name}='auto': the evidence grows without bound with the variance {label}, as it "
            f"does where {CAUSES[name]}. The weight {weight:.1e}, the lower bound of the search, "
            f"is no estimate. Set {name} to a number, by cross-validation."
        )

    def criteria(self, value, sigma2):
        """Return the attributes of the estimator for the evidence, a dict."""
        return {"log_evidence_": float(-value / 2)}
