"""Seconds to a given relative gap of the objective, for all solvers of a problem."""

import statistics
import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmarks import data
from benchmarks.guard import attempt

GAPS = (1e-3, 1e-6)
TIGHT = 1e-12  # tolerance of skmtl for the reference
FIELDS = (
    "kind",
    "problem",
    "n",
    "d",
    "T",
    "library",
    "solver",
    "status",
    "seconds_1e-3",
    "seconds_1e-6",
    "setting_1e-6",
    "gap",
    "warnings",
    "reason",
    "commit",
)


@dataclass
class Climber:
    """Runs of a solver from loose to tight settings."""

    solver: object
    problem: object
    limit: float
    rungs: list = field(default_factory=list)  # (setting, seconds, objective)
    warnings: int = 0
    spent: float = 0.0
    stopped: str = ""  # "limit" or "failed" if no more runs are possible
    reason: str = ""

    def climb(self, goal):
        """Run with tighter settings until the objective is at most ``goal``, or none are left."""
        while not self.stopped and self.best() > goal and len(self.rungs) < self.most():
            setting = self.solver.settings[len(self.rungs)]
            outcome = attempt(
                partial(self.solver.solve, self.problem, setting), self.limit - self.spent
            )
            self.spent += outcome.seconds
            self.warnings += outcome.warnings
            if outcome.status != "ok":
                self.stopped, self.reason = outcome.status, outcome.reason
                break
            value = float(self.problem.objective(*outcome.value))
            self.rungs.append((setting, outcome.seconds, value if np.isfinite(value) else np.inf))
            if self.spent >= self.limit:
                self.stopped, self.reason = "limit", f"more than {self.limit:.3g} s"

    def most(self):
        return len(self.solver.settings)

    def best(self):
        """Return the lowest objective so far."""
        return min((value for _, _, value in self.rungs), default=np.inf)

    def rung(self, goal):
        """Return the first (setting, seconds) at or below an objective, or None."""
        for setting, seconds, value in self.rungs:
            if value <= goal:
                return setting, seconds
        return None


def goals(reference):
    """Return the objective to reach for each gap."""
    return [reference + gap * abs(reference) for gap in GAPS]


def compare(problem, solvers, limit, budget):
    """Return a row for each solver: its seconds to the gaps.

    The reference is the lowest objective of all solvers. The run to each gap is repeated for
    ``budget`` seconds, interleaved with the other solvers.
    """
    climbers = [Climber(solver, problem, limit) for solver in solvers]
    reference = np.inf
    for solver in solvers:
        if solver.library == "skmtl":
            outcome = attempt(partial(solver.solve, problem, TIGHT), limit)
            if outcome.status == "ok":
                reference = min(reference, float(problem.objective(*outcome.value)))
    while True:
        for climber in climbers:
            climber.climb(goals(reference)[-1] if np.isfinite(reference) else -np.inf)
        lowest = min([reference, *(climber.best() for climber in climbers)])
        if lowest == reference:
            break
        reference = lowest
    if not np.isfinite(reference):
        reference = np.nan
    seconds = timed(climbers, goals(reference), budget)
    return [row(climber, reference, seconds) for climber in climbers]


def timed(climbers, targets, budget):
    """Return the median seconds of each (solver, setting) that reaches a target."""
    first = {}
    for number, climber in enumerate(climbers):
        for goal in targets:
            rung = climber.rung(goal)
            if rung:
                first[number, rung[0]] = rung[1]
    repeats = {key: int(np.clip(budget / seconds, 0, 15)) for key, seconds in first.items()}
    found = {key: [] for key in first}
    for turn in range(max(repeats.values(), default=0)):
        for (number, setting), count in repeats.items():
            if turn < count:
                climber = climbers[number]
                solve = partial(climber.solver.solve, climber.problem, setting)
                outcome = attempt(solve, climber.limit)
                if outcome.status == "ok":
                    found[number, setting].append(outcome.seconds)
    median = {key: statistics.median(values or [first[key]]) for key, values in found.items()}
    return {(id(climbers[number]), setting): value for (number, setting), value in median.items()}


def row(climber, reference, seconds):
    """Return the row of one solver."""
    taken, setting = [], ""
    for goal in goals(reference):
        rung = climber.rung(goal)
        taken.append(seconds[id(climber), rung[0]] if rung else None)
        setting = rung[0] if rung else ""
    if taken[-1] is not None:
        taken[0] = min(taken)  # the narrow gap implies the wide one
    status = "reached" if taken[-1] is not None else climber.stopped or "not reached"
    gap = (climber.best() - reference) / abs(reference)
    return {
        "library": climber.solver.library,
        "solver": climber.solver.name,
        "status": status,
        "seconds_1e-3": "" if taken[0] is None else f"{taken[0]:.4g}",
        "seconds_1e-6": "" if taken[1] is None else f"{taken[1]:.4g}",
        "setting_1e-6": setting,
        "gap": f"{max(gap, 0):.1e}" if np.isfinite(gap) else "",
        "warnings": climber.warnings,
        "reason": "" if status == "reached" else climber.reason,
    }


def run_speed(entries, adapters, reasons, limit, budget, store):
    """Measure problems that are not yet in the store, and add their rows."""
    for entry in entries:
        names = [*adapters, *reasons]
        if all(store.has(kind=entry.kind, problem=entry.name, library=name) for name in names):
            continue
        try:
            problem = entry.make()
        except data.AbsentError as absent:
            store.note(f"{entry.key}: skipped, {absent}")
            continue
        start = time.perf_counter()
        solvers, refused = candidates(entry.kind, problem, adapters, reasons)
        rows = compare(problem, solvers, limit, budget) + refused
        n, d, T = problem.shape
        common = {"kind": entry.kind, "problem": entry.name, "n": n, "d": d, "T": T}
        store.add([common | found for found in rows])
        store.note(f"{entry.key}: {time.perf_counter() - start:.1f} s, " + summary(rows))


def summary(rows):
    """Return a one-line summary of the seconds of all solvers."""
    parts = []
    for found in rows:
        if found["status"] != "skipped":
            time_taken = found["seconds_1e-6"]
            what = f"{float(time_taken):.2g} s" if time_taken else found["status"]
            parts.append(f"{found['library']} {found['solver']} {what}")
    return "; ".join(parts)


def candidates(kind, problem, adapters, reasons):
    """Return the solvers that support a problem, and rows with the reasons of the others."""
    solvers, refused = [], []

    def refuse(library, name, reason):
        known = {"library": library, "solver": name, "status": "skipped", "reason": reason}
        refused.append(known)

    for library, adapter in adapters.items():
        fit = [solver for solver in adapter.SOLVERS if kind in solver.kinds]
        if not fit:
            why = getattr(adapter, "NO_SOLVERS", "does not fit this model")
            refuse(library, "", getattr(adapter, "WHY_NOT", {}).get(kind, why))
        for solver in fit:
            reason = solver.objection(problem)
            if reason is None:
                solvers.append(solver)
            else:
                refuse(library, solver.name, reason)
    for library, reason in reasons.items():
        refuse(library, "", reason)
    return solvers, refused
