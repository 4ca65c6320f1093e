"""A file to an LLMDeployment; what is wrong with it as a field path and what to write instead.

The API server refuses the same and more, by the CRD's own rules. These sentences are for reading a
manifest without a cluster.
"""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rayspan.api.owned import OWNED_ARGUMENTS, OWNED_ENVIRONMENT, OWNED_ENVIRONMENT_PREFIXES
from rayspan.api.v1alpha1 import API_VERSION, KIND, LLMDeployment
from rayspan.cli.documents import Document, read
from rayspan.cli.errors import WrongInput


def read_deployments(path: str) -> list[LLMDeployment]:
    """Every LLMDeployment of the file, in order; other objects are passed over."""
    objects = read(path)
    if not objects:
        raise WrongInput(f"{path} is empty: it needs an object of kind {KIND}")
    wanted = [each for each in objects if each.get("kind") == KIND]
    if not wanted:
        kinds = ", ".join(sorted({str(each.get("kind", "no kind")) for each in objects}))
        raise WrongInput(f"{path} holds no {KIND}: found {kinds}")
    return [_deployment(path, each) for each in wanted]


def _deployment(path: str, document: Document) -> LLMDeployment:
    version = document.get("apiVersion")
    if version != API_VERSION:
        raise WrongInput(f"{path}: apiVersion is {version!r}: write {API_VERSION}")
    document = {key: value for key, value in document.items() if key != "status"}
    wrong: list[str]
    try:
        deployment = LLMDeployment.model_validate(document)
        wrong = _owned(deployment)
    except ValidationError as error:
        wrong = [sentence(each) for each in error.errors(include_url=False)]
    if wrong:
        raise WrongInput(f"{path} is not a valid {KIND}:" + "".join(f"\n  {each}" for each in wrong))
    return deployment


def _owned(deployment: LLMDeployment) -> list[str]:
    """What Rayspan sets itself, in the words of the CRD's rules."""
    engine = deployment.spec.engine
    found = [("args", key, OWNED_ARGUMENTS.get(key)) for key in engine.args or {}]
    for key in engine.env or {}:
        prefixes = (instead for start, instead in OWNED_ENVIRONMENT_PREFIXES.items() if key.startswith(start))
        found.append(("env", key, OWNED_ENVIRONMENT.get(key) or next(prefixes, None)))
    return [
        f"spec.engine.{part}.{key} is set by Rayspan: {instead}" for part, key, instead in found if instead
    ]


def sentence(error: ErrorDetails) -> str:
    """One pydantic error as ``path: what is wrong: what to write``."""
    where = _path(error["loc"])
    limits = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return f"{where} is missing: {_meaning(error['loc']) or 'write it'}"
        case "extra_forbidden":
            return f"{where} is unknown: {_instead(error['loc'])}"
        case "greater_than_equal":
            return f"{where} is {error['input']!r}: write {limits['ge']} or more"
        case "less_than_equal":
            return f"{where} is {error['input']!r}: write {limits['le']} or less"
        case "string_pattern_mismatch":
            return f"{where} is {error['input']!r}: it must match {limits['pattern']}"
        case "enum" | "literal_error":
            return f"{where} is {error['input']!r}: write {limits['expected']}"
        case _:
            return f"{where} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _instead(location: tuple[int | str, ...]) -> str:
    model = _model(location[:-1])
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known here are {', '.join(known)}" if known else "leave it out"


def _meaning(location: tuple[int | str, ...]) -> str:
    model = _model(location[:-1])
    for name, field in model.model_fields.items() if model else ():
        if location[-1] in (name, field.alias):
            return field.description or ""
    return ""


def _model(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that a location lies in."""
    model: type[BaseModel] | None = LLMDeployment
    for part in location:
        if model is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = _nested(fields[part].annotation) if part in fields else None
    return model


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model``, ``Model | None`` or ``Annotated[list[Model], ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _nested(argument):
            return found
    return None
