"""spec.serving.podTemplate merged over a rendered pod.

Maps are merged; lists of named things by name, mounts by path; other lists are appended. A volume or a
variable is replaced whole: half of one and half of another has two sources, which no API server takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_WHOLE: Final = frozenset({"env", "volumes"})
_KEYS: Final[Mapping[str, str]] = {"volumeMounts": "mountPath", "hostAliases": "ip"}


def merged(base: Any, over: Any, field: str = "") -> Any:
    """``over`` laid over ``base``; neither is changed."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        result = dict(base)
        for key, value in over.items():
            result[key] = merged(base[key], value, key) if key in base else value
        return result
    if isinstance(base, list) and isinstance(over, list):
        return _merged_list(base, over, field)
    return over


def _merged_list(base: list[Any], over: list[Any], field: str) -> list[Any]:
    key = _KEYS.get(field, "name")
    if not all(isinstance(item, Mapping) and key in item for item in (*base, *over)):
        return [*base, *(item for item in over if item not in base)]
    result = {item[key]: item for item in base}
    for item in over:
        known = result.get(item[key])
        result[item[key]] = item if known is None or field in _WHOLE else merged(known, item)
    return list(result.values())
