"""Markdown tables of the results."""

import math
import statistics

KINDS = {
    "mean ridge": "Mean-regularized regression, without intercepts",
    "separate ridge": "Separate ridge regressions, long form",
    "wide ridge": "Ridge of every target, one X for all targets",
    "l21": "L2,1 norm (joint feature selection), one X for all targets",
    "l1": "L1 norm (a lasso of each target), one X for all targets",
    "l21 + ridge": "L2,1 norm and a ridge, one X for all targets",
    "mean logistic": "Mean-regularized classification, without intercepts",
    "separate logistic": "Separate classifications",
    "mixed model": "Restricted likelihood of random intercepts and slopes",
}


def unique(values):
    """Return values in the order they first come."""
    return list(dict.fromkeys(values))


def name_of(row):
    """Return the library with its solver or method."""
    what = row.get("solver") or row.get("method")
    return f"{row['library']}: {what}" if what else row["library"]


def duration(seconds):
    """Return seconds as text with a unit and two digits."""
    seconds = float(seconds)
    if seconds < 0.9995e-3:
        return f"{digits(1e6 * seconds)} µs"
    if seconds < 0.9995:
        return f"{digits(1e3 * seconds)} ms"
    return f"{digits(seconds)} s"


def digits(value):
    """Return a number with two significant digits, and no exponent."""
    if value >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}"


def markdown(head, rows):
    """Return a table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def reasons(rows):
    """Return lines on missing libraries: each reason once, with its problems."""
    problems, names = {}, {}
    for row in rows:
        if row["status"] in ("skipped", "failed"):
            failed = "failed, " if row["status"] == "failed" else ""
            text = failed + (row["reason"] or "no reason given")
            problems.setdefault((name_of(row), text), []).append(row["problem"])
    every = len(unique(row["problem"] for row in rows))
    for (name, text), where in problems.items():
        where = unique(where)
        place = "" if len(where) == every else f" ({'; '.join(where)})"
        names.setdefault((text, place), []).append(name)
    return [f"- {', '.join(some)}{place}: {text}" for (text, place), some in names.items()]


def speed_cell(row, best):
    """Return the time to 1e-6, and where it differs the time to 1e-3."""
    if row is None or row["status"] == "skipped":
        return "–"
    if row["status"] == "failed":
        return "failed"
    loose = f", {duration(row['seconds_1e-3'])} to 1e-3" if row["seconds_1e-3"] else ""
    if row["status"] == "limit":
        return f"> limit{loose}"
    if row["status"] != "reached":
        return f"not reached (gap {row['gap'] or 'unknown'}){loose}"
    found = duration(row["seconds_1e-6"])
    text = f"**{found}**" if row["seconds_1e-6"] == best else found
    differs = float(row["seconds_1e-3"]) < 0.8 * float(row["seconds_1e-6"])
    return text + (loose if differs else "")


def speed_tables(rows):
    """Return Markdown: a table for each kind, solvers by problems."""
    lines = []
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
        sizes = [size(next(row for row in some if row["problem"] == p)) for p in problems]
        lines += ["", f"**{KINDS.get(kind, kind)}**", ""]
        lines += markdown(["", *sizes], body)
        missing = reasons(some)
        if missing:
            lines += ["", "Not in the table:", "", *missing]
    return "\n".join(lines).strip() + "\n"


def size(row):
    """Return the problem with its size."""
    if row["problem"].startswith("n="):
        return row["problem"]
    return f"{row['problem']} (n={int(row['n']):,} d={row['d']} T={row['T']})"


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
    if row["problem"].startswith("drawn"):
        return "Drawn data: " + row["measure"]
    form = "tasks with rows of their own" if row["form"] == "long" else "one X for all targets"
    return f"Real data, {form}: {row['measure']}"


def accuracy_tables(rows):
    """Return Markdown: errors, those of the worst task and seconds, methods by problems."""
    found, lines = summaries(rows), []
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
            ("Seconds of a split, tuning included", "seconds"),
        ):
            lines += ["", f"**{title}**", ""]
            body = accuracy_body(some, found, names, problems, measure)
            lines += markdown(["", *problems], body)
        missing = reasons(some)
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
