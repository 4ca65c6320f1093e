"""The client against a real API server: what is written, what is put back, what is left alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client, connect
from rayspan.cluster.kinds import Kind

from tests.api.conftest import deployment
from tests.kubectl import apply, get, kubectl

Object = dict[str, Any]


def talk(conversation: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    """Run something with a client."""

    async def run() -> Any:
        client = await connect(os.environ["KUBECONFIG"], 20)
        try:
            return await conversation(client)
        finally:
            await client.close()

    return asyncio.run(run())


def cluster(namespace: str, **labels: str) -> Object:
    """A RayCluster that KubeRay leaves alone, since another controller is said to manage it."""
    container = {"name": "ray", "image": "i", "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "x", "namespace": namespace, "labels": {"a": "1", **labels}},
        "spec": {
            "managedBy": "kueue.x-k8s.io/multikueue",
            "rayVersion": "2.60.0",
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0"},
                "template": {"spec": {"containers": [container]}},
            },
        },
    }


def live(namespace: str) -> Object:
    found: Object = get("-n", namespace, "raycluster", "x")
    return found


def patch(namespace: str, document: Object) -> None:
    kubectl("-n", namespace, "patch", "raycluster", "x", "--type=merge", "-p", json.dumps(document))


def test_an_unchanged_object_costs_no_write(namespace: str) -> None:
    async def twice(client: Client) -> None:
        await client.apply(cluster(namespace))
        first = await client.get(kinds.RAY_CLUSTER, namespace, "x")
        await client.apply(cluster(namespace))
        assert first is not None
        assert await client.get(kinds.RAY_CLUSTER, namespace, "x") == first

    talk(twice)


@pytest.mark.parametrize("text", ["\U0001f600", "\x7f\x85\xa0\ufeff\u2028", "\\ud83d", '"\t\n\x01', "1e3"])
def test_any_text_arrives_as_it_is(namespace: str, text: str) -> None:
    wanted = cluster(namespace)
    wanted["metadata"]["annotations"] = {"text": text}
    talk(lambda client: client.apply(wanted))
    assert live(namespace)["metadata"]["annotations"]["text"] == text


def test_an_edit_of_a_field_of_ours_is_put_back(namespace: str) -> None:
    talk(lambda client: client.apply(cluster(namespace)))
    patch(namespace, {"metadata": {"labels": {"a": "2"}}, "spec": {"rayVersion": "1.0.0"}})
    talk(lambda client: client.apply(cluster(namespace)))
    assert live(namespace)["metadata"]["labels"]["a"] == "1"
    assert live(namespace)["spec"]["rayVersion"] == "2.60.0"


def test_a_field_of_ours_that_was_removed_comes_back(namespace: str) -> None:
    talk(lambda client: client.apply(cluster(namespace)))
    patch(namespace, {"spec": {"rayVersion": None}})
    talk(lambda client: client.apply(cluster(namespace)))
    assert live(namespace)["spec"]["rayVersion"] == "2.60.0"


def test_a_field_of_ours_that_is_not_wanted_any_more_goes(namespace: str) -> None:
    talk(lambda client: client.apply(cluster(namespace, b="2")))
    assert live(namespace)["metadata"]["labels"] == {"a": "1", "b": "2"}
    talk(lambda client: client.apply(cluster(namespace)))
    assert live(namespace)["metadata"]["labels"] == {"a": "1"}


def test_a_field_of_others_is_left_alone(namespace: str) -> None:
    talk(lambda client: client.apply(cluster(namespace)))
    patch(namespace, {"metadata": {"labels": {"theirs": "1"}}, "spec": {"suspend": True}})
    talk(lambda client: client.apply(cluster(namespace, b="2")))
    assert live(namespace)["metadata"]["labels"] == {"a": "1", "b": "2", "theirs": "1"}
    assert live(namespace)["spec"]["suspend"] is True


def test_what_can_not_be_had_is_not_written_for_ever(namespace: str) -> None:
    wanted = cluster(namespace)
    container = wanted["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "OURS", "value": "1"}]
    path = "/spec/headGroupSpec/template/spec/containers/0/env/-"
    injected = [{"op": "add", "path": path, "value": {"name": "THEIRS", "value": "2"}}]

    async def conversation(client: Client) -> list[str]:
        await client.apply(wanted)
        kubectl("-n", namespace, "patch", "raycluster", "x", "--type=json", "-p", json.dumps(injected))
        times = []
        for _ in range(3):
            await client.apply(wanted)
            shown = get("-n", namespace, "raycluster", "x", "--show-managed-fields")
            fields = shown["metadata"]["managedFields"]
            times.append(next(one["time"] for one in fields if one["manager"] == "rayspan"))
            await asyncio.sleep(1.1)
        return times

    assert len(set(talk(conversation)[-2:])) == 1
    env = live(namespace)["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    assert [one["name"] for one in env] == ["OURS", "THEIRS"]


def test_a_field_that_an_older_kuberay_does_not_know_is_told_in_the_api_server_s_words(
    namespace: str,
) -> None:
    wanted = cluster(namespace)
    wanted["spec"]["fieldOfTheFuture"] = 1
    with pytest.raises(errors.ApiError, match=r"\.spec\.fieldOfTheFuture: field not declared in schema"):
        talk(lambda client: client.apply(wanted))


def test_an_object_of_another_owner_is_not_taken(namespace: str) -> None:
    talk(lambda client: client.apply(cluster(namespace)))
    owner = {"apiVersion": "rayspan.dev/v1alpha1", "kind": "LLMDeployment", "name": "x", "uid": "another"}
    wanted = cluster(namespace)
    wanted["metadata"]["ownerReferences"] = [owner]
    with pytest.raises(errors.Conflict, match="there is a RayCluster 'x' already"):
        talk(lambda client: client.apply(wanted))


def test_an_absent_object_is_none_and_an_absent_kind_is_told(namespace: str) -> None:
    assert talk(lambda client: client.get(kinds.RAY_CLUSTER, namespace, "none")) is None
    unheard_of = Kind("unheard.of/v1", "Unheard", "unheards")
    with pytest.raises(errors.KindMissing):
        talk(lambda client: client.get(unheard_of, namespace, "none"))
    with pytest.raises(errors.KindMissing):
        talk(lambda client: client.find(unheard_of, namespace))


def test_an_integer_beyond_64_bits_stays_one(namespace: str) -> None:
    large = -17228643103222761000
    wanted = deployment(namespace, "large", engine={"args": {"seed": large}})
    apply(wanted)
    found = talk(lambda client: client.get(kinds.LLM_DEPLOYMENT, namespace, "large"))
    seed = found["spec"]["engine"]["args"]["seed"]
    assert (seed, type(seed)) == (large, int)


def test_what_the_schema_refuses_is_rejected_in_its_words(namespace: str) -> None:
    wanted = cluster(namespace)
    wanted["spec"]["managedBy"] = "nobody"
    with pytest.raises(errors.Rejected, match="managedBy"):
        talk(lambda client: client.apply(wanted))


def test_a_status_goes_only_to_the_object_it_was_made_for(namespace: str) -> None:
    apply(deployment(namespace, replicas=0))
    uid = get("-n", namespace, "llm", "tiny")["metadata"]["uid"]
    talk(lambda client: client.apply_status(namespace, "tiny", uid, {"phase": "Pending"}))
    talk(lambda client: client.apply_status(namespace, "tiny", uid, {"url": "http://x"}))
    assert get("-n", namespace, "llm", "tiny")["status"] == {"url": "http://x"}
    with pytest.raises(errors.Conflict):
        talk(lambda client: client.apply_status(namespace, "tiny", "another", {"phase": "Ready"}))
    with pytest.raises(errors.NotFound):
        talk(lambda client: client.apply_status(namespace, "none", uid, {"phase": "Ready"}))
