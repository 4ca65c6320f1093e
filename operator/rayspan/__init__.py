"""Rayspan: a Kubernetes operator for large language models that do not fit on one machine."""
