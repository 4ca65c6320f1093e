"""What a benchmark leaves behind: the file that `rayspan bench` writes and `rayspan bench --compare` reads.

Its fields are camelCase there, as in an LLMDeployment. Times are in seconds.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from rayspan.api.v1alpha1 import API_VERSION
from rayspan.cli.documents import read_json
from rayspan.cli.errors import WrongInput

KIND: Final = "Benchmark"
LATENCIES: Final = {
    "time_to_first_token": "time to first token",
    "inter_token_latency": "inter-token latency",
    "end_to_end": "end to end",
}


class Part(BaseModel):
    """A part of the file. What a newer version has added to it is passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def document(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


class Bucket(Part):
    """Times up to this one, and above the next lower bucket's."""

    up_to_seconds: float
    count: int


class Latency(Part):
    """One of the three latencies of a level, as the client saw it."""

    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    samples: int
    histogram: tuple[Bucket, ...]


class Error(Part):
    """What failed requests were answered with."""

    message: str
    count: int


class Level(Part):
    """So many requests in flight at a time, and what came of it."""

    concurrency: int
    requests: int
    """Answered in full."""
    failed: int
    unsent: int
    """Of the level's requests, those that its time did not suffice for."""
    seconds: float
    requests_per_second: float
    output_tokens_per_second: float
    time_to_first_token: Latency | None = None
    inter_token_latency: Latency | None = None
    end_to_end: Latency | None = None
    errors: tuple[Error, ...] = ()
    verdict: str | None = None
    """status.diagnosis.verdict at the level's end."""

    def latency(self, name: str) -> Latency | None:
        """One of ``LATENCIES``; None where nothing was answered."""
        found: Latency | None = getattr(self, name)
        return found


class Load(Part):
    """What was asked of the deployment."""

    levels: tuple[int, ...]
    requests: tuple[int, ...]
    """Of each level, at most."""
    seconds: int
    """Of each level, at most; requests in flight then have as long again."""
    input_tokens: int
    output_tokens: int
    seed: int
    """Of the random prompts. With another one, an earlier run's prefix cache is of no use."""


class Metadata(Part):
    """Of what, and when."""

    name: str
    namespace: str
    generation: int = 0
    created_at: str


class Saturation(Part):
    """Where more requests at a time no longer bring more tokens; see saturation.py."""

    concurrency: int | None = None
    """The level; None: it was not reached, or cannot be told."""
    message: str


class Benchmark(Part):
    """The whole file."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: Metadata
    load: Load
    tool: str | None = None
    layout: str | None = None
    """status.plan.layout."""
    replicas: int | None = None
    environment: dict[str, Any] = {}
    """status.environment."""
    levels: tuple[Level, ...]
    saturation: Saturation
    diagnosis: dict[str, Any] = {}
    """status.diagnosis after the last level."""
    problem: str | None = None
    """Why it ended before its last level."""


def read_benchmark(path: str) -> Benchmark:
    """The benchmark in a file."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise WrongInput(f"{path} holds no {KIND}: give the JSON file that `rayspan bench` wrote")
    if content.get("apiVersion") != API_VERSION:
        raise WrongInput(
            f"{path}: apiVersion is {content.get('apiVersion')!r}: this rayspan reads {API_VERSION}"
        )
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise WrongInput(f"{path} is not as `rayspan bench` wrote it: {where}: {first['msg']}") from error
