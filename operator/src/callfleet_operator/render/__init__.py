"""Pure functions that say what each Kubernetes object of a fleet looks like.

Objects are plain dictionaries, ready for server-side apply: they hold the fields the operator
owns and nothing else. `docs/reference/contracts.md` is the specification.
"""
