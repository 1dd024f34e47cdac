"""The authorisation server of an installation: over the signing room for what persons sign, and a key of the token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.keys.activation import Method, PasskeyAssertion
from foundation.keys.errors import LabelExists
from foundation.keys.factors import ApprovalRequest, PersonFactors
from foundation.keys.handles import private_key
from foundation.keys.port import Activation, KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from foundation.randomness import Randomness
from foundation.use_record import Act
from identity.oauth.id_token import IdTokenSigner
from identity.oauth.service import AuthorizationServer
from identity.ports import VerifiedName
from identity.service import IdentityService
from signing.history import Door, Through
from signing.model import Credential, CredentialStatus
from signing.requests.model import ReportKind
from signing.requests.reports import Reports
from signing.service import SigningService

_LABEL = "id-token"


def authorisation_server(
    database: Database,
    clock: Clock,
    trail: AuditTrail,
    randomness: Randomness,
    public_url: str,
    identity: IdentityService,
    keys: KeyStore,
    factors: PersonFactors,
    signing: SigningService,
    reports: Reports,
) -> AuthorizationServer:
    """The server. ``keys``: where the services' keys are; ``factors``: where persons' are. Makes its key once."""
    signer = IdTokenSigner(cast(ec.EllipticCurvePrivateKey, private_key(keys, _key(keys))))
    return AuthorizationServer(
        database,
        clock,
        trail,
        randomness,
        public_url,
        identity,
        approvals=Approvals(database, trail, signing, factors),
        signer=signer,
        names=CertifiedNames(signing),
        reported=Unexpected(reports, clock),
    )


def _key(keys: KeyStore) -> KeyInfo:
    found = keys.find(label=_LABEL, use=KeyUse.IDENTITY_PROVIDER)
    if found:
        return found[0]
    try:
        return keys.generate(_LABEL, KeyAlgorithm.EC_P256, KeyUse.IDENTITY_PROVIDER)
    except LabelExists:  # another process was first
        return keys.find(label=_LABEL, use=KeyUse.IDENTITY_PROVIDER)[0]


class Approvals:
    """`identity.ports.SigningApprovals` over the signing room's credentials and the token's factors.

    The activation's audience names the client, so that what a passkey signed says who asked.
    """

    def __init__(self, database: Database, trail: AuditTrail, signing: SigningService, factors: PersonFactors) -> None:
        self._database, self._trail = database, trail
        self._signing, self._factors = signing, factors

    def permit(
        self, person_id: str, credential_id: str, digests: Sequence[bytes], pin: str, totp: str, client_id: str
    ) -> Activation:
        credential = self._credential(person_id, credential_id)

        def act() -> Activation:
            key_id, audience = credential.signatory.key_id, _audience(client_id)
            return self._factors.activate(key_id, list(digests), pin, totp, audience)

        return self._permitted(credential, digests, client_id, act)

    def ask(self, person_id: str, credential_id: str, digests: Sequence[bytes], client_id: str) -> ApprovalRequest:
        key_id = self._credential(person_id, credential_id).signatory.key_id
        return self._factors.prepare_activation(key_id, list(digests), _audience(client_id), Method.PASSKEY)

    def answer(
        self, person_id: str, credential_id: str, digests: Sequence[bytes], nonce: bytes, assertion: str, client_id: str
    ) -> Activation:
        credential = self._credential(person_id, credential_id)
        return self._permitted(
            credential, digests, client_id, lambda: self._factors.approve(nonce, PasskeyAssertion(assertion))
        )

    def _credential(self, person_id: str, credential_id: str) -> Credential:
        return self._signing.person_credential(Actor(ActorKind.PERSON, person_id), credential_id)

    def _permitted(
        self, credential: Credential, digests: Sequence[bytes], client_id: str, act: Callable[[], Activation]
    ) -> Activation:
        """What the token permits, or not, is in the trail and in the person's history."""
        through, history = Through(Door.CSC, client_id), self._signing.history
        try:
            made = act()
        except CamTrustError as error:
            self._note(credential, "signing.authorisation_refused", client_id, digests, error.code)
            if error.kind is not Kind.UNAVAILABLE:
                history.record(credential, Act.REFUSAL, digests, through, code=error.code)
            raise
        self._note(credential, "signing.authorised", client_id, digests)
        history.record(credential, Act.AUTHORISATION, digests, through)
        return made

    def _note(
        self, credential: Credential, action: str, client_id: str, digests: Sequence[bytes], code: str | None = None
    ) -> None:
        details: dict[str, Any] = {"client": client_id, "digests": [one.hex() for one in digests]}
        if code is not None:
            details["code"] = code
        with self._database.unit_of_work() as connection:
            who = f"{ActorKind.PERSON}:{credential.owner}"
            self._trail.append(connection, who, action, credential.credential_id, details)


class Unexpected:
    """`identity.ports.ReportedClients`: among the reports of the signing room."""

    def __init__(self, reports: Reports, clock: Clock) -> None:
        self._reports, self._clock = reports, clock

    def reported(self, connection: Connection, client_id: str, subject: str) -> None:
        self._reports.add(connection, ReportKind.AUTHORISATION, subject, client_id, None, self._clock.now())

    def stopped(self, client_id: str) -> bool:
        return self._reports.stopped(client_id)


class CertifiedNames:
    """`identity.ports.PersonNames`: the name in the person's newest certificate that can be used."""

    def __init__(self, signing: SigningService) -> None:
        self._signing = signing

    def name_of(self, person_id: str) -> VerifiedName | None:
        every = self._signing.credentials(Actor(ActorKind.PERSON, person_id))
        active = [one for one in every if one.status is CredentialStatus.ACTIVE]
        if not active:
            return None
        subject = active[-1].signatory.certificate.subject

        def first(oid: Any) -> str | None:
            found = subject.get_attributes_for_oid(oid)
            return str(found[0].value) if found else None

        name = first(NameOID.COMMON_NAME)
        return None if name is None else VerifiedName(name, first(NameOID.GIVEN_NAME), first(NameOID.SURNAME))


def _audience(client_id: str) -> str:
    return f"camtrust-oauth:{client_id}"
