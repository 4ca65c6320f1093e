"""spec.model.source in the three shapes that the pods need: an engine's model, a mount, a claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from rayspan.api.v1alpha1 import ModelSource

CLAIM_ROOT: Final = "/models"
SCHEMES: Final = ("hf", "pvc", "s3", "gs", "file")


@dataclass(frozen=True)
class ModelLocation:
    """Where the pods find the model."""

    scheme: str
    model: str
    """Hub name, path inside the pod, or bucket URI."""
    claim: str | None = None
    """Claim to mount, read only, at ``/models/<claim>``."""

    @property
    def uri(self) -> str:
        """The place as seen from inside the pod: a claim is a folder there."""
        return f"file://{self.model}" if self.claim is not None else f"{self.scheme}://{self._bare}"

    @property
    def _bare(self) -> str:
        return self.model.removeprefix(f"{self.scheme}://")

    @property
    def mount_path(self) -> str:
        """Where the claim is mounted."""
        return f"{CLAIM_ROOT}/{self.claim}"

    @property
    def loading(self) -> str | dict[str, Any]:
        """``model_source`` of Ray's ``model_loading_config``."""
        return {"bucket_uri": self.model} if self.scheme in ("s3", "gs") else self.model


def location(source: ModelSource) -> ModelLocation:
    """Take ``hf://ORG/NAME``, ``pvc://CLAIM/PATH``, ``s3://``, ``gs://`` or ``file:///PATH`` apart.

    Raises ValueError for anything else; the CRD refuses that at admission.
    """
    scheme, separator, rest = source.location.partition("://")
    if not separator or scheme not in SCHEMES or not rest.strip("/"):
        raise ValueError(
            f"spec.model.source {source.location!r} is none of hf://ORG/NAME, pvc://CLAIM/PATH, "
            "s3://BUCKET/PATH, gs://BUCKET/PATH, file:///PATH"
        )
    if scheme == "hf":
        return ModelLocation(scheme, rest.strip("/"))
    if scheme == "pvc":
        claim, _, path = rest.strip("/").partition("/")
        return ModelLocation(scheme, "/".join(filter(None, (CLAIM_ROOT, claim, path))), claim)
    if scheme == "file":
        return ModelLocation(scheme, "/" + rest.strip("/"))
    return ModelLocation(scheme, source.location.rstrip("/"))
