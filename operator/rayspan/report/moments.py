"""Moments as the status has them: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(at: float) -> str:
    """Seconds since the epoch as ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """The seconds since the epoch of such a timestamp."""
    return datetime.fromisoformat(text).timestamp()
