"""Interleaved timing, and measurements in a new process."""

import json
import os
import statistics
import subprocess
import sys
import time


def interleaved(candidates, repeats):
    """Time callables in turns; return the median seconds of each.

    Parameters
    ----------
    candidates : dict of str to callable
        Each is called once untimed, then ``repeats`` times in rotation with the others, so that
        other load on the machine affects all of them alike.
    repeats : int or dict of str to int
        How often each is timed; a slow candidate may be timed less often than the rest.
    """
    counts = repeats if isinstance(repeats, dict) else dict.fromkeys(candidates, repeats)
    seconds = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for turn in range(max(counts.values())):
        for name, run in candidates.items():
            if turn < counts[name]:
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def in_new_process(code, **environment):
    """Run Python code that prints one JSON value in a new process; return the value."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(result.stdout)


def table(title, seconds, ours, note=""):
    """Print medians, and how many times as long as ours each candidate took."""
    print(f"\n{title}")
    for name, value in seconds.items():
        ratio = "" if name == ours else f"{value / seconds[ours]:9.1f} x ours"
        print(f"  {name:44s}{1e3 * value:11.2f} ms{ratio}")
    if note:
        print(f"  {note}")
