"""Rows of results in a csv file, written at once, so that an interrupted run can resume."""

import csv
import sys


class Store:
    """Rows of one table. A new row replaces an older one with the same ``key`` fields.

    Existing rows of this commit count as done, unless the run is ``fresh``.
    """

    def __init__(self, path, fields, key, commit, *, fresh=False):
        self.path, self.fields, self.key, self.commit = path, fields, key, commit
        self.rows = [found for found in read(path) if set(found) == set(fields)]
        self.done = [] if fresh else [found for found in self.rows if found["commit"] == commit]

    def has(self, **which):
        """Return whether rows with these values are done."""
        wanted = {name: str(value) for name, value in which.items()}
        return any(wanted.items() <= found.items() for found in self.done)

    def add(self, rows):
        """Add rows, replace older ones with the same key, and write the file."""
        rows = [
            {name: str(found.get(name, "")) for name in self.fields} | {"commit": self.commit}
            for found in rows
        ]
        new = {self._key(found) for found in rows}
        self.rows = [found for found in self.rows if self._key(found) not in new] + rows
        self.done += rows
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def _key(self, found):
        return tuple(found[name] for name in self.key)

    @staticmethod
    def note(line):
        """Print a line on the progress of the run to stderr."""
        print(line, file=sys.stderr, flush=True)


def read(path):
    """Return the rows of a csv file, dicts of str; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
