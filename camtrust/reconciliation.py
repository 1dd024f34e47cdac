"""Going on with a database that is behind what was published: two officers sign what that means.

Each signs the statement with an assertion (`identity.assertion`), as if it were the body of a request::

    htm  RECONCILE        htu  <public_url>/ca/reconciliation        bd  of the statement
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from camtrust.assembly import Services
from foundation.http.actor import Actor, ActorKind, Credential
from issuing_ca.errors import ReconciliationRefused
from issuing_ca.rollback import Reconciled

ROLE = "ca-reconcile"
METHOD = "RECONCILE"
_PATH = "/ca/reconciliation"


def address(public_url: str) -> str:
    """What the assertions say that they are for."""
    return public_url.rstrip("/") + _PATH


def statement(services: Services) -> bytes:
    """What the officers are asked to sign."""
    assert services.ca.rollback is not None  # noqa: S101 - the assembly gives every CA its witness
    return services.ca.rollback.statement()


def reconcile(services: Services, signed: bytes, assertions: Sequence[str]) -> Reconciled:
    """Check the officers' assertions over the statement, and go on.

    Raises Unauthenticated for an assertion that is not valid, ReconciliationRefused where they are not two different
    officers with the role ``ca-reconcile``, or where the statement is not that of this moment.
    """
    officers = [_officer(services, signed, assertion) for assertion in assertions]
    assert services.ca.rollback is not None  # noqa: S101 - the assembly gives every CA its witness
    return services.ca.rollback.reconcile(signed, [str(officer) for officer in officers])


def _officer(services: Services, signed: bytes, assertion: str) -> Actor:
    url = address(services.settings.public_url)
    credential = Credential(assertion.strip(), METHOD, url, hashlib.sha256(signed).digest())
    actor = services.identity.authenticate(credential)
    if actor.kind is not ActorKind.OFFICER or ROLE not in actor.roles:
        raise ReconciliationRefused(rule=f"officers with the role {ROLE}")
    return actor
