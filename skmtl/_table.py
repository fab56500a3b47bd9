"""Tables of results: a DataFrame if pandas is installed."""

import numpy as np


def task_table(tasks, columns):
    """Return a DataFrame indexed by task, or a dict of arrays without pandas.

    Parameters
    ----------
    tasks : sequence of T labels
    columns : dict of name -> array of shape (T,)
    """
    index = _objects(tasks)
    try:
        import pandas as pd
    except ImportError:
        return {"task": index} | columns
    return pd.DataFrame(columns, index=pd.Index(index, name="task", dtype=object))


def square_table(tasks, matrix):
    """Return a (T, T) matrix as a DataFrame with task labels, or unchanged without pandas."""
    try:
        import pandas as pd
    except ImportError:
        return matrix
    index = pd.Index(_objects(tasks), name="task", dtype=object)
    return pd.DataFrame(matrix, index=index, columns=index.rename(None))


def _objects(tasks):
    index = np.empty(len(tasks), dtype=object)
    index[:] = tasks.tolist() if hasattr(tasks, "tolist") else list(tasks)
    return index
