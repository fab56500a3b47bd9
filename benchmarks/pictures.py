"""Figures of the results: a row for each problem, with skmtl and the best other library."""

import math

from benchmarks.peers import errors, excess, races
from benchmarks.speed_problems import KINDS
from benchmarks.tables import is_near, section
from benchmarks.words import digits, duration, fitted, predicted, size, unique

OURS = {"color": "#1f4e9c", "marker": "o"}
PEER = {"color": "#e07b00", "marker": "D"}
SEPARATE = {"color": "0.45", "marker": "s"}
WIDTH, HEADER, FOOTER, HEADING = 7.8, 1.1, 0.62, 0.4  # inches
ABOVE = -0.18  # inches from the first row to the heads of the columns
CLIP = 40.0  # per cent from separate models at which errors become arrows


class Chart:
    """A figure with a row for each problem, in sections; lengths are in inches.

    ``sections`` are pairs (heading, items); ``places`` has the height of each item.
    """

    def __init__(self, title, sections, *, row, left, right):
        from matplotlib.figure import Figure

        self.places, y = [], 0.0
        headings = []
        for heading, items in sections:
            headings.append((y + 0.6 * HEADING, heading))
            y += HEADING
            self.places += [(y + (i + 0.5) * row, item) for i, item in enumerate(items)]
            y += row * len(items)
        height = HEADER + y + FOOTER
        self.figure = Figure(figsize=(WIDTH, height))
        box = left / WIDTH, FOOTER / height, (WIDTH - left - right) / WIDTH, y / height
        self.axes = self.figure.add_axes(box)
        self.axes.set_ylim(y, 0)
        self.axes.set_yticks([place for place, _ in self.places], [])
        self.axes.tick_params(axis="y", length=0)
        self.axes.tick_params(axis="x", labelsize=11, labeltop=True)
        self.axes.grid(color="0.9")
        self.axes.set_axisbelow(True)
        self.axes.spines[["top", "right", "left"]].set_visible(False)
        self.figure.text(0.012, 1 - 0.33 / height, title, fontsize=15, weight="bold")
        for place, heading in headings:
            self.write(0.09, place, heading, fontsize=12.5, weight="bold")
        self.height, self.right = height, WIDTH - right

    def write(self, x, y, text, **look):
        """Write text at ``x`` inches from the left of the figure, in the line of a row."""
        from matplotlib.transforms import blended_transform_factory

        where = blended_transform_factory(self.figure.dpi_scale_trans, self.axes.transData)
        self.axes.text(x, y, text, transform=where, va="center_baseline", clip_on=False, **look)

    def verdict(self, y, text, better):
        """Write text at the right, in the color of the better side; gray if neither is."""
        color = {True: OURS["color"], False: PEER["color"], None: "0.35"}[better]
        self.write(self.right + 0.12, y, text, color=color, weight="bold", fontsize=12.5)

    def note(self, x, y, text, **look):
        """Write small text."""
        self.write(x, y, text, **{"fontsize": 10.5, "color": "0.35"} | look)

    def legend(self, **marks):
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], linestyle="", markersize=9, label=label, **mark)
            for label, mark in marks.items()
        ]
        self.figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 1 - 0.4 / self.height),
            ncols=3,
            fontsize=12.5,
            frameon=False,
            handletextpad=0.2,
            columnspacing=1.5,
        )

    def save(self, path):
        self.figure.savefig(path, dpi=130)


def speed_picture(rows, path):
    """Plot the seconds of skmtl and of the fastest other library to the same accuracy."""
    found = races(rows)
    if not found:
        return
    sections = [
        (KINDS.get(kind, kind), [race for race in found if race.row["kind"] == kind])
        for kind in unique(race.row["kind"] for race in found)
    ]
    chart = Chart("Time of a fit to the same accuracy", sections, row=0.29, left=3.35, right=2.4)
    times = [t for race in found for t in (race.own, race.peer) if t < math.inf] or [1.0]
    low, high = min(times) / 1.6, max(times) * 1.6
    axes = chart.axes
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [10.0**k for k in range(-6, 5) if low <= 10.0**k <= high]
    axes.set_xticks(ticks, [human(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("time of a fit, log scale (left is faster)", fontsize=12)
    for y, race in chart.places:
        chart.write(0.2, y, fitted(race.row), fontsize=12)
        shape = f"{int(race.row['n']):,} × {int(race.row['d']):,}"
        chart.note(3.25, y, shape, ha="right")
        if race.peer < math.inf:
            axes.scatter(race.peer, y, s=62, zorder=3, linewidth=0, **PEER)
        if race.own < math.inf:
            axes.scatter(race.own, y, s=62, zorder=3, linewidth=0, **OURS)
        else:
            axes.scatter(high, y, s=62, clip_on=False, **OURS | {"marker": ">"})
        text, library, better = race_verdict(race)
        chart.verdict(y, text, better)
        chart.note(chart.right + 1.36, y, library)
    chart.note(3.25, ABOVE, "rows × features", ha="right")
    chart.note(chart.right + 0.12, ABOVE, "skmtl is")
    chart.note(chart.right + 1.36, ABOVE, "than")
    chart.legend(**{"skmtl": OURS, "the fastest other library": PEER})
    chart.save(path)


def race_verdict(race):
    """Return how skmtl compares, with which library, and whether it is faster; None if neither."""
    if race.peer == math.inf:
        faster = True if race.tried and race.own < math.inf else None
        return "others not finished" if race.tried else "no other library", "", faster
    if race.own == math.inf:
        return "not finished", race.library, False
    ratio = race.peer / race.own
    if max(ratio, 1 / ratio) < 1.05:
        return "as fast as", race.library, None
    text = f"{digits(max(ratio, 1 / ratio))}× {'faster' if ratio > 1 else 'slower'}"
    return text, race.library, ratio > 1


def human(seconds):
    """Return a power of ten as text, such as 10 ms."""
    return duration(seconds).replace(".0", "")


def accuracy_picture(rows, path):
    """Plot the errors of the default and of the best other library, relative to separate models."""
    found = errors(rows)
    if not found:
        return
    sections = [
        (name, [each for each in found if section(each.row) == name])
        for name in unique(section(each.row) for each in found)
    ]
    chart = Chart("Error on new rows", sections, row=0.45, left=2.9, right=1.75)
    axes = chart.axes
    axes.axvline(0, color="0.45", linewidth=1.2, zorder=1)
    shown = []
    for y, each in chart.places:
        chart.write(0.2, y - 0.08, predicted(each.row), fontsize=12.5)
        chart.note(0.2, y + 0.12, size(each.row))
        shown += error_marks(axes, y, each)
        text, than, better = error_verdict(each)
        chart.verdict(y - 0.08, text, better)
        chart.note(chart.right + 0.12, y + 0.12, than)
    axes.set_xlim(min([-10, *shown]) - 3, max([10, *shown]) + 3)
    axes.xaxis.set_major_formatter(lambda value, _: percent(value) if value else "0")
    axes.set_xlabel("error compared with a model per task (left is better)", fontsize=12)
    chart.note(chart.right + 0.12, ABOVE, "skmtl's error is")
    chart.legend(
        **{'skmtl, alpha="auto"': OURS, "best other library": PEER, "a model per task": SEPARATE}
    )
    chart.save(path)


def error_verdict(each):
    """Return how the error of skmtl compares, with what, and whether it is lower.

    The last is None if the difference is within one standard error.
    """
    own, peer = each.default, each.peers[0][1] if each.peers else None
    if own is None:
        return "not finished", "within the limit", False if peer else None
    if peer is None:
        return "others", "not finished", True
    more = excess(own, peer)
    sides = (own, peer) if more > 0 else (peer, own)
    noise = is_near(*(each["error"][2] for each in sides))
    better = None if noise else more < 0
    if abs(more) < 5e-4:
        return "equal", f"to {peer['library']}", better
    text = f"{abs(100 * more):.1f}% {'higher' if more > 0 else 'lower'}"
    return text, f"than {peer['library']}", better


def percent(value):
    """Return a signed percentage as text."""
    return f"{value:+.0f}%".replace("-", "−")


def error_marks(axes, y, each):
    """Plot the errors of a data set, and return their places; what is clipped is an arrow."""
    if each.separate is None:
        text = "a model per task: not finished"
        axes.text(0, y, text, ha="center", va="center", fontsize=10, color="0.45")
        return []
    axes.scatter(0, y, s=52, zorder=2, linewidth=0, **SEPARATE)
    places = []
    best = each.peers[0][1] if each.peers else None
    for known, shift, look in ((best, 0.09, PEER), (each.default, -0.09, OURS)):
        if known is None:
            continue
        above = 100 * excess(known, each.separate)
        place = max(-CLIP, min(above, CLIP))
        clipped = place != above
        arrow = {"marker": ">" if above > 0 else "<"} if clipped else {}
        axes.scatter(place, y + shift, s=68, zorder=3, linewidth=0, **look | arrow)
        if clipped:
            axes.annotate(
                percent(above),
                (place, y + shift),
                (-8 if above > 0 else 8, 0),
                textcoords="offset points",
                ha="right" if above > 0 else "left",
                va="center_baseline",
                fontsize=10,
            )
        places.append(place)
    return places
