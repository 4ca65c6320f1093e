"""Where GPUs are spare, a second cluster comes up beside the first and takes over: no request may fail. It takes twice
as long as a change in place on these cores, and so is not part of ``make test`` (``make e2e-long``)."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Lifecycle, gpus, tag_serving_image
from tests.e2e.llm import LLM

pytestmark = pytest.mark.long


def test_a_second_cluster_takes_over(llm: LLM, lifecycle: Lifecycle) -> None:
    image = "localhost/rayspan/serving:another"
    tag_serving_image(image)
    gpus(2)
    before = llm.uids()
    change = {"serving": {"image": image}, "updateStrategy": {"type": "NewCluster"}}
    outcome = lifecycle.measure(
        "image, NewCluster",
        llm.address,
        lambda: llm.patch(json.dumps({"spec": change})),
        lambda: llm.is_("Ready") and not before & {pod["metadata"]["uid"] for pod in llm.pods()},
        pause=0.5,  # two clusters share this machine
    )
    llm.patch(json.dumps({"spec": {"updateStrategy": None}}))
    llm.wait("Ready", timeout=60)
    gpus(1)
    assert outcome.failed == 0, outcome.details
    assert llm.status["environment"]["image"] == image
    assert {c["image"] for pod in llm.pods() for c in pod["spec"]["containers"]} == {image}
