"""
Curves and interactions: splines and gradient boosting below the model
======================================================================

The models of skmtl are linear in their features. Where the target depends on a feature by a curve,
or on two features together, let a step before the model make these features. After this example you
can put splines or gradient boosting below the model, with the task labels passed through, and know
when it pays.

Boosting below a linear model of each task is a "stacked" or "hybrid" model: trees find what all tasks
have in common, the linear model what differs between them. The data are simulated; at the end are
the errors on real data.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, StackingRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, SplineTransformer, StandardScaler

from skmtl import MeanRegularizedRegressor
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

# %%
# Three cases
# -----------
# The yield of 80 fields, 30 rows of each: a level and slopes of each field, and noise of variance 1.
# In the second case all fields have the same curve of the rain, and rain and nitrogen work
# together. In the third each field has a curve of its own.

FEATURES = ["rain", "nitrogen", "warmth", "sun"]


def draw(case):
    """Return a table of fields and features, and the yields."""
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(80), 30)
    X = pd.DataFrame(rng.standard_normal((len(code), 4)), columns=FEATURES)
    slopes = 0.5 + 0.5 * rng.standard_normal((80, 4))
    y = 2.0 * rng.standard_normal(80)[code] + (X * slopes[code]).sum(axis=1)
    y += rng.standard_normal(len(code))
    if case == "same curve":
        y += -0.5 * X["rain"] ** 2 + X["rain"] * X["nitrogen"]
    if case == "own curves":
        y += rng.standard_normal(80)[code] * X["rain"] ** 2
    X.insert(0, "field", np.array([f"field {k:02d}" for k in range(80)])[code])
    return X, y


# %%
# Splines
# -------
# ``SplineTransformer`` makes a few features of each one, whose sum is a smooth curve.
# ``make_task_pipeline`` keeps the field out of it. Each field has coefficients of its own, thus a
# curve of its own, shrunk towards the common curve. ``alpha="auto"`` estimates by how much.


def model(task_column):
    """Return the linear model."""
    return MeanRegularizedRegressor("auto", task_column=task_column, handle_unknown="shared")


linear = make_task_pipeline(StandardScaler(), model("field"))
splines = make_task_pipeline(SplineTransformer(n_knots=5), StandardScaler(), model("field"))

# %%
# Boosting
# --------
# The prediction of boosting is one more feature of the linear model. It must be an *out-of-fold*
# prediction: trees know the targets of their training rows. ``StackingRegressor`` computes it.
#
# - ``passthrough=True``: the linear model gets the table too. The predictions come first, so that
#   the field, the first column of the table, is column 1.
# - ``cv``: ``TaskKFold``. A row of each field is in every training fold. ``min_train_rows=0`` is for
#   tasks of a single row, which need a prediction too.
# - Boosting does not get the field. What is common to all fields is found by the trees, and the
#   differences between fields by the linear model. With the field, the errors on Exam and School
#   (below) are larger: the out-of-fold predictions of a small task depend on the few other rows of
#   this task, and the linear model then corrects for errors which new rows do not have.

trees = HistGradientBoostingRegressor(learning_rate=0.05, max_leaf_nodes=6, random_state=0)
without_field = ColumnTransformer([("features", "passthrough", FEATURES)])
stacked = StackingRegressor(
    [("boosting", make_pipeline(without_field, trees))],
    final_estimator=make_task_pipeline(StandardScaler(), model(1)),
    cv=TaskKFold(5, task_column="field", shuffle=True, random_state=0, min_train_rows=0),
    passthrough=True,
)

# %%
# Boosting alone has the field as a category.

codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
boosting = make_pipeline(
    ColumnTransformer([("field", codes, ["field"]), ("features", "passthrough", FEATURES)]),
    clone(trees).set_params(max_iter=300, categorical_features=[0]),
)

# %%
# Errors
# ------
# Mean squared errors in three folds. No model can be below 1, the variance of the noise.

models = {
    "linear": linear,
    "linear on splines": splines,
    "boosting alone": boosting,
    "linear on boosting": stacked,
}
cases = ["no curve", "same curve", "own curves"]
folds = TaskKFold(3, task_column="field", shuffle=True, random_state=1)
errors = pd.DataFrame(index=list(models), columns=cases, dtype=float)
for case in cases:
    X, y = draw(case)
    for name, each in models.items():
        scores = cross_val_score(each, X, y, cv=folds, scoring="neg_mean_squared_error")
        errors.loc[name, case] = -scores.mean()
print(errors.round(2).to_string())

# %%
# Without curves, splines only add coefficients to estimate, and boosting adds nothing. The same curve
# and interaction in all fields are the case for boosting below: splines have the curve, but not the
# interaction. Curves that differ between fields are the case for splines: boosting below, which does
# not know the field, finds nothing.
#
# The linear model on boosting has the attributes of any model. Here most of the prediction of a field
# is that of the trees.

X, y = draw("same curve")
top = stacked.fit(X, y).final_estimator_[-1]
print(pd.Series(top.shared_coef_, index=["boosting", *FEATURES]).round(2).to_string())
print("first field:", top.tasks_[0], top.coef_[0].round(2))

# %%

plt.rcParams["font.size"] = 13
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
colors = ["tab:blue", "tab:orange", "0.6", "tab:green"]
errors.T.plot.bar(ax=ax, rot=0, color=colors, width=0.8)
ax.axhline(1.0, color="black", lw=1, ls="--")
ax.set(ylabel="mean squared error", title="Curves below the linear model: three cases")
ax.legend(frameon=False, loc="upper left", fontsize=11)

path = Path("plot_beyond_linear.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
