"""What runs inside Ray for a Rayspan deployment.

Nothing is imported here: `drain` and `inspect` must start in a moment, and vLLM's plugin loader imports this
package in every process of every stage.
"""
