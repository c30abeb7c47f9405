"""The operator's only way to the outside: the API server, Prometheus, and the pods' admin ports.

Nothing here decides. Every call has a timeout and ends in a result or a typed error.
"""
