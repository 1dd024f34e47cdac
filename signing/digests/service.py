"""Digests sealed for an agency's client, which makes the signature around them itself (`signing.remote`).

What the service does not see it cannot vouch for: neither timestamp nor size. So the client's policy
(`signing.seal_policy`) must allow the bare level B-B, set no limit of size, and name nobody who looks at the document.
"""

from __future__ import annotations

from collections.abc import Sequence

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from foundation.keys.port import KeyUse
from signing.credential_requests.errors import CredentialSucceeded
from signing.credential_requests.store import successor
from signing.csc.algorithms import DIGESTS, describe
from signing.digests.errors import DigestsInvalid
from signing.errors import SealNotAllowed
from signing.forms import Form, Format, Packaging
from signing.model import Credential, CredentialStatus, Level
from signing.ports import LogProofs, SigningKeys
from signing.service import SigningService
from signing.sign.token_signer import SigningAlgorithm, sign_digests

MOST = 100
"""Digests in one request."""
_ANY = Form(Format.CADES, Packaging.DETACHED)


class DigestSeals:
    """What an agency's client does with its credential besides sending documents."""

    def __init__(
        self,
        signing: SigningService,
        keys: SigningKeys,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        proofs: LogProofs,
    ) -> None:
        self._signing, self._keys, self._proofs = signing, keys, proofs
        self._database, self._audit, self._clock = database, audit, clock

    def credentials(self, actor: Actor) -> list[Credential]:
        """The client's credentials that it can seal with now."""
        now = self._clock.now()
        return [
            one
            for one in self._signing.credentials(actor)
            if one.status is CredentialStatus.ACTIVE and now <= one.signatory.certificate.not_valid_after_utc
        ]

    def successor(self, credential: Credential) -> str | None:
        """The credential that follows this one; None where there is none."""
        with self._database.read() as connection:
            return successor(connection, credential.credential_id)

    def log_proof(self, credential: Credential) -> bytes:
        """The C2SP tlog-proof that the certificate is logged. Raises what the log raises."""
        return self._proofs.proof(credential.signatory.certificate)

    def sign(
        self, actor: Actor, credential_id: str, digests: Sequence[bytes], digest_oid: str, algorithm_oid: str
    ) -> list[bytes]:
        """The signatures over these digests, in order, or none.

        Raises CredentialNotFound, CredentialNotUsable, CredentialSucceeded, DigestsInvalid, SealNotAllowed,
        SealNeedsRelease.
        """
        credential = self._signing.credential(actor, credential_id, KeyUse.ORGANISATION_SEAL)
        if credential.credential_id != credential_id:  # whoever asks has the certificate in what was hashed
            raise CredentialSucceeded(successor=credential.credential_id)
        key = describe(credential.signatory.certificate)
        name, size = DIGESTS.get(digest_oid, ("", 0))
        if not 1 <= len(digests) <= MOST or any(len(one) != size for one in digests):
            raise DigestsInvalid
        if key is None or key.digest_of(algorithm_oid, digest_oid) != name:
            raise DigestsInvalid
        client = self._signing.seal_policies.of_actor(actor)
        if client.policy.parallel is not None:
            raise SealNotAllowed(rule="SP-PARALLEL")  # the second signature would be the client's word
        if client.policy.appearances is not None:
            raise SealNotAllowed(rule="SP-APPEARANCE")  # what is seen of it would be the client's word
        for _ in digests:
            client.take(Level.B_B, _ANY, None, self._clock.now())
        algorithm = SigningAlgorithm(name, key.mechanism)
        signatures = sign_digests(self._keys, credential.signatory, algorithm, digests)
        with self._database.unit_of_work() as connection:
            details = {"digests": [one.hex() for one in digests]}
            self._audit.append(connection, str(actor), "signing.digests_sealed", credential_id, details)
        return signatures
