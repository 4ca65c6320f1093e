"""The CRD's CEL rules once more, in Python, as what the API server's answers are held against.

Written from what the messages say, not from the rules: a rule that does not do what its message says shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES

Spec = dict[str, Any]

RAYS_PORTS: Final = frozenset({6379, 8080, 8265, 52365, *range(10001, 20000)})
_SOURCE: Final = re.compile(r"(hf|pvc|s3|gs)://[^/].*|file:///[^/].*")

_CLAIM: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?")
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def broken(spec: Spec) -> list[str]:
    """How the refusals begin that a spec with right types has to meet; none: it has to be taken."""
    return [words for words, breaks in _RULES.items() if breaks(spec)] + list(_owned(spec))


def _not_of_the_hub(field: str) -> Callable[[Spec], bool]:
    return lambda spec: (
        field in spec["model"] and not spec["model"].get("source", "hf://").startswith("hf://")
    )


def _scheme(spec: Spec) -> str:
    return str(spec["model"].get("source", "")).partition("://")[0]


def _label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return bool(_NAME.fullmatch(name)) and (not slash or bool(_PREFIX.fullmatch(prefix)))


def _stages(spec: Spec) -> list[dict[str, Any]]:
    return spec.get("parallelism", {}).get("stages") or []


_RULES: Final[dict[str, Callable[[Spec], bool]]] = {
    "spec.autoscaling is not acted on yet": lambda spec: "autoscaling" in spec,
    "spec.model.revision is for models of the hub only": _not_of_the_hub("revision"),
    "spec.model.tokenSecret is for models of the hub only": _not_of_the_hub("tokenSecret"),
    "spec.model.source must be": lambda spec: (
        "source" in spec["model"] and not _SOURCE.fullmatch(spec["model"]["source"])
    ),
    "spec.model.source: pvc://CLAIM/PATH needs": lambda spec: (
        _scheme(spec) == "pvc" and not _CLAIM.fullmatch(spec["model"]["source"].removeprefix("pvc://"))
    ),
    "spec.parallelism.stages[].nodeSelector has a key": lambda spec: any(
        not _label_key(key) for stage in _stages(spec) for key in stage.get("nodeSelector", {})
    ),
    "spec.serving.port is one that Ray itself uses": lambda spec: (
        spec.get("serving", {}).get("port") in RAYS_PORTS
    ),
    "spec.serving.allowFrom: an entry is either": lambda spec: any(
        ("ipBlock" in peer) == bool(peer.keys() & {"namespaceSelector", "podSelector"})
        for peer in spec.get("serving", {}).get("allowFrom") or ()
    ),
    "spec.parallelism.stages and spec.parallelism.pipeline differ": lambda spec: (
        bool(_stages(spec)) and spec["parallelism"].get("pipeline", len(_stages(spec))) != len(_stages(spec))
    ),
    "spec.parallelism.stages: give layers for every stage": lambda spec: (
        len({"layers" in stage for stage in _stages(spec)}) > 1
    ),
}


def _owned(spec: Spec) -> Iterator[str]:
    engine = spec.get("engine", {})
    for name in engine.get("args", {}):
        if name in OWNED_ARGUMENTS:
            yield f"spec.engine.args.{name} is set by Rayspan"
    names = engine.get("env", {})
    for name in names:
        if name in OWNED_ENVIRONMENT:
            yield f"spec.engine.env.{name} is set by Rayspan"
    if not all(_VARIABLE.fullmatch(name) for name in names):
        yield "spec.engine.env: names of variables hold only"
    for prefix in OWNED_ENVIRONMENT_PREFIXES:
        if any(name.startswith(prefix) for name in names):
            yield f"spec.engine.env: names that begin with {prefix}"
