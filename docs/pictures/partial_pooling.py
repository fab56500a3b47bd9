"""The picture of docs/index.md, in light and dark: ``python docs/pictures/partial_pooling.py``.

The errors are those of docs/getting_started.md: cross-validated, in counties of up to five houses.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_predict

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.datasets import load_radon
from skmtl.model_selection import RegularizationPathCV, TaskKFold

STATIC = Path(__file__).parent.parent / "_static"
MODELS = {
    "One model for all": PooledRegressor(task_column="county"),
    "One model for each county": RegularizationPathCV(SharedL2Regressor(task_column="county")),
    "Partial pooling": MeanRegularizedRegressor("auto", task_column="county"),
}
THEMES = {"light": ("#222832", "#1f77b4", "#d1580b"), "dark": ("#ced6dd", "#6cb2e8", "#ff9a4d")}
SHOWN = {"HENNEPIN": ("105 houses", "top"), "MURRAY": ("1 house", "baseline")}


def fitted():
    """Return for each model its lines (intercepts, slopes, counties) and its error."""
    X, y = load_radon(return_X_y=True, as_frame=True)
    X = X[["county", "floor"]]
    size = X["county"].map(X["county"].value_counts())
    folds = TaskKFold(5, task_column="county", shuffle=True, random_state=0)
    several, few = size > 1, size[size > 1] <= 5
    found = {}
    for name, model in MODELS.items():
        predicted = cross_val_predict(model, X[several], y[several], cv=folds)
        error = ((y[several] - predicted)[few] ** 2).mean()
        lines = getattr(model.fit(X, y), "best_estimator_", model)
        found[name] = (lines.intercept_, lines.coef_[:, 0], list(lines.tasks_), error)
    house = X["county"] == "MURRAY"
    return found, (float(X["floor"][house].iloc[0]), float(y[house].iloc[0]))


def draw(found, house, text, color, accent):
    """Return a figure of the lines of all counties, a panel for each model."""
    style = {"text.color": text, "axes.edgecolor": text, "axes.labelcolor": text}
    style |= {"xtick.color": text, "ytick.color": text, "font.size": 11}
    with plt.rc_context(style):
        figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.5), sharey=True, layout="constrained")
        for axes, (name, (intercepts, slopes, counties, error)) in zip(
            panels, found.items(), strict=True
        ):
            ends = np.column_stack([intercepts, intercepts + slopes])
            gaps = np.full(len(ends), np.nan)
            x, lines = np.tile([0, 1, np.nan], len(ends)), np.column_stack([ends, gaps]).ravel()
            axes.plot(x, lines, color=color, lw=0.8 if np.ptp(intercepts) else 2.2, alpha=0.8)
            for county, (houses, side) in SHOWN.items() if np.ptp(intercepts) else ():
                line = ends[counties.index(county)]
                axes.plot([0, 1], line, color=accent, lw=2.2)
                axes.text(1.04, line[1], f"{county.title()}\n{houses}", color=accent, va=side)
                axes.plot(*house, "o", color=accent, ms=6)
            axes.set_title(name, fontsize=13, weight="bold")
            axes.set_xlabel(f"error in small counties: {error:.3f}", fontsize=12)
            axes.set_xticks([0, 1], ["basement", "first floor"])
            axes.set(xlim=(-0.15, 1.6), ylim=(0, 2.95))
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("radon (log pCi/L)")
    return figure


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "skmtl"  # the same file each time
    lines, only_house = fitted()
    for theme, colors in THEMES.items():
        figure = draw(lines, only_house, *colors)
        path = STATIC / f"partial_pooling_{theme}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None})
