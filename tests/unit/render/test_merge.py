"""How the owner's pod template is laid over a rendered pod."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from rayspan.render.merge import merged

Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]

CASES: dict[str, Case] = {
    "maps are merged": (
        {"spec": {"a": 1, "b": {"c": 2}}},
        {"spec": {"b": {"d": 3}}},
        {"spec": {"a": 1, "b": {"c": 2, "d": 3}}},
    ),
    "named things are merged by name, new ones come last": (
        {"containers": [{"name": "ray", "image": "i"}]},
        {"containers": [{"name": "side"}, {"name": "ray", "tty": True}]},
        {"containers": [{"name": "ray", "image": "i", "tty": True}, {"name": "side"}]},
    ),
    "a variable is replaced whole": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "valueFrom": {}}]},
        {"env": [{"name": "A", "valueFrom": {}}]},
    ),
    "a volume is replaced whole": (
        {"volumes": [{"name": "cache", "emptyDir": {}}]},
        {"volumes": [{"name": "cache", "hostPath": {"path": "/x"}}]},
        {"volumes": [{"name": "cache", "hostPath": {"path": "/x"}}]},
    ),
    "one volume is mounted at two paths": (
        {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/b"}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
    ),
    "other lists are appended, nothing twice": (
        {"tolerations": [{"operator": "Exists", "key": "a"}]},
        {"tolerations": [{"operator": "Exists", "key": "a"}, {"operator": "Exists", "key": "b"}]},
        {"tolerations": [{"operator": "Exists", "key": "a"}, {"operator": "Exists", "key": "b"}]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_merging(case: str) -> None:
    base, over, expected = CASES[case]
    kept = deepcopy((base, over))
    assert merged(base, over) == expected
    assert (base, over) == kept
