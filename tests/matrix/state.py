"""All objects of a namespace, without what differs between two runs: what is compared at the end.

Left out: uids, versions, times, the status' memory of failures, who manages which field, digests over uids. A generation
that was observed is told as how far it is behind. An owner is told by its kind and name, and one that is not there as
``gone``, which no undisturbed run has: an orphan is a difference, and so is a duplicate, for every object is there by
its name. Tokens are replaced by words when they are the ones that follow from the uid.

The inspection's Job is a question, not a part of the state: an operator that lost its memory may ask again. One at
most may be there; its pod and it are left out.
"""

from __future__ import annotations

import base64
import difflib
import json
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
        asked = found.pop("jobs")
        state: State = {}
        if len(asked) > 1:
            state["jobs"] = {"metadata": {"owners": [], "names": [one["metadata"]["name"] for one in asked]}}
        for plural, things in found.items():
            for one in things:
                normal = self._normal(plural, one, owners)
                if not _asking(one) or "gone" in normal["metadata"]["owners"]:
                    state[f"{plural}/{one['metadata']['name']}"] = normal
        return state

    def _alike(self, plural: str, things: list[Object], like: State) -> bool:
        if plural == KIND:  # first of all, and without owners
            return all(
                like.get(f"{KIND}/{one['metadata']['name']}") == self._normal(KIND, one, {}) for one in things
            )
        names = {f"{plural}/{one['metadata']['name']}" for one in things if not _asking(one)}
        return names == {key for key in like if key.startswith(f"{plural}/")}

    def _normal(self, plural: str, thing: Object, owners: dict[str, str]) -> Object:
        metadata = thing["metadata"]
        kept = {key: metadata[key] for key in _OF_METADATA if key in metadata}
        if "annotations" in kept:
            kept["annotations"] = {key: value for key, value in kept["annotations"].items() if key != APPLIED}
        kept["owners"] = [owners.get(one["uid"], "gone") for one in metadata.get("ownerReferences") or ()]
        if "deletionTimestamp" in metadata:
            kept["leaving"] = True
        rest: Object = {key: thing[key] for key in ("spec", "data", "type", "status") if key in thing}
        if plural == "secrets":
            rest["data"] = self._tokens(metadata, thing.get("data") or {})
        text = json.dumps(_compared({"metadata": kept, **rest}, metadata.get("generation", 0)))
        whole: Object = json.loads(text.replace(self.name, "NAMESPACE").replace(self._prefix, "ADDRESS"))
        return whole

    def _tokens(self, metadata: Object, data: Object) -> Object:
        uid = next((one["uid"] for one in metadata.get("ownerReferences") or ()), "")
        words = {
            base64.b64encode(tokens.derive(self._master_key, purpose, uid).encode()).decode(): purpose
            for purpose in (tokens.RAY, tokens.PROBE)
        }
        return {key: words.get(value, value) for key, value in data.items()}


def unfinished(state: State) -> bool:
    """Whether the garbage collector has still something to do, or the operator."""
    unseen = (
        one.get("status", {}).get("observedGeneration") for key, one in state.items() if key.startswith(KIND)
    )
    left = any(
        one["metadata"].get("leaving") or "gone" in one["metadata"]["owners"] for one in state.values()
    )
    return left or any(behind != 0 for behind in unseen)


def difference(wanted: State, found: State) -> str:
    """The difference, line by line."""
    before, after = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (wanted, found))
    return "\n".join(difflib.unified_diff(before, after, "undisturbed", "found", lineterm="", n=2))


def _asking(thing: Object) -> bool:
    return "-inspect-" in thing["metadata"]["name"]


def _compared(value: Any, generation: int) -> Any:
    if isinstance(value, dict):
        return {
            key: generation - one if key == "observedGeneration" else _compared(one, generation)
            for key, one in value.items()
            if key not in _LEFT_OUT
        }
    if isinstance(value, list):
        return [_compared(one, generation) for one in value]
    return value
