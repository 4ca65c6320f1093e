"""What the inspection Job found out about the model and the image, or why it could not.

The Job (``render.inspect_job``) runs the serving image once, without a GPU, and leaves its answer as JSON in
its container's termination message, so that it is read from the pod's status: no logs, no exec. It exits 0
for a no as well; a pod that cannot run at all is itself an answer, told from its container's state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rayspan.api.conditions import Reason
from rayspan.api.v1alpha1 import LLMDeployment, ModelStatus
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.cluster.memory import Memory
from rayspan.plan import model_facts as plan
from rayspan.plan.model_config import Incomplete
from rayspan.render import RenderSettings, inspect_job, inspect_key, names
from rayspan.report.input import Inspecting, Refused
from rayspan.report.words import quote

Object = dict[str, Any]
Outcome = ModelStatus | Refused | Inspecting

JOB_LABEL: Final = "batch.kubernetes.io/job-name"

_NO_IMAGE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_NO_REFERENCE: Final = frozenset({"CreateContainerConfigError"})
_NO_PROGRAM: Final = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
_NO_MODULE: Final = re.compile(r"No module named '?([A-Za-z0-9_.]+)")
_NO_SECRET: Final = re.compile(r'secret "([^"]+)" not found')
_NO_KEY: Final = re.compile(r"couldn't find key (\S+) in Secret [^/]+/(\S+)")
_NO_CLAIM: Final = re.compile(r'persistentvolumeclaim "([^"]+)" not found')


async def inspect(client: Client, job: Object, key: str) -> Outcome:
    """Have the Job run if it has not, and read its outcome; Jobs for older keys are deleted first."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    live = await client.get(kinds.JOB, namespace, name)
    if live is None:
        await _forget_others(client, job)
        await client.apply(job)
        return Inspecting("the Job was just started")
    if live["metadata"].get("deletionTimestamp"):
        return Inspecting("an earlier Job is being deleted")
    pods = await client.find(kinds.POD, namespace, labels=f"{JOB_LABEL}={name}")
    if not pods and (words := await _refusal(client, live)):
        return Refused(Reason.POD_REFUSED, f"The pod that inspects the model cannot be made: {quote(words)}")
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    return outcome(live, pods, key, image)


async def _refusal(client: Client, job: Object) -> str | None:
    """Why the Job controller could not make its pod. It says so in an event and nowhere else, and tries again by itself."""
    fields = f"involvedObject.uid={job['metadata']['uid']},reason=FailedCreate"
    events = await client.find(kinds.EVENT, job["metadata"]["namespace"], fields=fields)
    newest = max(events, key=lambda event: str(event.get("lastTimestamp") or ""), default=None)
    return str(newest.get("message") or "").removeprefix("Error creating: ") if newest else None


async def _forget_others(client: Client, job: Object) -> None:
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    stem = name.rpartition("-")[0]
    labels = f"{names.DEPLOYMENT_LABEL}={job['metadata']['labels'][names.DEPLOYMENT_LABEL]}"
    for other in await client.find(kinds.JOB, namespace, labels=labels):
        # One that measures belongs to the same deployment.
        if other["metadata"]["name"].rpartition("-")[0] == stem:
            await client.delete(kinds.JOB, namespace, other["metadata"]["name"], other["metadata"]["uid"])


def outcome(job: Object, pods: Iterable[Object], key: str, image: str) -> Outcome:
    """The outcome of a Job from it and its pods, newest pod first."""
    newest = sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    answer: Outcome = Inspecting("its pod is not there yet")
    for pod in newest:
        answer = _from_pod(pod, key, image)
        if not isinstance(answer, Inspecting):
            return answer
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Failed" and condition["status"] == "True":
            words = answer.detail if isinstance(answer, Inspecting) and newest else ""
            return Refused(
                Reason.MODEL_UNREADABLE,
                f"The inspection of the model did not come to an end: {condition.get('message', '')}"
                + (f" Last seen: {words.rstrip('.')}." if words else ""),
            )
    return answer


def _from_pod(pod: Object, key: str, image: str) -> Outcome:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if ended := state.get("terminated"):
            return _from_end(ended, key, image)
        if waiting := state.get("waiting"):
            return from_wait(waiting.get("reason") or "", waiting.get("message") or "", image)
        return Inspecting("reading the model's configuration")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = condition.get("message") or ""
            if claim := _NO_CLAIM.search(message):
                return Refused(
                    Reason.REFERENCE_MISSING,
                    f"There is no PersistentVolumeClaim {claim[1]!r} in this namespace: create it, "
                    "or name another in spec.model.source.",
                )
            return Inspecting(f"no node for its pod: {message}")
    return Inspecting("its pod is starting")


def from_wait(reason: str, message: str, image: str) -> Refused | Inspecting:
    """Why a container of a Job does not start: for good, or not yet."""
    if reason in _NO_IMAGE:
        return Refused(
            Reason.IMAGE_UNUSABLE,
            # The kubelet's two reasons take turns; its own words are the same behind both.
            f"The serving image {image} cannot be pulled: {message.split('ErrImagePull: ')[-1] or reason}",
        )
    if reason in _NO_REFERENCE:
        return Refused(Reason.REFERENCE_MISSING, _missing(message))
    if reason in _NO_PROGRAM:
        return Refused(Reason.IMAGE_UNUSABLE, _lacks(image, "python", message))
    return Inspecting(message or ("" if reason == "ContainerCreating" else reason))


def _missing(message: str) -> str:
    """The kubelet's words for a Secret that is not there, with what to do about it."""
    fields = "spec.model.tokenSecret or spec.serving.apiKeySecret"
    if secret := _NO_SECRET.search(message):
        return f"There is no Secret {secret[1]!r} in this namespace: create it, or name another in {fields}."
    if key := _NO_KEY.search(message):
        return f"The Secret {key[2]!r} has no key {key[1]!r}: add it, or name another in {fields}."
    return f"Something that the spec names is missing: {message}"


def _from_end(ended: Object, key: str, image: str) -> Outcome:
    words = (ended.get("message") or "").strip()
    try:
        found = json.loads(words)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return _from_answer(found, key)
    if module := _NO_MODULE.search(words):
        return Refused(Reason.IMAGE_UNUSABLE, _lacks(image, module[1].split(".")[0], words))
    if ended.get("reason") in _NO_PROGRAM or ended.get("exitCode") in (126, 127, 128):
        return Refused(Reason.IMAGE_UNUSABLE, _lacks(image, "python", words))
    if ended.get("reason") == "OOMKilled":
        return Refused(Reason.MODEL_UNREADABLE, "The inspection of the model ran out of memory.")
    return Refused(
        Reason.MODEL_UNREADABLE,
        f"The inspection of the model ended with exit code {ended.get('exitCode')} and no answer: "
        f"{_tail(words) or ended.get('reason', 'no words')}",
    )


def _lacks(image: str, what: str, words: str) -> str:
    return (
        f"The image {image} lacks {what}, so it is no serving image: build it from serving_image/Dockerfile, "
        f"or leave spec.serving.image out. Its own words: {_tail(words) or 'none'}"
    )


def _tail(words: str, characters: int = 400) -> str:
    return words if len(words) <= characters else f"...{words[-characters:]}"


def _from_answer(found: Mapping[str, Any], key: str) -> Outcome:
    versions = found.get("versions") or {}
    if unknown := found.get("unknownEngineArgs"):
        return Refused(Reason.INVALID_SPEC, _unknown_arguments(unknown, versions.get("vllm")))
    for problem in found.get("problems") or ():
        reason = problem.get("reason", "")
        known = reason in set(Reason)
        return Refused(Reason(reason) if known else Reason.MODEL_UNREADABLE, problem.get("message", ""))
    model = found.get("model") or {}
    try:
        facts = plan.model_facts(
            model.get("config") or {}, model.get("weights"), model.get("supportsPipeline")
        )
    except Incomplete as error:
        return Refused(Reason.MODEL_UNREADABLE, f"The model cannot be planned: {error}.")
    return plan.recorded(
        facts,
        key=key,
        backend=found.get("backend"),
        ray=versions.get("ray"),
        vllm=versions.get("vllm"),
        python=versions.get("python"),
    )


def _unknown_arguments(unknown: Mapping[str, str | None], vllm: str | None) -> str:
    version = f"vLLM {vllm}" if vllm else "vLLM"
    sentences = [
        f"engine.args.{name} is no engine argument of {version}"
        + (f": write {meant} instead." if meant else ": remove it.")
        for name, meant in sorted(unknown.items())
    ]
    return " ".join(sentences)


async def model_facts(
    client: Client, deployment: LLMDeployment, settings: RenderSettings, memory: Memory
) -> Outcome:
    """Facts from the status or from memory, or else from the Job.

    A refusal stands until the Job that is run again, when the first one's is gone, comes to another end.
    """
    key, known = inspect_key(deployment, settings), deployment.status.model
    found: Outcome | None = known if known and known.key == key else memory.models.get(key)
    if found is None:
        found = await inspect(client, inspect_job(deployment, settings), key)
    if isinstance(found, ModelStatus):
        memory.models[key] = found
    elif isinstance(found, Refused):
        memory.refused[key] = found
    else:
        found = memory.refused.get(key, found)
    return found
