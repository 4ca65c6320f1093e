"""A stand-in for scheduler, Job controller and kubelet: each inspection Job ends with the same answer at once, or, where
its pod is refused, is told so in an event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.api.direct import EVENT, JOB, POD, Direct, No
from tests.inspected import ANSWER


@asynccontextmanager
async def inspections_answered(api: Direct, answer: Mapping[str, Any] = ANSWER) -> AsyncIterator[None]:
    """For as long as the block runs, in all namespaces."""
    tasks: set[asyncio.Task[None]] = set()

    async def work() -> None:
        done: set[str] = set()
        async for event in api.watch(JOB):
            job = event["object"]
            if event["type"] != "DELETED" and job["metadata"]["uid"] not in done:
                done.add(job["metadata"]["uid"])
                tasks.add(task := asyncio.create_task(_end(api, job, answer)))
                task.add_done_callback(tasks.discard)

    working = asyncio.create_task(work())
    try:
        yield
        if working.done():
            working.result()
    finally:
        for task in (working, *tasks):
            task.cancel()
        await asyncio.gather(working, *tasks, return_exceptions=True)


async def _end(api: Direct, job: dict[str, Any], answer: Mapping[str, Any]) -> None:
    """The Job's pod, with the answer as its last words."""
    metadata, template = job["metadata"], job["spec"]["template"]
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    labels = template["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": template["spec"],
    }
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(answer)}
    container = {
        "name": template["spec"]["containers"][0]["name"],
        "ready": False,
        "restartCount": 0,
        "image": template["spec"]["containers"][0]["image"],
        "imageID": "",
        "state": {"terminated": ended},
    }
    status = {"status": {"phase": "Succeeded", "containerStatuses": [container]}}
    with suppress(No):  # the Job is gone, or the pod is there already
        try:
            await api.create(POD, namespace, pod)
        except No as error:
            await api.create(EVENT, namespace, failed_create(job, error.message))
            raise
        await api.patch(POD, namespace, f"{name}/status", status)


def failed_create(job: Mapping[str, Any], words: str) -> dict[str, Any]:
    """As the Job controller writes it; it tries again, this does not."""
    kept = {name: job["metadata"][name] for name in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{kept['name']}.", "namespace": kept["namespace"]},
        "involvedObject": {"apiVersion": "batch/v1", "kind": "Job", **kept},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f"Error creating: {words}",
    }
