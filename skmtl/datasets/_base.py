"""Return format of the data sets."""

import numpy as np
from sklearn.utils import Bunch


def as_bunch(columns, *, return_X_y, as_frame, **more):
    """Return data in the long form as scikit-learn's loaders do: a Bunch, or (data, target).

    ``columns`` is a dict of name -> array-like of shape (n,): the task labels, the features, the
    target. Without ``as_frame``, data with labels that are not numbers is an array of objects.
    ``more`` are further entries of the Bunch.
    """
    *names, target_name = columns
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
