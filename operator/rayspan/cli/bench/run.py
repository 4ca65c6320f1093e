"""The Job of a benchmark from its beginning to its end, followed by its pod's log.

The log is read whole every two seconds: it is some kilobytes, and a stream that broke off would have to be taken up in
the middle. The Job is deleted in the end, also on Ctrl-C; what is left behind when that fails ends by its own deadline.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

from rayspan import errors
from rayspan.cli.bench.record import Level
from rayspan.cli.errors import Failure
from rayspan.cluster.client import Client
from rayspan.cluster.inspection import from_wait
from rayspan.cluster.kinds import JOB, LLM_DEPLOYMENT, POD
from rayspan.render.bench_job import CONTAINER
from rayspan.report.input import Refused

Object = dict[str, Any]

POLL_SECONDS: Final = 2.0
SILENCE_SECONDS: Final = 60.0
"""How long the API may be out of reach: the load goes on without it."""
UNSCHEDULED_SECONDS: Final = 180.0
"""A cluster that makes nodes when they are asked for takes a minute or two."""
VERDICT_SECONDS: Final = 40.0
"""The operator reads the metrics every 15 s and writes what changed."""
_CONTROLLER_LABEL: Final = "batch.kubernetes.io/controller-uid"
_TAIL_LINES: Final = 5


class Screen(Protocol):
    """Where it is shown how far it is."""

    def phase(self, words: str) -> None:
        """What it waits for."""

    def progress(self, told: Object) -> None:
        """How far a level is."""

    def level(self, level: Level) -> None:
        """A level is done."""


class Run:
    """One benchmark under way; afterwards what came of it."""

    def __init__(
        self,
        client: Client,
        deployment: Object,
        screen: Screen,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client, self._screen, self._clock, self._pause = client, screen, clock, pause
        self._read, self._done = 0, False
        self.levels: list[Level] = []
        self.tool: str | None = None
        self.problem: str | None = None
        self.deployment = deployment
        """As it was last seen."""

    async def __call__(self, job: Object) -> None:
        """Run the Job. Raises Failure where not one level came of it."""
        live = await self._created(job)
        try:
            await self._follow(live)
            if self.problem and not self.levels:
                raise Failure(self.problem)
            await self._await_verdict()
        finally:
            meta = live["metadata"]
            with suppress(errors.RayspanError):
                await self._client.delete(JOB, meta["namespace"], meta["name"], meta["uid"])

    async def _created(self, job: Object) -> Object:
        try:
            return await self._client.create(job)
        except errors.Conflict as error:
            place = f"{job['metadata']['name']} -n {job['metadata']['namespace']}"
            raise Failure(
                "a benchmark of it is there already, and two would measure each other: wait for it, or "
                f"`kubectl delete job {place}`"
            ) from error

    async def _follow(self, job: Object) -> None:
        begun = answered = self._clock()
        while not (self._done or self.problem):
            try:
                waiting = await self._look(job)
                answered = self._clock()
            except errors.ApiUnavailable:
                if self._clock() - answered > SILENCE_SECONDS:
                    raise
                waiting = "the cluster does not answer; the load goes on"
            if waiting:
                self._screen.phase(waiting)
                if waiting.startswith(NO_NODE) and self._clock() - begun > UNSCHEDULED_SECONDS:
                    raise Failure(
                        f"{waiting}. It asks for 500m CPU and 1Gi: make room for it, or see podTemplate"
                    )
            if not (self._done or self.problem):
                await self._pause(POLL_SECONDS)

    async def _look(self, job: Object) -> str | None:
        """What the Job's pod waits for; None: it works, and its log has been taken in."""
        meta = job["metadata"]
        pods = await self._client.find(POD, meta["namespace"], labels=f"{_CONTROLLER_LABEL}={meta['uid']}")
        pod = pods[0] if pods else None
        waiting = phase(pod, job["spec"]["template"]["spec"]["containers"][0]["image"])
        if waiting or pod is None:
            self.problem = _ended(await self._client.get(JOB, meta["namespace"], meta["name"]))
            return waiting
        ended = _state(pod).get("terminated")
        text = await self._client.log(meta["namespace"], pod["metadata"]["name"], CONTAINER)
        for line in self._new_lines(text, whole=bool(ended)):
            await self._take(line)
        if ended and not (self._done or self.problem):
            tail = " / ".join(text.strip().splitlines()[-_TAIL_LINES:])[-600:]
            self.problem = (
                f"the load ended with exit code {ended.get('exitCode')} ({ended.get('reason')}): {tail}"
            )
        return None

    def _new_lines(self, text: str, whole: bool) -> Iterator[Object]:
        """JSON objects that were not read before; a last line without its end comes next time."""
        lines = text.splitlines() if whole else text.split("\n")[:-1]
        fresh, self._read = lines[self._read :], len(lines)
        for line in fresh:
            with suppress(ValueError):
                if isinstance(found := json.loads(line), dict):
                    yield found

    async def _take(self, line: Object) -> None:
        match line:
            case {"phase": str(words)}:
                self._screen.phase(words)
            case {"progress": dict(told)}:
                self._screen.progress(told)
            case {"level": dict(result)}:
                await self._see()
                diagnosis = (self.deployment.get("status") or {}).get("diagnosis") or {}
                level = Level.model_validate({**result, "verdict": diagnosis.get("verdict")})
                self.levels.append(level)
                self._screen.level(level)
            case {"error": str(words)}:
                self.problem = words
            case {"tool": str(words)}:
                self.tool = words
            case {"done": True}:
                self._done = True

    async def _see(self) -> None:
        meta = self.deployment["metadata"]
        with suppress(errors.ApiUnavailable):
            seen = await self._client.get(LLM_DEPLOYMENT, meta["namespace"], meta["name"])
            self.deployment = seen or self.deployment

    async def _await_verdict(self) -> None:
        """Until the operator has read the metrics once more after the last request, or for the time it may take."""
        self._screen.phase("waiting for the operator's verdict")
        before, until = _observed_at(self.deployment), self._clock() + VERDICT_SECONDS
        while _observed_at(self.deployment) == before and self._clock() < until:
            await self._pause(POLL_SECONDS)
            await self._see()


NO_NODE: Final = "no node for the Job's pod"


def phase(pod: Object | None, image: str) -> str | None:
    """What the pod waits for; None: its container has begun. Raises Failure where it never will."""
    if pod is None:
        return "waiting for the Job's pod"
    state = _state(pod)
    if "running" in state or "terminated" in state:
        return None
    if waiting := state.get("waiting"):
        found = from_wait(waiting.get("reason") or "", waiting.get("message") or "", image)
        if isinstance(found, Refused):
            raise Failure(found.message)
        return f"the Job's pod is starting: {found.detail}" if found.detail else "the Job's pod is starting"
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{NO_NODE}: {condition.get('message') or 'the scheduler does not say why'}"
    return "the Job's pod is starting"


def _state(pod: Object) -> Object:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((each.get("state") or {} for each in statuses if each.get("name") == CONTAINER), {})


def _ended(job: Object | None) -> str | None:
    """Why a Job whose pod does not run will never have one that does; None: it may."""
    if job is None:
        return "the Job was deleted by someone else"
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Failed" and condition["status"] == "True":
            return f"the Job failed: {condition.get('message') or condition.get('reason')}"
    return None


def _observed_at(deployment: Object) -> str | None:
    return ((deployment.get("status") or {}).get("latency") or {}).get("observedAt")
