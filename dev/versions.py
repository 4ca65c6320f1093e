"""What the cluster is made of, in which version."""

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
CONTAINERD = "2.3.7"
RUNC = "1.4.3"
COREDNS = "1.15.0"
HELM = "4.3.1"
KUBERAY = "1.6.2"
GO = "1.26.8"
"""The Go toolchain taken from the module proxy where the machine has none."""

DEBIAN = "bookworm"
"""The base image's release, which has Python 3.11."""
