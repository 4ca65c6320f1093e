"""Durations and rates as the status has them.

Latencies are rounded to three significant digits: the rounding stays under 1 % (at most 0.5 %), and the
text stays short. A duration has one unit: ``0.45ms``, ``83ms``, ``1.2s``, ``95s``, ``600s``.
"""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)")


def rounded(value: float, digits: int = 3) -> float:
    """``value`` to so many significant digits."""
    return float(f"{value:.{digits - 1}e}")


def latency(seconds: float) -> str:
    """A latency in milliseconds below one second, in seconds from there on."""
    milliseconds = rounded(seconds * 1000)
    if milliseconds < 1000:
        return f"{_plain(milliseconds)}ms"
    return f"{_plain(rounded(seconds))}s"


def span(seconds: float) -> str:
    """A length of time to 5 s, such as a window: ``45s``, ``4m45s``, ``5m``."""
    whole = max(round(seconds / 5) * 5, 5)
    minutes, rest = divmod(whole, 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest else "")


def seconds(text: str) -> float:
    """A duration's seconds; ``1m30s`` is 90. ValueError when it is none."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r}")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
