"""
Loan defaults by district: one risk model, adapted to each district
===================================================================

A bank lends in 24 districts, with 8 to 600 loans in each. It needs the probability that a loan is
not repaid, a check of these probabilities in every district, and a table of the effects with
intervals. A model of all loans misses what is particular to a district, and a model of its own for
each district is poor where there are few loans. ``MeanRegularizedClassifier`` estimates a common
model and the deviations of the districts from it (*partial pooling*): the fewer loans a district
has, the closer its model is to the common one.

The loans are generated, so that the estimates can be compared with the true effects.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.inspection import coef_table
from skmtl.metrics import task_scores
from skmtl.model_selection import RegularizationPathCV
from skmtl.pipeline import make_task_pipeline

# %%
# The table: a row for each loan, the district as a string. ``true_effects`` has a row for each
# district: log-odds of default for one standard deviation of each column, and the intercept.

NAMES = """Abbey Bridge Canal Castle Chapel Docks East Elm Forge Garden Hill Lake Market Mill
Moor North Park Quarry River South Station Temple Vale West"""
DISTRICTS = NAMES.split()
COLUMNS = ["debt_ratio", "income", "years_employed"]
rng = np.random.default_rng(0)
rows = dict(zip(rng.permutation(DISTRICTS), np.geomspace(8, 600, 24).astype(int), strict=True))
true_effects = pd.DataFrame(
    [1.0, -0.8, -0.4, -0.8] + [0.6, 0.4, 0.2, 0.6] * rng.standard_normal((24, 4)),
    index=DISTRICTS,
    columns=[*COLUMNS, "intercept"],
)


def draw_loans():
    """Return a table of loans, and whether each was defaulted on."""
    loans = pd.DataFrame({"district": np.repeat(list(rows), list(rows.values()))})
    z = rng.standard_normal((len(loans), 3))
    effects = true_effects.loc[loans["district"]].to_numpy()
    log_odds = (effects[:, :3] * z).sum(axis=1) + effects[:, 3]
    loans[COLUMNS] = [0.35, 40_000, 8] + [0.1, 9_000, 3] * z
    return loans, rng.random(len(loans)) < 1 / (1 + np.exp(-log_odds))


X, default = draw_loans()  # of last year
X_new, default_new = draw_loans()  # of this year
print(X.assign(default=default).sample(4, random_state=0).round(2).to_string(index=False))

# %%
# Three models. ``make_task_pipeline`` scales the columns and leaves the district as it is.
# ``alpha="auto"`` estimates from the loans, for each column, how much the districts differ: no
# search is needed. ``handle_unknown="shared"`` predicts a new district by the common model.

pooled = RegularizationPathCV(PooledClassifier(task_column="district"), cv=5)
separate = RegularizationPathCV(SharedL2Classifier(task_column="district"), cv=5)
shared = MeanRegularizedClassifier("auto", task_column="district", handle_unknown="shared")
models = {
    "one for all": make_task_pipeline(StandardScaler(), pooled),
    "one for each": make_task_pipeline(StandardScaler(), separate),
    "partial pooling": make_task_pipeline(StandardScaler(), shared),
}
probability = {
    name: model.fit(X, default).predict_proba(X_new)[:, 1] for name, model in models.items()
}

# %%
# The area under the ROC curve in each district with at least 100 loans, where it can be measured,
# then the log loss of all loans.

large = X_new["district"].map(rows) >= 100
auc = {
    name: task_scores(
        default_new[large],
        None,
        X_new["district"][large],
        y_score=p[large],
        metrics="roc_auc",
    )
    for name, p in probability.items()
}
table = pd.DataFrame({name: scores["roc_auc"] for name, scores in auc.items()})
table.insert(0, "loans", auc["partial pooling"]["n_rows"])
print("ROC AUC, loans of this year\n")
print(table.drop(["micro", "weighted"]).round(3).to_string())
print("\nLog loss of all loans of this year\n")
for name, p in probability.items():
    print(f"{name:18s}{log_loss(default_new, p):6.3f}")

# %%
# Are the probabilities right? First in each district: the number of defaults and the sum of the
# predicted probabilities, for the smallest and the largest districts.

expected = X_new[["district"]].assign(loans=1, defaults=default_new, **probability)
expected = expected.groupby("district").sum().sort_values("loans")
print("Defaults, and how many each model expected\n")
print(pd.concat([expected.head(4), expected.tail(4)]).round(1).to_string())

# %%
# Then by the size of the probability. The numbers are the counts of loans in each bin; the lines
# are intervals of 95% for the share of defaults of so many loans. Points on the diagonal are right.

p = probability["partial pooling"]
bins = pd.DataFrame({"p": p, "default": default_new}).groupby((8 * p).astype(int))
mean, n = bins.mean(), bins.size()
half = 1.96 * np.sqrt(mean["default"] * (1 - mean["default"]) / n)

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axline((0, 0), (1, 1), color="0.7", lw=1)
ax.errorbar(mean["p"], mean["default"], half, fmt="o", ms=7, color="tab:blue")
for x, y, count in zip(mean["p"], mean["default"], n, strict=True):
    ax.annotate(f"{count}", (x, y), (9, -14), textcoords="offset points")
ax.set(xlabel="predicted probability of default", ylabel="share of defaults", ylim=(-0.05, 1.05))
ax.set_title("Probabilities match the shares; numbers of loans")
figure.savefig("plot_districts.png", dpi=110)

# %%
# The table of coefficients: log-odds for one standard deviation of a column, with intervals of
# 95%. First of the common model (``task`` is None), then of the districts.
# ``pooling`` is the weight of the common model in the estimate of a district.

effects = coef_table(models["partial pooling"])
few, many = min(rows, key=rows.get), max(rows, key=rows.get)
shown = effects[effects["task"].isna() | effects["task"].isin([few, many])]
print(f"{many} has {rows[many]} loans, {few} has {rows[few]}\n")
print(shown.round(2).to_string(index=False))

own = effects[effects["task"].notna()]
true = true_effects.stack().loc[list(zip(own["task"], own["feature"], strict=True))].to_numpy()
inside = (own["lower"] <= true) & (true <= own["upper"])
print(f"\n{inside.mean():.0%} of {len(own)} intervals contain the true effect")

# %%
# The effect of the debt ratio. Districts with few loans are close to the common effect, and have
# wide intervals.

debt = effects[effects["feature"] == "debt_ratio"].set_index("task")
districts, loans = debt.loc[list(rows)], np.array(list(rows.values()))
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axhline(debt.loc[[None], "estimate"].item(), color="0.5", ls="--", lw=1, label="common effect")
ax.errorbar(loans, districts["estimate"], 1.96 * districts["std_error"], fmt="o", label="estimate")
ax.plot(loans, true_effects.loc[list(rows), "debt_ratio"], "x", color="tab:orange", label="true")
ax.set(xscale="log", xlabel="loans of the district", ylabel="effect of the debt ratio (log-odds)")
ax.set_xticks([10, 30, 100, 300], [10, 30, 100, 300])
ax.legend(frameon=False, loc="upper left", ncols=3)
ax.set(ylim=(-0.7, 2.7), title="More loans, shorter intervals")
figure.savefig("plot_districts_effects.png", dpi=110)
