"""Whether a live object already is what is wanted, so that applying it would be a write for nothing.

``covers(live, wanted)``: every field of ``wanted`` is in ``live`` with the same value. Fields that others
set are not looked at. Lists are compared by index and need the same length. An absent field equals an
empty map, an empty list and null: a Go program that reads and writes an object drops those. Resource
quantities equal when they are the same number: the same programs write ``0.5`` as ``500m``.

What it cannot see is a field that was wanted before and is not wanted any more; ``digest`` is written
beside the object for that (see ``client.apply``).
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import Any, Final

_QUANTITY: Final = re.compile(r"^([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkKMGTPE]?i?))$")
_EXPONENTS: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_QUANTITIES: Final = frozenset({"limits", "requests", "capacity", "sizeLimit"})


def quantity(text: str | int | float) -> Decimal | None:
    """A Kubernetes quantity as a number; None: it is none.

    >>> quantity("500m"), quantity("2Gi") == 2 * 1024**3, quantity("1e3") == 1000, quantity("much")
    (Decimal('0.500'), True, True, None)
    """
    match = _QUANTITY.match(str(text))
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    try:
        value = Decimal(number)
    except ArithmeticError:
        return None
    if exponent is not None:
        return value.scaleb(int(exponent))
    if suffix in _BINARY:
        return value * Decimal(1024 ** _BINARY[suffix])
    if suffix in _EXPONENTS:
        return value.scaleb(_EXPONENTS[suffix])
    return None


def covers(live: Any, wanted: Any, *, quantities: bool = False) -> bool:
    """Whether every field of ``wanted`` stands in ``live``; ``quantities``: the values are such."""
    if wanted is None:
        return live is None
    if isinstance(wanted, dict):
        if live is None:
            return all(covers(None, value) for value in wanted.values())
        return isinstance(live, dict) and all(
            covers(live.get(key), value, quantities=quantities or key in _QUANTITIES)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if live is None:
            return not wanted
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(covers(one, other) for one, other in zip(live, wanted, strict=True))
        )
    if quantities and isinstance(live, str | int | float) and (number := quantity(wanted)) is not None:
        return number == quantity(live)
    # A bool is an int in Python, and 1 == True is not what YAML means.
    return isinstance(live, bool) == isinstance(wanted, bool) and bool(live == wanted)


def digest(thing: Any) -> str:
    """Ten hexadecimal digits that change with any field."""
    text = json.dumps(thing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def fingerprint(live: dict[str, Any]) -> str:
    """Digest of what appliers write: everything but the status and what the API server keeps."""
    metadata = live.get("metadata", {})
    kept = {key: metadata.get(key) for key in ("labels", "annotations", "ownerReferences", "uid")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    return digest({"metadata": kept, **rest})
