"""Run the operator."""

from __future__ import annotations

import argparse
import os
from typing import Any

from rayspan.cli.errors import WrongInput

_FLAGS = {
    "serving_image": "serving image of deployments that name none",
    "watch_namespaces": "namespaces to serve, separated by commas; default: all",
    "kubeconfig": "default: the service account, else as kubectl finds it",
    "key_file": "file with the master key (32 bytes or more) that tokens are derived from",
    "log_format": "text or json",
    "log_level": "debug, info, warning or error",
    "listen_host": "address to listen on",
    "listen_port": "port of GET /healthz; 0: none",
    "metrics_port": "port of the operator's own metrics; 0: none",
    "leader_elect": "work only while holding a Lease: true or false",
    "lease_namespace": "namespace of the Lease: the operator's own",
    "lease_name": "name of the Lease, the same for all processes that serve the same deployments",
    "lease_seconds": "what the leader promises to renew the Lease within",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for what differs between installations; each is also an environment variable."""
    for field, meaning in _FLAGS.items():
        # The one that is a switch needs no value, as in other operators.
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if field == "leader_elect" else {}
        parser.add_argument(
            f"--{field.replace('_', '-')}", metavar="X", help=f"{meaning} (RAYSPAN_{field.upper()})", **switch
        )


def execute(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from rayspan.errors import SettingsError
    from rayspan.main import run
    from rayspan.settings import Settings

    flags = {f"RAYSPAN_{field.upper()}": value for field in _FLAGS if (value := getattr(options, field))}
    try:
        run(Settings.from_environment({**os.environ, **flags}))
    except SettingsError as error:
        raise WrongInput(str(error)) from error
    return 0
