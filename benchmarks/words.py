"""Words for problems, sizes and libraries in the tables and figures."""

from benchmarks import accuracy_problems, speed_problems


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


def library_with(name):
    """Return a name of `name_of` with the solver or method in parentheses."""
    library, _, what = name.partition(": ")
    return f"{library} ({what})" if what else library


def is_simulated(row):
    """Return whether the data of a row of the speed benchmark are simulated."""
    return row["problem"].startswith("n=")


def fitted(row):
    """Return the tasks of a row of the speed benchmark: their number and what they are."""
    unit = "targets" if row["kind"] in speed_problems.MANY_TARGETS else "tasks"
    if is_simulated(row):
        unit = f"simulated {unit}"
    return f"{int(row['T']):,} {speed_problems.TASKS.get(row['problem'], unit)}"


def described(row):
    """Return the data of a row of the speed benchmark: name, tasks and size."""
    name = "" if is_simulated(row) else f"{row['problem']}: "
    return f"{name}{fitted(row)}, {size(row)}"


def predicted(row):
    """Return what a row of the accuracy benchmark predicts."""
    words = accuracy_problems.words().get(row["problem"], row["problem"])
    return words.format(T=row.get("T"))


def size(row):
    """Return the numbers of rows and features."""
    return f"{int(row['n']):,} rows, {int(row['d']):,} features"
