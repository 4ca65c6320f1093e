"""The LLMDeployment resource: its types, its CRD, the vocabulary of its conditions."""
