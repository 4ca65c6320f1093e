"""LLMDeployments generated from the CRD's own schema, as it stands in crds/.

``specs()`` gives what the schema's types, bounds and patterns allow, CEL rules unheard: much of it breaks one. Half of it
is ``mended`` by further draws, so that it keeps the rules and comes far: to a plan, and to a RayService.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any, Final, cast

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES

from tests.conftest import CRDS
from tests.generated.rules import RAYS_PORTS

Spec = dict[str, Any]
Schema = dict[str, Any]

SCHEMA: Final[Schema] = yaml.safe_load((CRDS / "llmdeployments.rayspan.dev.yaml").read_text())["spec"][
    "versions"
][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
"""The spec's."""
NODES: Final = tuple(f"gpu-{letter}" for letter in "abcdefgh")
"""Nodes that a generated selector may name."""
_KEPT: Final = frozenset(
    [
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "maxProperties",
    ]
)
_ARGUMENTS: Final = (
    "max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "kv_cache_memory_bytes",
    "kv_cache_dtype", "block_size", "dtype", "quantization", "enforce_eager", "speculative_config", "mm_tensor_ipc",
    "compilation_config", "enable_return_routed_experts", "tokenizer_revision", "load_format", "hf_overrides",
)  # fmt: skip
"""Those that the planner reads, and some that it does not."""
_POD: Final = (
    "containers", "initContainers", "volumes", "tolerations", "nodeSelector", "affinity", "securityContext",
    "terminationGracePeriodSeconds", "serviceAccountName", "imagePullSecrets", "restartPolicy", "hostNetwork",
    "priorityClassName", "hostAliases",
)  # fmt: skip
_METADATA: Final = ("labels", "annotations", "name", "finalizers")


def json_schema(node: Schema) -> Schema:
    """A structural schema as JSON schema: closed where the API server prunes, ``$`` as Go reads it."""
    schema = {key: value for key, value in node.items() if key in _KEPT}
    if node.get("x-kubernetes-int-or-string"):
        # Beyond 64 bits an integer is none to the API server, and what it says of its type hides what a rule says of its name.
        schema |= {"type": ["integer", "string"], "minimum": -(2**63), "maximum": 2**63 - 1}
    if "pattern" in schema:
        schema["pattern"] = schema["pattern"].removesuffix("$") + r"\Z"
    if "properties" in schema:
        schema["properties"] = {name: json_schema(field) for name, field in schema["properties"].items()}
    if "items" in schema:
        schema["items"] = json_schema(schema["items"])
    if "additionalProperties" in node:
        schema["additionalProperties"] = json_schema(node["additionalProperties"])
    elif "properties" in schema and not node.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    return schema


def _values() -> st.SearchStrategy[Any]:
    """JSON of any shape, with numbers and texts that mean something to Kubernetes among it."""
    known = st.sampled_from(
        [
            "ray",
            "",
            "1",
            "auto",
            "fp8",
            "main",
            "500m",
            "-1",
            "1e3",
            0,
            1,
            -1,
            35,
            8192,
            2**63 - 1,
            0.5,
            1e300,
            True,
            None,
        ]
    )
    leaf = st.one_of(known, from_schema({"type": ["null", "boolean", "integer", "number", "string"]}))
    names = st.sampled_from(
        ["name", "image", "env", "value", "resources", "requests", "limits", "key", "operator"]
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(names, inner, max_size=4),
            st.dictionaries(st.text(), inner, max_size=2),
        ),
        max_leaves=8,
    )


def _pod_template() -> st.SearchStrategy[Any]:
    container = st.dictionaries(
        st.sampled_from(["image", "env", "resources", "volumeMounts", "ports", "command", "lifecycle"]),
        _values(),
        max_size=3,
    ).map(lambda fields: {"name": "ray", **fields})
    pod = st.one_of(
        st.dictionaries(st.sampled_from(_POD), _values(), max_size=3),
        st.lists(container, min_size=1, max_size=2).map(lambda all_of: {"containers": all_of}),
    )
    metadata = st.dictionaries(st.sampled_from(_METADATA), _values(), max_size=2)
    return st.one_of(
        st.fixed_dictionaries({}, optional={"metadata": metadata, "spec": pod}),
        st.sampled_from(_TEMPLATES),
    )


_TEMPLATES: Final = (
    {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "1"}}},
    {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "priorityClassName": "high"}},
    {
        "spec": {
            "containers": [
                {"name": "ray", "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "2"}}}
            ]
        }
    },
    {"spec": {"containers": [{"name": "side", "image": "i"}], "terminationGracePeriodSeconds": 60}},
)
"""What owners write."""
_PEERS: Final[tuple[Schema, ...]] = (
    {"namespaceSelector": {}},
    {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {"matchLabels": {"app": "web"}}},
    {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}},
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
)


@st.composite
def mended(draw: st.DrawFn, spec: Spec) -> Spec:
    """A spec that the schema allows, changed until it keeps the CEL rules and may well be planned."""
    spec = {**spec}
    spec.pop("autoscaling", None)
    model = spec["model"] = {**spec["model"]}
    if "source" in model:
        words = "".join(letter for letter in model["source"] if letter not in "\n/")[:900] or "m"
        model["source"] = draw(st.sampled_from(["hf://", "pvc://", "s3://", "gs://", "file:///"])) + words
        if model["source"].startswith("pvc://"):
            model["source"] = "pvc://claim/" + words
        if not model["source"].startswith("hf://"):
            model.pop("revision", None), model.pop("tokenSecret", None)
    if "parallelism" in spec:
        spec["parallelism"] = draw(_parallelism(spec["parallelism"]))
    if serving := spec.get("serving"):
        spec["serving"] = serving = {**serving}
        if serving.get("port") in RAYS_PORTS:
            serving["port"] = 8000
        if "allowFrom" in serving:
            serving["allowFrom"] = draw(st.lists(st.sampled_from(_PEERS), max_size=3))
        if "podTemplate" in serving:
            serving["podTemplate"] = draw(_pod_template())
    if engine := spec.get("engine"):
        spec["engine"] = engine = {**engine}
        if "args" in engine:
            own = draw(st.dictionaries(st.sampled_from(_ARGUMENTS), _values(), max_size=3))
            engine["args"] = {k: v for k, v in engine["args"].items() if k not in OWNED_ARGUMENTS} | own
        owned = tuple(OWNED_ENVIRONMENT_PREFIXES)
        if "env" in engine:
            engine["env"] = {
                k: v
                for k, v in engine["env"].items()
                if k not in OWNED_ENVIRONMENT and not k.startswith(owned) and k.isidentifier() and k.isascii()
            } | draw(
                st.dictionaries(
                    st.sampled_from(["HF_HOME", "A", "VLLM_LOGGING_LEVEL"]), st.text(), max_size=2
                )
            )
    return spec


@st.composite
def _parallelism(draw: st.DrawFn, cut: dict[str, Any]) -> dict[str, Any]:
    cut = {**cut}
    if "tensor" in cut and draw(st.booleans()):
        cut["tensor"] = draw(st.sampled_from([1, 2, 4]))
    if "stages" not in cut:
        if "pipeline" in cut and draw(st.booleans()):
            cut["pipeline"] = draw(st.integers(1, 8))
        return cut
    stages = [{**stage} for stage in cut["stages"]][: draw(st.integers(1, 8))]
    cut["stages"] = stages
    if "pipeline" in cut:
        cut["pipeline"] = len(stages)
    with_layers = draw(st.booleans())
    for stage, node in zip(stages, draw(st.permutations(NODES)), strict=False):
        stage.pop("layers", None)
        selector = stage.get("nodeSelector", {})
        if not all(key.isidentifier() and key.isascii() for key in selector):
            stage.pop("nodeSelector")
        if with_layers:
            stage["layers"] = (
                8 // len(stages) if stage is not stages[0] else 8 - 8 // len(stages) * (len(stages) - 1)
            )
        if draw(st.booleans()):
            stage["nodeSelector"] = {"kubernetes.io/hostname": node}
    return cut


def specs() -> st.SearchStrategy[Spec]:
    """Half as the schema has them, half mended."""
    any_of_them = cast(st.SearchStrategy[Spec], from_schema(json_schema(SCHEMA)))
    return st.one_of(any_of_them, any_of_them.flatmap(mended))


def generate(count: int, number: int, tick: Callable[[], object] = lambda: None) -> list[Spec]:
    """So many different specs; the same ones for the same number."""
    found: dict[str, Spec] = {}

    class Enough(Exception):
        """Ends the generation."""

    def take(spec: Spec) -> None:
        if found.setdefault(repr(spec), spec) is spec:
            tick()
        if len(found) >= count:
            raise Enough

    # Each run of hypothesis turns around what it found interesting: many short ones differ more than one long one.
    numbers = random.Random(number)
    while len(found) < count:
        run = given(specs())(take)
        run = settings(
            max_examples=250,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(seed(numbers.getrandbits(32))(run))
        with contextlib.suppress(Enough):
            run()
    return list(found.values())
