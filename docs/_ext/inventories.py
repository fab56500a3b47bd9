"""Links to the documentation of other packages, made without network.

``INVENTORIES`` lists the names that docstrings and pages may refer to. From it the inventories of
intersphinx are written. ``tests/test_docs.py`` imports every name.
"""

import re
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "_inventories"

# package: (address, path of the page of a name, names)
INVENTORIES = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        "modules/generated/{name}.html",
        """
        base.BaseEstimator base.ClassifierMixin base.RegressorMixin base.clone
        compose.ColumnTransformer datasets.get_data_home datasets.load_digits
        ensemble.HistGradientBoostingRegressor ensemble.StackingRegressor
        feature_extraction.text.TfidfVectorizer feature_selection.RFE
        feature_selection.SelectFromModel impute.SimpleImputer linear_model.Lasso
        linear_model.LogisticRegression linear_model.LogisticRegressionCV
        linear_model.MultiTaskLasso linear_model.MultiTaskLassoCV linear_model.Ridge
        linear_model.RidgeCV metrics.get_scorer_names metrics.log_loss metrics.make_scorer
        metrics.mean_squared_error metrics.r2_score metrics.roc_auc_score
        model_selection.GridSearchCV model_selection.GroupKFold model_selection.KFold
        model_selection.LeaveOneGroupOut model_selection.StratifiedKFold
        model_selection.TimeSeriesSplit model_selection.cross_val_predict
        model_selection.cross_val_score pipeline.Pipeline pipeline.make_pipeline
        preprocessing.OneHotEncoder preprocessing.OrdinalEncoder preprocessing.SplineTransformer
        preprocessing.StandardScaler preprocessing.TargetEncoder
        """,
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        "reference/generated/{name}.html",
        "ndarray linalg.norm",
    ),
    "scipy": (
        "https://docs.scipy.org/doc/scipy/",
        "reference/generated/{name}.html",
        "stats.norm",
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        "reference/api/{name}.html",
        "DataFrame Series Categorical concat read_parquet",
    ),
}
NAMES = [
    f"{package}.{name}" for package, (_, _, names) in INVENTORIES.items() for name in names.split()
]
SHORT = {name.rpartition(".")[2]: name for name in NAMES if name.startswith("sklearn.")}


def write_inventories(folder=FOLDER):
    """Write an inventory for each package, and return the mapping of intersphinx."""
    folder.mkdir(exist_ok=True)
    for package, (_, page, names) in INVENTORIES.items():
        entries = ""
        for short in names.split():
            name = f"{package}.{short}"
            entries += f"{name} py:{_kind(name)} 1 {page.format(name=name)}#{name} -\n"
        head = f"# Sphinx inventory version 2\n# Project: {package}\n# Version: stable\n"
        head += "# The remainder of this file is compressed using zlib.\n"
        inventory = folder / f"{package}.inv"
        inventory.write_bytes(head.encode() + zlib.compress(entries.encode()))
    return {
        package: (address, f"{folder.name}/{package}.inv")
        for package, (address, *_) in INVENTORIES.items()
    }


def _kind(name):
    return "class" if re.match(r"[A-Z]", name.rpartition(".")[2]) else "function"
