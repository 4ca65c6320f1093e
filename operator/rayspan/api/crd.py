"""The CRD, generated from the types in ``v1alpha1``.

Pydantic's JSON schema is not a *structural* schema: references are inlined, ``anyOf`` with null becomes
the plain type, titles and ``additionalProperties: false`` are dropped, ``const`` never occurs. On top come
the CEL rules, each with a message that says what to write instead, and the printer columns.
``make crds`` writes the result to crds/; the API server's own validator is the test.
"""

from __future__ import annotations

from typing import Any, Final

from rayspan.api import v1alpha1
from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES

Schema = dict[str, Any]

MAX_NAME: Final = 40
"""Longest name of an LLMDeployment. KubeRay takes RayServices of up to 47 characters, and the Job that
inspects the model is named ``<name>-inspect-<10 hex>``, which as a label of its pods may have 63."""

_DROPPED: Final = ("title", "default", "additionalProperties", "$defs")


def crd() -> Schema:
    """The CustomResourceDefinition as a plain dict, in the order in which it is written."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{v1alpha1.PLURAL}.{v1alpha1.GROUP}"},
        "spec": {
            "group": v1alpha1.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": v1alpha1.KIND,
                "listKind": f"{v1alpha1.KIND}List",
                "plural": v1alpha1.PLURAL,
                "singular": v1alpha1.KIND.lower(),
                "shortNames": ["llm"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": v1alpha1.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": _COLUMNS,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas.ready",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


_COLUMNS: Final = [
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas.ready"},
    {"name": "Plan", "type": "string", "jsonPath": ".status.plan.layout"},
    {"name": "TTFT p95", "type": "string", "jsonPath": ".status.latency.timeToFirstToken.p95"},
    {"name": "Verdict", "type": "string", "jsonPath": ".status.diagnosis.verdict"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Model", "type": "string", "jsonPath": ".spec.model.id", "priority": 1},
    {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
]


def _root() -> Schema:
    spec = _structural(v1alpha1.Spec)
    _constrain(spec)
    return {
        "description": (v1alpha1.LLMDeployment.__doc__ or "").strip(),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # The bound is for the CEL rules' cost; what is too long for Rayspan is theirs to say.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": spec,
            "status": _structural(v1alpha1.Status),
        },
        "x-kubernetes-validations": [
            _rule(
                f"self.metadata.name.size() <= {MAX_NAME}",
                f"metadata.name may have at most {MAX_NAME} characters, since the names of Services, Jobs and "
                "pods are derived from it: choose a shorter name",
            ),
            _rule(
                "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                "metadata.name must start with a letter and hold only lower-case letters, digits and '-', "
                "since a Service is named after it: choose a name such as 'llama-70b'",
            ),
        ],
    }


def _rule(rule: str, message: str) -> Schema:
    """One CEL rule and the sentence that a refused ``kubectl apply`` shows."""
    return {"rule": rule, "message": message}


def _constrain(spec: Schema) -> None:
    """Add what goes beyond the types of single fields, in place."""
    properties = spec["properties"]
    spec["x-kubernetes-validations"] = [
        _rule(
            "!has(self.autoscaling)",
            "spec.autoscaling is not acted on yet: leave it out, and scale by spec.replicas, "
            "`kubectl scale`, or a HorizontalPodAutoscaler on the scale subresource",
        ),
    ]
    properties["model"]["x-kubernetes-validations"] = [
        _rule(
            f"!has(self.{field}) || !has(self.source) || self.source.startsWith('hf://')",
            f"spec.model.{field} is for models of the hub only: leave it out, or use a source of hf://ORG/NAME",
        )
        for field in ("revision", "tokenSecret")
    ]
    source = properties["model"]["properties"]["source"]
    source["x-kubernetes-validations"] = [
        _rule(
            "self.matches('^(hf|pvc|s3|gs)://[^/].*$') || self.matches('^file:///[^/].*$')",
            "spec.model.source must be hf://ORG/NAME, pvc://CLAIM/PATH, s3://BUCKET/PATH, gs://BUCKET/PATH "
            "or file:///PATH",
        ),
        _rule(
            "!self.startsWith('pvc://') || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?$')",
            "spec.model.source: pvc://CLAIM/PATH needs the name of a PersistentVolumeClaim in this namespace, which "
            "holds only lower-case letters, digits, '-' and '.'",
        ),
    ]
    properties["serving"]["properties"]["port"]["x-kubernetes-validations"] = [
        _rule(
            "!(self in [6379, 8080, 8265, 10001, 52365]) && (self < 10002 || self > 19999)",
            "spec.serving.port is one that Ray itself uses in the same pods (6379, 8080, 8265, 10001 to 19999 "
            "and 52365): choose another, such as 8000",
        )
    ]
    peer = properties["serving"]["properties"]["allowFrom"]["items"]
    peer["x-kubernetes-validations"] = [
        _rule(
            "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
            "spec.serving.allowFrom: an entry is either an ipBlock, or a namespaceSelector, a podSelector or both: "
            "write two entries for both",
        )
    ]
    template = properties["serving"]["properties"]["podTemplate"]
    del template["x-kubernetes-preserve-unknown-fields"]
    template["properties"] = {part: dict(_FREE) for part in ("metadata", "spec")}
    _constrain_parallelism(properties["parallelism"])
    _own(properties["engine"])


def _constrain_parallelism(parallelism: Schema) -> None:
    parallelism["x-kubernetes-validations"] = [
        _rule(
            "!has(self.stages) || !has(self.pipeline) || self.stages.size() == self.pipeline",
            "spec.parallelism.stages and spec.parallelism.pipeline differ: give exactly one entry per stage, "
            "or leave pipeline out",
        ),
        _rule(
            "!has(self.stages) || self.stages.all(s, has(s.layers)) || self.stages.all(s, !has(s.layers))",
            "spec.parallelism.stages: give layers for every stage, or for none and have them planned",
        ),
    ]
    selector = parallelism["properties"]["stages"]["items"]["properties"]["nodeSelector"]
    selector["x-kubernetes-validations"] = [
        _rule(
            f"self.all(key, key.matches('{v1alpha1.LABEL_KEY}'))",
            "spec.parallelism.stages[].nodeSelector has a key that no label can have: write those of the nodes "
            "(`kubectl get nodes --show-labels`), such as kubernetes.io/hostname",
        )
    ]


def _own(engine: Schema) -> None:
    """Refuse what Rayspan sets itself. A key of a free-form object exists for CEL only once it is declared
    with a type; a value of another type is refused by the type."""
    arguments = engine["properties"]["args"]
    arguments["properties"] = {name: dict(_TYPES.get(name, _WORD)) for name in OWNED_ARGUMENTS}
    arguments["x-kubernetes-validations"] = [
        _rule(f"!has(self.{name})", f"spec.engine.args.{name} is set by Rayspan: {instead}")
        for name, instead in OWNED_ARGUMENTS.items()
    ]
    engine["properties"]["env"]["x-kubernetes-validations"] = [
        *(
            _rule(f"!('{name}' in self)", f"spec.engine.env.{name} is set by Rayspan: {instead}")
            for name, instead in OWNED_ENVIRONMENT.items()
        ),
        *(
            _rule(
                f"self.all(name, !name.startsWith('{prefix}'))",
                f"spec.engine.env: names that begin with {prefix} are set by Rayspan: {instead}",
            )
            for prefix, instead in OWNED_ENVIRONMENT_PREFIXES.items()
        ),
        _rule(
            f"self.all(name, name.matches('{_VARIABLE}'))",
            "spec.engine.env: names of variables hold only letters, digits, '_', '-' and '.', and begin with no "
            "digit: choose other names",
        ),
    ]


_VARIABLE: Final = "^[-._a-zA-Z][-._a-zA-Z0-9]*$"

_WORD: Final[Schema] = {"x-kubernetes-int-or-string": True}
_FREE: Final[Schema] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_FLAG: Final[Schema] = {"type": "boolean"}
_LIST: Final[Schema] = {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 1024}}
_TYPES: Final[dict[str, Schema]] = {
    **dict.fromkeys(
        (
            "disable_log_stats",
            "enable_elastic_ep",
            "data_parallel_hybrid_lb",
            "data_parallel_external_lb",
            "data_parallel_multi_port_external_lb",
            "disable_uvicorn_access_log",
            "allow_credentials",
            "enable_request_id_headers",
            "disable_fastapi_docs",
            "enable_offline_docs",
            "enable_ssl_refresh",
        ),
        _FLAG,
    ),
    **dict.fromkeys(
        ("allowed_origins", "allowed_methods", "allowed_headers", "middleware", "device_ids"), _LIST
    ),
}
"""Types of owned arguments in vLLM 0.29, where they are not a word or a number."""


def _structural(model: type[v1alpha1.Model]) -> Schema:
    """A structural schema of a pydantic model: inlined, without null, bounds kept."""
    raw = model.model_json_schema(by_alias=True)
    return _clean(raw, raw.get("$defs", {}))


def _clean(node: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        return _clean({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    if "anyOf" in node:
        (kind,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        return _clean({**kind, **{key: value for key, value in node.items() if key != "anyOf"}}, definitions)
    schema: Schema = {}
    for key, value in node.items():
        if key == "properties":
            schema[key] = {name: _clean(field, definitions) for name, field in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            schema[key] = _clean(value, definitions)
        elif key == "additionalProperties" and value is True:
            schema["x-kubernetes-preserve-unknown-fields"] = True
        elif key == "x-crd-default":
            schema["default"] = value
        elif key not in _DROPPED:
            schema[key] = value
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return schema
