"""Kubernetes' own programs, built from the Go modules that go.mod beside this file pins."""
