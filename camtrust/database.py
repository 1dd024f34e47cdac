"""The services' database: every room's tables, and the migrations that make them."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

import ekyc.appeals.desk
import ekyc.authenticators.cool_off
import ekyc.authenticators.without_phone
import ekyc.contacts.proved
import ekyc.corrections.store
import ekyc.evidence.tables
import ekyc.guardians.store
import ekyc.packets.store
import ekyc.recall.reinstatement
import ekyc.recall.store
import ekyc.receipts.desk
import ekyc.review.store
import ekyc.store
import ekyc.vouching.store
import foundation.db.audit
import foundation.db.job_requests
import foundation.http.idempotency
import identity.oauth.store
import identity.store
import issuing_ca.acme.store
import issuing_ca.cmp.store
import issuing_ca.enrolment.store
import issuing_ca.ra.store
import issuing_ca.store
import signing.agencies.store
import signing.archive.store
import signing.batches.store
import signing.credential_requests.store
import signing.csc.prompt_store
import signing.csc.store
import signing.held.store
import signing.history_store
import signing.requests.reports
import signing.requests.store
import signing.seal_store
import signing.store
import signing.templates.store
import signing.webhooks.store
from foundation.db.engine import Database


def all_metadata() -> tuple[MetaData, ...]:
    """The tables of every room, in the order they are made."""
    return (
        foundation.db.audit.metadata,
        foundation.db.job_requests.metadata,
        foundation.http.idempotency.metadata,
        identity.store.metadata,
        issuing_ca.store.metadata,
        issuing_ca.acme.store.metadata,
        issuing_ca.enrolment.store.metadata,
        issuing_ca.cmp.store.metadata,
        issuing_ca.ra.store.metadata,
        ekyc.store.metadata,
        signing.store.metadata,
    )


def upgrade(database: Database) -> None:
    """Bring the database to the newest schema; does nothing when it is there already."""
    with database.engine.connect() as connection, connection.begin():
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(840083084)")  # one migration at a time
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revisions(database: Database) -> tuple[str | None, str | None]:
    """The revision that the database has, and the newest that this build knows."""
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current, ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("camtrust").joinpath("migrations")).replace("%", "%%"))
    return config
