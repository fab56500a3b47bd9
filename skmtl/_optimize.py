"""Where to stop on the way of a Newton step through kinks of the gradient."""

_TRIALS = 40
_ENOUGH = 0.5  # share of the first slope that may be left, of either sign


def stationary_share(slope_at, slope):
    """Return a share of a step at which the slope of a convex function is about zero.

    Parameters
    ----------
    slope_at : callable
        The slope along the step at any share of it, continuous and not decreasing.
    slope : float
        That at the start, negative.

    Returns
    -------
    float
        At most 1; 0 where there is no descent, or where the slope jumps: that is rounding.
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
        # Behind a kink the slope is steep: neither end of the bracket may stay for ever.
        secant = low_slope / (low_slope - high_slope)
        share = low + (high - low) * min(max(secant, 0.1), 0.9)
    return 0.0
