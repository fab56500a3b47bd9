"""Fit models to rows that Dask holds: on several machines, or more than memory takes.

Regressors need the moments of the tasks, computed in one pass over the partitions. Classifiers
leave the rows in their partitions: in each round of the solver the coefficients go out, and sums
for each task come back. Needs the extra ``dask``: ``pip install "skmtl[dask]"``.
"""

from skmtl.dask._fit import fit, predict

__all__ = ["fit", "predict"]
