"""Kernels of block coordinate descent for quadratic functions plus norms.

The smooth part of the function has the curvature ``scale[t] H[block[t]]`` in the coefficients
W[t], and the gradient G[t]. The kernels change W and G together.
"""

import math

import numpy as np

from skmtl._kernels import SUMS, jit

_ITERATIONS = 50  # of a norm; about four suffice
_ENOUGH = 1e-13  # relative change of a norm at which to stop
_STRIP = 16  # features
_SHARE = 0.2  # of the largest violation, above which a coefficient is in the next round
_DECREASE = 0.01  # change in a round, relative to its first sweep, at which to end it
_QUIET, _NOISY = 20, 2  # features for each sweep between Newton steps; while signs change
_LEAST = 1e-12  # curvature, relative to the diagonal; less is rounding


@jit(fastmath=SUMS)
def sweep_norms(H, block, scale, W, G, threshold, ridge, unit):
    """Minimize over the coefficients of each feature in turn, all tasks together.

    The penalty is ``threshold[j] ||W[:, j]|| + ridge/2 ||W||^2``. Return the largest change of a
    coefficient, ``unit[t] sqrt(curvature) |change|``, and the number of features that became zero
    or nonzero. The gradient of features out of a strip waits for the end of the strip.
    """
    T, m = W.shape
    a, v, steps = np.empty(T), np.empty(T), np.empty((T, _STRIP))
    largest, switched = 0.0, 0
    for j in range(m):
        first = j - j % _STRIP
        end = min(first + _STRIP, m)
        square, before = 0.0, False
        for t in range(T):
            own = scale[t] * H[block[t], j, j]
            a[t] = own + ridge
            v[t] = own * W[t, j] - G[t, j]
            square += v[t] * v[t]
            before |= W[t, j] != 0.0
        after = square > threshold[j] * threshold[j]
        switched += before != after
        x = _norm(v, a, threshold[j], math.sqrt(square)) if after else 1.0
        for t in range(T):
            new = v[t] * x / (a[t] * x + threshold[j]) if after and a[t] > 0.0 else 0.0
            step = new - W[t, j]
            steps[t, j - first] = scale[t] * step
            if step != 0.0:
                W[t, j] = new
                largest = max(largest, unit[t] * math.sqrt(a[t]) * abs(step))
                step *= scale[t]
                for k in range(first, end):
                    G[t, k] += H[block[t], j, k] * step
        if j == end - 1 and end - first < m:
            for t in range(T):
                _add_products(H[block[t]], first, end, steps[t], G[t], 0, first)
                _add_products(H[block[t]], first, end, steps[t], G[t], end, m)
    return largest, switched


@jit(fastmath=SUMS)
def _add_products(h, first, end, steps, g, low, high):
    """Add ``steps' h`` of the rows ``first:end`` to ``g[low:high]``.

    Four rows at a time: a quarter of the memory traffic.
    """
    for i in range(first, end - 3, 4):
        n = i - first
        p, q, r, s = steps[n], steps[n + 1], steps[n + 2], steps[n + 3]
        if p != 0.0 or q != 0.0 or r != 0.0 or s != 0.0:
            for k in range(low, high):
                g[k] += (p * h[i, k] + q * h[i + 1, k]) + (r * h[i + 2, k] + s * h[i + 3, k])
    for i in range(end - (end - first) % 4, end):
        for k in range(low, high):
            g[k] += steps[i - first] * h[i, k]


@jit(inline="always")
def _norm(v, a, threshold, size):
    """Return x with ``sum_t (v_t / (a_t x + threshold))^2 = 1``, the norm of the minimizer.

    By Newton's method for ``1 / sqrt(sum) - 1``, which is nearly linear in x.
    """
    most, least = 0.0, math.inf
    for t in range(len(v)):
        if v[t] != 0.0:
            most, least = max(most, a[t]), min(least, a[t])
    if threshold == 0.0:
        return 1.0
    low, high = (size - threshold) / most, (size - threshold) / least
    x = low
    for _ in range(_ITERATIONS):
        total, slope = 0.0, 0.0
        for t in range(len(v)):
            inverse = 1.0 / (a[t] * x + threshold)
            part = v[t] * inverse * v[t] * inverse
            total += part
            slope += part * a[t] * inverse
        if total > 1.0:
            low = x
        else:
            high = x
        ahead = x + total * (math.sqrt(total) - 1.0) / slope
        if not low <= ahead <= high:
            ahead = 0.5 * (low + high)
        done = abs(ahead - x) <= _ENOUGH * x
        x = ahead
        if done:
            break
    return x


@jit(fastmath=SUMS)
def minimize_entries(
    H, block, scale, border, W, G, threshold, ridge, unit, goal, limit, slopes, first, last
):
    """Minimize over the coefficients of each task, with ``threshold[j] |W[t, j]|``.

    Each round solves for the coefficients that are not zero or violate their condition; see
    ``_minimize``. Write ``border' A^-1 border`` to ``slopes``, A the curvature in the coefficients
    that are not zero. Return the largest number of sweeps.
    """
    m, most = W.shape[1], 0
    chosen, active = np.empty(m, np.intp), np.empty(m, np.intp)
    w, g, least, x = np.empty((4, m))
    for t in range(first, last):
        h, count = H[block[t]], 0
        while count < limit:
            size, excess = 0, 0.0
            for j in range(m):
                if W[t, j] == 0.0:
                    excess = max(excess, abs(G[t, j]) - threshold[j])
            for j in range(m):
                if W[t, j] != 0.0 or abs(G[t, j]) - threshold[j] > _SHARE * excess:
                    chosen[size] = j
                    size += 1
            A, K = np.empty((size, size)), np.empty((size, size))
            for i in range(size):
                w[i], g[i], least[i] = W[t, chosen[i]], G[t, chosen[i]], threshold[chosen[i]]
                for k in range(size):
                    A[i, k] = scale[t] * h[chosen[i], chosen[k]]
            own = w[:size], g[:size], least[:size], ridge, active, x
            sweeps, change = _minimize(A, K, *own, goal / unit[t], limit - count)
            count += sweeps
            for i in range(size):
                step = w[i] - W[t, chosen[i]]
                if step != 0.0:
                    W[t, chosen[i]] = w[i]
                    for k in range(m):
                        G[t, k] += scale[t] * h[chosen[i], k] * step
            if sweeps == 1 and change <= goal / unit[t]:
                break
        most = max(most, count)
        slopes[t] = 0.0
        size = _active(w[:size], active)
        _factor(A, ridge, active[:size], K)
        for i in range(size):
            x[i] = border[t, chosen[active[i]]]
        _solve(K, size, x)
        for i in range(size):
            slopes[t] += border[t, chosen[active[i]]] * x[i]
    return most


@jit(fastmath=SUMS)
def _minimize(A, K, w, g, threshold, ridge, active, x, goal, limit):
    """Minimize over some coefficients w of a task, with the curvature A and the gradient g.

    Sweeps, and Newton steps in the coefficients that are not zero when sweeps have cost as much,
    until the largest change is at most ``goal``, or small for the next round. Return the number of
    sweeps, and that change.
    """
    change, first, since = 0.0, 0.0, 0
    for count in range(1, limit + 1):
        change, switched = _sweep(A, w, g, threshold, ridge)
        since += 1
        if count == 1:
            first = change
        if change <= max(goal, _DECREASE * first):
            break
        if since * (_QUIET if switched == 0 else _NOISY) >= len(w):
            since, blocked = 0, True
            while blocked:
                size = _active(w, active)
                _factor(A, ridge, active[:size], K)
                for i in range(size):
                    j = active[i]
                    x[i] = -g[j] - ridge * w[j] - math.copysign(threshold[j], w[j])
                _solve(K, size, x)
                blocked = _move(A, w, g, threshold, ridge, active[:size], x)
    return count, change


@jit(fastmath=SUMS)
def _sweep(A, w, g, threshold, ridge):
    """Minimize over each coefficient of a task in turn; return as ``sweep_norms``, without unit."""
    largest, switched = 0.0, 0
    for j in range(len(w)):
        own = A[j, j]
        v = own * w[j] - g[j]
        new = 0.0
        if abs(v) > threshold[j] and own + ridge > 0.0:
            new = (v - math.copysign(threshold[j], v)) / (own + ridge)
        step = new - w[j]
        if step != 0.0:
            if threshold[j] > 0.0:
                switched += new == 0.0 or w[j] == 0.0 or (new > 0.0) != (w[j] > 0.0)
            w[j] = new
            largest = max(largest, math.sqrt(own + ridge) * abs(step))
            for k in range(len(w)):
                g[k] += A[j, k] * step
    return largest, switched


@jit(inline="always")
def _active(w, active):
    """Write the indices of the coefficients that are not zero; return their number."""
    size = 0
    for j in range(len(w)):
        if w[j] != 0.0:
            active[size] = j
            size += 1
    return size


@jit(fastmath=SUMS)
def _factor(A, ridge, active, K):
    """Write the lower Cholesky factor of ``A + ridge I`` in some coefficients to K.

    One that depends on those before it gets a small curvature of its own, and none with others:
    what rounding leaves of these would grow.
    """
    for k in range(len(active)):
        own = A[active[k], active[k]] + ridge
        s = own
        for n in range(k):
            s -= K[k, n] * K[k, n]
        K[k, k] = math.sqrt(max(s, _LEAST * own)) if own > 0.0 else 1.0
        for i in range(k + 1, len(active)):
            rest = 0.0
            if s > _LEAST * own:
                rest = A[active[i], active[k]]
                for n in range(k):
                    rest -= K[i, n] * K[k, n]
            K[i, k] = rest / K[k, k]


@jit()
def _solve(K, size, x):
    """Replace the first entries of x by the solution of ``K K' x = x``."""
    for i in range(size):
        for k in range(i):
            x[i] -= K[i, k] * x[k]
        x[i] /= K[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            x[i] -= K[k, i] * x[k]
        x[i] /= K[i, i]


@jit(fastmath=SUMS)
def _move(A, w, g, threshold, ridge, active, x):
    """Step to the minimum along x, or until a coefficient changes its sign, where it becomes zero.

    Only the first entries of x are used, one for each active coefficient. Return whether one became
    zero.
    """
    share, blocked, slope, bend, least = 1.0, -1, 0.0, 0.0, 0.0
    for i in range(len(active)):
        j = active[i]
        slope += x[i] * (g[j] + ridge * w[j] + math.copysign(threshold[j], w[j]))
        for k in range(len(active)):
            bend += x[i] * A[j, active[k]] * x[k]
        bend += ridge * x[i] * x[i]
        least += _LEAST * A[j, j] * x[i] * x[i]
        if threshold[j] > 0.0 and (w[j] + share * x[i]) * w[j] < 0.0:
            share, blocked = -w[j] / x[i], i
    if not slope < 0.0:
        return False
    bend = max(bend, least)
    if share * bend > -slope:
        share, blocked = -slope / bend, -1
    for i in range(len(active)):
        j = active[i]
        step = -w[j] if i == blocked else share * x[i]
        w[j] += step
        for k in range(len(w)):
            g[k] += A[j, k] * step
    return blocked >= 0
