"""kubectl, as a user types it: what it prints is what the tests are about."""

from __future__ import annotations

import json
import subprocess
from typing import Any


class Refused(Exception):
    """kubectl ended with an error; the text is what it printed."""


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
    """Run kubectl and return what it printed; raises Refused with its error text."""
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout


def get(*arguments: str) -> Any:
    """``kubectl get ... -o json``, parsed."""
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def apply(document: dict[str, Any], *arguments: str) -> str:
    """``kubectl apply -f -`` of one object."""
    return kubectl("apply", *arguments, "-f", "-", stdin=json.dumps(document))
