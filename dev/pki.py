"""One certificate authority and a key pair for each part, made with openssl.

Kubernetes reads a client's user from its certificate's common name (CN) and its groups from the
organisation (O): `system:node:NAME` in `system:nodes` is what lets the node authorizer keep a kubelet to
its own pods.
"""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev import paths, topology
from dev.shell import run

CA = paths.PKI / "ca.crt"
SERVICE_ACCOUNT_KEY = paths.PKI / "service-account.key"

_OPENSSL_CONFIG = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=unused\n"
_VALID = ("-days", "365", "-sha256", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True)
class Identity:
    """A key pair: file name, subject, and the names and addresses it may serve on."""

    file: str
    subject: str
    serves: tuple[str, ...] = ()

    @property
    def crt(self) -> Path:
        return paths.PKI / f"{self.file}.crt"

    @property
    def key(self) -> Path:
        return paths.PKI / f"{self.file}.key"


API_SERVER = Identity(
    "kube-apiserver",
    "/CN=kube-apiserver",
    (
        "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost", "IP:127.0.0.1",
        f"IP:{topology.HOST_IP}", f"IP:{topology.KUBERNETES_SERVICE_IP}",
    ),
)  # fmt: skip
ETCD = Identity("etcd", "/CN=etcd", ("DNS:localhost", "IP:127.0.0.1"))
KUBELET_CLIENT = Identity("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
ADMIN = Identity("admin", "/O=system:masters/CN=admin")
CONTROLLER_MANAGER = Identity("controller-manager", "/CN=system:kube-controller-manager")
SCHEDULER = Identity("scheduler", "/CN=system:kube-scheduler")
PROXY = Identity("kube-proxy", "/CN=system:kube-proxy")


def kubelet(node: topology.Node) -> Identity:
    """The kubelet's one certificate: client of the API server, and server of logs and exec."""
    return Identity(
        f"kubelet-{node.name}",
        f"/O=system:nodes/CN=system:node:{node.name}",
        (f"DNS:{node.name}", f"IP:{node.ip}", "IP:127.0.0.1"),
    )


def make_all() -> None:
    """Every key pair that is not there yet, and a kubeconfig beside each client's."""
    paths.PKI.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = paths.PKI / "openssl.cnf"
    config.write_text(_OPENSSL_CONFIG)
    key = paths.PKI / "ca.key"
    run("openssl", "req", "-x509", "-config", config, *_VALID, "-subj", "/CN=rayspan-dev", "-keyout", key,
        "-out", CA, "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")  # fmt: skip
    run("openssl", "genrsa", "-out", SERVICE_ACCOUNT_KEY, "2048")
    clients = [ADMIN, CONTROLLER_MANAGER, SCHEDULER, PROXY, *map(kubelet, topology.NODES)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_sign, [API_SERVER, ETCD, KUBELET_CLIENT, *clients]))
    for identity in clients:
        kubeconfig(identity, paths.PKI / f"{identity.file}.kubeconfig")
    kubeconfig(ADMIN, paths.KUBECONFIG)


def _sign(identity: Identity) -> None:
    extensions = ["-addext", "basicConstraints=critical,CA:FALSE",
                  "-addext", "extendedKeyUsage=clientAuth,serverAuth"]  # fmt: skip
    if identity.serves:
        extensions += ["-addext", f"subjectAltName={','.join(identity.serves)}"]
    run("openssl", "req", "-x509", "-config", paths.PKI / "openssl.cnf", "-CA", CA,
        "-CAkey", paths.PKI / "ca.key", *_VALID, "-subj", identity.subject, "-keyout", identity.key,
        "-out", identity.crt, *extensions)  # fmt: skip


def kubeconfig(identity: Identity, target: Path) -> None:
    """A kubeconfig with everything inline, so that it may be copied anywhere."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "rayspan",
                "cluster": {"server": topology.API_URL, "certificate-authority-data": inline(CA)},
            }
        ],
        "users": [
            {
                "name": identity.file,
                "user": {
                    "client-certificate-data": inline(identity.crt),
                    "client-key-data": inline(identity.key),
                },
            }
        ],
        "contexts": [{"name": "rayspan", "context": {"cluster": "rayspan", "user": identity.file}}],
        "current-context": "rayspan",
    }
    target.touch(mode=0o600)
    target.write_text(json.dumps(document, indent=1))
