"""The Secret of a deployment's two tokens: Ray's, and that of the operator's own completions."""

from __future__ import annotations

from typing import Any

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.render import names


def token_secret(deployment: LLMDeployment, token: str, probe_token: str) -> dict[str, Any]:
    """The Secret; the tokens come from outside, since nothing here may know the operator's key."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(deployment, names.token_secret(deployment.metadata.name)),
        "type": "Opaque",
        "stringData": {names.AUTH_TOKEN_KEY: token, names.PROBE_TOKEN_KEY: probe_token},
    }
