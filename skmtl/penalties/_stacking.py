"""Coefficients of K classes, (K, T, d), as the one matrix that a ``TaskPenalty`` takes."""

import numpy as np


def stacked(term, W):
    """Return coefficients (K, T, d) as one matrix: of more features or tasks, as the term says."""
    if term.class_axis == "tasks":
        return W.reshape(-1, W.shape[-1])
    return np.ascontiguousarray(W.swapaxes(0, 1)).reshape(W.shape[1], -1)


def unstacked(term, W, shape):
    """Return the coefficients of this shape that `stacked` makes W of."""
    if term.class_axis == "tasks":
        return W.reshape(shape)
    return np.ascontiguousarray(W.reshape(shape[1], shape[0], shape[2]).swapaxes(0, 1))


def stacked_step(term, step, shape):
    """Return a step (1 or T, 1 or d) for coefficients of this shape when they are stacked."""
    axis = 1 if term.class_axis == "features" else 0
    return np.concatenate([step] * shape[0], axis) if step.shape[axis] > 1 else step


def stacked_structure(term, W, tasks):
    """Return the structure of a term; arrays (K d,) become (K, d), or masks (d,) of any class."""
    found = term.structure(stacked(term, W), tasks)
    K, _, d = W.shape
    if K > 1 and term.class_axis == "features":
        for name, value in found.items():
            if np.shape(value)[-1:] == (K * d,):
                value = value.reshape(*value.shape[:-1], K, d)
                found[name] = value.any(axis=-2) if value.dtype == bool else value
    return found


def in_rows(entries):
    """Return entries (K, T, d) with those of a task in a row, (T, K d)."""
    return entries.swapaxes(0, 1).reshape(entries.shape[1], -1)


def by_task(term, blocks, shape):
    """Return blocks of stacked coefficients with all classes of a task in one, (T, Kd[, Kd])."""
    K, T, d = shape
    if K == 1 or term.class_axis == "features":
        return blocks
    if blocks.ndim == 2:
        return in_rows(blocks.reshape(shape))
    whole = np.zeros((T, K, d, K, d))
    for k in range(K):
        whole[:, k, :, k] = blocks[k * T : (k + 1) * T]
    return whole.reshape(T, K * d, K * d)
