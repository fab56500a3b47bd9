"""Sentences on results where a peer is better, computed from the csv files."""

import math
import statistics

from benchmarks.tables import duration, name_of, summaries, unique

OURS = "skmtl"
AUTO = 'skmtl: MeanRegularized, "auto"'
NEAR = 0.01  # relative difference below which errors count as equal


def faster(rows):
    """Return a line for each problem that a peer solves in less time."""
    lines = []
    for kind, problem in unique((row["kind"], row["problem"]) for row in rows):
        some = [row for row in rows if (row["kind"], row["problem"]) == (kind, problem)]
        reached = [row for row in some if row["status"] == "reached"]
        ours = [row for row in reached if row["library"] == OURS]
        peers = [row for row in reached if row["library"] != OURS]
        if not peers or not any(row["library"] == OURS for row in some):
            continue
        best = min(peers, key=lambda row: float(row["seconds_1e-6"]))
        seconds = float(best["seconds_1e-6"])
        if not ours:
            lines.append(
                f"- {kind}, {problem}: {name_of(best)} takes {duration(seconds)}; ours does not "
                "reach the gap."
            )
            continue
        own = min(float(row["seconds_1e-6"]) for row in ours)
        if seconds < own:
            lines.append(
                f"- {kind}, {problem}: {name_of(best)} takes {duration(seconds)}, ours "
                f"{duration(own)} ({own / seconds:.1f} times as long)."
            )
    return lines


def by_side(found, problem):
    """Return our methods and those of peers on a problem, (name, summary) from the lowest error."""
    some = [(name, each) for (where, name), each in found.items() if where == problem]
    some.sort(key=lambda pair: pair[1]["error"][0])
    ours = [pair for pair in some if pair[1]["library"] == OURS]
    return ours, [pair for pair in some if pair[1]["library"] != OURS]


def more_accurate(found, only=None):
    """Return a line for each problem where the best peer has a lower error than our best.

    With ``only`` the comparison is with this method of ours.
    """
    lines = []
    for problem in unique(problem for problem, _ in found):
        ours, peers = by_side(found, problem)
        ours = [pair for pair in ours if only in (None, pair[0])]
        if not ours or not peers:
            continue
        (own, mine), (name, best) = ours[0], peers[0]
        gain = [a - b for a, b in zip(mine["error"][2], best["error"][2], strict=True)]
        if statistics.mean(gain) <= 0:
            continue
        spread = ""
        if len(gain) > 1:
            error = statistics.stdev(gain) / math.sqrt(len(gain))
            spread = f" (lower by {statistics.mean(gain):.2g}, standard error {error:.1g})"
        lines.append(
            f"- {problem}: {name} {best['error'][0]:.4g}; {own} {mine['error'][0]:.4g}{spread}."
        )
    return lines


def as_accurate_and_faster(found):
    """Return a line for each problem where a peer is near the lowest error in less time.

    The time is compared with the fastest of our methods that is as near.
    """
    lines = []
    for problem in unique(problem for problem, _ in found):
        ours, peers = by_side(found, problem)
        if not ours and peers:
            seconds, name = peers[0][1]["seconds"][0], peers[0][0]
            lines.append(
                f"- {problem}: {name} takes {duration(seconds)} a split; no method of ours "
                "finished within the limit."
            )
        if not ours or not peers:
            continue
        goal = (1 + NEAR) * min(ours[0][1]["error"][0], peers[0][1]["error"][0])
        near = [
            [(each["seconds"][0], name) for name, each in side if each["error"][0] <= goal]
            for side in (ours, peers)
        ]
        if near[1] and (not near[0] or min(near[1]) < min(near[0])):
            seconds, name = min(near[1])
            own = "no method of ours is as near"
            if near[0]:
                own = f"the fastest of ours, {min(near[0])[1]}, {duration(min(near[0])[0])}"
            lines.append(f"- {problem}: {name} takes {duration(seconds)} a split; {own}.")
    return lines


def sentences(speed_rows, accuracy_rows):
    """Return Markdown that lists the results where a peer is better."""
    found = summaries(accuracy_rows)
    parts = (
        ("Seconds to a relative gap of 1e-6", faster(speed_rows)),
        (
            "Out-of-sample error of the best method of either side, chosen in hindsight",
            more_accurate(found),
        ),
        (
            'Out-of-sample error of our `"auto"` alone and of the best peer, chosen in hindsight',
            more_accurate(found, AUTO),
        ),
        (
            "Time, tuning included, to an error within 1% of the lowest",
            as_accurate_and_faster(found),
        ),
    )
    lines = []
    for title, some in parts:
        lines += [f"**{title}**", "", *(some or ["- Nowhere in these results."]), ""]
    return "\n".join(lines)
