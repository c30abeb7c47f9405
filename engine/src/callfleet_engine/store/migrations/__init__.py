"""Alembic's scripts that bring a database to the newest schema.

Rules, so that two releases can use one database while pods are replaced:

- A migration adds: tables, indexes, columns that may be null or have a default. What the release
  before needs stays as it is.
- What is no longer needed goes one release later, in a migration whose `readable_from` is raised
  to the first schema that does without it.
- `revision` is the schema's number with four digits. `readable_from` is the oldest schema whose
  programs still work with this one; older ones refuse to start.

To make a new one, copy the newest file of `versions/` and count on.
"""
