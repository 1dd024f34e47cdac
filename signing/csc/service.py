"""The Cloud Signature Consortium API's use cases for persons: credentials, signatures of digests, a timestamp.

Authorisations are in `signing.csc.authorising`, documents and later answers in `signing.csc.responses`. Here the token
signs digests that it permitted, each once, in one call or in several. What is around a digest, the document and its
signature format, is the client's; so is the time of signing, for which there is signatures/timestamp.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, Unauthenticated
from foundation.keys.activation import Method
from foundation.keys.factors import PersonFactors
from foundation.use_record import Act
from signing.csc.algorithms import DIGESTS, KeyDescription, describe
from signing.csc.authorising import PASSKEY, CscAuthorising, through
from signing.csc.errors import CscRefused
from signing.csc.requests import MOST_HASHES, octets
from signing.errors import KeyUnsupported
from signing.model import Credential, CredentialStatus
from signing.ports import DelegatedActivations, SigningKeys, TimestampAuthority
from signing.service import SigningService
from signing.sign.token_signer import SigningAlgorithm, sign_digests


class CscService:
    """What ``/csc/v1`` and ``/csc/v2`` do for an authenticated person."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        signing: SigningService,
        keys: SigningKeys,
        factors: PersonFactors,
        timestamps: TimestampAuthority,
        delegated: DelegatedActivations,
        authorising: CscAuthorising,
    ) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._signing, self._keys, self._factors = signing, keys, factors
        self._timestamps, self._delegated = timestamps, delegated
        self._history, self._authorising = signing.history, authorising

    def credentials(self, actor: Actor, only_valid: bool) -> list[str]:
        """The ids of the person's credentials, the oldest first."""
        every = self._signing.credentials(actor)
        return [one.credential_id for one in every if not only_valid or self._usable(one)]

    def describe(self, actor: Actor, credential_id: str, certificates: str, details: bool) -> dict[str, Any]:
        """``credentials/info``; ``certificates``: none, single or chain. CredentialNotFound."""
        credential = self.credential(actor, credential_id)
        signatory, key = credential.signatory, self._key(credential)
        certificate = signatory.certificate
        shown: dict[str, Any] = {"status": "valid" if self._usable(credential) else "revoked"}
        if self._clock.now() > certificate.not_valid_after_utc:
            shown["status"] = "expired"
        chain = {"none": (), "single": (certificate,), "chain": (certificate, *signatory.chain)}[certificates]
        if chain:
            shown["certificates"] = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]
        if details:
            shown |= {
                "issuerDN": certificate.issuer.rfc4514_string(),
                "subjectDN": certificate.subject.rfc4514_string(),
                "serialNumber": f"{certificate.serial_number:X}",
                "validFrom": certificate.not_valid_before_utc.strftime("%Y%m%d%H%M%SZ"),
                "validTo": certificate.not_valid_after_utc.strftime("%Y%m%d%H%M%SZ"),
            }
        return {
            "key": key.json(self._usable(credential)),
            "cert": shown,
            "authMode": "explicit",
            "SCAL": "2",
            **self._authentication(actor),
            "multisign": MOST_HASHES,
            "lang": "km",
        }

    def activation(self, actor: Actor, credential_id: str, sad: str) -> bytes:
        """The token's activation behind signature activation data as a client sends it: what
        :meth:`CscAuthorising.authorise` gave, or
        an access token of scope ``credential`` of the very client. Raises CscRefused."""
        if not sad:
            raise CscRefused("invalid_request", "SAD is missing")
        if not self._delegated.is_token(sad):
            return octets(sad, "SAD")
        if actor.delegation is None:
            raise CscRefused("invalid_request", "this SAD is a client's")
        try:
            return self._delegated.activation(sad, actor.delegation.client_id, actor.id, credential_id)
        except Unauthenticated:
            raise CscRefused("invalid_request", "this SAD is not good for this client and credential") from None

    def sign(
        self,
        actor: Actor,
        credential_id: str,
        sad: bytes,
        digests: Sequence[bytes],
        sign_algorithm: str,
        digest_algorithm: str | None,
    ) -> list[bytes]:
        """The signatures over these digests, in order, or none. CscRefused; ActivationInvalid for what was not
        permitted, or signed already."""
        credential = self._signing.person_credential(actor, credential_id)
        self._authorising.require_digests(sad)
        key = self._key(credential)
        digest = key.digest_of(sign_algorithm, digest_algorithm)
        if digest is None:
            raise CscRefused("invalid_request", "signAlgo is not one of this key's, or does not go with hashAlgo")
        if any(len(one) != dict(DIGESTS.values())[digest] for one in digests):
            raise CscRefused("invalid_request", "a digest has not the length of its algorithm")
        algorithm = SigningAlgorithm(digest, key.mechanism)
        record = self._history.record(credential, Act.SIGNATURE, digests, through(actor))
        try:
            signatures = sign_digests(self._keys, credential.signatory, algorithm, digests, sad)
        except CamTrustError as error:
            self._history.complete(record, error=error)
            raise
        self._history.complete(record)
        self._authorising.signed(sad, list(digests))
        self._note(actor, "signing.csc_signed", credential_id, {"digests": [one.hex() for one in digests]})
        return signatures

    def timestamp(self, digest: bytes, digest_algorithm: str) -> bytes:
        """A DER TimeStampToken over the digest. CscRefused; what the authority raises."""
        name, size = DIGESTS[digest_algorithm]
        if len(digest) != size:
            raise CscRefused("invalid_request", "the digest has not the length of its algorithm")
        return self._timestamps.token(digest, name)

    # ------------------------------------------------------------------------------------------------------------------

    def credential(self, actor: Actor, credential_id: str) -> Credential:
        """One of the person's own, usable or not. CscRefused."""
        for one in self._signing.credentials(actor):
            if one.credential_id == credential_id:
                return one
        raise CscRefused("invalid_request", "there is no such credential")

    def _authentication(self, actor: Actor) -> dict[str, Any]:
        """What authorises the person's credentials: PIN and a code of their app, a passkey, or either."""
        methods = self._factors.factors_of(actor.id).methods
        code, passkey = Method.PIN_TOTP in methods, Method.PASSKEY in methods
        objects = [
            {"type": "Password", "id": "PIN", "format": "N", "label": "PIN"},
            {"type": "Password", "id": "OTP", "format": "N", "generator": "totp", "label": "TOTP"},
        ] * code
        if passkey:
            objects.append({"type": "ChallengeResponse", "id": PASSKEY, "format": "A", "label": "Passkey"})
        expression = {(True, False): "PIN AND OTP", (False, True): PASSKEY, (True, True): f"(PIN AND OTP) OR {PASSKEY}"}
        told: dict[str, Any] = {
            "auth": {"mode": "explicit", "expression": expression.get((code, passkey), ""), "objects": objects}
        }
        if code:
            told["PIN"] = {"presence": "true", "format": "N", "label": "PIN"}
            told["OTP"] = {"presence": "true", "type": "offline", "format": "N", "label": "TOTP"}
        return told

    def _usable(self, credential: Credential) -> bool:
        certificate: x509.Certificate = credential.signatory.certificate
        current = certificate.not_valid_before_utc <= self._clock.now() <= certificate.not_valid_after_utc
        return credential.status is CredentialStatus.ACTIVE and current

    @staticmethod
    def _key(credential: Credential) -> KeyDescription:
        key = describe(credential.signatory.certificate)
        if key is None:
            raise KeyUnsupported
        return key

    def _note(self, actor: Actor, action: str, credential_id: str, details: dict[str, Any]) -> None:
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(actor), action, credential_id, details)
