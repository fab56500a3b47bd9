"""Tables of results: a DataFrame if pandas is installed."""

import numpy as np


def _index(tasks):
    """Return pandas, or None, and the tasks as its index, or as an array of objects."""
    index = np.empty(len(tasks), dtype=object)
    index[:] = tasks.tolist() if hasattr(tasks, "tolist") else list(tasks)
    try:
        import pandas as pd
    except ImportError:
        return None, index
    return pd, pd.Index(index, name="task", dtype=object)


def table(columns):
    """Return columns, arrays by name, as a DataFrame; without pandas unchanged."""
    pd, _ = _index([])
    if pd is None:
        return columns
    return pd.DataFrame({name: pd.Series(own, dtype=own.dtype) for name, own in columns.items()})


def task_table(tasks, columns):
    """Return columns, arrays (T,) by name, as a DataFrame; without pandas a dict with "task"."""
    pd, index = _index(tasks)
    return {"task": index} | columns if pd is None else pd.DataFrame(columns, index=index)


def square_table(tasks, matrix):
    """Return a (T, T) matrix as a DataFrame with task labels, or unchanged without pandas."""
    pd, index = _index(tasks)
    return matrix if pd is None else pd.DataFrame(matrix, index, index.rename(None))
