"""A write is needed when the live object does not have what is wanted, and only then."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.cluster.covers import covers, digest, fingerprint

COVERED: dict[str, tuple[Any, Any]] = {
    "an equal object": ({"a": 1}, {"a": 1}),
    "fields of others beside ours": ({"a": 1, "b": 2}, {"a": 1}),
    "a map that a Go program dropped because it was empty": ({}, {"a": {}}),
    "a list that a Go program dropped because it was empty": ({}, {"a": []}),
    "a null that was never stored": ({}, {"a": None}),
    "a cpu limit in another notation": ({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.5"}}),
    "a memory request in another notation": (
        {"requests": {"memory": "1Gi"}},
        {"requests": {"memory": "1024Mi"}},
    ),
    "a limit as a number": ({"limits": {"nvidia.com/gpu": 2}}, {"limits": {"nvidia.com/gpu": "2"}}),
    "a volume's size in another notation": ({"sizeLimit": "2Gi"}, {"sizeLimit": "2048Mi"}),
    "fields of others inside a list's items": ({"l": [{"a": 1, "b": 2}]}, {"l": [{"a": 1}]}),
    "a map of others where ours is empty": ({"emptyDir": {"medium": "x"}}, {"emptyDir": {}}),
}

NOT_COVERED: dict[str, tuple[Any, Any]] = {
    "an edited field": ({"a": 2}, {"a": 1}),
    "a removed field": ({}, {"a": 1}),
    "a removed false, which may mean true where it is absent": ({}, {"a": False}),
    "a removed map with something in it": ({}, {"a": {"b": 1}}),
    "one item more": ({"l": [1, 2]}, {"l": [1]}),
    "one item less": ({"l": [1]}, {"l": [1, 2]}),
    "items in another order": ({"l": [2, 1]}, {"l": [1, 2]}),
    "items where none are wanted": ({"l": [1]}, {"l": []}),
    "true where one is wanted": ({"a": True}, {"a": 1}),
    "a string where a number is wanted": ({"a": "1"}, {"a": 1}),
    "an environment value that only looks like a quantity": ({"value": "500m"}, {"value": "0.5"}),
    "another amount": ({"limits": {"cpu": "501m"}}, {"limits": {"cpu": "0.5"}}),
    "a value where null is wanted": ({"a": 1}, {"a": None}),
}


@pytest.mark.parametrize("case", COVERED)
def test_no_write_for(case: str) -> None:
    live, wanted = COVERED[case]
    assert covers(live, wanted)


@pytest.mark.parametrize("case", NOT_COVERED)
def test_a_write_for(case: str) -> None:
    live, wanted = NOT_COVERED[case]
    assert not covers(live, wanted)


def test_the_digest_knows_no_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1})


def test_a_fingerprint_sees_what_appliers_write_and_nothing_else() -> None:
    live = {"metadata": {"uid": "u", "resourceVersion": "1", "labels": {"a": "b"}}, "spec": {"x": 1}}
    later = {
        "metadata": {"uid": "u", "resourceVersion": "2", "labels": {"a": "b"}, "managedFields": []},
        "spec": {"x": 1},
        "status": {"ready": True},
    }
    edited = {"metadata": {"uid": "u", "labels": {"a": "c"}}, "spec": {"x": 1}}
    assert fingerprint(live) == fingerprint(later) != fingerprint(edited)
