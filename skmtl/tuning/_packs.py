"""Where the compressed rows of tasks are, so that kernels vectorize."""

from copy import copy

import numpy as np

from skmtl import _lane_kernels, _likelihood_kernels
from skmtl.data import SMALL

_LANES, _FAST = 64, 2**15  # tasks in a pack, and numbers of its rows that stay in fast memory


class Packs:
    """Packs of one block each or, if blocks are small single tasks, of several side by side.

    Parameters
    ----------
    size, count : ndarray of int of shape (B,)
        Numbers of rows and of tasks of each block.
    n_columns : int

    Attributes
    ----------
    kernels : module
        The kernels for this layout.
    rows, targets, tasks : ndarray of int of shape (packs + 1,)
        Where those of each pack begin, and the end of the last.
    pack, lane, size : ndarray of int of shape (B,)
        Place of each block in its pack, and its number of rows.
    """

    def __init__(self, size, count, n_columns):
        n_packs, lanes, self._at = len(size), 1, np.arange(len(size))
        self.kernels, self._lanes, self.size = _likelihood_kernels, (), size
        if n_columns <= SMALL and (count == 1).all():
            n_packs = -(-len(size) // min(max(_FAST // n_columns**2, 16), _LANES))
            lanes = 8 * -(-len(size) // (8 * n_packs))
            self.kernels, self._lanes, count = _lane_kernels, (lanes,), np.ones(n_packs, np.intp)
            # Each pack is a sample of all blocks with about as many rows; eight neighbors share
            # a line of memory.
            order = np.arange(n_packs * lanes).reshape(-1, n_packs, 8).swapaxes(0, 1).ravel()
            order = order[order < len(size)]
            order = order[np.argsort(size[order].astype(np.int16), kind="stable")]
            self._at[order] = np.arange(len(size))
        self.pack, self.lane = np.divmod(self._at, lanes)
        rows = np.zeros(n_packs * lanes, dtype=np.intp)
        rows[self._at] = size
        rows = rows.reshape(n_packs, lanes).max(axis=1)
        self.rows, self.targets, self.tasks = map(edges_of, (rows, rows * count, count * lanes))

    def __len__(self):
        return len(self.rows) - 1

    @property
    def places(self):
        """First row, end, first target, lane and number of rows of each block, each (B,)."""
        pack = self.pack
        return self.rows[pack], self.rows[pack + 1], self.targets[pack], self.lane, self.size

    def zeros(self, n_columns):
        """Return arrays for R (rows, n_columns) and z (targets,), and views with lanes last.

        The views have that axis also where the arrays have none.
        """
        R = np.zeros((self.rows[-1], n_columns, *self._lanes))
        z = np.zeros((self.targets[-1], *self._lanes))
        return R, z, R.reshape(len(R), n_columns, -1), z.reshape(len(z), -1)

    def of_tasks(self, values):
        """Return values of tasks, block by block, in the order of ``tasks``."""
        if not self._lanes:
            return values
        placed = np.zeros(self.tasks[-1])
        placed[self._at] = values
        return placed

    def of_blocks(self, values):
        """Return values of blocks (B,) as the kernels read them."""
        return self.of_tasks(values).reshape(-1, *self._lanes) if self._lanes else values

    def take(self, packs, *arrays):
        """Return some of the packs, and parts of arrays whose edges are given beside them."""
        parts = []
        for edges, array in arrays:
            parts.append(np.concatenate([array[edges[p] : edges[p + 1]] for p in packs]))
        other = copy(self)
        for name in ("rows", "targets", "tasks"):
            setattr(other, name, edges_of(np.diff(getattr(self, name))[packs]))
        return other, *parts


def edges_of(sizes):
    """Return where parts of these sizes begin, and the end of the last."""
    edges = np.zeros(len(sizes) + 1, dtype=np.intp)
    np.cumsum(sizes, out=edges[1:])
    return edges
