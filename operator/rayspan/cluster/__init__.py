"""I/O. The Kubernetes API, Ray's dashboard, the metrics ports. No decisions are taken here."""
