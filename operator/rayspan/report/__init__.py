"""PURE. From spec, plan and what was observed to the status document."""
