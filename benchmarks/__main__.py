"""Compare skmtl with other libraries: ``python -m benchmarks [--quick]``, from the repository.

Measures the time to fit the same model to the same accuracy, and the error on new rows, on the same
splits, with each library tuned as its documentation recommends. The full run writes csv
files, tables and figures to ``benchmarks/results`` and resumes after an interruption; ``--quick``
writes to a temporary folder and prints the tables.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import accuracy, accuracy_problems, environment, speed, speed_problems
from benchmarks.adapters import LIBRARIES, load_all
from benchmarks.report import write_report
from benchmarks.store import Store

RESULTS = Path(__file__).parent / "results"
# Seconds per solver and problem, for the repeats of a timing, and per method for all splits.
FULL = {"solver_limit": 8.0, "repeat_budget": 1.0, "method_limit": 25.0, "splits": 5}
QUICK = {"solver_limit": 1.0, "repeat_budget": 0.1, "method_limit": 2.0, "splits": 1}
SLOW_TO_COMPILE = ("skglm",)


def parse(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small problems, in two minutes")
    parser.add_argument("--only", choices=["speed", "accuracy"], help="one of the measurements")
    parser.add_argument("--problems", nargs="+", help="problems whose name contains one of these")
    parser.add_argument("--libraries", nargs="+", choices=list(LIBRARIES))
    parser.add_argument("--output", type=Path, help="folder of the results")
    parser.add_argument("--fresh", action="store_true", help="repeat finished measurements")
    parser.add_argument("--limit", type=float, help="seconds per solver, and per method")
    parser.add_argument("--report", action="store_true", help="only tables and figures, from csv")
    return parser.parse_args(arguments)


def chosen(entries, options):
    """Return the problems selected by the options."""
    if options.quick:
        entries = [entry for entry in entries if entry.quick]
    if options.problems:
        words = [word.lower() for word in options.problems]
        names = [getattr(entry, "key", entry.name).lower() for entry in entries]
        entries = [
            entry
            for entry, name in zip(entries, names, strict=True)
            if any(word in name for word in words)
        ]
    return entries


def warm_up(adapters):
    """Compile the libraries; return the seconds of each."""
    seconds = {}
    for name, adapter in adapters.items():
        if hasattr(adapter, "warm_up"):
            start = time.perf_counter()
            adapter.warm_up()
            seconds[name] = round(time.perf_counter() - start, 2)
            Store.note(f"{name}: first use takes {seconds[name]} s")
    return seconds


def run(options, output):
    """Run the selected measurements and store their results."""
    limits = dict(QUICK if options.quick else FULL)
    if options.limit:
        limits |= {"solver_limit": options.limit, "method_limit": options.limit}
    libraries = options.libraries
    if libraries is None and options.quick:
        libraries = [name for name in LIBRARIES if name not in SLOW_TO_COMPILE]
        Store.note(f"--quick leaves out {SLOW_TO_COMPILE}, which compile in every process")
    adapters, reasons = load_all(libraries)
    if environment.load() > 0.5:
        Store.note(f"the machine is busy (load {environment.load()}): seconds are unreliable")
    for name, reason in reasons.items():
        Store.note(f"{name}: {reason}")
    environment.write(output / "environment.json", warm_up(adapters), limits)
    commit = environment.commit()
    whole = not (options.only or options.problems or options.libraries)
    if options.fresh and whole:  # also removes rows of methods that no longer exist
        for name in ("speed.csv", "accuracy.csv"):
            (output / name).unlink(missing_ok=True)
    if options.only != "accuracy":
        store = Store(
            output / "speed.csv",
            speed.FIELDS,
            ("kind", "problem", "library", "solver"),
            commit,
            fresh=options.fresh,
        )
        entries = chosen(speed_problems.entries(), options)
        given = adapters, reasons, limits["solver_limit"], limits["repeat_budget"]
        speed.run_speed(entries, *given, store)
    if options.only != "speed":
        store = Store(
            output / "accuracy.csv",
            accuracy.FIELDS,
            ("problem", "library", "method", "split"),
            commit,
            fresh=options.fresh,
        )
        entries = chosen(accuracy_problems.entries(), options)
        given = adapters, reasons, limits["method_limit"], limits["splits"]
        accuracy.run_accuracy(entries, *given, store)


def main(arguments=None):
    options = parse(arguments)
    start = time.perf_counter()
    output = options.output
    if output is None:
        output = Path(tempfile.mkdtemp(prefix="skmtl-bench-")) if options.quick else RESULTS
    output.mkdir(parents=True, exist_ok=True)
    if not options.report:
        run(options, output)
    write_report(output)
    if options.quick:
        for name in ("speed.md", "accuracy.md", "where_peers_win.md"):
            print((output / name).read_text(encoding="utf-8"))
    Store.note(f"{time.perf_counter() - start:.0f} s; results are in {output}")


if __name__ == "__main__":
    main()
