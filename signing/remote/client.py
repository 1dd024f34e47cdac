"""Signing with a credential at a service: persons through the CSC API, agencies' clients at /sign/v1/digests."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.clock import Clock
from foundation.keys.port import KeyUse
from foundation.randomness import Randomness
from signing.config import MIB
from signing.errors import LevelNotAllowed, TemplateUnknown
from signing.forms import PADES, Form
from signing.model import Level, Signatory, SignatureText
from signing.pdf_options import PdfOptions
from signing.remote.errors import CredentialUnknown, ServiceRefused, ServiceUnreachable
from signing.remote.link import Link
from signing.remote.parts import RemoteKey, RemoteLog, RemoteStatus, RemoteTimestamps, from_base64, read_certificate
from signing.sign.ades import AdesSigner
from signing.sign.documents import DocumentSigner
from signing.sign.pades import PadesSigner, Stamps
from signing.templates.appearance import Appearance
from signing.templates.errors import TemplateInvalid

LARGEST_DOCUMENT = 1024 * MIB
"""Octets of a document: it is in this machine's memory alone."""
_PLAIN = PdfOptions()
_ROOT, _ISSUING, _TSA = "root", "issuing", "tsa"


@dataclass(frozen=True)
class Factors:
    """A person's PIN and one-time code."""

    pin: str
    code: str


@dataclass(frozen=True)
class Draft:
    """A document to be signed here."""

    name: str
    data: bytes
    password: str | None = None


class RemoteSigner:
    """Signs documents of this machine with one credential of a service. The documents stay."""

    def __init__(
        self,
        link: Link,
        credential: str,
        clock: Clock,
        randomness: Randomness,
        factors: Callable[[], Factors] | None,
        text: SignatureText | None = None,
        stamps: Stamps | None = None,
    ) -> None:
        """``factors`` asks a person for PIN and code, once for all documents; None: an agency's client seals.

        Raises CredentialUnknown, ServiceUnreachable, KeyUnsupported.
        """
        self._link, self._credential, self._factors = link, credential, factors
        self._person = factors is not None
        chain = self._chain()
        issuers = {_ROOT: chain[-1], _ISSUING: chain[1], _TSA: read_certificate(link, _TSA)}
        use = KeyUse.CITIZEN_SIGN if self._person else KeyUse.ORGANISATION_SEAL
        key = RemoteKey(credential, chain[0], use, self._signed_by_person if self._person else self._signed_by_client)
        timestamps, status = RemoteTimestamps(link, (issuers[_TSA], chain[-1])), RemoteStatus(link, issuers)
        self._signatory = Signatory(credential, chain[0], tuple(chain[1:]))
        logs = RemoteLog(self._own_proof if self._person else self._client_proof)
        pades = PadesSigner(key, timestamps, status, clock, randomness, text, LARGEST_DOCUMENT, logs, stamps)
        ades = AdesSigner(key, timestamps, status, clock, LARGEST_DOCUMENT, logs)
        self._signer = DocumentSigner(key, pades, ades)

    def sign(
        self, drafts: Sequence[Draft], *, form: Form = PADES, level: Level | None = None, options: PdfOptions = _PLAIN
    ) -> list[bytes]:
        """The signed files, in order: all of them under one authorisation, or none.

        Persons sign at B-T or above (sub-decree 246 of 2017). Raises LevelNotAllowed, DocumentRefused, ServiceRefused,
        ServiceUnreachable, and what `DocumentSigner` raises.
        """
        level = form.level(level, Level.B_LT)
        if self._person and not level.includes(Level.B_T):
            raise LevelNotAllowed(level=level.value)
        appearance = self._appearance(options)
        prepared = [
            self._signer.prepare(
                one.data,
                form=form,
                name=one.name,
                signatory=self._signatory,
                level=level,
                password=one.password,
                options=options,
                appearance=appearance,
            )
            for one in drafts
        ]
        signatures = self._signer.signatures(prepared)
        return [self._signer.complete(one, signature) for one, signature in zip(prepared, signatures, strict=True)]

    def _appearance(self, options: PdfOptions) -> Appearance | None:
        """What the template that is asked for looks like: the one of the client's organisation, as it was approved.

        Raises TemplateUnknown for a person, ServiceRefused, ServiceUnreachable.
        """
        name = options.visible.template if options.visible is not None else None
        if name is None:
            return None
        if self._person:
            raise TemplateUnknown
        told = self._link.look(f"/sign/v1/seal-templates/{name}")
        try:
            picture = None if told["picture"] is None else from_base64([told["picture"]])[0]
            found = Appearance.read(told["appearance"], picture)
            if found.digest(name) != told["digest"]:
                raise ServiceUnreachable
        except (KeyError, TypeError, ValueError, TemplateInvalid) as error:
            raise ServiceUnreachable from error
        return found

    def _chain(self) -> list[x509.Certificate]:
        """The credential's certificate and those above it, the root last."""
        if self._person:
            asked = {"credentialID": self._credential, "certificates": "chain"}
            try:
                values = self._link.ask("/csc/v2/credentials/info", asked)["cert"]["certificates"]
            except ServiceRefused:
                raise CredentialUnknown from None
            except (KeyError, TypeError) as error:
                raise ServiceUnreachable from error
        else:
            known = {one["id"]: one["certificates"] for one in self._link.look("/sign/v1/seal-credentials")}
            if self._credential not in known:
                raise CredentialUnknown
            values = known[self._credential]
        try:
            chain = [x509.load_der_x509_certificate(one) for one in from_base64(values)]
        except ValueError as error:
            raise ServiceUnreachable from error
        if len(chain) < 3:
            raise ServiceUnreachable
        return chain

    def _client_proof(self) -> str:
        return next(
            str(one["log_proof"])
            for one in self._link.look("/sign/v1/seal-credentials")
            if one["id"] == self._credential
        )

    def _own_proof(self) -> str:
        digest = self._signatory.certificate.fingerprint(hashes.SHA256()).hex()
        entries = self._link.look("/ca/v1/own-certificates/log")["entries"]
        proof = next((one["proof"] for one in entries if one["digest"] == digest), None)
        if proof is None:
            raise ServiceUnreachable
        return str(proof)

    def _signed_by_person(self, digests: Sequence[bytes], digest_oid: str, algorithm_oid: str) -> list[bytes]:
        """CSC API v2: authorize for exactly these digests, then signHash."""
        if self._factors is None:
            raise CredentialUnknown
        proof = self._factors()
        wanted = {
            "credentialID": self._credential,
            "hashes": [base64.b64encode(one).decode() for one in digests],
            "hashAlgorithmOID": digest_oid,
        }
        asked = {**wanted, "numSignatures": len(digests), "PIN": proof.pin, "OTP": proof.code}
        granted = self._link.ask("/csc/v2/credentials/authorize", asked)
        asked = {**wanted, "SAD": granted.get("SAD"), "signAlgo": algorithm_oid}
        return from_base64(self._link.ask("/csc/v2/signatures/signHash", asked).get("signatures", []))

    def _signed_by_client(self, digests: Sequence[bytes], digest_oid: str, algorithm_oid: str) -> list[bytes]:
        asked = {
            "credential": self._credential,
            "digests": [base64.b64encode(one).decode() for one in digests],
            "digest_algorithm": digest_oid,
            "signature_algorithm": algorithm_oid,
        }
        return from_base64(self._link.ask("/sign/v1/digests", asked).get("signatures", []))
