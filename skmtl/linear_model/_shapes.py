"""Shapes of users, who have no axis of classes where a row has one prediction."""

import numpy as np


def to_users(part):
    """Return (K, T, ...) as (T, K, ...), or as (T, ...) where K is 1."""
    return part[0] if len(part) == 1 else np.ascontiguousarray(part.swapaxes(0, 1))


def from_users(part, n_outputs):
    """Return (T, ...), or (T, K, ...) for K > 1 outputs, as (K, T, ...)."""
    return part[None] if n_outputs == 1 else np.ascontiguousarray(part.swapaxes(0, 1))
