"""
Sales of 300 shops: from a table to predictions for a new shop
==============================================================

A table of daily sales has numbers, categories and missing values, and a column with the name of the
shop. Some shops have a hundred rows, others a single one, and some shops of the test data are new.
After this example you can fit a model of such a table, compare it with two usual alternatives,
search its settings, save it, and predict a shop that was not in the training data.

Each shop is a **task**: it has coefficients of its own, which are shrunk towards those of all shops
("partial pooling"). The table is simulated, so that the script needs no file. Shops differ in their
level of sales and partly in their coefficients; nonlinear effects and an interaction, which linear
models do not have, are the same in all shops.
"""

import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from skmtl import MeanRegularizedRegressor
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

# %%
# The table
# ---------
# 300 shops have 1 to 100 rows, most of them few; 30 new shops have 20 rows each. The target is the
# logarithm of the sales of a day:
#
# - level of the shop, standard deviation 0.5 between shops;
# - price: slope -0.3 per standard deviation, and 0.2 between shops;
# - temperature: slope 0.1, and 0.15 between shops; and a common curve, -0.1 times its square;
# - promotion: leaflet 0.2, display 0.4, and 0.2 between shops; displays work better at low prices;
# - advertising: 0.3 log(1 + amount), the same in all shops;
# - weekday: common effects; Saturdays differ by 0.2 between shops;
# - noise of standard deviation 0.4.
#
# Then 10 % of the temperatures, 15 % of the amounts and 5 % of the promotions are deleted.

rng = np.random.default_rng(0)
sizes = np.rint(np.geomspace(1, 100, 300)).astype(int)
names = [f"shop {number:03d}" for number in rng.permutation(330)]
code = np.repeat(np.arange(330), np.append(sizes, np.full(30, 20)))
n = len(code)

price, temperature = rng.standard_normal((2, n))
advertising = rng.exponential(1.0, n)
weekday = rng.integers(0, 6, n)
promotion = rng.choice(3, n, p=[0.6, 0.25, 0.15])

level, of_price, of_temperature, of_saturday = rng.standard_normal((4, 330, 1))[..., 0]
of_promotion = np.array([0.0, 0.2, 0.4]) + 0.2 * rng.standard_normal((330, 3))
of_promotion[:, 0] = 0.0
y = (
    (5.0 + 0.5 * level)[code]
    + (-0.3 + 0.2 * of_price)[code] * price
    + (0.1 + 0.15 * of_temperature)[code] * temperature
    - 0.1 * temperature**2
    + of_promotion[code, promotion]
    - 0.2 * (promotion == 2) * price
    + 0.3 * np.log1p(advertising)
    + np.array([0.0, -0.1, -0.1, 0.0, 0.2, 0.4])[weekday]
    + (0.2 * of_saturday)[code] * (weekday == 5)
    + 0.4 * rng.standard_normal(n)
)

table = pd.DataFrame(
    {
        "shop": np.array(names)[code],
        "price": 10.0 + 1.5 * price,
        "temperature": np.where(rng.random(n) < 0.10, np.nan, 15.0 + 7.0 * temperature),
        "advertising": np.where(rng.random(n) < 0.15, np.nan, 100.0 * advertising),
        "weekday": np.array(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"])[weekday],
        "promotion": np.array(["none", "leaflet", "display"], dtype=object)[promotion],
    }
)
table.loc[rng.random(n) < 0.05, "promotion"] = np.nan
is_new = code >= 300
X, X_new = table[~is_new].reset_index(drop=True), table[is_new].reset_index(drop=True)
y, y_new = y[~is_new], y[is_new]
print(X.head(3))
print(f"\n{len(X)} rows of {X['shop'].nunique()} shops; {len(X_new)} rows of new shops")

# %%
# A third of the rows of each shop are test rows. ``TaskKFold`` splits each shop, so that every shop
# has training rows; shops with a single row are in training only.

split = TaskKFold(3, task_column="shop", shuffle=True, random_state=0)
train, test = next(split.split(X))
X_train, X_test, y_train, y_test = X.iloc[train], X.iloc[test], y[train], y[test]

# %%
# Three models
# ------------
# *skmtl*: the preparation is a ``ColumnTransformer``, as in any pipeline of scikit-learn;
# ``make_task_pipeline`` passes the column of shops around it to the model. ``alpha="auto"``
# estimates from the training data how much each coefficient varies between shops, and
# ``handle_unknown="shared"`` predicts new shops by the shared model.

NUMBERS, CATEGORIES = ["price", "temperature", "advertising"], ["weekday", "promotion"]


def prepare(*others):
    """Return a transformer of numbers and categories, and of other columns."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            ("categories", OneHotEncoder(drop="first", handle_unknown="ignore"), CATEGORIES),
            *others,
        ],
        sparse_threshold=0.0,
    )


ours = make_task_pipeline(
    prepare(),
    MeanRegularizedRegressor("auto", task_column="shop", handle_unknown="shared"),
)

# %%
# *One-hot ridge*: the shop is one more categorical feature. Shops have their own intercepts, but no
# coefficients of their own. The penalty is chosen by cross-validation.
#
# *Gradient boosting*: trees can find nonlinear effects and interactions. They get the shop twice:
# as a category (255 are allowed, so that the shops with the fewest rows share one), and as a
# number, the mean sales of the shop (``TargetEncoder``). The size of the trees is chosen by
# cross-validation.

one_hot = make_pipeline(
    prepare(("shop", OneHotEncoder(handle_unknown="ignore"), ["shop"])),
    RidgeCV(np.logspace(-2, 3, 11)),
)
codes = OrdinalEncoder(max_categories=254, handle_unknown="use_encoded_value", unknown_value=np.nan)
trees = HistGradientBoostingRegressor(max_iter=300, categorical_features=[0], random_state=0)
boosting = GridSearchCV(
    make_pipeline(
        ColumnTransformer(
            [
                ("shop", codes, ["shop"]),
                ("mean of the shop", TargetEncoder(), ["shop"]),
                ("numbers", "passthrough", NUMBERS),
                ("categories", OneHotEncoder(sparse_output=False), CATEGORIES),
            ]
        ),
        trees,
    ),
    {"histgradientboostingregressor__max_leaf_nodes": [4, 8, 16]},
    cv=split,
)

np.random.seed(0)  # noqa: NPY002 - of the folds of TargetEncoder
models = {"one-hot ridge": one_hot, "gradient boosting": boosting, "skmtl": ours}
predicted = {}
print(f"R^2{'':18}{'known shops':>12}{'new shops':>12}")
for name, model in models.items():
    model.fit(X_train, y_train)
    predicted[name] = model.predict(X_test)
    known, new = r2_score(y_test, predicted[name]), r2_score(y_new, model.predict(X_new))
    print(f"{name:21}{known:12.3f}{new:12.3f}")

total = np.sum((y_test - y_test.mean()) ** 2)
squares = {name: (y_test - values) ** 2 for name, values in predicted.items()}
for name in ("one-hot ridge", "gradient boosting"):
    gain = (squares[name] - squares["skmtl"]) / total
    by_shop = pd.Series(gain).groupby(X_test["shop"].to_numpy()).sum()
    error = np.sqrt(np.sum(by_shop**2))
    print(f"R^2 of skmtl minus {name:17} {by_shop.sum():.3f} +- {error:.3f} (standard error)")

# %%
# New shops are predicted by what is common to all shops, and the three models hardly differ. The
# difference is in the known shops. Trees find the common curve and the interaction, which skmtl
# does not have; skmtl has the coefficients of each shop. :ref:`Both together
# <sphx_glr_auto_examples_plot_beyond_linear.py>` are another example.
#
# The estimated standard deviation of each coefficient between shops. The prior of "auto" shrinks
# these numbers towards each other: set ``covariance_prior=0`` to read in what shops differ.
# Numbers have mean 0 and variance 1 here, categories are 0 or 1.

fitted = ours[-1]
spread = pd.Series(np.sqrt(fitted.tau2_), index=fitted.feature_names_in_[1:])
print(spread.round(2).to_string())
print(f"level of the shop  {fitted.tau2_intercept_**0.5:.2f}")
print(f"noise              {fitted.sigma2_**0.5:.2f}")

# %%
# Settings: GridSearchCV
# ----------------------
# Pass ``TaskKFold`` to a search around the pipeline. With ``KFold``, a test fold can have all rows
# of a small shop. This search chooses between one variance for all coefficients, one for each
# feature, and correlated coefficients (``covariance_type``), and whether to add
# indicators of missing values. ``get_params()`` of the pipeline lists the names of all settings.

last = "meanregularizedregressor"
imputer = "columntransformer__remainder__columntransformer__numbers__simpleimputer"
search = GridSearchCV(
    ours,
    {
        f"{last}__covariance_type": ["spherical", "diag", "full"],
        f"{imputer}__add_indicator": [False, True],
    },
    cv=TaskKFold(5, task_column="shop", shuffle=True, random_state=0),
).fit(X_train, y_train)
print({name.split("__")[-1]: value for name, value in search.best_params_.items()})
print(f"R^2 in the folds      {search.best_score_:.3f}")
print(f"R^2 of the test rows  {search.score(X_test, y_test):.3f}")

# %%
# Save and load
# -------------
# ``best_estimator_`` is the whole pipeline: it reads the table as it is, with text and missing
# values.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "sales.joblib"
    joblib.dump(search.best_estimator_, path)
    print(f"{path.stat().st_size / 1e6:.1f} MB")
    model = joblib.load(path)

# %%
# A new shop
# ----------
# Without any row, a new shop is predicted by the shared model. After its first days, ``adapt`` adds
# it: its coefficients are estimated from these rows, given the shared model, and no other shop
# changes. Here these are five rows of each of the 30 new shops. All scores are of the other rows.

first = X_new.groupby("shop").cumcount() < 5
X_first, y_first, X_rest, y_rest = X_new[first], y_new[first], X_new[~first], y_new[~first]
preparation, regressor = model[:-1], model[-1]
new = regressor.adapt(preparation.transform(X_first), y_first)
adapted = Pipeline([*model.steps[:-1], (model.steps[-1][0], new)])
print(f"R^2 without a row   {r2_score(y_rest, model.predict(X_rest)):.3f}")
print(f"R^2 with five rows  {r2_score(y_rest, adapted.predict(X_rest)):.3f}")

# %%
# Predictions have standard deviations. That of a new shop is larger until its rows are added.

row = X_rest[:1]
for name, one in (("without a row", model), ("with five rows", adapted)):
    mean, std = one.predict(row, return_std=True)
    print(f"{row['shop'].iloc[0]} {name:15} {mean[0]:.2f} +- {std[0]:.2f}")

# %%
# Which shops gain?
# -----------------
# R^2 by the number of training rows of the shop. skmtl gains most over boosting in shops of up to
# ten rows, and over one-hot ridge in shops of many, whose own coefficients can be estimated.

rows = X_test["shop"].map(X_train["shop"].value_counts()).to_numpy()
bins = [(1, 3), (4, 10), (11, 30), (31, 70)]
colors = {"one-hot ridge": "tab:orange", "gradient boosting": "tab:green", "skmtl": "tab:blue"}
plt.rcParams["font.size"] = 13
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, color in colors.items():
    scores = []
    for low, high in bins:
        inside = (rows >= low) & (rows <= high)
        scores.append(r2_score(y_test[inside], predicted[name][inside]))
    print(f"{name:18}", *(f"{score:.2f}" for score in scores))
    ax.plot(scores, "o-", color=color, lw=2.5, ms=8)
    place = {"va": "bottom" if name == "skmtl" else "center", "color": color}
    ax.annotate(name, (3, scores[-1]), (9, 0), textcoords="offset points", **place)
ax.set_xticks(range(4), [f"{low} to {high}" for low, high in bins])
ax.set(xlabel="training rows of the shop", ylabel="R² of test rows", xlim=(-0.2, 4.7))
ax.set_title("Sales of 300 shops: R² by size of the shop")

path = Path("plot_sales.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
