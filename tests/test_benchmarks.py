"""The benchmarks say what they measure: objectives, splits, tables. No library but scikit-learn."""

from pathlib import Path

import numpy as np
import pytest

if not (Path(__file__).parents[1] / "benchmarks" / "__main__.py").is_file():
    pytest.skip("no benchmarks/ beside tests/", allow_module_level=True)

from benchmarks import accuracy, accuracy_problems, objective, speed, speed_problems
from benchmarks.__main__ import chosen, parse
from benchmarks.adapters import LIBRARIES, load
from benchmarks.adapters._base import keep_tasks
from benchmarks.guard import attempt
from benchmarks.peers import AUTO, SEPARATE, errors, races, sentences
from benchmarks.store import Store
from benchmarks.tables import accuracy_tables, speed_tables
from benchmarks.words import described, duration, name_of, predicted
from skmtl.datasets import load_radon


def long_form(kind, **alphas):
    rng = np.random.default_rng(0)
    tasks = np.arange(60) % 4
    X = rng.standard_normal((60, 3))
    W = rng.standard_normal(3) + 0.3 * rng.standard_normal((4, 3))
    y = np.einsum("ij,ij->i", X, W[tasks]) + rng.standard_normal(60)
    if kind.endswith("logistic"):
        y = y > 0
    return speed_problems.LongForm(kind, "tiny", X, tasks, y, **alphas)


def wide_form(kind):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 6))
    Y = X[:, :2] @ rng.standard_normal((2, 3)) + rng.standard_normal((40, 3))
    ridge = 3.0 if kind == "l21 + ridge" else 0.0
    return speed_problems.WideForm(kind, "tiny", X, Y, 5.0, ridge)


PROBLEMS = [
    long_form("mean ridge", alpha=2.0, alpha_shared=0.5),
    long_form("separate ridge", alpha=2.0),
    long_form("mean logistic", alpha=0.5, alpha_shared=0.2),
    long_form("separate logistic", alpha=0.5),
    wide_form("wide ridge"),
    wide_form("l21"),
    wide_form("l21 + ridge"),
    wide_form("l1"),
]


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_adapter_loads_or_gives_its_reason(library):
    adapter = load(library)
    if isinstance(adapter, str):
        assert "pip install" in adapter
        assert library not in ("skmtl", "scikit-learn")
        return
    assert adapter.SOLVERS or adapter.NO_SOLVERS
    assert adapter.METHODS or adapter.NO_METHODS
    for solver in adapter.SOLVERS:
        assert solver.library == library
        assert list(solver.settings) == sorted(solver.settings, reverse=True)
    assert all(method.library == library for method in adapter.METHODS)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's loosest tolerances and slowest solvers
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_solvers_agree_on_the_objective(problem):
    adapters = [load("skmtl"), load("scikit-learn")]
    solvers = [s for a in adapters for s in a.SOLVERS if problem.kind in s.kinds]
    assert {solver.library for solver in solvers} == {"skmtl", "scikit-learn"}
    values = [problem.objective(*s.solve(problem, s.settings[-1])) for s in solvers]
    np.testing.assert_allclose(values, min(values), rtol=1e-6)


def test_objective_of_any_other_point_is_larger():
    problem = PROBLEMS[0]
    (W,) = load("skmtl").SOLVERS[0].solve(problem, 1e-8)
    least = problem.objective(W)
    for direction in np.random.default_rng(0).standard_normal((20, *W.shape)):
        assert problem.objective(W + 1e-3 * direction) > least


def test_restricted_likelihood_against_the_density_of_contrasts():
    """Of K'y with K'Z = 0, written with full covariance matrices."""
    problem, ratios = long_form("mixed model"), (0.7, 0.2)
    X, tasks, y = problem.X, problem.tasks, problem.y
    Z = np.column_stack([np.ones(len(X)), X - X.mean(axis=0)])
    same = tasks[:, None] == tasks
    V = np.eye(len(X)) + same * ((Z * np.append(ratios[0], [ratios[1]] * 3)) @ Z.T)
    K = np.linalg.qr(Z, mode="complete")[0][:, Z.shape[1] :]
    C, free = K.T @ V @ K, len(y) - Z.shape[1]
    variance = (K.T @ y) @ np.linalg.solve(C, K.T @ y) / free
    expected = free * (np.log(2 * np.pi * variance) + 1) + np.linalg.slogdet(C)[1]
    expected += np.linalg.slogdet(Z.T @ Z)[1]  # the constant of R and of statsmodels
    found = objective.restricted(X, tasks, y, ratios)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_alphas_by_evidence_are_at_the_peak():
    X, y = load_radon(return_X_y=True)
    tasks = np.unique(X[:, 0], return_inverse=True)[1]
    floor = X[:, 1:2].astype(float)
    problem = speed_problems.LongForm("mixed model", "radon", floor, tasks, np.asarray(y, float))
    solver = next(s for s in load("skmtl").SOLVERS if s.kinds == ("mixed model",))
    ((intercept, slope),) = solver.solve(problem, 1e-8)
    least = problem.objective((intercept, slope))
    for factors in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):
        assert problem.objective((intercept * factors[0], slope * factors[1])) > least


def test_splits_are_disjoint_and_keep_tasks():
    tasks = np.array([0, 0, 0, 0, 0, 1, 1, 2, 0, 1, 1])  # task 2 has one row
    X = np.arange(22.0).reshape(11, 2) ** 2

    def read():
        return X, tasks, np.arange(11.0)

    tested = []
    for fold, y_test in accuracy_problems.long_splits(read):
        assert set(fold.tasks) == {0, 1, 2}
        assert not set(fold.y) & set(y_test)
        assert len(fold.y) + len(y_test) == 11
        np.testing.assert_allclose(fold.X.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(fold.X.std(axis=0), 1)
        for train, test in fold.folds:
            assert not set(train) & set(test)
            assert set(fold.tasks[test]) <= set(fold.tasks[train])
        tested += list(y_test)
    assert sorted(tested) == [i for i in range(11) if i != 7]


def test_drawn_problems_test_on_rows_of_their_own():
    (first, y_first), (second, _), *_ = accuracy_problems.drawn_splits("outliers", 6, 8, 10)
    assert first.X.shape == (48, 10)
    assert y_first.shape == (600,)
    assert not np.isin(first.X_test[:, 0], first.X[:, 0]).any()
    assert not np.array_equal(first.y, second.y)


def test_keep_tasks_moves_rows():
    train, test = keep_tasks(np.array([0, 1, 0, 2]), np.array([0]), np.array([1, 2, 3]))
    assert train.tolist() == [0, 1, 3]
    assert test.tolist() == [2]


def test_measures():
    y, predicted = np.array([0.0, 2.0, 4.0, 6.0]), np.array([1.0, 2.0, 4.0, 3.0])
    found = accuracy.measures(y, predicted, np.array([0, 0, 1, 1]), classify=False)
    assert float(found["error"]) == pytest.approx(np.sqrt(10 / 4))
    assert float(found["macro"]) == pytest.approx((np.sqrt(1 / 2) + np.sqrt(9 / 2)) / 2, rel=1e-5)
    assert float(found["worst"]) == pytest.approx(np.sqrt(9 / 2), rel=1e-5)
    assert float(found["score"]) == pytest.approx(1 - 10 / 20)
    labels, p = np.array([[1, 0], [1, 1]]), np.array([[0.5, 0.0], [0.5, 0.2]])
    found = accuracy.measures(labels, p, None, classify=True)
    each = [np.log(2), (-np.log1p(-1e-6) - np.log(0.2)) / 2]
    assert float(found["worst"]) == pytest.approx(max(each), rel=1e-5)
    assert float(found["score"]) == pytest.approx(1 / 4)


@pytest.mark.filterwarnings("ignore")
def test_results_to_tables(tmp_path):
    """Measured twice into the same file nothing is done again; tables are a function of it."""
    adapters = {name: load(name) for name in ("skmtl", "scikit-learn")}
    refused = {"nonesuch": "cannot be imported; pip install nonesuch"}
    entry = speed_problems.Entry("l21", "tiny", True, lambda: wide_form("l21"))
    texts = []
    for _ in range(2):
        key = ("kind", "problem", "library", "solver")
        store = Store(tmp_path / "speed.csv", speed.FIELDS, key, "abc")
        before = len(store.done)
        speed.run_speed([entry], adapters, refused, 5.0, 0.0, store)
        texts.append(speed_tables(store.rows))
    assert before == len(store.done) == 3
    assert texts[0] == texts[1]
    assert "MultiTaskLasso" in texts[0]
    assert "nonesuch" in texts[0]
    assert not Store(tmp_path / "speed.csv", speed.FIELDS, key, "other commit").done


def race(library, seconds, **more):
    """Return a row of the speed benchmark; no seconds if the solver did not reach the gap."""
    common = {"kind": "l21", "problem": "p", "n": "900", "d": "20", "T": "3", "solver": "m"}
    status = "reached" if seconds else "limit"
    return common | {"library": library, "seconds_1e-6": seconds, "status": status} | more


def split_rows(library, method, *losses, problem="q"):
    """Return rows of the accuracy benchmark, one a split."""
    common = {"problem": problem, "form": "long", "measure": "RMSE", "status": "ok"}
    common |= {"n": "90", "d": "2", "T": "3", "library": library, "method": method}
    common |= {"seconds": "1", "macro": "1", "worst": "1", "score": "0.5"}
    return [common | {"split": str(k), "error": str(loss)} for k, loss in enumerate(losses)]


def test_what_peers_do_better_follows_from_the_rows():
    rows = [race("skmtl", "0.2"), race("skglm", "0.1"), race("adelie", "0.4")]
    own, peer = split_rows("skmtl", "m", 0.9, 1.0, 1.1), split_rows("skglm", "m", 1.0, 1.1, 1.2)
    text = sentences(rows, own + peer)
    assert "3 targets, 900 rows, 20 features: 100 ms with skglm (m), 200 ms with skmtl" in text
    assert "(2.0 times as long)" in text
    assert "faster than skmtl on 1 of 1 problems" in text
    assert text.count("None in these results") == 2
    assert "q (q): 1.1 with skglm (m), skmtl did not finish" in text  # the default is not in rows
    assert "**1** ± 0.1" in accuracy_tables(own + peer)
    for row in own + peer:
        row["library"] = {"skmtl": "skglm", "skglm": "skmtl"}[row["library"]]
    text = sentences(rows[:1], own + peer)
    assert "q (q): 1 with skglm (m), 1.1 with skmtl (m): 10 % higher; difference 0.1" in text
    assert "No other library was faster on any of 0 problems" in text


def test_a_peer_of_lower_error_than_the_default_is_counted():
    default = AUTO.removeprefix("skmtl: ")
    rows = split_rows("skmtl", default, 1.0, 1.2) + split_rows("skglm", "m", 1.0, 1.0)
    rows += split_rows("skmtl", default, 1.0, 1.0, problem="r")
    rows += split_rows("skglm", "m", 1.0, 1.2, problem="r")
    text = sentences([], rows)
    assert "on 1 of 2 data sets, by at most 10 % (q: 90 rows, 2 features)" in text


def test_words_name_the_problems():
    for entry in accuracy_problems.entries():
        row = {"problem": entry.name, "T": "7"}
        assert "7" in predicted(row)
        assert "{" not in predicted(row)
    for entry in speed_problems.entries():
        assert entry.kind in speed_problems.KINDS
        if not entry.name.startswith("n="):
            assert entry.name in speed_problems.TASKS
    row = race("skmtl", "1", problem="n=900 d=20 T=3")
    assert described(row) == "3 simulated targets, 900 rows, 20 features"
    row = race("skmtl", "1", problem="School", kind="mean ridge")
    assert described(row) == "School: 3 schools, 900 rows, 20 features"


def test_methods_that_the_figure_names_exist():
    methods = [m for name in ("skmtl", "scikit-learn") for m in load(name).METHODS]
    names = {name_of({"library": m.library, "method": m.name}) for m in methods}
    assert {AUTO, *SEPARATE} <= names


def test_figures_show_the_best_of_either_side(tmp_path):
    pictures = pytest.importorskip("benchmarks.pictures")
    pytest.importorskip("matplotlib")
    rows = [race("skmtl", "0.2"), race("skmtl", "0.1"), race("skglm", "0.5"), race("adelie", "")]
    rows += [race("skmtl", "", problem="s"), race("skglm", "0.3", problem="s")]
    rows += [race("skmtl", "0.3", problem="t"), race("skglm", "", problem="t")]
    rows += [race("skmtl", "0.3", problem="u")]
    verdicts = [pictures.race_verdict(each) for each in races(rows)]
    assert verdicts == [
        ("5.0× faster", "skglm", True),
        ("not finished", "skglm", False),
        ("others not finished", "", True),
        ("no other library", "", None),
    ]
    default, loop = AUTO.removeprefix("skmtl: "), SEPARATE[0].removeprefix("scikit-learn: ")
    splits = split_rows("skmtl", default, 0.7, 0.9) + split_rows("skmtl", "better", 0.1, 0.1)
    splits += split_rows("skglm", "m", 0.5, 0.5) + split_rows("skglm", "worse", 0.9, 0.9)
    splits += split_rows("scikit-learn", loop, 1.0, 1.0)
    (found,) = errors(splits)
    assert pictures.error_verdict(found) == ("60.0% higher", "than skglm", False)
    pictures.speed_picture(rows, tmp_path / "speed.png")
    pictures.accuracy_picture(splits, tmp_path / "accuracy.png")
    assert {path.name for path in tmp_path.iterdir()} == {"speed.png", "accuracy.png"}


def test_errors_far_from_separate_models_are_arrows_with_numbers():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    from benchmarks.pictures import CLIP, error_marks

    default, loop = AUTO.removeprefix("skmtl: "), SEPARATE[0].removeprefix("scikit-learn: ")
    rows = split_rows("skmtl", default, 3.0, 3.0) + split_rows("scikit-learn", loop, 1.0, 1.0)
    rows += split_rows("skglm", "m", 0.1, 0.1)
    axes = figure.subplots()
    assert error_marks(axes, 0.0, errors(rows)[0]) == [-CLIP, CLIP]
    assert [text.get_text() for text in axes.texts] == ["−90%", "+200%"]


def test_a_run_is_stopped_and_its_warnings_are_counted():
    def endless():
        while True:
            pass

    assert attempt(endless, 0.05).status == "limit"
    assert attempt(lambda: np.log(np.zeros(1)), 5.0).warnings == 1
    failed = attempt(lambda: 1 / 0, 5.0)
    assert (failed.status, failed.reason) == ("failed", "ZeroDivisionError: division by zero")


def test_options_choose_problems():
    entries = speed_problems.entries()
    assert len({entry.key for entry in entries}) == len(entries)
    quick = chosen(entries, parse(["--quick"]))
    assert {entry.kind for entry in quick} == {entry.kind for entry in entries}
    some = chosen(entries, parse(["--problems", "atp1d"]))
    assert {entry.name for entry in some} == {"atp1d"}


def test_durations():
    assert [duration(s) for s in (2e-5, 0.00123, 0.0995, 0.9999, 12.3)] == [
        "20 µs",
        "1.2 ms",
        "100 ms",
        "1.0 s",
        "12 s",
    ]
