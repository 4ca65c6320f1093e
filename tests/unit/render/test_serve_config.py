"""The Serve application's document."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan, StagePlan
from rayspan.render.revision import serve_revision
from rayspan.render.serve_config import serve_config, text
from rayspan.render.settings import RenderSettings

SETTINGS = RenderSettings()


def deployment(**spec: Any) -> LLMDeployment:
    spec.setdefault("model", {"id": "acme/chat"})
    metadata = {"name": "chat", "namespace": "models", "uid": "u-1"}
    return LLMDeployment.model_validate({"metadata": metadata, "spec": spec})


def plan(tensor: int = 1, *layers: int) -> Plan:
    stages = tuple(StagePlan(i, n, {}, ()) for i, n in enumerate(layers or (4, 4)))
    return Plan(tensor, stages, "nvidia.com/gpu")


def engine(spec: LLMDeployment, cut: Plan | None = None) -> dict[str, Any]:
    document = serve_config(spec, cut or plan(), SETTINGS)
    config: dict[str, Any] = document["applications"][0]["args"]["llm_configs"][0]
    return config


SOURCES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "the hub by default": ({"id": "acme/chat"}, "acme/chat", {}),
    "a pinned hub model, its tokenizer pinned with it": (
        {"id": "chat", "source": "hf://acme/chat", "revision": "v1"},
        "acme/chat",
        {"revision": "v1", "tokenizer_revision": "v1"},
    ),
    "a folder of a claim": (
        {"id": "chat", "source": "pvc://weights/acme/chat/"},
        "/models/weights/acme/chat",
        {},
    ),
    "a whole claim": ({"id": "chat", "source": "pvc://weights"}, "/models/weights", {}),
    "a bucket": ({"id": "chat", "source": "s3://b/acme/"}, {"bucket_uri": "s3://b/acme"}, {}),
    "another bucket": ({"id": "chat", "source": "gs://b/acme"}, {"bucket_uri": "gs://b/acme"}, {}),
    "a path": ({"id": "chat", "source": "file:///opt/chat"}, "/opt/chat", {}),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_model_is_read_from(case: str) -> None:
    model, source, arguments = SOURCES[case]
    config = engine(deployment(model=model))
    assert config["model_loading_config"] == {"model_id": model["id"], "model_source": source}
    assert {k: v for k, v in config["engine_kwargs"].items() if "revision" in k} == arguments


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'ftp://x' is none of hf://ORG/NAME, pvc://CLAIM/PATH"):
        engine(deployment(model={"id": "chat", "source": "ftp://x"}))


def test_every_rank_has_a_bundle_of_one_gpu_with_its_stages_label_in_rank_order() -> None:
    config = engine(deployment(), plan(2, 3, 5))
    assert config["placement_group_config"] == {"strategy": "PACK", "bundles": [{"GPU": 1}] * 4}
    selector = config["deployment_config"]["placement_group_bundle_label_selector"]
    assert [bundle["rayspan.dev/stage"] for bundle in selector] == ["0", "0", "1", "1"]
    variables = config["runtime_env"]["env_vars"]
    assert variables["VLLM_RAY_BUNDLE_INDICES"] == "0,1,2,3"
    assert variables["VLLM_PP_LAYER_PARTITION"] == "3,5"
    assert variables["VLLM_USE_RAY_V2_EXECUTOR_BACKEND"] == "1"


def test_replica_counts_stand_in_the_overrides_alone() -> None:
    one, three = (serve_config(deployment(replicas=n), plan(), SETTINGS) for n in (1, 3))
    assert one["applications"][0]["args"] == three["applications"][0]["args"]
    assert three["applications"][0]["deployments"] == [
        {"name": "LLMServer:acme--chat", "num_replicas": 3, "max_ongoing_requests": 1000},
        {"name": "OpenAiIngress", "num_replicas": 6},
    ]


def test_the_owners_variables_win_over_defaults() -> None:
    given = {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "120", "OMP_NUM_THREADS": "2"}
    variables = engine(deployment(engine={"env": given}))["runtime_env"]["env_vars"]
    assert variables.items() >= given.items()


@pytest.mark.parametrize("name", OWNED_ARGUMENTS)
def test_no_owned_argument_slips_through(name: str) -> None:
    with pytest.raises(ValueError, match=rf"spec\.engine\.args\.{name}: "):
        engine(deployment(engine={"args": {name: 1}}))


@pytest.mark.parametrize("name", OWNED_ENVIRONMENT)
def test_no_owned_variable_slips_through(name: str) -> None:
    with pytest.raises(ValueError, match=rf"spec\.engine\.env\.{name}: "):
        engine(deployment(engine={"env": {name: "1"}}))


def test_the_order_of_the_owners_keys_does_not_change_a_byte() -> None:
    one = {"max_model_len": 512, "compilation_config": {"mode": 2, "backend": "eager"}, "dtype": "float32"}
    other = {"dtype": "float32", "compilation_config": {"backend": "eager", "mode": 2}, "max_model_len": 512}
    texts = {
        text(serve_config(deployment(engine={"args": args}), plan(2, 4, 4), SETTINGS))
        for args in (one, other)
    }
    assert len(texts) == 1


def test_the_text_reads_back_as_the_document_and_texts_stay_texts() -> None:
    texts = ("1e3", "0x1f", "yes", "0o7", "1_000", "12:30", "", "~", "0,1", "- a", "a: b")
    odd = {f"VARIABLE{number}": value for number, value in enumerate(texts)}
    document = serve_config(deployment(engine={"env": odd, "args": {"dtype": "auto"}}), plan(), SETTINGS)
    written = text(document)
    assert yaml.safe_load(written) == document
    for key, value in odd.items():
        assert f"{key}: '{value}'" in written
    assert "dtype: auto\n" in written
    assert "&" not in written


def test_arguments_that_only_went_through_another_json_library_are_the_same() -> None:
    given = {"engine_kwargs": {"gpu_memory_utilization": 1.0, "seed": 0}, "bundles": [{"GPU": 1}]}
    came_back = {"bundles": [{"GPU": 1}], "engine_kwargs": {"seed": 0, "gpu_memory_utilization": 1}}
    assert serve_revision(given) == serve_revision(came_back)
    assert serve_revision(given) != serve_revision({**given, "bundles": [{"GPU": 2}]})


@pytest.mark.parametrize(
    "words", ["a\u2028b", "a\x85b", "a\nb", "\ufeff", "\U0001f600", "it's", "1e3", "\\n"]
)
def test_texts_stand_in_one_line_with_every_letter_that_a_reader_could_take_for_a_line_end_escaped(
    words: str,
) -> None:
    written = text({"k": words})
    assert yaml.safe_load(written) == {"k": words}
    assert len(written.splitlines()) == 1
