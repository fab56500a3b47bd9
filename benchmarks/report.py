"""Write the tables, figures and sentences of the results in a folder."""

import json

from benchmarks.peers import sentences
from benchmarks.store import Store, read
from benchmarks.tables import accuracy_tables, speed_tables


def header(folder):
    """Return a line on the environment of the measurements."""
    path = folder / "environment.json"
    if not path.is_file():
        return ""
    known = json.loads(path.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {v}" for name, v in known["versions"].items() if v)
    first = "; ".join(f"{name} {s} s" for name, s in known["first_use_seconds"].items())
    compiled = f" Compiled before timing: {first}." if first else ""
    return (
        f"Measured {known['date']} at commit {known['commit']} on {known['cores']} cores of "
        f"{known['cpu']} (load {known['load_at_start']:g} before), Python {known['python']}, "
        f"{versions}. Limits: "
        f"{known['solver_limit']:g} s for all tolerances of a solver, "
        f"{known['method_limit']:g} s for all splits of a method.{compiled}\n\n"
    )


def write_report(folder):
    """Write speed.md, accuracy.md, where_peers_win.md and, with matplotlib, the figures."""
    speed, accuracy = read(folder / "speed.csv"), read(folder / "accuracy.csv")
    texts = {
        "speed.md": header(folder) + speed_tables(speed),
        "accuracy.md": header(folder) + accuracy_tables(accuracy),
        "where_peers_win.md": sentences(speed, accuracy),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    try:
        from benchmarks.pictures import accuracy_picture, speed_picture

        speed_picture(speed, folder / "speed.png")
        accuracy_picture(accuracy, folder / "accuracy.png")
    except ImportError as error:
        Store.note(f"no figures: {error}; pip install matplotlib")
