"""How kopf logs in."""

from __future__ import annotations

from typing import Any

import kopf

from rayspan.settings import Settings


def log_in_by(registry: kopf.OperatorRegistry, settings: Settings) -> None:
    """Have kopf log in as the client does: the pod's service account, unless a kubeconfig is named."""

    @kopf.on.login(registry=registry, id="log-in")
    def log_in(**arguments: Any) -> kopf.ConnectionInfo | None:
        in_pod = None if settings.kubeconfig else kopf.login_with_service_account(**arguments)
        return in_pod or kopf.login_with_kubeconfig(**arguments)
