"""Tokens, derived from the operator's master key, so that no Secret has ever to be read back.

``HMAC-SHA256(master key, "<purpose>:<uid of the LLMDeployment>")`` in hexadecimal. Whoever has one token
cannot tell another from it; a deployment made anew under the same name has new ones.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

RAY: Final = "ray"
"""Ray's own: dashboard, jobs, every process of the cluster."""
PROBE: Final = "probe"
"""What tells the operator's completions from users'."""


def derive(master_key: bytes, purpose: str, uid: str) -> str:
    """The token for a purpose of the LLMDeployment with this uid."""
    return hmac.new(master_key, f"{purpose}:{uid}".encode(), hashlib.sha256).hexdigest()
