"""What has to be done while the services run and nobody asks for it: once a minute, each part by itself.

Every part can be repeated and is safe beside another process that does the same; what fails is told in the log and
tried again a minute later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from camtrust.assembly import Services
from foundation.errors import CamTrustError
from issuing_ca.model import ISSUING, AuthorityKind
from issuing_ca.service import CertificateAuthority

_log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds
_NOTICES_EVERY = 2.0
_AFTER_START = 5.0  # what has to be done is much after a pause, and whoever waits for the services comes first
_ROWS = 1000  # moved at a time while the master key is rotated


def tasks(services: Services) -> Mapping[str, Callable[[], object]]:
    """The parts, by name."""
    ca = services.ca
    return {
        "keys switched as their certificates say": ca.reconcile,
        "rows under an old master key": lambda: services.token.rewrap_rows(_ROWS),
        "checkpoint of the token": services.token.witness,
        "enrolments that ran out": services.ekyc.enrolment.sweep,
        "notices that wait to be delivered": services.delivery.run,
        "data that is kept no longer": services.ekyc.retention.apply,
        "held seals that ran out": services.held_seals.sweep,
        "signing requests that ran out": services.requests.sweep,
        "messages to webhooks that are kept no longer": services.webhooks.sweep,
        "evidence of kept documents, asked for by night": services.archive.ask,
        "requests for seal credentials that ran out": services.credential_requests.making.sweep,
        "seal credentials that were approved": services.credential_requests.making.resume,
        "seal credentials that end soon": services.credential_requests.making.renew,
        "batches that are kept no longer": services.batches.sweep,
        "recalls that were cut off": services.ekyc.recalls.resume,
        "certificates of the reinstated": services.ekyc.reinstatements.resume,
        "reminders of certificates that end": services.ekyc.renewals.remind,
        "certificates that were superseded": services.ekyc.renewals.resume,
        "certificates of what was corrected": services.ekyc.correction_reviews.resume,
        "guardianships that ended": services.ekyc.guardians.resume,
        "heads of the revocation trees": lambda: ca.heads.publish() if ca.heads is not None else None,
        "head of the audit trail": services.audit_heads.publish,
        "issuance log": services.log.integrate,
        "answers of the CSC API": services.csc_responses.resume,
        "prompts of the CSC API that ran out": services.csc_prompts.sweep,
        "notices about persons' keys": services.signing.history.notify,
        "witnesses of the log": services.witnessing.ask,
        "certificates looked at by pkilint": services.lint.run_once if services.settings.ca.lint_a_minute else int,
        "witness of the status": lambda: ca.rollback.advance() if ca.rollback is not None else None,
        "CRLs of the issuing CA": lambda: ca.lists.upkeep("issuing"),
        "CRLs of other issuing CAs": lambda: _other_crls(ca),
        "CRLs of the timestamping CA": lambda: ca.lists.upkeep("tsa"),
        "timestamping unit": ca.timestamps.certificates,
        "hours of timestamps": ca.timestamps.close_hours,
        "OCSP responses": ca.kept_ocsp.produce,
        "certificates that CMP clients never confirmed": services.cmp.revoke_unconfirmed,
    }


def _other_crls(ca: CertificateAuthority) -> None:
    for one in ca.authorities.all():
        if one.kind is AuthorityKind.ISSUING and one.name != ISSUING:
            ca.lists.upkeep(one.name)


def run_once(services: Services) -> tuple[str, ...]:
    """Do every part once; gives the names of those that failed."""
    return tuple(name for name, task in tasks(services).items() if not done_alone(name, task))


def done_alone(name: str, task: Callable[[], object]) -> bool:
    """Do one part; what fails is told in the log and ends nothing else."""
    try:
        task()
    except CamTrustError as error:
        _log.error("upkeep: %s: %s", name, error.code)
    except Exception as error:  # a defect in one part must not end the others; its text may quote data
        _log.error("upkeep: %s: %s", name, type(error).__qualname__)
    else:
        return True
    return False


@contextmanager
def kept_up(services: Services) -> Iterator[None]:
    """Do it every minute, in a thread, for as long as the block runs; the first time once the services are up. Notices
    are delivered in a thread of their own: somebody waits for a code.
    """
    ending = threading.Event()

    def repeat(every: float, work: Callable[[], object]) -> None:
        ending.wait(_AFTER_START)
        while not ending.is_set():
            work()
            ending.wait(every)

    loops: list[tuple[str, float, Callable[[], object]]] = [("upkeep", _EVERY, lambda: run_once(services))]
    if services.delivery.channels:
        loops.append(("notices", _NOTICES_EVERY, lambda: done_alone("notices", services.delivery.run)))
    threads = [threading.Thread(target=repeat, args=loop, name=name, daemon=True) for name, *loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join(30)
