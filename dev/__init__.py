"""A real Kubernetes cluster on one machine, without Docker: see README.md beside this file."""
