"""Out-of-sample errors on the same splits, each library tuned as its documentation recommends."""

import time

import numpy as np

from benchmarks import data
from benchmarks.guard import attempt

FIELDS = (
    "problem",
    "form",
    "measure",
    "n",
    "d",
    "T",
    "library",
    "method",
    "split",
    "status",
    "error",
    "macro",
    "worst",
    "score",
    "seconds",
    "warnings",
    "reason",
    "commit",
)
EPS = 1e-6  # probabilities are clipped to [EPS, 1 - EPS]


def row_losses(y, predicted, *, classify):
    """Return the squared errors, or log losses, of the predictions."""
    if not classify:
        return (y - predicted) ** 2
    p = np.clip(predicted, EPS, 1 - EPS)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def measures(y, predicted, tasks, *, classify):
    """Return the error over all rows, the mean and largest over tasks, and a score.

    Errors are root mean squared errors, or log losses; the score is the explained variance
    1 - SSE / SST, or the accuracy. In the wide form, ``tasks`` None, columns are tasks.
    """
    losses = row_losses(y, predicted, classify=classify)
    if tasks is None:
        each = losses.mean(axis=0)
        total = np.sum((y - y.mean(axis=0)) ** 2)
    else:
        sums = np.bincount(tasks, losses.ravel())
        counts = np.bincount(tasks)
        each = sums[counts > 0] / counts[counts > 0]
        total = np.sum((y - y.mean()) ** 2)
    score = np.mean((predicted > 0.5) == (y == 1)) if classify else 1 - losses.sum() / total
    root = (lambda value: value) if classify else np.sqrt
    found = {
        "error": root(losses.mean()),
        "macro": root(each).mean(),
        "worst": root(each).max(),
        "score": score,
    }
    return {name: f"{float(value):.6g}" for name, value in found.items()}


def candidates(fold, adapters, reasons):
    """Return the methods that support a problem, and rows with the reasons of the others."""
    methods, refused = [], []

    def refuse(library, name, reason):
        known = {"library": library, "method": name, "status": "skipped", "reason": reason}
        refused.append({"split": "", **known})

    for library, adapter in adapters.items():
        fit = [
            method
            for method in adapter.METHODS
            if fold.form in method.forms and fold.target in method.targets
        ]
        if not fit:
            what = "with a column of tasks" if fold.form == "long" else "of several targets"
            has = f"has no method for {fold.target} {what}"
            refuse(library, "", getattr(adapter, "NO_METHODS", has))
        for method in fit:
            reason = method.objection(fold)
            if reason is None:
                methods.append(method)
            else:
                refuse(library, method.name, reason)
    for library, reason in reasons.items():
        refuse(library, "", reason)
    return methods, refused


def size(fold):
    """Return the form, and the numbers of training rows, features and tasks."""
    return {"form": fold.form, "n": len(fold.X), "d": fold.X.shape[1], "T": fold.n_tasks}


def one_split(method, fold, y, limit):
    """Return the row of a method on a split."""
    outcome = attempt(lambda: np.asarray(method.predict(fold)), limit)
    found = {
        "library": method.library,
        "method": method.name,
        "status": outcome.status,
        "seconds": f"{outcome.seconds:.4g}",
        "warnings": outcome.warnings,
        "reason": outcome.reason,
    }
    if outcome.status == "ok":
        predicted = outcome.value
        if predicted.shape != y.shape or not np.isfinite(predicted).all():
            found["status"], found["reason"] = "failed", "predictions are not finite"
        else:
            found |= measures(y, predicted, fold.tasks_test, classify=fold.classify)
    return found


def run_method(method, splits, limit):
    """Return a row for each split; ``limit`` is in seconds for all splits."""
    rows, spent = [], 0.0
    for k, (fold, y) in enumerate(splits):
        if spent >= limit:
            row = {"library": method.library, "method": method.name, "status": "limit"}
            rows.append({**row, "split": k, "reason": f"more than {limit:.3g} s"})
            continue
        row = one_split(method, fold, y, limit - spent)
        spent += float(row["seconds"])
        rows.append({**row, "split": k})
    return rows


def run_accuracy(entries, adapters, reasons, limit, n_splits, store):
    """Measure problems that are not yet in the store, and add their rows."""
    for entry in entries:
        common = {"problem": entry.name, "measure": "log loss" if entry.classify else "RMSE"}
        try:
            splits = list(entry.splits())[:n_splits]
        except data.AbsentError as absent:
            store.note(f"{entry.name}: skipped, {absent}")
            continue
        common |= size(splits[0][0])
        methods, refused = candidates(splits[0][0], adapters, reasons)
        store.add([common | row for row in refused])
        for method in methods:
            which = {"library": method.library, "method": method.name}
            if store.has(problem=entry.name, **which):
                continue
            start = time.perf_counter()
            rows = run_method(method, splits, limit)
            store.add([common | row for row in rows])
            store.note(line(entry.name, method, rows, time.perf_counter() - start))


def line(problem, method, rows, seconds):
    """Return a one-line summary of a method: mean error and seconds."""
    errors = [float(row["error"]) for row in rows if row["status"] == "ok"]
    status = f"{np.mean(errors):.4f}" if errors else f"{rows[0]['status']} {rows[0]['reason']}"
    return f"{problem}: {method.library} {method.name}: {status}, {seconds:.1f} s"
