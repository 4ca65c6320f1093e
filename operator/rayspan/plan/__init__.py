"""PURE. From a spec, model facts and node facts to a plan, or a refusal with its arithmetic."""
