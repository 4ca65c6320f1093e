"""The Kubernetes API: get, find, log, apply, create, update, delete, patch, apply_status.

Of the kubernetes package only what logs in and sends is used (``kubernetes.aio``'s configuration and
``ApiClient``: certificates, tokens that are renewed, proxies); objects are plain dicts. Its dynamic client
would discover the API at every start and wrap every object; its models are never imported.

One way of applying: server-side apply with the field manager ``rayspan``, forced, and no write when the live
object already is what is wanted. Three cases are told apart:

- a field of ours was edited or removed by someone: the live object does not cover the wanted one;
- a field is not wanted any more: the digest of what was applied last, which stands in an annotation,
  differs; applying makes the API server drop what this manager owned before;
- the API server or an admission webhook never keeps what is wanted (a pruned field, an injected container):
  the live object is as it was right after the last apply, and applying again would change nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from rayspan import errors
from rayspan.api.v1alpha1 import GROUP
from rayspan.cluster.covers import covers, digest, fingerprint
from rayspan.cluster.kinds import LLM_DEPLOYMENT, POD, Kind, kind_of

FIELD_MANAGER: Final = "rayspan"
APPLIED: Final = f"{GROUP}/applied"
"""Annotation: digest of what was applied last."""

PAGE: Final = 100
"""Objects of a page."""
CONNECTIONS: Final = 16
"""To the API server at the same time: asyncio's TLS keeps 256 KiB for each, and one core has no use for more."""

_TEST_FAILED: Final = "the server rejected our request due to an error in our request"
"""All that the API server says of a JSON patch whose ``test`` does not hold."""

_ESCAPED: Final = re.compile("[\x7f-\uffff]")

Object = dict[str, Any]


def _always() -> bool:
    return True


async def connect(
    kubeconfig: str | None, timeout_seconds: float, may_write: Callable[[], bool] = _always
) -> Client:
    """A client by kubeconfig file, service account, or the usual places, in this order."""
    configuration = Configuration()
    try:
        if kubeconfig:
            await _load_kube_config(configuration, kubeconfig)
        else:
            try:
                kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            except kubernetes_config.ConfigException:
                await _load_kube_config(configuration, None)
    except kubernetes_config.ConfigException as error:
        raise errors.SettingsError(f"cannot log in to Kubernetes: {error}") from error
    # Where there is no proxy to be found, none is looked for: that would be a thread for each request.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    configuration.connection_pool_maxsize = CONNECTIONS
    api = ApiClient(configuration)
    api.user_agent = "rayspan"
    return Client(api, timeout_seconds, may_write)


async def _load_kube_config(configuration: Configuration, path: str | None) -> None:
    await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
        path, client_configuration=configuration
    )


class Client:
    """One session with the Kubernetes API. Close it."""

    def __init__(
        self, api: ApiClient, timeout_seconds: float, may_write: Callable[[], bool] = _always
    ) -> None:
        """May write: asked before each request that changes something; where it says no, LeaseLost is raised."""
        self._api = api
        self._may_write = may_write
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._settled: dict[tuple[str, str, str], str] = {}

    async def close(self) -> None:
        """End the session."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """An object; None: there is none. Raises KindMissing where its kind is not installed."""
        try:
            return await self._request("GET", kind.path(namespace, name))
        except errors.NotFound:
            return None

    async def find(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects of a kind that match the selectors, in one namespace or in all."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        items: list[Object] = (await self._request("GET", kind.path(namespace), query=query))["items"]
        return items

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, fields: str = ""
    ) -> AsyncIterator[list[Object]]:
        """All objects of a kind, some at a time: thousands at once would be hundreds of MiB."""
        query = {"fieldSelector": fields, "limit": str(PAGE)}
        while True:
            answer = await self._request("GET", kind.path(namespace), query=query)
            yield answer["items"]
            query["continue"] = answer["metadata"].get("continue", "")
            if not query["continue"]:
                return

    async def log(self, namespace: str, pod: str, container: str) -> str:
        """What a container has written so far."""
        path, query = POD.path(namespace, pod, "log"), {"container": container}
        return (await self._send("GET", path, query=query, accept="*/*")).decode(errors="replace")

    async def serves(self, kind: Kind) -> bool:
        """Whether a kind is installed. Discovery is open to whoever is logged in."""
        try:
            found = await self._request("GET", kind.group_path)
        except errors.KindMissing:
            return False
        return any(one["name"] == kind.plural for one in found["resources"])

    async def apply(self, wanted: Object, alone: Callable[[Object], bool] = lambda live: False) -> Object:
        """Make the live object cover the wanted one, unless ``alone`` says that it is to be left alone; returns the
        live object.

        One that is being deleted is left alone, whoever it belongs to; one of another owner raises Conflict.
        """
        kind, (namespace, name) = kind_of(wanted), _place(wanted)
        wanted = _with_digest(wanted)
        live = await self.get(kind, namespace, name)
        where = (kind.name, namespace, name)
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return live
        if live is not None and not owners(wanted) <= owners(live):
            raise errors.Conflict(
                409,
                "NotOwned",
                f"there is a {kind.name} {name!r} already, which does not belong to this LLMDeployment: "
                "delete it, or give the LLMDeployment another name",
            )
        if live is not None and alone(live):
            return live
        if live is not None and (covers(live, wanted) or self._settled.get(where) == _mark(live, wanted)):
            return live
        live = await self.apply_unread(wanted)
        if covers(live, wanted):
            self._settled.pop(where, None)
        else:
            self._settled[where] = _mark(live, wanted)
        return live

    async def apply_unread(self, wanted: Object) -> Object:
        """Apply without reading first: one write each time, for kinds that may not be read (Secrets)."""
        kind, (namespace, name) = kind_of(wanted), _place(wanted)
        return await self._request(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=as_yaml(wanted),
            # With the charset, so that the kubernetes package leaves the text as it is.
            content_type="application/apply-patch+yaml; charset=utf-8",
        )

    async def create(self, wanted: Object) -> Object:
        """Create an object. Raises Conflict if there is one of this name."""
        namespace, _ = _place(wanted)
        return await self._request(
            "POST", kind_of(wanted).path(namespace), query={"fieldManager": FIELD_MANAGER}, body=wanted
        )

    async def update(self, wanted: Object) -> Object:
        """Replace an object. Raises Conflict if it is not of the resourceVersion that ``wanted`` has."""
        return await self._request("PUT", kind_of(wanted).path(*_place(wanted)), body=wanted)

    async def patch(self, kind: Kind, namespace: str, name: str, operations: list[Object]) -> Object:
        """Send a JSON patch."""
        return await self._request(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=operations,
            content_type="application/json-patch+json",
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object and, in the background, what it owns; with a uid only that very one."""
        body: Object = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", kind.path(namespace, name), body=body)
        except (errors.NotFound, errors.Conflict):
            return

    async def apply_status(self, namespace: str, name: str, uid: str, status: Object) -> None:
        """Replace the status of the LLMDeployment of this uid. Raises Conflict if it is another by now."""
        try:
            await self._request(
                "PATCH",
                LLM_DEPLOYMENT.path(namespace, name, "status"),
                query={"fieldManager": FIELD_MANAGER},
                body=[
                    {"op": "test", "path": "/metadata/uid", "value": uid},
                    {"op": "add", "path": "/status", "value": status},
                ],
                content_type="application/json-patch+json",
            )
        except errors.Rejected as error:
            if error.message.startswith(_TEST_FAILED):
                raise errors.Conflict(409, "OtherObject", f"{name} is another object by now") from error
            raise

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        text = await self._send(method, path, query=query, body=body, content_type=content_type)
        answer: Object = json.loads(text)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        url = f"{self._api.configuration.host}{path}"
        if query := {key: value for key, value in (query or {}).items() if value}:
            url += f"?{urlencode(query)}"
        headers = {
            "Accept": accept,
            "Content-Type": content_type,
            "User-Agent": self._api.user_agent,
        }
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        if method != "GET" and not self._may_write():
            raise errors.LeaseLost(f"{method} {path} was not sent: another process may lead by now")
        try:
            response = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            text: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            because = str(error) or type(error).__name__
            raise errors.ApiUnavailable(f"{method} {path}: {because}") from error
        if not 200 <= response.status < 300:
            raise _refusal(response.status, text)
        return text


def as_yaml(thing: Object) -> str:
    """JSON that is YAML as well. Letters beyond 16 bits, which JSON escapes in two halves, stand as they are: to the
    API server's reader of YAML a half is no letter. All others that are not plain are escaped, which it may not
    allow as they are.

    >>> as_yaml({"é": "\U0001f600"})
    '{"\\\\u00e9": "\U0001f600"}'
    """
    text = json.dumps(thing, ensure_ascii=False)
    return _ESCAPED.sub(lambda letter: f"\\u{ord(letter[0]):04x}", text)


def _place(thing: Object) -> tuple[str, str]:
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def owners(thing: Object) -> set[str]:
    """Uids of the objects that own this one."""
    return {one["uid"] for one in thing["metadata"].get("ownerReferences") or ()}


def _with_digest(wanted: Object) -> Object:
    metadata = wanted["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: digest(wanted)}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def _mark(live: Object, wanted: Object) -> str:
    return f"{fingerprint(live)}-{digest(wanted)}"


def _refusal(status: int, text: bytes) -> errors.ApiError:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    reason = answer.get("reason") or ""
    message = answer.get("message") or text.decode(errors="replace").strip()[:500]
    return _refusal_type(status, answer)(status, reason, message)


def _refusal_type(status: int, answer: Object) -> type[errors.ApiError]:
    match status:
        case 404:
            # An absent object is named in the details; an absent kind has none, or is a bare page.
            named = (answer.get("details") or {}).get("name")
            return errors.NotFound if named else errors.KindMissing
        case 409:
            return errors.Conflict
        case 401 | 403:
            return errors.Forbidden
        case 400 | 422:
            return errors.Rejected
        case _:
            return errors.ApiError
