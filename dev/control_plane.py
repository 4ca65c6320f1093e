"""etcd, API server, controller manager and scheduler: on the host, one of each.

They listen on the bridge's address and on loopback only. No leader election: there is nobody to elect
against, and without it a restarted API server finds its clients still at work.
"""

import shutil

from dev import paths, pki, processes
from dev.shell import attempt
from dev.topology import API_PORT, HOST_IP, SERVICE_RANGE

ETCD_URL = "https://127.0.0.1:12379"
_PEER_URL = "http://127.0.0.1:12380"


def start_store() -> None:
    """etcd and the API server; the latter asks until etcd answers, so nothing is waited for here."""
    shutil.copy(paths.SOURCE / "manifests" / "audit-policy.yaml", paths.CLUSTER)
    processes.start("etcd", [
        paths.BIN / "etcd",
        "--name=rayspan",
        f"--data-dir={paths.CLUSTER / 'etcd'}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        f"--listen-peer-urls={_PEER_URL}",
        f"--initial-advertise-peer-urls={_PEER_URL}",
        f"--initial-cluster=rayspan={_PEER_URL}",
        f"--cert-file={pki.ETCD.crt}",
        f"--key-file={pki.ETCD.key}",
        f"--trusted-ca-file={pki.CA}",
        "--client-cert-auth",
        # What is lost with the machine's power may be lost: the cluster does not outlive it.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ])  # fmt: skip
    processes.start("kube-apiserver", [
        paths.BIN / "kube-apiserver",
        f"--advertise-address={HOST_IP}",
        f"--bind-address={HOST_IP}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers={ETCD_URL}",
        f"--etcd-cafile={pki.CA}",
        f"--etcd-certfile={pki.ETCD.crt}",
        f"--etcd-keyfile={pki.ETCD.key}",
        f"--tls-cert-file={pki.API_SERVER.crt}",
        f"--tls-private-key-file={pki.API_SERVER.key}",
        f"--client-ca-file={pki.CA}",
        f"--kubelet-certificate-authority={pki.CA}",
        f"--kubelet-client-certificate={pki.KUBELET_CLIENT.crt}",
        f"--kubelet-client-key={pki.KUBELET_CLIENT.key}",
        "--kubelet-preferred-address-types=InternalIP",
        # Nobody holds the name; controller manager and scheduler ask for the setting again and again.
        f"--requestheader-client-ca-file={pki.CA}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki.SERVICE_ACCOUNT_KEY}",
        f"--service-account-signing-key-file={pki.SERVICE_ACCOUNT_KEY}",
        f"--audit-policy-file={paths.CLUSTER / 'audit-policy.yaml'}",
        f"--audit-log-path={paths.AUDIT_LOG}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=1",
        "--shutdown-delay-duration=0s",
    ])  # fmt: skip


def ready() -> bool:
    """Whether the API server says so itself."""
    return attempt(paths.BIN / "kubectl", f"--kubeconfig={paths.KUBECONFIG}",
                   "--request-timeout=2s", "get", "--raw=/readyz")  # fmt: skip


def start_controllers() -> None:
    """Controller manager (all default controllers) and scheduler."""
    manager = paths.PKI / "controller-manager.kubeconfig"
    processes.start("kube-controller-manager", [
        paths.BIN / "kube-controller-manager",
        f"--kubeconfig={manager}",
        f"--authentication-kubeconfig={manager}",
        f"--authorization-kubeconfig={manager}",
        "--bind-address=127.0.0.1",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.SERVICE_ACCOUNT_KEY}",
        f"--root-ca-file={pki.CA}",
        f"--cluster-signing-cert-file={pki.CA}",
        f"--cluster-signing-key-file={paths.PKI / 'ca.key'}",
        "--leader-elect=false",
    ])  # fmt: skip
    scheduler = paths.PKI / "scheduler.kubeconfig"
    processes.start("kube-scheduler", [
        paths.BIN / "kube-scheduler",
        f"--kubeconfig={scheduler}",
        f"--authentication-kubeconfig={scheduler}",
        f"--authorization-kubeconfig={scheduler}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ])  # fmt: skip
