"""Settings of the operator: read once at the start, from the environment, then overridden by flags.

``Settings.from_environment`` reads ``RAYSPAN_<FIELD>`` for every field; ``rayspan run`` replaces what its
flags say. Nothing else in the package reads the environment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rayspan.errors import SettingsError
from rayspan.render.settings import Insiders

_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Settings:
    """How one operator process works."""

    serving_image: str = "ghcr.io/rayspan/serving:0.1.0"
    """Serving image of deployments that name none. Default: the image released with this operator."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty: all. Empty by default: one operator per cluster is the usual case."""

    kubeconfig: str | None = None
    """Kubeconfig file. Default: the pod's service account, else the usual places ($KUBECONFIG, ~/.kube)."""

    ray_insiders: str = ""
    """Who reaches the inner ports of Ray pods, as JSON: ``{"rayspan": [...], "kuberay": [...], "metrics": [...]}``, each
    a list of NetworkPolicy peers. Empty: no NetworkPolicies are made, because a process outside of the cluster
    cannot be named in one. The chart sets it."""

    key_file: str | None = None
    """File with the master key that all tokens are derived from. None: a throw-away key, with a warning;
    then every start changes the tokens, which running clusters do not notice until they restart."""

    log_format: str = "text"
    """``text`` for people, ``json`` for collectors."""

    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""

    listen_host: str = "0.0.0.0"
    """Address of the two ports below; 127.0.0.1 keeps them local in a checkout."""

    listen_port: int = 8080
    """Port of ``GET /healthz``; 0: none."""

    metrics_port: int = 8081
    """Port of the operator's own Prometheus metrics; 0: none."""

    leader_elect: bool = False
    """Work only while holding a Lease, and stand by until then. Needed where several processes serve the same
    deployments; off by default, because one process needs none and a quiet operator writes nothing then."""

    lease_namespace: str = ""
    """Namespace of the Lease: the operator's own. The chart sets it."""

    lease_name: str = "rayspan"
    """Name of the Lease: one for all who serve the same deployments. The chart sets it to the release's name."""

    lease_seconds: int = 6
    """What the leader promises to renew within. One that is killed is followed after this and a second; an API
    server that does not answer for two thirds of it ends the leader's process."""

    fast_seconds: float = 2.0
    """Pause between two passes over a deployment that is not settled. Short, because what it waits for (Ray's
    dashboard) sends no events; KubeRay itself polls as often."""

    calm_seconds: float = 12.0
    """Pause between two passes over a deployment that is Ready. A dead stage has to be seen within 30 s: two
    of these and a probe."""

    resync_seconds: float = 300.0
    """Pause between two lists of all LLMDeployments, for one that no watch event told of; and how old what was read of
    one that is Ready may be. Long, because watches lose no event by themselves."""

    reread_seconds: float = 20.0
    """How old what was read of one that is not Ready may be: an event of its pods that was missed costs no more than that,
    and many that start at the same time do not read all they have every two seconds."""

    patience: float = 20.0
    """The pause of an unsettled deployment grows to the time since a condition changed divided by this, up to
    ``calm_seconds``: what has not come in minutes is not missed by seconds, and pods' events cut every pause short."""

    proof_seconds: float = 20.0
    """Age at which a completion is no proof of serving any more."""

    probe_timeout_seconds: float = 10.0
    """What one token may take before the serving path counts as stuck. A healthy engine under full load
    answers in a few seconds; a dead stage never does."""

    source_timeout_seconds: float = 4.0
    """What Ray's dashboard and a metrics page may take. A healthy one needs 50 ms."""

    api_timeout_seconds: float = 20.0
    """What one request to the Kubernetes API may take."""

    window_seconds: float = 300.0
    """The time that latencies are taken over: long enough for a 99th percentile at one request per second,
    short enough to show what is so now."""

    pass_deadline_seconds: float = 120.0
    """Age of the oldest unfinished pass at which liveness fails; also for how long no pass may end at all, beyond
    the pause that lies between two of them."""

    lag_deadline_seconds: float = 5.0
    """How late the event loop may wake up before liveness fails: as long as a probe waits for its answer."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Settings from ``RAYSPAN_<FIELD>``; raises SettingsError naming the variable."""
        values: dict[str, object] = {}
        for field, default in cls.__dataclass_fields__.items():
            variable = f"RAYSPAN_{field.upper()}"
            text = environment.get(variable, "")
            if not text:
                continue
            try:
                match default.default:
                    case bool():
                        values[field] = _TRUTH[text.lower()]
                    case tuple():
                        values[field] = tuple(part.strip() for part in text.split(",") if part.strip())
                    case int():
                        values[field] = int(text)
                    case float():
                        values[field] = float(text)
                    case _:
                        values[field] = text
            except KeyError:
                raise SettingsError(f"{variable} is {text!r}; it should be true or false") from None
            except ValueError:
                raise SettingsError(f"{variable} is {text!r}; it should be a number") from None
        return cls(**values)  # type: ignore[arg-type]  # each value has its field's type by the match above

    def insiders(self) -> Insiders | None:
        """``ray_insiders``, read; raises SettingsError if it is not what it should be."""
        if not self.ray_insiders:
            return None
        try:
            given = json.loads(self.ray_insiders)
            return Insiders(**{name: tuple(dict(peer) for peer in peers) for name, peers in given.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingsError(f"RAYSPAN_RAY_INSIDERS is not what it should be: {error}") from None

    def master_key(self) -> tuple[bytes, bool]:
        """The master key, and whether it lasts; raises SettingsError if the file is unreadable or short."""
        if self.key_file is None:
            return secrets.token_bytes(32), False
        try:
            key = Path(self.key_file).read_bytes().strip()
        except OSError as error:
            raise SettingsError(f"the key file {self.key_file} cannot be read: {error.strerror}") from error
        if len(key) < 32:
            raise SettingsError(f"the key in {self.key_file} has {len(key)} bytes; it needs 32 or more")
        return key, True
