"""What may be raised. Everything that is not here is a bug.

::

    RayspanError
    ├── SettingsError        a flag, an environment variable or a file of the operator is wrong
    ├── ApiError             the Kubernetes API said no; carries status, reason and message
    │   ├── NotFound         no such object
    │   ├── KindMissing      no such kind: its CustomResourceDefinition is not installed
    │   ├── Conflict         changed, made or replaced by someone else meanwhile
    │   ├── Forbidden        the operator's role does not allow it
    │   └── Rejected         invalid for the API's schema or an admission policy
    ├── ApiUnavailable       the Kubernetes API did not answer
    ├── LeaseLost            nothing may be written any more: another process may lead by now
    └── SourceFailed         Ray's dashboard or a pod's port did not answer, or not with what was asked

Refusals of a spec (``Invalid``, ``Unplaceable``) are values of ``rayspan.plan``, not exceptions.
"""

from __future__ import annotations


class RayspanError(Exception):
    """Base of all."""


class SettingsError(RayspanError):
    """A flag, an environment variable or a file of the operator is wrong."""


class ApiError(RayspanError):
    """The Kubernetes API said no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{message or reason} (HTTP {status})")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """No such object."""


class KindMissing(ApiError):
    """No such kind: its CustomResourceDefinition is not installed."""


class Conflict(ApiError):
    """Changed, made or replaced by someone else meanwhile."""


class Forbidden(ApiError):
    """The operator's role does not allow it."""


class Rejected(ApiError):
    """Invalid for the API's schema or an admission policy."""


class ApiUnavailable(RayspanError):
    """The Kubernetes API did not answer."""


class LeaseLost(RayspanError):
    """Nothing may be written any more: another process may lead by now."""


class SourceFailed(RayspanError):
    """Ray's dashboard or a pod's port did not answer, or not with what was asked."""
