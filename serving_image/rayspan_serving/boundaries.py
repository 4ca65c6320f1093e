"""Histogram boundaries fine enough that a percentile read from them is true to 5 %. Pure.

Each boundary is 9 % above the one before: a value interpolated inside a bucket is off by at most 9 % of it, and by
4.5 % if the middle is taken. Rounded to four significant digits, so that `le` reads well and is the same text in
every process.
"""

FIRST_SECONDS = 0.001
LAST_SECONDS = 600.0
STEP = 1.09


def boundaries() -> list[float]:
    """Upper bounds in seconds, from 1 ms to 10 minutes, both included."""
    bounds = []
    bound = FIRST_SECONDS
    while bound < LAST_SECONDS:
        bounds.append(float(f"{bound:.4g}"))
        bound *= STEP
    bounds.append(LAST_SECONDS)
    return bounds
