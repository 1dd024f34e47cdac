"""Seals over digests, over HTTP: ``/sign/v1/digests`` and the credentials that seal.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import base64
import binascii
from typing import Annotated

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.digests.errors import DigestsInvalid
from signing.digests.service import MOST, DigestSeals
from signing.model import Credential
from signing.views import ID

_OID = r"^[0-9]+(\.[0-9]+){2,20}$"


class SealCredentialView(BaseModel):
    """A credential that the client seals with."""

    id: str
    subject: str = Field(description="common name in the certificate")
    not_after: str = Field(description="RFC 3339, UTC")
    certificates: list[str] = Field(description="DER in Base64: its own certificate first, the root last")
    successor: str | None = Field(description="the credential that follows this one, which ends soon")
    log_proof: str = Field(description="C2SP tlog-proof that the certificate is in the issuance log")


class Digests(BaseModel):
    """What is to be sealed: digests of signed attributes, never of secrets that can be guessed."""

    model_config = ConfigDict(extra="forbid")

    credential: Annotated[str, Field(pattern=ID)]
    digests: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=MOST)]
    digest_algorithm: Annotated[str, Field(pattern=_OID, max_length=100, description="OID of the digest")]
    signature_algorithm: Annotated[str, Field(pattern=_OID, max_length=100, description="OID of the signature")]


class Signatures(BaseModel):
    """In the order of the digests, Base64."""

    signatures: list[str]


def create_router(service: DigestSeals, guard: Guard) -> APIRouter:
    """Both endpoints, for clients with the role ``sign-seal``."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    sealer = guard.client("sign-seal")

    @router.get("/seal-credentials")
    def list_credentials(actor: Annotated[Actor, Depends(sealer)]) -> list[SealCredentialView]:
        """The credentials that the client can seal with now, each with its certificate and those above it."""
        return [_view(one, service.successor(one), service.log_proof(one)) for one in service.credentials(actor)]

    @router.post("/digests")
    def seal_digests(actor: Annotated[Actor, Depends(sealer)], body: Digests) -> Signatures:
        """Seal digests whose documents stay with the client.

        The client's policy must allow level B-B, since the service does not see what is made of the signature, set no
        limit of size and name no releasers.
        """
        try:
            digests = [base64.b64decode(one, validate=True) for one in body.digests]
        except (binascii.Error, ValueError):
            raise DigestsInvalid from None
        made = service.sign(actor, body.credential, digests, body.digest_algorithm, body.signature_algorithm)
        return Signatures(signatures=[base64.b64encode(one).decode() for one in made])

    return router


def _view(credential: Credential, successor: str | None, proof: bytes) -> SealCredentialView:
    signatory = credential.signatory
    names = signatory.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    chain = (signatory.certificate, *signatory.chain)
    return SealCredentialView(
        id=credential.credential_id,
        subject=str(names[0].value) if names else "",
        not_after=rfc3339(signatory.certificate.not_valid_after_utc),
        certificates=[base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain],
        successor=successor,
        log_proof=proof.decode(),
    )
