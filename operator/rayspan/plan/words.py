"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 stage``, ``2 stages``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def listed(things: Iterable[object], last: str = "and", most: int = 12) -> str:
    """``a, b and c``; beyond ``most`` the rest is counted."""
    words = [str(thing) for thing in things]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def labels(selector: Mapping[str, str]) -> str:
    """``{a: b, c: d}``, as it is written in YAML."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in sorted(selector.items())) + "}"


def size(number: float) -> str:
    """Bytes as GiB, or as MiB where they are less: ``67.3 GiB``, ``80 GiB``, ``72 MiB``."""
    unit, value = ("GiB", number / 1024**3) if number >= 1024**3 else ("MiB", number / 1024**2)
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
