"""How a call changes pods: given up by its owner, its participants known again by the next."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
readable_from = 1

TIME = sa.DateTime(timezone=True).with_variant(sa.String(24), "sqlite")


def upgrade() -> None:
    op.add_column("calls", sa.Column("released_at", TIME))
    op.add_column("participants", sa.Column("resume_digest", sa.String(64)))
