"""Exact line search for semismooth Newton steps."""

_TRIALS = 40
_ENOUGH = 0.5  # tolerance of the slope, relative to the first one


def stationary_share(slope_at, slope):
    """Return the share of a step at which the slope of a convex function is about zero.

    Parameters
    ----------
    slope_at : callable
        The slope at a share of the step, continuous and not decreasing.
    slope : float
        The slope at the start, negative.

    Returns
    -------
    float
        At most 1; 0 without descent, or where the slope jumps because of rounding.
    """
    if not slope < 0:
        return 0.0
    low, low_slope, high, high_slope, share = 0.0, slope, None, None, 1.0
    for _ in range(_TRIALS):
        ahead = slope_at(share)
        if abs(ahead) <= -_ENOUGH * slope or (ahead < 0 and share == 1.0):
            return share
        if ahead < 0:
            low, low_slope = share, ahead
        else:
            high, high_slope = share, ahead
        # The slope changes abruptly: both ends of the bracket have to move.
        secant = low_slope / (low_slope - high_slope)
        share = low + (high - low) * min(max(secant, 0.1), 0.9)
    return 0.0
