"""Where the targets of each task are in y."""

from typing import NamedTuple

import numpy as np


class Entries(NamedTuple):
    """Targets of one task.

    Attributes
    ----------
    rows : ndarray of shape (m,)
        Their rows in X.
    column : int or None
        Their column of y; None in the long form.
    """

    rows: np.ndarray
    column: int | None

    @property
    def place(self):
        """Index of the targets in y, a tuple."""
        return (self.rows,) if self.column is None else (self.rows, self.column)

    def of(self, values):
        """Return what an array of the shape of y, or (n,), has at these targets, (m,)."""
        return values[self.rows] if np.ndim(values) == 1 else values[self.place]

    def where(self, mask):
        """Return those at which a mask (m,) is true."""
        return self._replace(rows=self.rows[mask])


def entries_of_tasks(n_rows, n_tasks, codes=None):
    """Return the `Entries` of each task, a list.

    ``codes`` (n,) are the tasks of rows, -1 for none; None in the wide form, where each task has
    all rows.
    """
    if codes is None:
        return [Entries(np.arange(n_rows), t) for t in range(n_tasks)]
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_tasks + 1))
    return [Entries(rows, None) for rows in np.split(order, starts)[1:-1]]
