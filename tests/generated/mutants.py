"""Good LLMDeployments made bad in one place: each bound, type, enum and required field of the schema, and each rule.

Every mutant comes with the words that its refusal has to contain: the path of the field, or the rule's beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES

from tests.generated.documents import SCHEMA, Schema, Spec

Path = tuple[str | int, ...]
Change = Callable[[Spec], None]

_SELECTOR: Final = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}],
}
COMPLETE: Final[Spec] = {
    "model": {
        "id": "org/name",
        "source": "hf://org/name",
        "revision": "main",
        "tokenSecret": {"name": "hub", "key": "token"},
    },
    "replicas": 1,
    "parallelism": {
        "tensor": 1,
        "pipeline": 1,
        "stages": [{"nodeSelector": {"kubernetes.io/hostname": "gpu-a"}, "layers": 8}],
    },
    "engine": {"args": {"max_model_len": 1024}, "env": {"A": "1"}},
    "serving": {
        "image": "image:1",
        "imagePullSecrets": [{"name": "registry"}],
        "port": 8000,
        "apiKeySecret": {"name": "api", "key": "key"},
        "requestTimeoutSeconds": 60,
        "maxOngoingRequests": 10,
        "allowFrom": [
            {"namespaceSelector": dict(_SELECTOR), "podSelector": dict(_SELECTOR)},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ],
        "podTemplate": {"metadata": {"labels": {"a": "b"}}},
    },
    "objectives": {
        latency: {"p50": "1s", "p95": "2s", "p99": "3s"}
        for latency in ("timeToFirstToken", "interTokenLatency", "endToEnd")
    },
    "updateStrategy": {"type": "Recreate"},
}
"""A good spec with every field but ``autoscaling``, which is refused whatever it says."""


@dataclass(frozen=True)
class Mutant:
    """What is done, and what the refusal has to say."""

    what: str
    words: str
    change: Change


def mutants() -> list[Mutant]:
    """All there are."""
    fields = [
        one
        for path, node in _fields(SCHEMA, ())
        if path[:1] != ("autoscaling",)
        for one in (*_of_types(path, node), *_of_bounds(path, node), *_of_objects(path, node))
    ]
    return [*fields, *_rules()]


def _fields(node: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
    """Every place in a spec that the schema says something of; the first entry of lists, one key of maps."""
    yield path, node
    if "x-kubernetes-preserve-unknown-fields" not in node:
        for name, field in node.get("properties", {}).items():
            yield from _fields(field, (*path, name))
    if "items" in node:
        yield from _fields(node["items"], (*path, 0))
    if "additionalProperties" in node:
        yield from _fields(node["additionalProperties"], (*path, "A"))


def told(path: Path) -> str:
    """A path as the API server writes it."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _set(path: Path, value: Any) -> Change:
    def change(spec: Spec) -> None:
        if not path:
            spec.clear()
            spec["wrong"] = value
            return
        _parent(spec, path)[path[-1]] = value

    return change


def _drop(path: Path) -> Change:
    def change(spec: Spec) -> None:
        del _parent(spec, path)[path[-1]]

    return change


def _parent(spec: Any, path: Path) -> Any:
    """The map or list that holds a field; what is missing on the way is taken from the complete spec."""
    complete: Any = COMPLETE
    for part in path[:-1]:
        complete = _entry(complete) if isinstance(complete, list) else complete.get(part, {})
        here = (
            spec[part]
            if isinstance(part, int) and spec
            else spec.get(part)
            if isinstance(spec, dict)
            else None
        )
        if not here:
            here = deepcopy(complete)
            if isinstance(spec, list):
                spec[:1] = [here]
            else:
                spec[part] = here
        spec = here
    if isinstance(spec, list) and not spec:
        spec.append(None)
    if path[-1] not in spec if isinstance(spec, dict) else False:
        spec[path[-1]] = deepcopy(complete.get(path[-1])) if isinstance(complete, dict) else None
    return spec


_OTHER_TYPE: Final = {"object": "text", "array": "text", "string": 7, "integer": "seven", "boolean": "yes"}


def _of_types(path: Path, node: Schema) -> Iterator[Mutant]:
    if path:
        yield Mutant("another type", told(path), _set(path, _OTHER_TYPE[node["type"]]))
    if node["type"] in ("integer", "string"):
        yield Mutant("a map in place of a value", told(path), _set(path, {}))
    if "enum" in node:
        yield Mutant("an unknown word", told(path), _set(path, "Sometimes"))


def _of_bounds(path: Path, node: Schema) -> Iterator[Mutant]:
    if "minimum" in node:
        yield Mutant("less than the least", told(path), _set(path, node["minimum"] - 1))
    if "maximum" in node:
        yield Mutant("more than the most", told(path), _set(path, node["maximum"] + 1))
        yield Mutant("a fraction", told(path), _set(path, node["minimum"] + 0.5))
    if "maxLength" in node:
        yield Mutant("too long a text", told(path), _set(path, "1" * (node["maxLength"] + 1)))
    if node.get("minLength"):
        yield Mutant("an empty text", told(path), _set(path, ""))
    if "pattern" in node:
        yield Mutant("a text of another pattern", told(path), _set(path, ": /"))
    if node.get("minItems"):
        yield Mutant("an empty list", told(path), _set(path, []))
    if "maxItems" in node:
        of_them = [deepcopy(_example(path)[0])] * (node["maxItems"] + 1)
        yield Mutant("too long a list", told(path), _set(path, of_them))
    if "maxProperties" in node:
        value = next(iter(_example(path).values()), "1")
        many = {f"key{number}": value for number in range(node["maxProperties"] + 1)}
        yield Mutant("too large a map", told(path), _set(path, many))


def _of_objects(path: Path, node: Schema) -> Iterator[Mutant]:
    for name in node.get("required", ()):
        yield Mutant("a required field left out", told((*path, name)), _drop((*path, name)))
    if "properties" in node and "x-kubernetes-preserve-unknown-fields" not in node:
        unknown = (*path, "unheardOf")
        yield Mutant("an unknown field", f'unknown field "{told(unknown)}"', _set(unknown, 1))


def _example(path: Path) -> Any:
    value: Any = COMPLETE
    for part in path:
        value = _entry(value) if isinstance(value, list) else value[part]
    return value


def _entry(entries: list[Any]) -> Any:
    """The first entry of a list, with what only other ones may have."""
    if not isinstance(entries[0], dict):
        return entries[0]
    return {name: value for entry in reversed(entries) for name, value in entry.items()}


def _rules() -> Iterator[Mutant]:
    def rule(words: str, *changes: tuple[Path, Any]) -> Mutant:
        def change(spec: Spec) -> None:
            for path, value in changes:
                _set(path, value)(spec)

        return Mutant("a rule broken", words, change)

    yield rule("spec.autoscaling is not acted on yet", (("autoscaling",), {"maxReplicas": 2}))
    for bucket in ("s3://bucket/path", "gs://bucket/path", "pvc://claim/path", "file:///path"):
        source = (("model", "source"), bucket)
        yield rule(
            "spec.model.revision is for models of the hub only", source, (("model", "revision"), "main")
        )
        secret = (("model", "tokenSecret"), {"name": "a", "key": "b"})
        yield rule("spec.model.tokenSecret is for models of the hub only", source, secret)
    for wrong in (
        "http://host/m",
        "hf:org/name",
        "hf://",
        "hf:///name",
        "file://m",
        "s3:///m",
        "org/name",
        "",
    ):
        yield rule("spec.model.source must be", (("model", "source"), wrong))
    claim = "spec.model.source: pvc://CLAIM/PATH needs"
    for wrong in ("pvc://Weights/m", "pvc://we ights", "pvc://-a/m", "pvc://a:b/m"):
        yield rule(claim, (("model",), {"id": "m", "source": wrong}))
    for key in ("", "a b", "-a", "a/b/c", "A.b/c", "a/", "/a", "a" * 64):
        selector = (("parallelism", "stages", 0, "nodeSelector"), {key: "a"})
        yield rule("spec.parallelism.stages[].nodeSelector has a key", selector)
    for name in ("", "A B", "1A", "A=B", "Ä", "A/B"):
        yield rule("spec.engine.env: names of variables hold only", (("engine", "env", name), "1"))
    for port in (6379, 8080, 8265, 10001, 15000, 19999, 52365):
        yield rule("spec.serving.port is one that Ray itself uses", (("serving", "port"), port))
    peer: Path = ("serving", "allowFrom", 0)
    for wrong_peer in ({}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}):
        yield rule("spec.serving.allowFrom: an entry is either", (peer, wrong_peer))
    stages: Path = ("parallelism", "stages")
    differ = "spec.parallelism.stages and spec.parallelism.pipeline differ"
    yield rule(differ, (stages, [{}]), (("parallelism", "pipeline"), 2))
    yield rule(differ, (stages, [{}, {}]), (("parallelism", "pipeline"), 1))
    some = "spec.parallelism.stages: give layers for every stage"
    yield rule(some, (stages, [{"layers": 4}, {}]), (("parallelism", "pipeline"), 2))
    for name in OWNED_ARGUMENTS:
        # Of another type some of them; then that is what is told, by the same name.
        yield rule(f"spec.engine.args.{name}", (("engine", "args", name), 1))
        yield rule(f"spec.engine.args.{name}", (("engine", "args", name), "text"))
        yield rule(f"spec.engine.args.{name}", (("engine", "args", name), True))
        yield rule(f"spec.engine.args.{name}", (("engine", "args", name), ["text"]))
    for name in OWNED_ENVIRONMENT:
        yield rule(f"spec.engine.env.{name} is set by Rayspan", (("engine", "env", name), "1"))
    for prefix in OWNED_ENVIRONMENT_PREFIXES:
        words = f"spec.engine.env: names that begin with {prefix}"
        yield rule(words, (("engine", "env", prefix + "X"), "1"))


NAMES: Final[Sequence[tuple[str, str]]] = (
    ("7b", "metadata.name must start with a letter"),
    ("a.b", "metadata.name must start with a letter"),
    ("a" * 41, "metadata.name may have at most 40 characters"),
    ("Llama", "metadata.name"),
    ("-a", "metadata.name"),
    ("a-", "metadata.name"),
    ("a_b", "metadata.name"),
    ("ä", "metadata.name"),
    ("a" * 254, "metadata.name"),
)
"""Names that no LLMDeployment may have, and what is said of them."""


def mutated(spec: Spec, mutant: Mutant) -> Spec:
    """A spec with this one thing wrong."""
    wrong = deepcopy(spec)
    mutant.change(wrong)
    return wrong
