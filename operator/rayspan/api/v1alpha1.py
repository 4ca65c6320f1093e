"""The LLMDeployment types: the one place of field names.

Every description here reaches the CRD, ``kubectl explain`` and docs/crd.md. Every list, map and string
is bounded: without bounds the API server refuses the CEL rules for their cost. What the schema cannot
say on its own stands in ``crd.py`` as CEL rules; what only the cluster can know is the planner's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "rayspan.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "LLMDeployment"
PLURAL: Final = "llmdeployments"
API_VERSION: Final = f"{GROUP}/{VERSION}"

Word = Annotated[str, Field(max_length=253)]
Sentence = Annotated[str, Field(max_length=4096)]
LabelValue = Annotated[str, Field(max_length=63)]
Duration = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$")]
SelectedValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
LABEL_KEY: Final = "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LabelKey = Annotated[str, Field(max_length=317, pattern=LABEL_KEY)]
Selector = Annotated[dict[str, SelectedValue], Field(max_length=16)]
_MODEL_ID: Final = r"^[^\x00- :/\x7f-\xa0][^\x00- :\x7f-\xa0]*$"
"""Without colon, control characters and spaces, and without a slash in front."""
ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


class Model(BaseModel):
    """Field names are camelCase on the wire, snake_case here; an unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class SecretKey(Model):
    """One key of a Secret in the LLMDeployment's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")
    key: DataKey = Field(description="Key in the Secret.")


class ModelSource(Model):
    """Which model, and where the pods read it from."""

    # No \s: which letters are spaces differs between the API server's patterns and those of pydantic.
    id: Annotated[str, Field(min_length=1, max_length=200, pattern=_MODEL_ID)] = Field(
        description='What clients send as "model". No colon: Ray Serve reserves it for LoRA adapters.'
    )
    source: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None,
        description="Where the pods read the model: hf://ORG/NAME, pvc://CLAIM/PATH, s3://BUCKET/PATH, "
        "gs://BUCKET/PATH or file:///PATH (a path in the image or a mounted volume). Default: hf://<id>.",
    )
    revision: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Branch, tag or commit of a hub model. Pin it: without it the hub decides."
    )
    token_secret: SecretKey | None = Field(
        default=None, description="Hub access token. Passed to the pods by reference, never as text."
    )

    @property
    def location(self) -> str:
        """The source with its default filled in."""
        return self.source or f"hf://{self.id}"


class Stage(Model):
    """One pipeline stage: where it runs and how many layers it holds."""

    node_selector: Selector | None = Field(
        default=None, description="Labels of the nodes that may hold this stage. Default: any GPU node."
    )
    layers: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="Transformer layers of this stage. Give it for every stage or for none."
    )


class Parallelism(Model):
    """How the model is cut. What is missing is planned."""

    tensor: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="GPUs of one stage, all on one node (tensor parallel size)."
    )
    pipeline: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Pipeline stages, each on its own node (pipeline parallel size)."
    )
    stages: Annotated[list[Stage], Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="One entry per stage, in order: stage 0 holds the embedding."
    )


class Engine(Model):
    """What is passed through to vLLM."""

    # Free-form: the API server can count the arguments, but what is inside is bounded only by the size of a request.
    args: Annotated[dict[str, Any], Field(max_length=100)] | None = Field(
        default=None,
        description="vLLM engine arguments by their Python names, such as max_model_len: 8192. "
        "An argument that Rayspan sets itself, or that vLLM does not know, is refused.",
    )
    env: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] | None = Field(
        default=None, description="Environment variables of the engine's processes."
    )


class LocalReference(Model):
    """An object in the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Model):
    """One comparison of a label."""

    key: LabelKey = Field(description="Label.")
    operator: SelectorOperator = Field(description="How it is compared.")
    values: Annotated[list[SelectedValue], Field(max_length=64)] | None = Field(
        default=None, description="What it is compared with: for In and NotIn."
    )


class LabelSelector(Model):
    """As Kubernetes has it everywhere; empty: all."""

    match_labels: Selector | None = Field(default=None, description="Labels, each with its value.")
    match_expressions: Annotated[list[SelectorRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Further comparisons; all of them hold."
    )


class AddressBlock(Model):
    """A range of addresses."""

    cidr: Annotated[str, Field(max_length=49)] = Field(description="Range, such as 10.0.0.0/8.")
    except_: Annotated[list[Annotated[str, Field(max_length=49)]], Field(max_length=64)] | None = Field(
        default=None, alias="except", description="Ranges in it that are left out."
    )


class Peer(Model):
    """Who may come in, as in a NetworkPolicy (networking.k8s.io/v1 NetworkPolicyPeer)."""

    namespace_selector: LabelSelector | None = Field(
        default=None, description="Pods of these namespaces. Default: of this one."
    )
    pod_selector: LabelSelector | None = Field(default=None, description="Of them, these pods. Default: all.")
    ip_block: AddressBlock | None = Field(default=None, description="Addresses, in place of pods.")


class Serving(Model):
    """The serving path: image, port, limits, pods."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")] | None = Field(
        default=None, description="Serving image (serving_image/Dockerfile). Default: the operator's setting."
    )
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] | None = Field(
        default=None, description="Secrets to pull the image with."
    )
    port: Annotated[int, Field(ge=1024, le=65535)] = Field(
        default=8000, description="Port of the OpenAI-compatible endpoint."
    )
    api_key_secret: SecretKey | None = Field(
        default=None,
        description="When given, requests need a key as a bearer token. The entry of the Secret may hold several, "
        "one per line, and all of them are good. A change reaches the pods within about a minute, without a "
        "restart: add the new key, move the clients, take the old one out.",
    )
    allow_from: Annotated[list[Peer], Field(max_length=32)] | None = Field(
        default=None,
        description="Who may reach the port, as in a NetworkPolicy's `from`. Left out: everyone. Empty: nobody but "
        "this deployment's own pods and the operators. The cluster's network has to enforce NetworkPolicies.",
    )
    request_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=600, description="A request that takes longer is ended with an error."
    )
    max_ongoing_requests: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="Requests that one replica takes at the same time; further ones wait."
    )
    # metadata and spec are all there is to it. Below them the schema says nothing (a pod's own would be thousands of
    # lines), so nothing there can be bounded but by the size of a request.
    pod_template: Annotated[dict[str, Any], Field(max_length=2)] | None = Field(
        default=None,
        description="Merged into every Ray pod (metadata and spec): maps are merged, lists of named "
        "things are merged by name, other lists are appended. The Ray container is named `ray`.",
    )


class LatencyObjective(Model):
    """Upper bounds of percentiles, as durations such as 500ms or 20s."""

    p50: Duration | None = Field(default=None, description="Bound of the median.")
    p95: Duration | None = Field(default=None, description="Bound of the 95th percentile.")
    p99: Duration | None = Field(default=None, description="Bound of the 99th percentile.")


class Objectives(Model):
    """What the owner wants of the latencies; judged in the condition ObjectivesMet."""

    time_to_first_token: LatencyObjective | None = Field(default=None, description="From request to token.")
    inter_token_latency: LatencyObjective | None = Field(default=None, description="From token to token.")
    end_to_end: LatencyObjective | None = Field(default=None, description="From request to last byte.")


class Autoscaling(Model):
    """Scaling by whole pipelines."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="Lower bound.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(description="Upper bound.")
    target_ongoing_requests: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=32, description="Requests in flight per replica that scaling aims for."
    )


class UpdateType(StrEnum):
    """How a change that needs new pods is carried out."""

    RECREATE = "Recreate"
    NEW_CLUSTER = "NewCluster"


class UpdateStrategy(Model):
    """How a change that needs new pods (image, placement, pod template) reaches the cluster."""

    type: UpdateType = Field(
        default=UpdateType.RECREATE,
        description="Recreate stops the old pods first and needs no spare GPUs. NewCluster starts a second "
        "cluster beside the first and switches when it serves: no outage, but twice the GPUs meanwhile.",
    )


class Spec(Model):
    """What the owner wants."""

    model: ModelSource = Field(description="Which model, and where the pods read it from.")
    replicas: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=1,
        description="Whole pipelines that serve this model. 0 stops serving and gives the GPUs back.",
        json_schema_extra={
            "x-crd-default": 1
        },  # the scale subresource needs it; other defaults are the operator's
    )
    parallelism: Parallelism = Field(default_factory=Parallelism, description="How the model is cut.")
    engine: Engine = Field(default_factory=Engine, description="What is passed through to vLLM.")
    serving: Serving = Field(default_factory=Serving, description="The serving path.")
    objectives: Objectives | None = Field(default=None, description="Wanted latencies.")
    autoscaling: Autoscaling | None = Field(default=None, description="Scaling by whole pipelines.")
    update_strategy: UpdateStrategy = Field(
        default_factory=UpdateStrategy, description="How a change that needs new pods is carried out."
    )


# ---------------------------------------------------------------------------------------------- status


class Condition(Model):
    """A standard metav1.Condition."""

    type: LabelValue = Field(description="What it speaks of.")
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=7)] = Field(
        description="True, False or Unknown."
    )
    reason: LabelValue = Field(description="One CamelCase word; docs/conditions.md lists them all.")
    message: Sentence = Field(description="What is so, where, and what to do about it.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The generation that this was found for."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")


class Replicas(Model):
    """Whole pipelines."""

    desired: Annotated[int, Field(ge=0)] = Field(description="How many are wanted.")
    ready: Annotated[int, Field(ge=0)] = Field(description="How many serve, all their stages verified.")


class StagePlanStatus(Model):
    """What one stage is going to hold, per GPU, in GiB; absent until it is computed."""

    weights_gib: float | None = Field(default=None, alias="weightsGiB", description="Weights.")
    kv_cache_gib: float | None = Field(default=None, alias="kvCacheGiB", description="KV cache.")
    headroom_gib: float | None = Field(default=None, alias="headroomGiB", description="What stays free.")


class SuggestionStatus(Model):
    """A better cut, by the times that the stages were seen to take. Nothing is moved for it by itself."""

    layers: Annotated[list[int], Field(max_length=64)] = Field(
        description="Layers of each stage: for spec.parallelism.stages."
    )
    gain_percent: int = Field(description="Steps per second more, under load.")
    message: Sentence = Field(description="What was seen, and what would be gained.")


class PlanStatus(Model):
    """The cut, and why."""

    tensor: int = Field(description="GPUs of one stage.")
    pipeline: int = Field(description="Stages.")
    layout: LabelValue = Field(description="The cut in one word, such as TP2xPP2.")
    layers: Annotated[list[int], Field(max_length=64)] = Field(description="Layers of each stage, in order.")
    gpus: int = Field(description="GPUs of all replicas together.")
    stages: Annotated[list[StagePlanStatus], Field(max_length=64)] | None = Field(
        default=None, description="What each stage is going to hold."
    )
    kv_cache_tokens: int | None = Field(default=None, description="Tokens that the KV cache holds.")
    explanation: Annotated[list[Sentence], Field(max_length=32)] | None = Field(
        default=None, description="One sentence per decision."
    )
    suggestion: SuggestionStatus | None = Field(
        default=None, description="A better cut for what runs, while one is known."
    )


class StageStatus(Model):
    """One stage of one replica, as Ray's own state has it: not as it was asked for."""

    replica: Word = Field(description="Ray Serve's id of the replica.")
    stage: int = Field(description="Stage number; 0 holds the embedding.")
    node: Word | None = Field(default=None, description="Kubernetes node, read back.")
    pod: Word | None = Field(default=None, description="Pod, read back.")
    gpus: int = Field(description="GPUs, one per tensor rank.")
    layers: int | None = Field(default=None, description="Layers.")
    state: LabelValue = Field(
        description="Running, Starting, Failed (died before it ever ran), Terminating, Dead, Missing, Misplaced, Split (its "
        "tensor ranks are in different pods), or Unknown when the source did not answer."
    )
    restarts: int = Field(default=0, description="Restarts of the pod's Ray container.")


class Percentiles(Model):
    """Percentiles as durations; absent without traffic."""

    p50: Duration | None = Field(default=None, description="Median.")
    p95: Duration | None = Field(default=None, description="95th percentile.")
    p99: Duration | None = Field(default=None, description="99th percentile.")


class LatencyStatus(Model):
    """Latencies where requests come in over a window. Without traffic the percentiles are absent, never 0."""

    window: Duration = Field(description="The time that these are taken over.")
    requests: int = Field(description="Requests that ended in the window.")
    time_to_first_token: Percentiles | None = Field(default=None, description="From request to first token.")
    inter_token_latency: Percentiles | None = Field(default=None, description="From token to token.")
    end_to_end: Percentiles | None = Field(default=None, description="From request to last byte.")
    observed_at: Timestamp = Field(description="When this was read.")


class BalanceStatus(Model):
    """How evenly the replicas are used."""

    jain_index: float = Field(
        description="Jain's fairness index of the shares: 1 is even, 1/n is one for all."
    )
    shares: Annotated[list[float], Field(max_length=1000)] = Field(description="Share of each replica.")


class TrafficStatus(Model):
    """Traffic over the latencies' window."""

    requests_per_second: float | None = Field(default=None, description="Requests that ended, per second.")
    output_tokens_per_second: float | None = Field(default=None, description="Tokens generated, per second.")
    running: int | None = Field(default=None, description="Requests in the engines now.")
    waiting: int | None = Field(default=None, description="Requests that wait for an engine now.")
    error_rate: float | None = Field(default=None, description="Share of requests that failed, 0 to 1.")
    kv_cache_usage: float | None = Field(default=None, description="Fullest KV cache, 0 to 1.")
    balance: BalanceStatus | None = Field(default=None, description="How evenly the replicas are used.")


class FailureStatus(Model):
    """What went wrong last. It stays when the pod that failed is gone."""

    reason: LabelValue = Field(
        description="As in the condition that said it; docs/conditions.md lists them all."
    )
    message: Sentence = Field(description="The cause in the words of who reported it.")
    at: Timestamp = Field(description="When it was seen.")


class DiagnosisStatus(Model):
    """The bottleneck, or why nothing is served."""

    verdict: LabelValue = Field(description="One word; docs/diagnosis lists them all.")
    summary: Sentence = Field(description="One sentence.")
    evidence: Annotated[list[Sentence], Field(max_length=16)] | None = Field(
        default=None, description="Facts."
    )
    action: Sentence | None = Field(default=None, description="The one next thing to do.")
    since: Timestamp = Field(description="Since when the verdict holds.")
    last_failure: FailureStatus | None = Field(
        default=None, description="What went wrong last: of one outage its earliest cause, not its echoes."
    )


class EnvironmentStatus(Model):
    """What was verified where, read from the running pods."""

    ray: Word | None = Field(default=None, description="Version of Ray.")
    vllm: Word | None = Field(default=None, description="Version of vLLM.")
    python: Word | None = Field(default=None, description="Version of Python.")
    kuberay: Word | None = Field(default=None, description="Version of KubeRay.")
    image: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Serving image.")
    backend: Word | None = Field(default=None, description="vLLM's platform: cuda, rocm or cpu.")
    accelerator: Word | None = Field(default=None, description="Product of the GPUs.")
    accelerator_memory: Word | None = Field(default=None, description="Memory of one GPU.")
    data_path: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="The way of a request, station by station."
    )
    constraints: Annotated[list[Sentence], Field(max_length=16)] | None = Field(
        default=None, description="Under what this holds: model size, backend, memory."
    )


class LayersStatus(Model):
    """Layers in a row that are alike."""

    count: int = Field(description="How many.")
    bytes: int = Field(description="Weights of one.")
    expert_bytes: int = Field(default=0, description="What of them are experts that a router chooses among.")
    token_cache_bytes: int = Field(default=0, description="KV cache of one, per token.")
    state_cache_bytes: int = Field(default=0, description="Cache of one, per request, whatever its length.")
    window: int = Field(default=0, description="Tokens that one keeps at most; 0: all.")
    kv_heads: int = Field(default=0, description="Heads that GPUs can share out; 0: each keeps all of it.")


class WeightsStatus(Model):
    """Bytes of the weights."""

    source: Word = Field(description="headers (of the safetensors files), or config (config.json).")
    embedding_bytes: int = Field(description="Embedding.")
    head_bytes: int = Field(description="Output head; 0: it is the embedding.")
    rest_bytes: int = Field(description="Norms, and towers beside the text model.")
    layers: Annotated[list[LayersStatus], Field(max_length=256)] = Field(description="From the first on.")


class ModelStatus(Model):
    """What was found out about the model, cached by what it was found out for."""

    key: LabelValue = Field(description="Hash of image, source, revision and engine arguments.")
    architecture: Word | None = Field(default=None, description="Architecture, as in config.json.")
    layers: int = Field(description="Transformer layers.")
    attention_heads: int | None = Field(default=None, description="Attention heads.")
    kv_heads: int | None = Field(default=None, description="Key/value heads.")
    hidden_size: int | None = Field(default=None, description="Hidden size.")
    vocabulary_size: int | None = Field(default=None, description="Vocabulary size.")
    supports_pipeline: bool | None = Field(default=None, description="Whether vLLM can cut it into stages.")
    inner_size: int | None = Field(default=None, description="Width of a feed-forward.")
    context: int | None = Field(default=None, description="Tokens that it was made for.")
    number_bytes: int | None = Field(default=None, description="Bytes of a number that is not quantised.")
    quantized: bool | None = Field(default=None, description="Whether its weights are quantised.")
    experts: int | None = Field(default=None, description="Experts of a layer.")
    experts_per_token: int | None = Field(default=None, description="Experts that a token is sent to.")
    weights: WeightsStatus | None = Field(default=None, description="Bytes of its weights, where known.")
    backend: Word | None = Field(default=None, description="vLLM's platform in the image: cuda, rocm or cpu.")
    ray: Word | None = Field(default=None, description="Version of Ray in the image.")
    vllm: Word | None = Field(default=None, description="Version of vLLM in the image.")
    python: Word | None = Field(default=None, description="Version of Python in the image.")


class Status(Model):
    """What is so."""

    observed_generation: int | None = Field(default=None, description="The generation that this speaks of.")
    phase: LabelValue | None = Field(default=None, description="One word, derived from the conditions.")
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None,
        description="PlanAccepted, Provisioned, PlacementVerified, Serving, Ready, ObjectivesMet, Degraded.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    url: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="The OpenAI endpoint inside the cluster."
    )
    replicas: Replicas | None = Field(default=None, description="Whole pipelines.")
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Label selector of the serving pods, for the scale subresource."
    )
    model: ModelStatus | None = Field(default=None, description="What was found out about the model.")
    plan: PlanStatus | None = Field(default=None, description="The cut, and why.")
    stages: Annotated[list[StageStatus], Field(max_length=1024)] | None = Field(
        default=None, description="One entry per stage of each replica, as Ray's own state has it."
    )
    latency: LatencyStatus | None = Field(default=None, description="Latencies where requests come in.")
    traffic: TrafficStatus | None = Field(default=None, description="Traffic.")
    diagnosis: DiagnosisStatus | None = Field(default=None, description="The bottleneck.")
    environment: EnvironmentStatus | None = Field(default=None, description="What was verified where.")

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type."""
        return next((one for one in self.conditions or () if one.type == kind), None)


class ObjectMeta(BaseModel):
    """The part of metadata that Rayspan reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class LLMDeployment(BaseModel):
    """A large language model, cut into pipeline stages, each pinned to its nodes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: ObjectMeta
    spec: Spec
    status: Status = Field(default_factory=Status)

    @property
    def unanswered(self) -> bool:
        """Whether no status speaks of this spec yet."""
        return self.status.observed_generation != self.metadata.generation
