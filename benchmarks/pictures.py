"""Figures of the results: one row per problem, one color per library."""

import math

from benchmarks.peers import AUTO
from benchmarks.tables import summaries, unique

COLORS = {
    "skmtl": "#d62728",
    "scikit-learn": "#ff9f1c",
    "skglm": "#2ca02c",
    "himalaya": "#9467bd",
    "statsmodels": "#1f77b4",
    "adelie": "#17becf",
    "ptlasso": "#8c564b",
    "scikit-lego": "#7f7f7f",
}
MARKERS = dict(zip(COLORS, "oDsv^P<X", strict=True))
WORST = 30.0  # per cent above the best at which errors are clipped


def style(library):
    """Return the marker style of a library."""
    ours = library == "skmtl"
    return {
        "color": COLORS.get(library, "black"),
        "marker": MARKERS.get(library, "."),
        "s": 70 if ours else 46,
        "edgecolor": "black" if ours else "white",
        "linewidth": 0.9 if ours else 0.5,
        "zorder": 3,
    }


def canvas(labels, title):
    """Return a figure and its axes with one row per label, the first on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.5 + 0.29 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(labels)), labels, fontsize=10)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="both", color="0.9")
    axes.set_axisbelow(True)
    axes.set_title(title, fontsize=11, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure, axes


def legend(figure, libraries, more=()):
    from matplotlib.lines import Line2D

    def mark(library):
        look = style(library)
        return Line2D(
            [],
            [],
            linestyle="",
            color=look["color"],
            marker=look["marker"],
            markeredgecolor=look["edgecolor"],
            markersize=8,
            label=library,
        )

    ordered = [name for name in COLORS if name in libraries]
    handles = [*(mark(name) for name in ordered), *more]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=10, frameon=False)


def speed_picture(rows, path):
    """Plot the seconds to a gap of 1e-6: the best solver of each library."""
    from matplotlib.lines import Line2D

    problems = unique((row["kind"], row["problem"]) for row in rows)
    if not problems:
        return
    labels = [f"{kind}: {problem}" for kind, problem in problems]
    figure, axes = canvas(labels, "seconds to a relative gap of 1e-6, best solver of each library")
    times = [float(row["seconds_1e-6"]) for row in rows if row["status"] == "reached"]
    edge = 3 * max(times, default=1.0)
    for place, problem in enumerate(problems):
        best = {}
        for row in rows:
            if (row["kind"], row["problem"]) == problem and row["status"] != "skipped":
                reached = row["status"] == "reached"
                seconds = float(row["seconds_1e-6"]) if reached else math.inf
                best[row["library"]] = min(best.get(row["library"], math.inf), seconds)
        lost = [library for library, seconds in best.items() if seconds == math.inf]
        for library, seconds in best.items():
            look = style(library)
            if library in lost:
                look |= {"color": "none", "edgecolor": COLORS.get(library, "black")}
                look["linewidth"] = 1.4
                seconds = edge * 1.6 ** lost.index(library)
            axes.scatter(seconds, place, **look)
    axes.set_xscale("log")
    axes.axvline(edge / 1.6, color="0.6", linewidth=0.8, linestyle=":")
    axes.set_xlabel("seconds; right of the dots: not reached within the limit")
    hollow = Line2D(
        [], [], linestyle="", marker="s", color="none", markeredgecolor="0.3", label="not reached"
    )
    libraries = {row["library"] for row in rows if row["status"] != "skipped"}
    legend(figure, libraries, [hollow])
    figure.savefig(path, dpi=130)


def accuracy_picture(rows, path):
    """Plot the mean error of each method, in per cent above the lowest of the problem.

    Markers of skmtl are filled for ``"auto"``, the default choice, and hollow for other methods.
    """
    from matplotlib.lines import Line2D

    found = summaries(rows)
    problems = unique(row["problem"] for row in rows)
    if not found:
        return
    figure, axes = canvas(problems, "out-of-sample error above the lowest of the problem, %")
    for place, problem in enumerate(problems):
        errors = {
            name: (each["error"][0], each["library"])
            for (where, name), each in found.items()
            if where == problem
        }
        if not errors:
            continue
        lowest = min(error for error, _ in errors.values())
        for name, (error, library) in errors.items():
            above, look = 100 * (error / lowest - 1), style(library)
            if library == "skmtl" and name != AUTO:  # chosen in hindsight, or baselines
                look |= {"color": "none", "edgecolor": COLORS[library], "linewidth": 1.4}
            shift = -0.17 if library == "skmtl" else 0.17  # ours above the line, peers below
            axes.scatter(min(above, WORST), place + shift, clip_on=False, **look)
    axes.set_xlim(-0.3, WORST)
    axes.set_xlabel(f"% above the lowest, all methods of each library; clipped at {WORST:.0f}%")
    others = Line2D(
        [],
        [],
        linestyle="",
        marker="o",
        color="none",
        markeredgecolor=COLORS["skmtl"],
        markeredgewidth=1.4,
        label='skmtl, other than "auto"',
    )
    legend(figure, {each["library"] for each in found.values()}, [others])
    figure.savefig(path, dpi=130)
