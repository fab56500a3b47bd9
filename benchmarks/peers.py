"""Comparisons of skmtl with the best other library, and sentences on where that is better."""

import math
import statistics
from typing import NamedTuple

from benchmarks.speed_problems import KINDS, MANY_TARGETS
from benchmarks.tables import summaries
from benchmarks.words import (
    described,
    digits,
    duration,
    library_with,
    name_of,
    predicted,
    size,
    unique,
)

OURS = "skmtl"
AUTO = 'skmtl: MeanRegularized, "auto"'
SEPARATE = (  # a model of each task, tuned by itself
    "scikit-learn: CV model, loop over tasks",
    "scikit-learn: RidgeCV, each target",
    "scikit-learn: LogisticRegressionCV, each label",
)
NEAR = 0.01  # relative difference below which errors count as equal
SMALL = 5e-3  # seconds of a fit below which a problem counts as small


class Race(NamedTuple):
    """Seconds of the fastest solver of skmtl and of the others, infinite if none finished.

    ``tried`` is whether another library has a solver of the problem.
    """

    row: dict
    own: float
    peer: float
    name: str
    library: str
    tried: bool

    @property
    def label(self):
        """The problem in words."""
        row = self.row
        return f"{KINDS.get(row['kind'], row['kind'])}, {described(row)}"


def races(rows):
    """Return a `Race` for each problem that skmtl was measured on."""
    found = []
    for kind, problem in unique((row["kind"], row["problem"]) for row in rows):
        some = [row for row in rows if (row["kind"], row["problem"]) == (kind, problem)]
        some = [row for row in some if row["status"] != "skipped"]
        sides = (
            [row for row in some if row["library"] == OURS],
            [row for row in some if row["library"] != OURS],
        )
        if not sides[0]:
            continue
        own, peer = (
            min(
                ((reached(row), name_of(row), row["library"]) for row in side),
                default=(math.inf, "", ""),
            )
            for side in sides
        )
        found.append(Race(some[0], own[0], *peer, bool(sides[1])))
    return found


def reached(row):
    """Return the seconds of a solver to the narrow gap; infinite if it did not reach it."""
    return float(row["seconds_1e-6"]) if row["status"] == "reached" else math.inf


class Errors(NamedTuple):
    """Mean errors on a data set; None for what did not finish.

    ``default`` is that of skmtl without a search, ``separate`` of separate models, and ``ours`` and
    ``peers`` are the pairs (name, summary) of all methods of either side from the lowest error.
    """

    row: dict
    default: dict | None
    separate: dict | None
    ours: list
    peers: list


def errors(rows):
    """Return the `Errors` of each data set that methods finished."""
    found = summaries(rows)
    first = {row["problem"]: row for row in reversed(rows)}
    every = []
    for problem in unique(problem for problem, _ in found):
        some = [(name, each) for (where, name), each in found.items() if where == problem]
        some.sort(key=lambda pair: pair[1]["error"][0])
        known = dict(some)
        sides = [[pair for pair in some if (pair[1]["library"] == OURS) == own] for own in (1, 0)]
        separate = next((known[name] for name in SEPARATE if name in known), None)
        every.append(Errors(first[problem], known.get(AUTO), separate, *sides))
    return every


def excess(own, best):
    """Return how much larger the mean error of a summary is than that of another, relative."""
    return own["error"][0] / best["error"][0] - 1


def faster(found):
    """Return a line for each race that another library wins."""
    lines = []
    for race in found:
        if not race.peer < race.own:
            continue
        own = "skmtl did not reach the accuracy within the limit"
        if race.own < math.inf:
            ratio = race.own / race.peer
            more = f"{digits(ratio)} times as long" if ratio >= 2 else f"{ratio - 1:.0%} longer"
            own = f"{duration(race.own)} with skmtl ({more})"
        lines.append(
            f"- {race.label}: {duration(race.peer)} with {library_with(race.name)}, {own}."
        )
    return lines


def more_accurate(found, *, only_default):
    """Return a line for each data set where the best peer has a lower error than skmtl.

    The comparison is with the best method of skmtl, or with its default only.
    """
    lines = []
    for each in found:
        own = each.ours[0] if each.ours else None
        if only_default:
            own = (AUTO, each.default) if each.default else None
        if not each.peers:
            continue
        name, best = each.peers[0]
        label = f"- {predicted(each.row)} ({each.row['problem']})"
        theirs = f"{label}: {best['error'][0]:.4g} with {library_with(name)}"
        if own is None:
            lines.append(f"{theirs}, skmtl did not finish within the time limit.")
            continue
        own_name, mine = own
        if excess(mine, best) <= 0:
            continue
        spread = ""
        gain = [a - b for a, b in zip(mine["error"][2], best["error"][2], strict=True)]
        if len(gain) > 1:
            error = statistics.stdev(gain) / math.sqrt(len(gain))
            spread = f"; difference {statistics.mean(gain):.2g}, standard error {error:.1g}"
        lines.append(
            f"{theirs}, {mine['error'][0]:.4g} with {library_with(own_name)}: "
            f"{100 * excess(mine, best):.2g} % higher{spread}."
        )
    return lines


def as_accurate_and_faster(found):
    """Return a line for each data set where a peer is near the lowest error in less time.

    The time is compared with the fastest method of skmtl that is as near.
    """
    lines = []
    for each in found:
        if not each.peers:
            continue
        label = f"- {predicted(each.row)} ({each.row['problem']})"
        if not each.ours:
            name, best = each.peers[0]
            seconds = duration(best["seconds"][0])
            lines.append(f"{label}: {seconds} with {library_with(name)}; skmtl exceeded the limit.")
            continue
        goal = (1 + NEAR) * min(side[0][1]["error"][0] for side in (each.ours, each.peers))
        near = [
            [(known["seconds"][0], name) for name, known in side if known["error"][0] <= goal]
            for side in (each.ours, each.peers)
        ]
        if near[1] and (not near[0] or min(near[1]) < min(near[0])):
            seconds, name = min(near[1])
            own = "no model of skmtl is as good"
            if near[0]:
                own = f"{duration(min(near[0])[0])} with {library_with(min(near[0])[1])}"
            lines.append(f"{label}: {duration(seconds)} with {library_with(name)}, {own}.")
    return lines


def speed_summary(found):
    """Return a sentence on how often, and where, another library is faster."""
    tried = [race for race in found if race.peer < math.inf]
    lost = [race for race in tried if race.peer < race.own]
    if not lost:
        return f"- **Speed.** No other library was faster on any of {len(tried)} problems."
    text = (
        f"- **Speed.** Another library was faster than skmtl on {len(lost)} of {len(tried)} "
        "problems, for a fit of the same model to the same accuracy"
    )
    ratios = [race.own / race.peer for race in lost if race.own < math.inf]
    text += f", by a factor of at most {digits(max(ratios))}" if ratios else ""
    kinds = (
        (
            sum(race.row["kind"] in MANY_TARGETS for race in lost),
            "have many targets of the same rows",
        ),
        (
            sum(race.own < SMALL for race in lost),
            f"take skmtl less than {1e3 * SMALL:g} ms",
        ),
    )
    overlapping = "; ".join(f"{count} of these {what}" for count, what in kinds if count)
    return f"{text}{': ' if overlapping else ''}{overlapping}."


def error_summary(found):
    """Return a sentence on how often, and by how much, another library has a lower error."""
    both = [each for each in found if each.default and each.peers]
    late = sum(each.default is None and bool(each.peers) for each in found)
    more = f' On {late} more, "auto" did not finish within the time limit.' if late else ""
    lost = [each for each in both if excess(each.default, each.peers[0][1]) > 0]
    if not lost:
        text = (
            "- **Error.** The best model of the other libraries had a lower error on new rows than "
        )
        return f'{text}`alpha="auto"` of skmtl on none of {len(both)} data sets.{more}'
    largest, worst = max(
        ((excess(each.default, each.peers[0][1]), each.row) for each in lost),
        key=lambda pair: pair[0],
    )
    equal = sum(excess(each.ours[0][1], each.peers[0][1]) <= 0 for each in lost)
    return (
        "- **Error.** The best model of the other libraries had a lower error on new rows than "
        f'`alpha="auto"` of skmtl on {len(lost)} of {len(both)} data sets, by at most '
        f"{100 * largest:.2g} % ({predicted(worst)}: {size(worst)}). Another model of skmtl is as "
        f"good as the best of the others on {equal} of these {len(lost)}.{more}"
    )


ADVICE = (
    "- **What to do.** If the time of a fit matters, and your model and data are like those of the "
    'first list, use the class that is named there. Compare `alpha="auto"` on your data with a '
    "search by `RegularizationPathCV`, and with `PooledRegressor` or `PooledClassifier`."
)


def sentences(speed_rows, accuracy_rows):
    """Return Markdown that lists the results where a peer is better."""
    raced, found = races(speed_rows), errors(accuracy_rows)
    parts = (
        (
            "Faster",
            "On these problems another library was faster than skmtl at the same accuracy",
            faster(raced),
        ),
        (
            'Lower error than `alpha="auto"`',
            "On these data sets the best model of another library had a lower error on new rows "
            'than `alpha="auto"` of skmtl. The other model is the best of several, picked by '
            "comparing these errors, which favors it",
            more_accurate(found, only_default=True),
        ),
        (
            "Lower error than every model of skmtl",
            "On these data sets the best model of another library had a lower error on new rows "
            "than the best of skmtl. Both were picked by comparing these errors",
            more_accurate(found, only_default=False),
        ),
        (
            "A good model in less time",
            "On these data sets another library found a model in less time, tuning included. Both "
            f"models are the fastest with an error at most {100 * NEAR:g} % above the lowest",
            as_accurate_and_faster(found),
        ),
    )
    lines = [speed_summary(raced), error_summary(found), ADVICE, ""]
    for title, meaning, some in parts:
        lines += [f"**{title}**", ""]
        lines += [f"{meaning}:", "", *some, ""] if some else ["None in these results.", ""]
    return "\n".join(lines)
