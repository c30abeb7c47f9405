"""Replays a fleet's load against a spec, and against an HPA and KEDA. Computed without I/O."""
