"""Extrapolation of fixed-point iterations: linear ones are solved exactly."""

import numpy as np
from numpy.testing import assert_allclose

from skmtl.solvers._extrapolation import Extrapolation


def test_linear_iterations_are_solved_in_as_many_steps_as_dimensions():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    A, b = Q * np.array([0.9, 0.5, -0.3]) @ Q.T, rng.normal(size=3)
    points = [[np.zeros((1, 1, 3))]]
    memory = Extrapolation(np.array([[0.5, 1.0, 2.0]]), points)
    for count in range(4):
        x = points[0][0].ravel()
        points = memory.next(points, [[(A @ x + b - x).reshape(1, 1, 3)]], count == 3)
    assert_allclose(points[0][0].ravel(), np.linalg.solve(np.eye(3) - A, b), rtol=1e-5)


def test_an_extrapolation_that_goes_away_is_undone():
    points, step = [[np.zeros((1, 1, 1))]], [[np.ones((1, 1, 1))]]
    memory = Extrapolation(np.ones((1, 1)), points)
    for size in (4.0, 2.0):
        points = memory.next(points, [[size * step[0][0]]], False)
    plain = points[0][0] + 1.5  # the image of the next step
    points = memory.next(points, [[1.5 * step[0][0]]], True)
    assert points[0][0] > plain
    points = memory.next(points, [[-9.0 * step[0][0]]], False)
    assert_allclose(points[0][0], plain)
