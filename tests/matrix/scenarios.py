"""What an owner does, step by step. After each step the state is compared before the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.api.conftest import deployment
from tests.matrix.api import Api, Object

NAME: Final = "tiny"
KIND: Final = "llmdeployments"

Act = Callable[[Api, str], Awaitable[object]]
"""With the API server, in a namespace."""


def _stages(*nodes: str) -> Object:
    return {"stages": [{"nodeSelector": {"kubernetes.io/hostname": one}, "layers": 4} for one in nodes]}


async def create(api: Api, namespace: str) -> None:
    """Apply the LLMDeployment: two stages, a node each."""
    document = deployment(
        namespace,
        NAME,
        replicas=1,
        parallelism=_stages("gpu-a", "gpu-b"),
        engine={"args": {"max_model_len": 512}},
    )
    await api.create(namespace, KIND, document)


async def delete(api: Api, namespace: str) -> None:
    """Delete it."""
    await api.delete(namespace, KIND, NAME)


def change(**spec: Any) -> Act:
    """Change fields of its spec."""

    async def act(api: Api, namespace: str) -> None:
        await api.merge(namespace, KIND, NAME, {"spec": spec})

    return act


@dataclass(frozen=True)
class Scenario:
    """Some steps; faults strike from one of them on. Those from there lead back to where they began, if there are any
    before: then several points can be run one after the other by the same operator."""

    steps: tuple[Act, ...]
    armed: int = 1


_MOVED: Final = {
    "parallelism": _stages("gpu-b", "gpu-a"),
    "serving": {"podTemplate": {"metadata": {"labels": {"team": "a"}}}},
}
_MOVED_BACK: Final = {"parallelism": _stages("gpu-a", "gpu-b"), "serving": {"podTemplate": None}}

SCENARIOS: Final = {
    "create": Scenario((create,), armed=0),
    "scale 1-2-1": Scenario((create, change(replicas=2), change(replicas=1))),
    "engine argument": Scenario(
        (
            create,
            change(engine={"args": {"max_model_len": 1024}}),
            change(engine={"args": {"max_model_len": 512}}),
        )
    ),
    "stages and labels": Scenario((create, change(**_MOVED), change(**_MOVED_BACK))),
    "stop and start": Scenario((create, change(replicas=0), change(replicas=1))),
    "delete, anew": Scenario((create, delete, create)),
}
