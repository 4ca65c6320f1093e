"""From what was typed and the deployment's status to the load, and to the question for ``rayspan_serving.bench``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.cli.bench.record import Load
from rayspan.cli.errors import Failure, WrongInput
from rayspan.render.model_source import location

INPUT_TOKENS: Final = 512
OUTPUT_TOKENS: Final = 128
"""Where the context has room for four times as much; else a half and a quarter of it."""
LEAST_REQUESTS: Final = 100
"""A p99 of fewer is the slowest of them."""
WAVES: Final = 20
"""Requests that a level takes of each of those in flight: the first wave begins, and the last ends, unevenly."""


@dataclass(frozen=True)
class Wish:
    """What was typed; None: it was not."""

    levels: tuple[int, ...]
    seconds: int
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokenizer: str | None = None
    seed: int | None = None


def load(deployment: LLMDeployment, wish: Wish, seed: int) -> Load:
    """The load, with its defaults filled in. Raises WrongInput where the model cannot take it."""
    room = _context(deployment)
    given, made = wish.input_tokens, wish.output_tokens
    given = given or (min(INPUT_TOKENS, room // 2) if room else INPUT_TOKENS)
    made = made or (min(OUTPUT_TOKENS, room // 4) if room else OUTPUT_TOKENS)
    if room and given + made > room:
        raise WrongInput(
            f"--input-tokens {given} and --output-tokens {made} are more than the {room} tokens of context that "
            f"{deployment.metadata.name} has: make them less"
        )
    return Load(
        levels=wish.levels,
        requests=tuple(wish.requests or max(LEAST_REQUESTS, WAVES * level) for level in wish.levels),
        seconds=wish.seconds,
        input_tokens=given,
        output_tokens=made,
        seed=seed if wish.seed is None else wish.seed,
    )


def question(deployment: LLMDeployment, load: Load, tokenizer: str | None) -> dict[str, Any]:
    """What ``rayspan_serving.bench`` is asked. Raises WrongInput where it could not read the tokenizer."""
    return {
        **load.document(),
        "url": deployment.status.url,
        "model": deployment.spec.model.id,
        "tokenizer": tokenizer or _tokenizer(deployment),
        "trustRemoteCode": bool((deployment.spec.engine.args or {}).get("trust_remote_code")),
    }


def image(deployment: LLMDeployment) -> str:
    """The image that it serves from. Raises Failure where nothing can be measured: it has to be Ready."""
    name, status = deployment.metadata.name, deployment.status
    ready = status.condition("Ready")
    if ready is None or ready.status != "True" or status.url is None:
        because = ready.message if ready else "the operator has not said anything of it yet."
        raise Failure(
            f"{name} is not Ready, so nothing can be measured: {because} See `rayspan status {name}`"
        )
    found = (status.environment.image if status.environment else None) or deployment.spec.serving.image
    if found is None:
        raise Failure(
            f"the status of {name} does not say which image it serves from: write spec.serving.image"
        )
    if " " in found:
        raise Failure(f"{name} serves from several images ({found}): wait until the change is through")
    return found


def _context(deployment: LLMDeployment) -> int | None:
    length = (deployment.spec.engine.args or {}).get("max_model_len")
    model = deployment.status.model
    return length if isinstance(length, int) else model.context if model else None


def _tokenizer(deployment: LLMDeployment) -> str:
    own = (deployment.spec.engine.args or {}).get("tokenizer")
    if isinstance(own, str):
        return own
    place = location(deployment.spec.model)
    if place.scheme in ("s3", "gs"):
        raise WrongInput(
            f"the model lies in a bucket ({place.model}), where vLLM's benchmark cannot read its tokenizer: give "
            "--tokenizer, the name of one on the hub or a path in the image"
        )
    return place.model
