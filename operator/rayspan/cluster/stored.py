"""An LLMDeployment as the API server has it, as typed models; what does not parse becomes a sentence.

The CRD's schema lets nothing in that does not parse, but an object may be older than the schema.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from rayspan.api.v1alpha1 import LLMDeployment


def stored(thing: dict[str, Any]) -> tuple[LLMDeployment, str | None]:
    """The deployment, and what is wrong with its spec; then those fields of it that are wrong are left out."""
    try:
        return LLMDeployment.model_validate(thing), None
    except ValidationError as error:
        problems = error.errors(include_url=False)
    sentences = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems if one["loc"][:1] == ("spec",)
    ]
    wrong = {one["loc"][1] for one in problems if one["loc"][:1] == ("spec",) and len(one["loc"]) > 1}
    spec = {key: value for key, value in (thing.get("spec") or {}).items() if key not in wrong}
    spec.setdefault("model", {"id": "unreadable"})
    status = {} if any(one["loc"][:1] == ("status",) for one in problems) else thing.get("status") or {}
    deployment = LLMDeployment.model_validate({**thing, "spec": spec, "status": status})
    return deployment, "; ".join(sentences) or None
