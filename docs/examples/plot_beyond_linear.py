"""
Curves and interactions: splines and gradient boosting before the model
=======================================================================

The models of skmtl are linear in their features. Where the target depends on a feature by a curve,
or on two features together, let a step before the model make these features. After this example you
can put splines or gradient boosting before the model, with the task labels passed through, and know
when it pays.

Boosting before a linear model of each task is also known as a hybrid model: trees find what all
tasks have in common, the linear model what differs between them. The data here are simulated;
errors on real data are at the end.
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
# The yields of 60 fields, 30 rows each: every field has its level and its slopes; the noise has
# variance 1. In the second case, all fields have the same curve of the rain, and the effect of
# nitrogen depends on the rain. In the third case, each field has a curve of its own.

FEATURES = ["rain", "nitrogen", "warmth", "sun"]


def draw(case):
    """Return a table of fields and features, and the yields."""
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(60), 30)
    X = pd.DataFrame(rng.standard_normal((len(code), 4)), columns=FEATURES)
    slopes = 0.5 + 0.5 * rng.standard_normal((60, 4))
    y = 2.0 * rng.standard_normal(60)[code] + (X * slopes[code]).sum(axis=1)
    y += rng.standard_normal(len(code))
    if case == "same curve":
        y += -0.5 * X["rain"] ** 2 + X["rain"] * X["nitrogen"]
    if case == "own curves":
        y += rng.standard_normal(60)[code] * X["rain"] ** 2
    X.insert(0, "field", np.array([f"field {k:02d}" for k in range(60)])[code])
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
# prediction, because trees fit the targets of their training rows closely. ``StackingRegressor``
# computes it.
#
# - ``passthrough=True``: the linear model gets the table, too. Predictions come first, so that the
#   field, the first column of the table, is column 1 for the linear model.
# - ``cv``: with ``TaskKFold``, every training fold has rows of each field. ``min_train_rows=0`` is
#   for fields of a single row: their rows need an out-of-fold prediction, too.
# - Boosting does not get the field. It finds what the fields have in common. With the field, its
#   out-of-fold predictions depend on the other rows of the field, and the linear model then
#   corrects errors that new rows do not have. On Exam and School (below) this is worse.

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
# - No curve: splines only add coefficients to estimate, and boosting as a feature neither helps nor
#   hurts.
# - The same curve and interaction in all fields: boosting as a feature has the lowest error.
#   Splines have the curve, but not the interaction.
# - Curves that differ between fields: splines have the lowest error. Boosting as a feature does not
#   get the field, and there is no common curve to find.
#
# The last step of the stack is a fitted model with the usual attributes. Here it uses mostly the
# prediction of the trees, and the fields differ in their slopes.

X, y = draw("same curve")
top = stacked.fit(X, y).final_estimator_[-1]
print(
    pd.DataFrame(
        [top.shared_coef_, *top.coef_[:2]],
        index=["all fields", *top.tasks_[:2]],
        columns=["boosting", *FEATURES],
    ).round(2)
)

# %%

plt.rcParams["font.size"] = 13
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
colors = ["tab:blue", "tab:orange", "0.6", "tab:green"]
errors.T.plot.bar(ax=ax, rot=0, color=colors, width=0.8)
ax.axhline(1.0, color="black", lw=1, ls="--")
ax.set(ylabel="mean squared error", title="What to put before the linear model")
ax.legend(frameon=False, loc="upper left", fontsize=11)

path = Path("plot_beyond_linear.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")

# %%
# Real data
# ---------
# The command ``python -m benchmarks.beyond_linear`` in the repository measures the same models on
# three data sets. The first line has the mean squared error on test rows, in units of the variance
# of the target, averaged over splits; the others have differences from it, with standard errors::
#
#                               Exam                School              Parkinsons
#     rows, features, tasks     4059, 4, 65         15362, 27, 139      5875, 19, 42
#     linear                    0.5440              0.6155              0.0178
#     linear on splines        -0.0006 +- 0.0006    0.0005 +- 0.0002   -0.0177 +- 0.0002
#     linear on boosting        0.0001 +- 0.0003   -0.0022 +- 0.0007   -0.0034 +- 0.0002
#     ... with the task         0.0053 +- 0.0009    0.0043 +- 0.0021   -0.0157 +- 0.0002
#     boosting alone            0.0068 +- 0.0015    0.0051 +- 0.0015   -0.0135 +- 0.0002
#     boosting of residuals     0.0005 +- 0.0009   -0.0001 +- 0.0002   -0.0163 +- 0.0001
#
# - Exam scores are linear in the few features: nothing pays. On School, where the features are
#   mostly categories, boosting as a feature reduces the error by 0.4 %. Boosting alone is worse on
#   both.
# - In Parkinsons, each patient has a curve over time. (The scores between few visits of a patient
#   were interpolated, so that splines fit them nearly exactly.) Boosting
#   without the task cannot fit such curves; boosting with the task can.
# - The last line is another way: boosting, with the task, is fitted to the out-of-fold residuals of
#   the linear model. On Exam and School it differs from the linear model by less than a standard
#   error, and on Parkinsons its error is less than a tenth of that of the linear model.
#
# When does it pay? If curves are plausible, try splines first: they are fast, and the model keeps
# its coefficients, standard deviations and ``adapt``. Try boosting as a feature if there are many
# rows and features, and effects that depend on each other. Compare with the linear model by
# ``cross_val_score`` and ``TaskKFold``, as above: with few rows, or linear effects, neither pays.
