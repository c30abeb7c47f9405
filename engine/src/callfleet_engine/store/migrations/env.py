"""Runs the migrations on the connection that `callfleet_engine.store.migrate` hands over."""

from alembic import context

from callfleet_engine.store.migrate import ALEMBIC_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=ALEMBIC_TABLE)
context.run_migrations()
