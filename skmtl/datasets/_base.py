"""Return format of the data sets."""

import numpy as np
from sklearn.utils import Bunch


def as_bunch(columns, target_name, *, return_X_y, as_frame, **more):
    """Return data in the long form as scikit-learn's loaders do.

    Parameters
    ----------
    columns : dict of name -> array-like of shape (n,)
        The task labels first, then the features and, under ``target_name``, the target.
    target_name : str
    return_X_y, as_frame : bool
        As in scikit-learn's loaders. Without ``as_frame``, data with labels that are not
        numbers is an array of objects.
    **more : dict
        Further entries of the Bunch.

    Returns
    -------
    Bunch, or the tuple (data, target)
    """
    names = [name for name in columns if name != target_name]
    target = np.asarray(columns[target_name], dtype=np.float64)
    if as_frame:
        import pandas as pd

        frame = pd.DataFrame(columns | {target_name: target})
        data, target, task_column = frame[names], frame[target_name], names[0]
    else:
        numbers = np.asarray(columns[names[0]]).dtype.kind in "iuf"
        data = np.empty((len(target), len(names)), dtype=np.float64 if numbers else object)
        for j, name in enumerate(names):
            data[:, j] = columns[name]
        frame, task_column = None, 0
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=names,
        target_name=target_name,
        task_column=task_column,
        **more,
    )
