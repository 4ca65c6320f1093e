"""Proof of serving: one token from every replica, and one through every way in.

A replica that is stuck must not hide behind another's answers, nor a pod without routes behind another's: so
each replica is asked by name (rayspan_serving routes a probe to the replica that its header names), and each
serving pod and the Service itself has to have let an answer through before it counts. What users are answered
proves a replica as well, so that a busy one is seldom probed.

This is the memory of it for one deployment, and what follows from it; ``probe.complete`` does the asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from rayspan.report import traffic
from rayspan.report.observed import CompletionView, Labels, Scrape

RETRY_SECONDS: Final = 4.0
"""Least time from a probe that failed to the next one of the same replica, or by the same way in."""

Series = tuple[str, Labels]
"""A pod's uid and a counter's labels."""


@dataclass(frozen=True)
class Entry:
    """A way in: a serving pod, or the Service in front of them."""

    key: str
    name: str
    """For a sentence."""
    host: str
    """Empty: it is not there yet."""


@dataclass(frozen=True)
class Probe:
    """One completion to ask for."""

    replica: str
    entry: Entry


@dataclass
class Proof:
    """What has answered so far."""

    replicas: dict[str, CompletionView] = field(default_factory=dict)
    """The last word on each replica that runs; none: it was never reached."""
    entries: set[str] = field(default_factory=set)
    """Keys of the ways in that let an answer through."""
    last: CompletionView | None = None
    """The last word on the deployment as a whole."""
    _failed_at: dict[str, float] = field(default_factory=dict)
    _answered: dict[Series, float] = field(default_factory=dict)
    _turns: int = 0

    def due(
        self, replicas: Iterable[str], entries: Sequence[Entry], now: float, proof_seconds: float
    ) -> list[Probe]:
        """Probes to send now. What is not named is forgotten, and without any replica all ways in."""
        running = sorted(replicas)
        self._forget_all_but(running, entries)
        entries = [entry for entry in entries if entry.host]
        if not running or not entries:
            return []
        rested = [entry for entry in entries if now - self._failed_at.get(entry.key, -inf) >= RETRY_SECONDS]
        new = [entry for entry in rested if entry.key not in self.entries]
        asked = [name for name in running if self._due(name, now, proof_seconds)]
        self._turns += 1
        return [
            Probe(
                asked[turn] if turn < len(asked) else running[(self._turns + turn) % len(running)],
                new[turn] if turn < len(new) else entries[(self._turns + turn) % len(entries)],
            )
            for turn in range(max(len(asked), len(new)))
        ]

    def took(self, probe: Probe, view: CompletionView) -> None:
        """Take an answer in. By a way that is closed, or never worked yet, nothing is learned of the replica."""
        self.last = view
        ended = view.at + view.seconds
        if view.ok:
            self.entries.add(probe.entry.key)
            answered_by = view.replica or probe.replica
            self.replicas[answered_by] = view
            if answered_by != probe.replica:
                self._failed_at[probe.replica] = ended
        else:
            self._failed_at[probe.entry.key] = ended
            if not view.reached:
                self.entries.discard(probe.entry.key)
            if probe.entry.key in self.entries:
                self._failed_at[probe.replica] = ended
                self.replicas[probe.replica] = view

    def note(self, scrapes: Iterable[Scrape], now: float) -> None:
        """Renew the proof of replicas that answered users since the last look, series by series."""
        answered: dict[Series, float] = {}
        for scrape in scrapes:
            for (metric, labels), value in scrape.values.items():
                if metric != traffic.REQUESTS or (traffic.OUTCOME_LABEL, traffic.OUTCOME_OK) not in labels:
                    continue
                series = (scrape.pod_uid, labels)
                before, answered[series] = self._answered.get(series), value
                replica = dict(labels).get(traffic.REPLICA_LABEL, "")
                known = self.replicas.get(replica)
                if before is not None and value > before and known is not None and known.ok:
                    self.replicas[replica] = CompletionView(True, now, 0.0, "Requests of users are answered.")
        self._answered = answered

    @property
    def completion(self) -> CompletionView | None:
        """The newest answer of any replica that runs, else the last word."""
        answers = [view for view in self.replicas.values() if view.ok]
        return max(answers, key=lambda view: view.at) if answers else self.last

    def _forget_all_but(self, running: Sequence[str], entries: Sequence[Entry]) -> None:
        named = {*running, *(entry.key for entry in entries)}
        self.replicas = {name: self.replicas[name] for name in running if name in self.replicas}
        self.entries = self.entries & named if running else set()
        self._failed_at = {key: at for key, at in self._failed_at.items() if key in named}

    def _due(self, replica: str, now: float, proof_seconds: float) -> bool:
        known = self.replicas.get(replica)
        if known is not None and known.ok and now - known.at < proof_seconds:
            return False
        return now - self._failed_at.get(replica, -inf) >= RETRY_SECONDS


def silent(entries: Iterable[Entry], proof: Proof) -> tuple[str, ...]:
    """Ways in that let no answer through yet, for a sentence."""
    return tuple(entry.name for entry in entries if entry.key not in proof.entries)
