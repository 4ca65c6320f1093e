"""From the command line and the deployment's status to the load; what is refused before a Job is made."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.cli.bench.request import Wish, image, load, question
from rayspan.cli.errors import Failure, WrongInput

WISH = Wish(levels=(1, 8), seconds=60)
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "R",
    "message": "m",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
}


def deployment(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> LLMDeployment:
    base = {
        "url": "http://llama-serve-svc.default.svc:8000/v1",
        "conditions": [READY],
        "environment": {"image": "registry.example.com/serving:1"},
    }
    return LLMDeployment.model_validate(
        {
            "metadata": {"name": "llama", "uid": "u"},
            "spec": {"model": {"id": "llama", "source": "hf://meta-llama/Llama"}, **(spec or {})},
            "status": {**base, **(status or {})},
        }
    )


def test_what_is_left_out() -> None:
    asked = load(deployment(), WISH, seed=7)
    assert (asked.levels, asked.requests, asked.seconds) == ((1, 8), (100, 160), 60)
    assert (asked.input_tokens, asked.output_tokens, asked.seed) == (512, 128, 7)


TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any], Wish, tuple[int, int]]] = {
    "a short context": ({"engine": {"args": {"max_model_len": 512}}}, {}, WISH, (256, 128)),
    "a very short one": ({"engine": {"args": {"max_model_len": 100}}}, {}, WISH, (50, 25)),
    "the model's own": ({}, {"model": {"key": "k", "layers": 1, "context": 400}}, WISH, (200, 100)),
    "a long one": ({"engine": {"args": {"max_model_len": 131072}}}, {}, WISH, (512, 128)),
    "what was typed": ({}, {}, Wish((1,), 60, input_tokens=2000, output_tokens=10), (2000, 10)),
}


@pytest.mark.parametrize(("spec", "status", "wish", "tokens"), TOKENS.values(), ids=list(TOKENS))
def test_tokens(spec: dict[str, Any], status: dict[str, Any], wish: Wish, tokens: tuple[int, int]) -> None:
    asked = load(deployment(spec, status), wish, seed=1)
    assert (asked.input_tokens, asked.output_tokens) == tokens


def test_more_than_the_context_holds() -> None:
    short = deployment({"engine": {"args": {"max_model_len": 512}}})
    with pytest.raises(WrongInput) as refused:
        load(short, Wish((1,), 60, input_tokens=400, output_tokens=200), seed=1)
    assert str(refused.value) == (
        "--input-tokens 400 and --output-tokens 200 are more than the 512 tokens of context that llama has: "
        "make them less"
    )


TOKENIZERS: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "a hub model": ({}, None, "meta-llama/Llama"),
    "a path": ({"model": {"id": "a", "source": "file:///models/tiny"}}, None, "/models/tiny"),
    "a claim": (
        {"model": {"id": "a", "source": "pvc://weights/acme/chat"}},
        None,
        "/models/weights/acme/chat",
    ),
    "the engine's own": ({"engine": {"args": {"tokenizer": "acme/words"}}}, None, "acme/words"),
    "the one given": ({"model": {"id": "a", "source": "s3://bucket/a"}}, "acme/words", "acme/words"),
}


@pytest.mark.parametrize(("spec", "given", "expected"), TOKENIZERS.values(), ids=list(TOKENIZERS))
def test_tokenizer(spec: dict[str, Any], given: str | None, expected: str) -> None:
    of = deployment(spec)
    assert question(of, load(of, WISH, seed=1), given)["tokenizer"] == expected


def test_a_bucket_needs_a_tokenizer() -> None:
    of = deployment({"model": {"id": "a", "source": "s3://bucket/a"}})
    with pytest.raises(WrongInput, match=r"lies in a bucket \(s3://bucket/a\).*give --tokenizer"):
        question(of, load(of, WISH, seed=1), None)


def test_the_question() -> None:
    of = deployment({"engine": {"args": {"trust_remote_code": True}}})
    assert question(of, load(of, WISH, seed=7), None) == {
        "url": "http://llama-serve-svc.default.svc:8000/v1",
        "model": "llama",
        "tokenizer": "meta-llama/Llama",
        "levels": [1, 8],
        "requests": [100, 160],
        "seconds": 60,
        "inputTokens": 512,
        "outputTokens": 128,
        "seed": 7,
        "trustRemoteCode": True,
    }


NOT_NOW: dict[str, tuple[dict[str, Any], str]] = {
    "not Ready": (
        {"conditions": [{**READY, "status": "False", "message": "1 of 2 replicas serve."}]},
        "llama is not Ready, so nothing can be measured: 1 of 2 replicas serve. See `rayspan status llama`",
    ),
    "not seen by the operator": (
        {"conditions": []},
        "llama is not Ready, so nothing can be measured: the operator has not said anything of it yet. "
        "See `rayspan status llama`",
    ),
    "two images": (
        {"environment": {"image": "a:1, a:2"}},
        "llama serves from several images (a:1, a:2): wait until the change is through",
    ),
    "no image known": (
        {"environment": {}},
        "the status of llama does not say which image it serves from: write spec.serving.image",
    ),
}


@pytest.mark.parametrize(("status", "sentence"), NOT_NOW.values(), ids=list(NOT_NOW))
def test_nothing_can_be_measured_now(status: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Failure) as refused:
        image(deployment(status=status))
    assert str(refused.value) == sentence


def test_the_image_is_the_one_that_serves() -> None:
    assert image(deployment({"serving": {"image": "newer:2"}})) == "registry.example.com/serving:1"
