"""Independent fits: in parallel, with progress, and one warning for each cause."""

from itertools import chain

from sklearn.utils.parallel import Parallel, delayed

from skmtl._warn import recorded, warn_once

_VERBOSITY = 10  # of joblib, which prints after each job above it


def run(function, jobs, n_jobs=None, verbose=0):
    """Return a list of ``function(*job)`` for each job, a tuple of arguments.

    ``n_jobs`` is that of joblib; ``verbose`` is 0, 1 (progress at increasing intervals) or 2 (after
    each job). The warnings of all jobs are issued at the end.
    """
    parallel = Parallel(n_jobs=n_jobs, verbose=_VERBOSITY * verbose)
    found = parallel(delayed(recorded)(function, *job) for job in jobs)
    warn_once(chain.from_iterable(records for _, records in found))
    return [result for result, _ in found]
