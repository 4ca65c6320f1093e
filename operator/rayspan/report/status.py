"""The status document: one call from what was seen to what is written, and whether it is worth a write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayspan.api.conditions import ConditionType, Phase, Reason
from rayspan.api.v1alpha1 import (
    BalanceStatus,
    Condition,
    LatencyStatus,
    PlanStatus,
    Replicas,
    StageStatus,
    Status,
    TrafficStatus,
)
from rayspan.report import durations
from rayspan.report.bottleneck import diagnosis
from rayspan.report.checks import conditions
from rayspan.report.environment import environment
from rayspan.report.input import Input, Settings
from rayspan.report.latency import latency
from rayspan.report.moments import timestamp
from rayspan.report.observed import Unknown
from rayspan.report.placement import StageState
from rayspan.report.plan import plan_status
from rayspan.report.scene import Finding, Scene, known
from rayspan.report.stations import stations
from rayspan.report.suggestion import suggestion
from rayspan.report.traffic import ended, traffic
from rayspan.report.window import Window

MOVED = 0.05
"""A number that moved by more than this is news: a percentile, a rate or a queue by this share of what it
was, what is a share itself (0 to 1) by this much."""


def status(given: Input) -> Status:
    """The whole status for what one pass saw. Pure: the time is ``given.observed.at``.

    ``model_dump(by_alias=True, exclude_none=True, mode="json")`` is the document for ``/status``.
    """
    observed = given.observed
    born = {pod.uid: pod.created_at for pod in known(observed.pods) or ()}
    window = Window.of(observed.scrapes, observed.at, given.settings.window_seconds, born)
    serve = known(observed.serve)
    running = [one.id for one in serve.replicas if one.state == "RUNNING"] if serve else []
    stages = given.plan.pipeline if given.plan else 1
    recent = Window.of(observed.scrapes, observed.at, given.settings.diagnosis_seconds, born)
    seen = (stations(one, running, stages) for one in (recent, window))
    scene = Scene(given, latency(window), ended(window), tuple(one for one in seen if one))
    found = conditions(scene)
    return Status(
        observed_generation=given.deployment.metadata.generation,
        phase=phase(scene, found).value,
        conditions=[_condition(given, kind, finding) for kind, finding in found.items()],
        url=given.url if scene.desired and observed.ray_service is not None else None,
        replicas=Replicas(desired=scene.desired, ready=_ready(scene, found)),
        selector=given.selector,
        model=given.model,
        plan=_plan(scene, window),
        stages=_stages(scene),
        latency=scene.latency if scene.desired else None,
        traffic=traffic(window, running) if scene.desired else None,
        diagnosis=diagnosis(scene, found),
        environment=environment(scene) if scene.desired else None,
    )


def worth_writing(
    old: Status, new: Status, seconds_since_write: float, settings: Settings | None = None
) -> bool:
    """Whether a reader would care for the difference.

    Any change counts, save those of latency and traffic: they count when a number in them moved by more than
    5 % and the last write is at least 15 s ago. The diagnosis' evidence goes with what it is made of:
    conditions, or shares of the traffic. ``seconds_since_write``: of any status write of this deployment;
    infinity when none is remembered.
    """
    if _still(old) != _still(new):
        return True
    interval = (settings or Settings()).write_interval_seconds
    return seconds_since_write >= interval and _moved(dict(_numbers(old)), dict(_numbers(new)))


def phase(scene: Scene, found: Mapping[ConditionType, Finding]) -> Phase:
    """One word for the conditions. What was serving before tells an update or a recovery from a start."""
    before = scene.given.deployment.status
    metadata = scene.given.deployment.metadata
    ready, plan = found[ConditionType.READY], found[ConditionType.PLAN_ACCEPTED]
    if metadata.deletion_timestamp:
        return Phase.DELETING
    if not scene.desired:
        return Phase.STOPPED
    if ready.status == "True":
        return Phase.READY
    if found[ConditionType.DEGRADED].status == "True":
        return Phase.DEGRADED
    if plan.status == "False":
        return Phase.REFUSED
    served = before.phase in (Phase.READY, Phase.DEGRADED, Phase.RECOVERING, Phase.UPDATING)
    changed = before.observed_generation != metadata.generation or before.phase == Phase.UPDATING
    # What never served is starting, also with another version than it began with.
    begun = before.phase in (Phase.PENDING, Phase.STARTING)
    if (ready.reason == Reason.UPDATING and not begun) or (served and changed):
        return Phase.UPDATING
    if served:
        return Phase.RECOVERING
    if found[ConditionType.PROVISIONED].reason in _NOT_BEGUN:
        return Phase.PENDING
    return Phase.STARTING


_NOT_BEGUN = (Reason.NOT_REACHED, Reason.KUBERAY_MISSING, Reason.APPLY_FAILED)


def _ready(scene: Scene, found: Mapping[ConditionType, Finding]) -> int:
    """Replicas that are ready: none when completions are known to fail, whole as their stages may be."""
    return 0 if found[ConditionType.SERVING].status == "False" else scene.ready


def _condition(given: Input, kind: ConditionType, finding: Finding) -> Condition:
    """The finding as a condition; the time of transition is kept while the status is the same."""
    last = given.deployment.status.condition(kind)
    kept = last.last_transition_time if last and last.status == finding.status else None
    return Condition(
        type=kind.value,
        status=finding.status,
        reason=finding.reason.value,
        message=finding.message,
        observed_generation=given.deployment.metadata.generation,
        last_transition_time=kept or timestamp(given.observed.at),
    )


def _plan(scene: Scene, window: Window) -> PlanStatus | None:
    plan = scene.plan
    if plan is None:
        # Refused or still being looked at: what runs, if anything, is what was planned before.
        return scene.given.deployment.status.plan if scene.ray_service else None
    old = scene.given.deployment.status.plan
    explained = old.explanation if old and plan is scene.given.last_good else None
    return plan_status(plan, scene.desired, explained, suggestion(scene, window))


def _stages(scene: Scene) -> list[StageStatus] | None:
    """The stages as read back. When they cannot be read, the last ones that were, as Unknown."""
    if not scene.desired:
        return None
    if scene.placement:
        return [stage.status for stage in scene.placement.stages][:1024] or None
    observed = scene.given.observed
    if isinstance(observed.pods, Unknown) or isinstance(observed.serve, Unknown):
        last = scene.given.deployment.status.stages or []
        return [stage.model_copy(update={"state": StageState.UNKNOWN.value}) for stage in last] or None
    return None


def _still(of: Status) -> Status:
    """The status without what moves all the time under load."""
    diagnosis = of.diagnosis.model_copy(update={"evidence": None}) if of.diagnosis else None
    return of.model_copy(update={"latency": None, "traffic": None, "diagnosis": diagnosis})


def _numbers(of: Status) -> Iterator[tuple[str, tuple[float, float]]]:
    """What moves, by name: percentiles in seconds, rates, queues, shares; each with how far it may move unseen."""
    latencies: LatencyStatus | None = of.latency
    if latencies:
        for name, percentiles in (
            ("ttft", latencies.time_to_first_token),
            ("itl", latencies.inter_token_latency),
            ("e2e", latencies.end_to_end),
        ):
            for percentile, value in percentiles or ():
                if value is not None:
                    seconds = durations.seconds(value)
                    yield f"{name} {percentile}", (seconds, MOVED * seconds)
    rates: TrafficStatus | None = of.traffic
    if rates is None:
        return
    for name, rate in (
        ("requests", rates.requests_per_second),
        ("tokens", rates.output_tokens_per_second),
        ("errors", rates.error_rate),
    ):
        if rate is not None:
            yield name, (rate, MOVED * rate)
    # Without users the operator's own proof runs in the engines now and then, one token in each replica: a
    # quiet deployment must not be written for it.
    own = of.replicas.desired if of.replicas and not rates.requests_per_second else 0
    for name, queue in (("running", rates.running), ("waiting", rates.waiting)):
        if queue is not None:
            yield name, (queue, MOVED * queue if queue else own)
    if rates.kv_cache_usage is not None:
        yield "cache", (rates.kv_cache_usage, MOVED)
    yield from _shares(rates.balance)


def _shares(balance: BalanceStatus | None) -> Iterator[tuple[str, tuple[float, float]]]:
    if balance:
        yield "jain", (balance.jain_index, MOVED)
        for number, share in enumerate(balance.shares):
            yield f"share {number}", (share, MOVED)


def _moved(old: Mapping[str, tuple[float, float]], new: Mapping[str, tuple[float, float]]) -> bool:
    if old.keys() != new.keys():
        return True
    return any(abs(new[name][0] - was) > unseen for name, (was, unseen) in old.items())
