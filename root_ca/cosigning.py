"""Detached signatures of the people in the room over a transcript, by keys that they bring.

The ceremony file names them (``people``) with the SHA-256 of their keys. Each signature is a file beside the
transcript, ``TRANSCRIPT.N.signature.json``, N being the person's place in the list from 1, in exactly one form. What is
signed is ``camtrust-root-cosignature-1``, a zero octet, and the canonical JSON of everything in the file but the
signature: format, SHA-256 of the transcript, name, role and public key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from pydantic import ValidationError

from foundation.canonical import canonical_json
from foundation.errors import CamTrustError
from foundation.x509.algorithms import key_algorithm, sign, verify
from foundation.x509.certificate import sign_certificate
from foundation.x509.errors import SignatureWrong, X509Error
from root_ca.errors import CosigningRefused
from root_ca.model import PersonPart
from root_ca.outputs import publish
from root_ca.ports import CosigningKey
from root_ca.transcript import Hex, Record, Sha256

FORMAT = "camtrust-root-cosignature-1"
_SIGNED = f"{FORMAT}\0".encode()
_MAX_BYTES = 64 * 1024


class Cosignature(Record):
    format: Literal["camtrust-root-cosignature-1"]
    transcript_sha256: Sha256
    name: str
    role: str
    public_key: Hex
    signature: Hex


@dataclass(frozen=True)
class Cosigner:
    """Somebody who signed a transcript. ``key_sha256`` is of their SubjectPublicKeyInfo, in hex."""

    name: str
    role: str
    key_sha256: str


class FileKey:
    """A private key in a PEM file, encrypted or not. Implements `root_ca.ports.CosigningKey`."""

    def __init__(self, path: Path, password: str | None) -> None:
        """CosigningRefused for a file that cannot be read, a wrong password, or a kind of key that is not used."""
        try:
            key: Any = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
            key_algorithm(key.public_key())
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm, X509Error):
            raise CosigningRefused(reason="the key cannot be read, or the password is wrong") from None
        self._key: CertificateIssuerPrivateKeyTypes = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        return sign(self._key, message)

    def certificate(self, name: x509.Name, serial: int, begin: datetime, end: datetime) -> x509.Certificate:
        """A certificate of this key, by itself: what a format needs that knows keys by certificates only."""
        public = self._key.public_key()
        builder = x509.CertificateBuilder(name, name, public, serial, begin, end)
        return sign_certificate(builder, self._key)


def signature_name(transcript: str, number: int) -> str:
    """The name of the file that holds the signature of person ``number``, from 1."""
    return f"{transcript}.{number}.signature.json"


def cosign(transcript: Path, people: Sequence[PersonPart], key: CosigningKey) -> tuple[Path, Cosigner]:
    """Sign a transcript as the person whose key this is, into a new file beside it.

    CosigningRefused when the ceremony file names nobody with this key; OutputExists when they have signed already.
    The caller has verified the transcript.
    """
    public = key.public_key
    mine = hashlib.sha256(public).hexdigest()
    places = {person.key_sha256: (number, person) for number, person in enumerate(people, 1)}
    if mine not in places:
        raise CosigningRefused(reason="the ceremony file names nobody with this key")
    number, person = places[mine]
    content = {
        "format": FORMAT,
        "transcript_sha256": hashlib.sha256(transcript.read_bytes()).hexdigest(),
        "name": person.name,
        "role": person.role,
        "public_key": public.hex(),
    }
    signature = key.sign(_SIGNED + canonical_json(content))
    verify(load_der_public_key(public), signature, _SIGNED + canonical_json(content))  # type: ignore[arg-type]
    name = signature_name(transcript.name, number)
    publish(transcript.parent, {name: _render(Cosignature.model_validate({**content, "signature": signature.hex()}))})
    return transcript.with_name(name), Cosigner(person.name, person.role, mine)


def examine(path: Path, transcript: bytes, people: Sequence[PersonPart]) -> Iterator[tuple[Cosigner, str, str | None]]:
    """Everybody whom the ceremony file names: who, their file, and what is wrong with it (None when they signed)."""
    for number, person in enumerate(people, 1):
        name = signature_name(path.name, number)
        yield (
            Cosigner(person.name, person.role, person.key_sha256),
            name,
            _problem(path.with_name(name), transcript, person),
        )


def _problem(path: Path, transcript: bytes, person: PersonPart) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError:
        return f"{person.role} {person.name} has not signed"
    try:
        cosignature = Cosignature.model_validate(json.loads(data.decode("utf-8")))
        public = bytes.fromhex(cosignature.public_key)
        expected = (person.name, person.role, person.key_sha256, hashlib.sha256(transcript).hexdigest())
        given = (cosignature.name, cosignature.role, hashlib.sha256(public).hexdigest(), cosignature.transcript_sha256)
        if _render(cosignature) != data or given != expected:
            return "it is not the signature of this person over this transcript"
        key: Any = load_der_public_key(public)
        key_algorithm(key)
        message = _SIGNED + canonical_json(cosignature.model_dump(exclude={"signature"}))
        verify(key, bytes.fromhex(cosignature.signature), message)
    except (ValueError, RecursionError, ValidationError, SignatureWrong, UnsupportedAlgorithm, CamTrustError):
        return "it is not the signature of this person over this transcript"
    return None


def _render(cosignature: Cosignature) -> bytes:
    return json.dumps(cosignature.model_dump(), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
