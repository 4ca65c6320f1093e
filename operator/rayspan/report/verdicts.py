"""What limits a deployment under load, by decomposition: which station's time or queue it is.

Each rule looks at :class:`.stations.Stations` and answers with its evidence, or not at all; the first that answers
is the verdict. They come in the order in which one hides another: a client that reads slowly makes the path look
slow, a path that is late keeps engines idle, an engine short of cache queues whatever its speed. A verdict that
stands has to fall below ``KEPT`` of a bound to go, so that it does not flap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from rayspan.report import durations
from rayspan.report.stations import Stations
from rayspan.report.words import listing

ENOUGH_ANSWERS: Final = 20
"""Of fewer, a mean is as much less sure as the root of their number says: a rule has to see so many times its bounds."""
FEW_ANSWERS: Final = 5
"""What is saturated may not get to more."""
KEPT: Final = 0.8
SENDING_SHARE: Final = 0.3
"""Of the answers' time spent waiting for the client to read: more than the noise of any network that serves text."""
PATH_SHARE: Final = 0.2
"""Of an answer's time, or half of a first token's, spent outside the engine: with idle loops it is some ms."""
PATH_FIRST_SHARE: Final = 0.5
LATE_SECONDS: Final = 0.025
"""An event loop that wakes up later than this on average works off a queue: idle ones are late by under 2 ms, and
busy ones, on two cores that others share, by 10."""
LATE_FIRST_SECONDS: Final = 0.070
"""The same where only first tokens show it: node-toobusy's bound for a loop that is busy 90 to 100 % of the time."""
CACHE_FULL: Final = 0.9
PREEMPTED: Final = 0.01
"""Of the requests: each is computed twice."""
QUEUE: Final = 1.0
"""Requests that wait in an engine, on average."""
UNEVEN: Final = 2.0
"""Times the work of the least busy engine that the busiest has, with a queue in one and none in the other; times the
fastest engine's answer that the slowest takes."""
ENOUGH_EACH: Final = 5
"""Answers of an engine, for its mean to be held against another's."""
BUSY: Final = 0.8
"""Share of the time that the slowest stage works."""
ALONE: Final = 0.6
"""The same of a stage that does BUSY of the work of all: an engine may send all it has through the stages as one batch, and
then the slowest waits for the engine and its own output's way (real vLLM on CPU, one stage ten times slower: 71 to 75 %)."""
IMBALANCE: Final = 1.25
"""Times the mean stage that the slowest works: what an even cut would gain."""
GAP_SECONDS: Final = 0.010
"""Of a step spent on no stage: scheduling, sampling and the hop of one host take 2.4 ms (plan/gpus.py)."""
GAP_SHARE: Final = 0.5
PRESENT: Final = 1.5
"""Requests in an engine, on average: so it is seldom empty (1 - exp(-1.5) = 78 % of the time, if they come at random)."""

Evidence = Sequence[str]


@dataclass(frozen=True)
class Rule:
    """One verdict, when it holds and what to do about it."""

    verdict: str
    holds: Callable[[Stations, float], Evidence | None]
    """Evidence; None: it does not hold. The number scales the bounds."""
    summary: str
    action: str


def verdict(seen: Sequence[Stations], standing: str | None) -> tuple[Rule, Evidence] | None:
    """The first rule that holds; None: none does, or too little was answered to tell.

    ``seen``: the last moments first, then all of the window. In the last moments a few answers may do to name a limit;
    to say that there is none takes enough of them, or the window. What the window says is over when some
    last answers of each replica show nothing of it.
    """
    for number, found in enumerate(seen):
        limit = _limit(found, standing)
        if limit and not _is_over(limit[0], seen[:number]):
            return limit
        if found.answer.number >= ENOUGH_ANSWERS:
            return None
    return None


def _is_over(rule: Rule, since: Sequence[Stations]) -> bool:
    return any(
        all(engine.answers.number >= ENOUGH_EACH for engine in found.engines.values())
        and rule.holds(found, KEPT) is None
        for found in since
    )


def _limit(found: Stations, standing: str | None) -> tuple[Rule, Evidence] | None:
    if found.answer.number < FEW_ANSWERS:
        return None
    doubt = max(1.0, sqrt(ENOUGH_ANSWERS / found.answer.number))
    for rule in RULES:
        evidence = rule.holds(found, doubt * (KEPT if rule.verdict == standing else 1.0))
        if evidence is not None:
            return rule, evidence
    return None


def _slow_client(found: Stations, scale: float) -> Evidence | None:
    share = found.sending / (found.answer.number * found.answer.seconds)
    if share < SENDING_SHARE * scale:
        return None
    return [f"{share:.0%} of the answers' time is waiting for clients to take what was sent."]


def _coordinator(found: Stations, scale: float) -> Evidence | None:
    late = max(found.lag, key=lambda kind: found.lag[kind], default=None)
    if late is None:
        return None
    of_answer = found.path_answer / found.answer.seconds
    of_first = found.path_first_token / found.first_token.seconds if found.first_token.number else 0.0
    seen = (of_answer, PATH_SHARE, LATE_SECONDS), (of_first, PATH_FIRST_SHARE, LATE_FIRST_SECONDS)
    if not any(share >= bound * scale and found.lag[late] >= lag * scale for share, bound, lag in seen):
        return None
    return [
        _times(found),
        f"The {late}'s event loop wakes up {durations.latency(found.lag[late])} late.",
        _queues(found),
    ]


def _cache(found: Stations, scale: float) -> Evidence | None:
    preempted = found.preemptions / found.answer.number
    full = [
        replica
        for replica, engine in found.engines.items()
        if engine.cache >= CACHE_FULL * scale and engine.waiting >= QUEUE * scale
    ]
    if preempted < PREEMPTED * scale and not full:
        return None
    usage = ", ".join(f"{replica} {engine.cache:.0%}" for replica, engine in list(found.engines.items())[:8])
    return [
        f"KV cache in use: {usage}.",
        f"{preempted:.0%} of the requests lost their place in it and were computed again.",
        _queues(found),
    ]


def _balance(found: Stations, scale: float) -> Evidence | None:
    if len(found.engines) < 2:
        return None
    return _one_queue(found, scale) or _one_slow(found, scale)


def _one_queue(found: Stations, scale: float) -> Evidence | None:
    """Requests wait in one engine while another has room."""
    work = {replica: engine.running + engine.waiting for replica, engine in found.engines.items()}
    most, least = max(work, key=lambda one: work[one]), min(work, key=lambda one: work[one])
    if found.engines[most].waiting < QUEUE * scale or found.engines[least].waiting >= QUEUE / 2:
        return None
    if work[most] < _times_as_much(UNEVEN, scale) * max(work[least], 0.5):
        return None
    return [
        f"Replica {most} has {work[most]:.1f} requests on average, {found.engines[most].waiting:.1f} of them waiting; "
        f"replica {least} has {work[least]:.1f}."
    ]


def _one_slow(found: Stations, scale: float) -> Evidence | None:
    """Requests wait in an engine that takes far longer for the like of them than another."""
    told = {one: engine for one, engine in found.engines.items() if engine.answers.number >= ENOUGH_EACH}
    if len(told) < 2:
        return None
    slow, fast = (pick(told, key=lambda one: told[one].answers.seconds) for pick in (max, min))
    taken, other = told[slow].answers.seconds, told[fast].answers.seconds
    if told[slow].waiting < QUEUE * scale or taken < _times_as_much(UNEVEN, scale) * other:
        return None
    return [
        f"Replica {slow} takes {durations.latency(taken)} for an answer, replica {fast} {durations.latency(other)}.",
        _queues(found),
    ]


def _network(found: Stations, scale: float) -> Evidence | None:
    if not found.stage_shares or not found.stage_steps:
        return None
    if found.present < PRESENT * scale:
        return None  # how much of the time there is anything to do is not known
    idle = 1 - sum(found.stage_shares)
    gap = idle * found.seconds / found.stage_steps
    if idle < GAP_SHARE * scale or gap < GAP_SECONDS * scale:
        return None
    return [
        f"An engine has {found.present:.1f} requests on average, but its stages together work only "
        f"{sum(found.stage_shares):.0%} of the time.",
        f"{durations.latency(gap)} of each step are spent between the stages.",
    ]


def _imbalance(found: Stations, scale: float) -> Evidence | None:
    shares = found.stage_shares
    if not shares or found.running < len(shares) * scale:
        return None  # what runs alone takes the sum of the stages, however they are cut
    slowest = max(range(len(shares)), key=lambda stage: shares[stage])
    busy = ALONE if shares[slowest] >= BUSY * sum(shares) else BUSY
    if shares[slowest] < busy * scale:
        return None
    if shares[slowest] < _times_as_much(IMBALANCE, scale) * sum(shares) / len(shares):
        return None
    return [
        f"Stage {slowest} works {shares[slowest]:.0%} of the time, the others wait for it: {_shares(found)}."
    ]


def _engine(found: Stations, scale: float) -> Evidence | None:
    """By its queue alone: stages that work all the time take on more sequences at hardly any cost."""
    if found.waiting < QUEUE * scale and not (
        found.missed and found.path_answer < PATH_SHARE * found.answer.seconds
    ):
        return None
    stages = [f"The stages work {_shares(found)} of the time."] if found.stage_shares else []
    return [_times(found), _queues(found), *stages]


RULES: Final = (
    Rule(
        "Client",
        _slow_client,
        "Clients are slow to read their answers.",
        "Look at the clients and the network to them; nothing here is at its limit.",
    ),
    Rule(
        "Coordinator",
        _coordinator,
        "The serving path before the engines is saturated, not the engines.",
        "Add serving nodes (replicas), or give the Ray pods more CPU.",
    ),
    Rule(
        "KVCache",
        _cache,
        "The KV cache is full: requests wait for room in it.",
        "Lower max_model_len or max_num_seqs, use an fp8 cache, or plan more GPUs per replica.",
    ),
    Rule(
        "LoadBalancer",
        _balance,
        "Requests wait at one replica while another would answer them sooner.",
        "Look at why the replicas differ: their nodes, and clients that keep to one connection.",
    ),
    Rule(
        "Network",
        _network,
        "The stages wait for what travels between them.",
        "Look at the network between the stages' nodes: NCCL's transport, link speed, and other traffic.",
    ),
    Rule(
        "PipelineImbalance",
        _imbalance,
        "One stage of the pipeline gates the others.",
        "Cut the layers as status.plan.suggestion says; without one, look at that stage's node.",
    ),
    Rule(
        "Engine",
        _engine,
        "The accelerators are the limit.",
        "Add replicas, or GPUs per replica.",
    ),
)


def _times_as_much(bound: float, scale: float) -> float:
    """A bound that is a ratio, scaled by what it is above one: nothing that is even may be kept as uneven."""
    return 1 + (bound - 1) * scale


def _times(found: Stations) -> str:
    first = (
        f"; a first token {durations.latency(found.first_token.seconds)}, {durations.latency(found.engine_first_token.seconds)} of it in the engine"
        if found.first_token.number
        else ""
    )
    return f"An answer takes {durations.latency(found.answer.seconds)}, {durations.latency(found.engine_answer.seconds)} of it in the engine{first}."


def _queues(found: Stations) -> str:
    each = (
        f"{replica} {engine.running:.1f} running and {engine.waiting:.1f} waiting"
        for replica, engine in found.engines.items()
    )
    return f"Requests in the engines on average: {listing(each, most=8)}."


def _shares(found: Stations) -> str:
    return listing((f"{share:.0%}" for share in found.stage_shares), most=64)
