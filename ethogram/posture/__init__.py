"""How Kubernetes objects stand: rules over what they ask for, joined with what was used of it.

Pure: objects come in as parsed JSON or YAML, and a clock as a value.
"""
