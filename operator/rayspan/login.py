"""How kopf logs in, and what it is told.

Events carry nothing but a name (wakeups.py). Of pods, RayServices and RayClusters the API server therefore sends no more
than the metadata: a tenth of the bytes, and of the memory while they wait to be handled.
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import kopf

from rayspan.cluster.kinds import POD, RAY_CLUSTER, RAY_SERVICE
from rayspan.settings import Settings

_OWNED: Final = frozenset({POD.plural, RAY_SERVICE.plural, RAY_CLUSTER.plural})
_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches"""


def log_in_by(registry: kopf.OperatorRegistry, settings: Settings) -> None:
    """Have kopf log in as the client does: the pod's service account, unless a kubeconfig is named."""

    @kopf.on.login(registry=registry, id="log-in")
    async def log_in(**arguments: Any) -> kopf.AiohttpSession | None:
        found = None if settings.kubeconfig else kopf.login_with_service_account(**arguments)
        found = found or kopf.login_with_kubeconfig(**arguments)
        return session(found) if isinstance(found, kopf.ConnectionInfo) else found


class _Response(aiohttp.ClientResponse):
    """An empty list of metadata has ``null`` for its items, which kopf does not take for a list."""

    async def json(self, **arguments: Any) -> Any:
        answer = await super().json(**arguments)
        if isinstance(answer, dict) and answer.get("items", ()) is None:
            answer["items"] = []
        return answer


def session(found: kopf.ConnectionInfo) -> kopf.AiohttpSession:
    """kopf's own, but for what it asks for; kopf closes it."""
    return kopf.AiohttpSession(
        server=found.server,
        default_namespace=found.default_namespace,
        priority=found.priority,
        expiration=found.expiration,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
            headers=found.as_http_headers(),
            proxy=found.proxy_url,
            trust_env=found.trust_env,
            middlewares=(metadata_only,),
            response_class=_Response,
        ),
    )


async def metadata_only(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Ask for the metadata of what belongs to deployments."""
    if request.url.name in _OWNED:
        request.headers["Accept"] = _METADATA.format("" if "watch" in request.url.query else "List")
    return await send(request)
