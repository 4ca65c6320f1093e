"""What several kinds of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kubectl import Refused, kubectl

CRDS = Path(__file__).parents[1] / "crds"


@pytest.fixture(scope="session")
def crd() -> None:
    """The CRD of this checkout, on the API server that KUBECONFIG names."""
    try:
        kubectl("get", "--raw", "/readyz")
    except (Refused, FileNotFoundError) as error:
        pytest.fail(f"no cluster answers: run `make cluster`, and the tests by `make api` ({error})")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "-f", str(CRDS))
