"""Whether events are told as often as conditions turned: not again by a restart, nor for a write that was repeated.

An event follows on the status that it is about. So the statuses that the API server took, one after the other, say
which events there may be, but for their words: an event whose status was written without an answer is told with the
next status, in its words. Fewer are no fault: who is killed between the two writes tells nothing, for the next one
finds a status that says it already.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rayspan.api.v1alpha1 import Condition
from rayspan.cluster.events import Turn, turned, turns


@dataclass
class Told:
    """Events and turns of the deployments behind one proxy."""

    events: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    _last: dict[str, dict[str, Turn]] = field(default_factory=dict)

    def note(self, plural: str, thing: dict[str, Any]) -> None:
        """Note a write that the API server took, by what it answered."""
        if plural == "events":
            what, _, _ = thing["message"].partition(": ")
            self.events[f"{thing['reason']}: {what}"] += 1
        elif plural == "llmdeployments/status":
            uid = thing["metadata"]["uid"]
            now = [Condition.model_validate(one) for one in thing["status"]["conditions"]]
            self.turns.update(
                f"{one.reason}: {one.type}={one.status}" for one in turned(self._last.get(uid, {}), now)
            )
            self._last[uid] = turns(now)

    def too_often(self) -> list[str]:
        """Events that were told more often than what they tell happened."""
        return [
            f"{count} x, of {self.turns[one]}: {one}"
            for one, count in self.events.items()
            if count > self.turns[one]
        ]
