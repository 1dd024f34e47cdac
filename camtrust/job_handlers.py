"""What runs as a job: the kinds that rooms ask for, each with whoever does the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from camtrust.assembly import Services, database_url
from camtrust.jobs import Handler, Jobs, running_jobs
from signing.archive.service import JOB as RENEWING_BY_NIGHT
from signing.batches.service import JOB as SEALING_A_BATCH
from signing.webhooks.service import JOB as SENDING_A_MESSAGE


def handlers(services: Services) -> Mapping[str, Handler]:
    """By kind."""
    return {
        SEALING_A_BATCH: services.batch_work.run,
        SENDING_A_MESSAGE: services.webhooks.deliver,
        RENEWING_BY_NIGHT: services.archive.run,
    }


@contextmanager
def worked_off(services: Services) -> Iterator[Jobs]:
    """Run the jobs of an installation for as long as the block runs: in the one process that holds its home.

    The engine's own state is in the home, or in a schema of its own in PostgreSQL.
    """
    url = database_url(services.home, services.settings)
    if services.database.dialect == "sqlite":
        url = f"sqlite:///{services.home.path / 'jobs.sqlite'}"
    with running_jobs(url, services.database, services.clock, handlers(services)) as jobs:
        yield jobs
