"""What a user with a type checker writes; read by test_typing.py with ``mypy --strict``."""

from typing import assert_type

from skmtl import (
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MixedOutcomeModel,
    alpha_max,
)
from skmtl._typing import Array
from skmtl.inspection import effective_dof
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L1, L21, Decomposed, TraceNorm


def use(X: Array, y: Array) -> None:
    model = MeanRegularizedRegressor(
        {"a": 1.0, "b": 2.0}, alpha_intercept="auto", task_column="task"
    )
    assert_type(model.fit(X, y), MeanRegularizedRegressor)
    MeanRegularizedRegressor(penalty_factor={"age": 0.0}).set_params(penalty_factor=[1.0, 2.0])
    assert_type(model.fit(X, y).adapt(X, y).predict(X), Array)
    assert_type(model.predict(X, return_std=True), tuple[Array, Array])
    assert_type(MeanRegularizedClassifier("auto", solver="cg").fit(X, y).predict_proba(X), Array)
    assert_type(effective_dof(model, X, y), Array)

    structured = ADMMRegressor(L1(0.1) + TraceNorm(1.0), task_weight="balanced")
    assert_type(alpha_max(structured, X, y), float)
    assert_type(L21(2.0).prox(X), Array)
    mixed = MixedOutcomeModel("l21", 2.0, losses={0: "poisson"}, solver="admm").fit(X, y)
    assert_type(mixed.score(X, y), float)
    ADMMRegressor(Decomposed(L21(1.0), L1(0.5)), task_column=-1).fit(X.tolist(), y.tolist())

    search = RegularizationPathCV(
        model,
        alphas=[1.0, 2.0],
        param_grid={"alpha_intercept": [1.0]},
        cv=TaskKFold(3, task_column="task"),
        scoring=make_task_scorer("r2", task_column="task", average="worst"),
    )
    assert_type(search.fit(X, y), RegularizationPathCV)
    train, _ = next(TaskKFold(2, task_column=0).split(X))
    assert_type(train, Array)
    MeanRegularizedRegressor(solver="fast")  # type: ignore[arg-type]
