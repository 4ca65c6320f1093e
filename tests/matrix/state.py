"""All objects of a namespace, without what differs between two runs: what is compared at the end.

Left out: uids, versions, times, the status' memory of failures, who manages which field, digests over uids. An owner is told by its kind and name, and
one that is not there as ``gone``, which no undisturbed run has: an orphan is a difference, and so is a duplicate, for
every object is there by its name. Generations of what the operator applies stay in: a write that changed something and
was changed back would show. Tokens are replaced by words when they are the ones that follow from the uid.

Events are told apart (``events``), for they are no state: see ``told_too_often``.
"""

from __future__ import annotations

import base64
import difflib
import json
from collections import Counter
from typing import Any, Final

from rayspan.cluster import tokens
from rayspan.cluster.client import APPLIED

from tests.matrix.api import Api, Object
from tests.matrix.scenarios import KIND

PLURALS: Final = (KIND, "rayservices", "rayclusters", "jobs", "secrets", "pods", "services")
_OF_METADATA: Final = ("name", "labels", "annotations", "finalizers")
_LEFT_OUT: Final = frozenset(
    {"lastTransitionTime", "since", "observedAt", "creationTimestamp", "startTime", "lastFailure"}
)
"""Times, and the memory of what went wrong last: a refused write is meant to be told there."""

State = dict[str, Any]
"""By ``plural/name``."""


class Namespace:
    """One namespace, to be looked at."""

    def __init__(self, api: Api, name: str, prefix: str, master_key: bytes) -> None:
        self.api, self.name = api, name
        self._prefix, self._master_key = prefix, master_key

    async def state(self, like: State | None = None) -> State:
        """The state; like: of another one than this only as much as shows that it is another."""
        found: dict[str, list[Object]] = {}
        for plural in PLURALS:
            found[plural] = await self.api.list(self.name, plural)
            if like is not None and not self._alike(plural, found[plural], like):
                return {f"not as {plural} are": ""}
        owners = {
            one["metadata"]["uid"]: f"{plural}/{one['metadata']['name']}"
            for plural, things in found.items()
            for one in things
        }
        return {
            f"{plural}/{one['metadata']['name']}": self._normal(plural, one, owners)
            for plural, things in found.items()
            for one in things
        }

    def _alike(self, plural: str, things: list[Object], like: State) -> bool:
        if plural == KIND:  # first of all, and without owners
            return all(
                like.get(f"{KIND}/{one['metadata']['name']}") == self._normal(KIND, one, {}) for one in things
            )
        names = {f"{plural}/{one['metadata']['name']}" for one in things}
        return names == {key for key in like if key.startswith(f"{plural}/")}

    async def events(self) -> Counter[str]:
        """How often each event was told."""
        found = await self.api.list(self.name, "events")
        return Counter(
            f"{one['reason']}: {one['message']}".replace(self.name, "NAMESPACE")
            for one in found
            if (one.get("source") or {}).get("component") == "rayspan"
        )

    def _normal(self, plural: str, thing: Object, owners: dict[str, str]) -> Object:
        metadata = thing["metadata"]
        kept = {key: metadata[key] for key in _OF_METADATA if key in metadata}
        if "annotations" in kept:
            kept["annotations"] = {key: value for key, value in kept["annotations"].items() if key != APPLIED}
        kept["owners"] = [owners.get(one["uid"], "gone") for one in metadata.get("ownerReferences") or ()]
        if plural == "rayservices":
            kept["generation"] = metadata["generation"]
        if "deletionTimestamp" in metadata:
            kept["leaving"] = True
        rest: Object = {key: thing[key] for key in ("spec", "data", "type", "status") if key in thing}
        if plural == "secrets":
            rest["data"] = self._tokens(metadata, thing.get("data") or {})
        if plural == "jobs":
            rest.pop("status", None)
        text = json.dumps(_compared({"metadata": kept, **rest}))
        whole: Object = json.loads(text.replace(self.name, "NAMESPACE").replace(self._prefix, "ADDRESS"))
        return whole

    def _tokens(self, metadata: Object, data: Object) -> Object:
        uid = next((one["uid"] for one in metadata.get("ownerReferences") or ()), "")
        words = {
            base64.b64encode(tokens.derive(self._master_key, purpose, uid).encode()).decode(): purpose
            for purpose in (tokens.RAY, tokens.PROBE)
        }
        return {key: words.get(value, value) for key, value in data.items()}


def told_too_often(told: Counter[str], undisturbed: Counter[str], more: int) -> list[str]:
    """Events that were told more often than they may be.

    An event is written after the status that it is about, and never again: one that is lost on the way is missing. A
    restart alone repeats none. ``more``: of a fault that is told itself (a refused write is a condition), what was so
    before turns once more, there and back.
    """
    return [
        f"{count} x {event}" for event, count in told.items() if count > max(undisturbed[event], 1) + more
    ]


def difference(wanted: State, found: State) -> str:
    """The difference, line by line."""
    before, after = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (wanted, found))
    return "\n".join(difflib.unified_diff(before, after, "undisturbed", "found", lineterm="", n=2))


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        # The API server puts a Job's uid into labels and a selector.
        return {
            key: _compared(one)
            for key, one in value.items()
            if key not in _LEFT_OUT and not key.endswith("controller-uid")
        }
    if isinstance(value, list):
        return [_compared(one) for one in value]
    return value
