"""Markdown tables of the results."""

import math
import statistics

from benchmarks.speed_problems import KINDS
from benchmarks.words import described, duration, name_of, predicted, unique

SPEED = """Time of a fit until the objective is within a millionth of its minimum. "1e-3" is the
time until it is within a thousandth, where that is much shorter. Bold: the fastest. "> limit": not
reached within the time limit. "–": not measured, for the reason below the table."""
MEASURES = {"RMSE": "root mean squared error"}
ACCURACY = """Errors on rows that were not used for training: lower is better. ± is the standard
deviation over splits, most of which all methods have in common. Bold: within one standard error of
the lowest. "> limit": not all splits were finished within the time limit."""


def markdown(head, rows):
    """Return a table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def reasons(rows, label):
    """Return lines on missing libraries: each reason once, with the labels of its problems."""
    problems, names = {}, {}
    for row in rows:
        if row["status"] in ("skipped", "failed"):
            failed = "failed, " if row["status"] == "failed" else ""
            text = failed + (row["reason"] or "no reason given")
            problems.setdefault((name_of(row), text), []).append(label(row))
    every = len(unique(label(row) for row in rows))
    for (name, text), where in problems.items():
        where = unique(where)
        place = "" if len(where) == every else f" ({'; '.join(where)})"
        names.setdefault((text, place), []).append(name)
    return [f"- {', '.join(some)}{place}: {text}" for (text, place), some in names.items()]


def speed_cell(row, best):
    """Return the seconds to the narrow gap, and to the wide one where they differ."""
    if row is None or row["status"] == "skipped":
        return "–"
    if row["status"] == "failed":
        return "failed"
    loose = f", 1e-3: {duration(row['seconds_1e-3'])}" if row["seconds_1e-3"] else ""
    if row["status"] == "limit":
        return f"> limit{loose}"
    if row["status"] != "reached":
        return f"not reached (within {row['gap'] or 'unknown'}){loose}"
    found = duration(row["seconds_1e-6"])
    text = f"**{found}**" if row["seconds_1e-6"] == best else found
    differs = float(row["seconds_1e-3"]) < 0.8 * float(row["seconds_1e-6"])
    return text + (loose if differs else "")


def speed_tables(rows):
    """Return Markdown: a table for each kind, solvers by problems."""
    lines = [SPEED]
    for kind in unique([*KINDS, *(row["kind"] for row in rows)]):
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        problems = unique(row["problem"] for row in some)
        where = {(name_of(row), row["problem"]): row for row in some}
        best = {
            problem: min(
                (
                    row["seconds_1e-6"]
                    for row in some
                    if row["problem"] == problem and row["status"] == "reached"
                ),
                key=float,
                default=None,
            )
            for problem in problems
        }
        names = unique(name_of(row) for row in some if row["status"] != "skipped")
        body = [
            [name, *(speed_cell(where.get((name, p)), best[p]) for p in problems)] for name in names
        ]
        first = [next(row for row in some if row["problem"] == p) for p in problems]
        lines += ["", f"**{KINDS.get(kind, kind)}**", ""]
        lines += markdown(["", *map(described, first)], body)
        missing = reasons(some, described)
        if missing:
            lines += ["", "Not in the table:", "", *missing]
    return "\n".join(lines).strip() + "\n"


def summaries(rows):
    """Return {(problem, name): dict} of the methods that finished all splits of the problem.

    The values are the mean, standard deviation and list of each measure over splits.
    """
    by = {}
    for row in rows:
        if row["status"] != "skipped":
            by.setdefault((row["problem"], name_of(row)), []).append(row)
    found = {}
    for key, some in by.items():
        if any(row["status"] != "ok" for row in some):
            continue
        some = sorted(some, key=lambda row: int(row["split"]))
        found[key] = {"library": some[0]["library"], "splits": len(some)}
        for measure in ("error", "macro", "worst", "score", "seconds"):
            values = [float(row[measure]) for row in some]
            spread = statistics.stdev(values) if len(values) > 1 else math.nan
            found[key][measure] = statistics.mean(values), spread, values
    return found


def group_of(row):
    """Return the title of the table of a problem."""
    return f"{section(row)}: {MEASURES.get(row['measure'], row['measure'])}"


def section(row):
    """Return the kind of data of a problem."""
    if row["problem"].startswith("simulated"):
        return "Simulated tasks"
    long = row["form"] == "long"
    return "Tasks with rows of their own" if long else "Several targets of the same rows"


def problem_table(rows):
    """Return a table of the data sets, with their numbers of training rows."""
    first = {}
    for row in rows:
        first.setdefault(row["problem"], row)
    sections = unique(section(row) for row in rows)
    body = [
        [f"{problem}: {predicted(row)}", *(f"{int(row[key]):,}" for key in ("T", "n", "d"))]
        for problem, row in sorted(first.items(), key=lambda pair: sections.index(section(pair[1])))
    ]
    return markdown(["what is predicted", "tasks", "training rows", "features"], body)


def accuracy_tables(rows):
    """Return Markdown: errors, those of the worst task and seconds, methods by problems."""
    found, lines = summaries(rows), [ACCURACY, "", *problem_table(rows)]
    for group in unique(group_of(row) for row in rows):
        some = [row for row in rows if group_of(row) == group]
        problems = unique(row["problem"] for row in some)
        names = unique(name_of(row) for row in some if row["status"] != "skipped")
        if not names:
            continue
        for title, measure in (
            (group, "error"),
            (f"{group}, mean over tasks", "macro"),
            (f"{group}, worst task", "worst"),
            ("Time of a split, tuning included", "seconds"),
        ):
            lines += ["", f"**{title}**", ""]
            body = accuracy_body(some, found, names, problems, measure)
            lines += markdown(["", *problems], body)
        missing = reasons(some, lambda row: row["problem"])
        if missing:
            lines += ["", "Not in the tables:", "", *missing]
    lines += explained(found)
    return "\n".join(lines).strip() + "\n"


def accuracy_body(rows, found, names, problems, measure):
    """Return the rows of a table of one measure.

    The lowest value of a problem is bold, and all values within one standard error of it, by paired
    differences over splits.
    """
    best = {
        p: min(
            (each[measure] for (q, _), each in found.items() if q == p),
            key=lambda summary: summary[0],
            default=(None, None, []),
        )[2]
        for p in problems
    }
    where = {}
    for row in rows:
        where.setdefault((row["problem"], name_of(row)), []).append(row)
    body = []
    for name in names:
        cells = []
        for p in problems:
            each = found.get((p, name))
            if each is None:
                cells.append(unfinished(where.get((p, name), []), measure))
                continue
            mean, spread, _ = each[measure]
            text = duration(mean) if measure == "seconds" else f"{mean:.4g}"
            text = f"**{text}**" if is_near(each[measure][2], best[p]) else text
            if measure == "error" and not math.isnan(spread):
                text += f" ± {spread:.2g}"
            cells.append(text)
        body.append([name, *cells])
    return body


def is_near(values, best):
    """Return whether the mean of values is within one standard error of that of the best."""
    gaps = [a - b for a, b in zip(values, best, strict=True)]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return statistics.mean(gaps) <= error


def unfinished(rows, measure):
    """Return the cell of a method that did not finish all splits; it is not ranked."""
    state = next((row["status"] for row in rows if row["status"] != "ok"), "skipped")
    text = {"limit": "> limit", "skipped": "–"}.get(state, state)
    values = [float(row[measure]) for row in rows if row["status"] == "ok"]
    if not values:
        return text
    mean = statistics.mean(values)
    shown = duration(mean) if measure == "seconds" else f"{mean:.4g}"
    return f"{text}, {shown} ({len(values)} of {len(rows)} splits)"


def explained(found):
    """Return a table of the explained variance on School, the published measure."""
    body = []
    for (problem, name), each in found.items():
        if problem == "School":
            mean, spread, _ = each["score"]
            body.append([name, f"{100 * mean:.1f} ± {100 * spread:.1f}"])
    if not body:
        return []
    return ["", "**Explained variance on School, %**", "", *markdown(["", "School"], body)]
