"""Where everything lies: all of it under one folder outside the checkout.

`bin`, `go`, `images`, `serving-env` and `models` are caches and outlive the cluster; `cluster` is the
running cluster's state and is removed by `down`.
"""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
CHECKOUT = SOURCE.parent

CACHE = Path(os.environ.get("RAYSPAN_CACHE") or Path.home() / ".cache" / "rayspan").resolve()
BIN = CACHE / "bin"
GO = CACHE / "go"
IMAGES = CACHE / "images"
LOCK = CACHE / "cluster.lock"

CLUSTER = CACHE / "cluster"
KUBECONFIG = CLUSTER / "kubeconfig"
PKI = CLUSTER / "pki"
LOGS = CLUSTER / "logs"
AUDIT_LOG = LOGS / "audit.log"
PROCESSES = CLUSTER / "processes"
NODES = CLUSTER / "nodes"
MARKER = CLUSTER / "up"
