"""The custom resources, one package a version."""
