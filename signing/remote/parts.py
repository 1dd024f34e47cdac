"""The ports of signing (`signing.ports`), filled by a service somewhere else: key, timestamps, status.

What it answers is believed no more than what is answered in one process: the signature is verified under the
certificate, the token over the imprint, each status under its issuer's key (`signing.sign`).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asn1crypto import algos, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from foundation.keys.errors import KeyHandleInvalid
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from signing.csc.algorithms import DIGESTS, describe
from signing.errors import KeyUnsupported, TimestampUnavailable
from signing.remote.errors import ServiceRefused, ServiceUnreachable
from signing.remote.link import Link

_NONCE = 16
_ALGORITHMS = {
    "secp256r1": KeyAlgorithm.EC_P256,
    "secp384r1": KeyAlgorithm.EC_P384,
    2048: KeyAlgorithm.RSA_2048,
    3072: KeyAlgorithm.RSA_3072,
    4096: KeyAlgorithm.RSA_4096,
}

Signs = Callable[[Sequence[bytes], str, str], list[bytes]]
"""Has digests signed by a credential: the digests, the OID of their hash, the OID of the signature."""


class RemoteKey:
    """`signing.ports.SignsDigests` over one credential at the service. ``use``: a person's or an organisation's."""

    def __init__(self, key_id: str, certificate: x509.Certificate, use: KeyUse, signs: Signs) -> None:
        found = describe(certificate)
        public: Any = certificate.public_key()
        algorithm = _ALGORITHMS.get(getattr(getattr(public, "curve", None), "name", public.key_size)) if found else None
        if found is None or algorithm is None:
            raise KeyUnsupported
        self._description, self._signs = found, signs
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._info = KeyInfo(key_id, key_id, algorithm, use, der, None, True, "")

    def get(self, key_id: str) -> KeyInfo:
        if key_id != self._info.key_id:
            raise KeyHandleInvalid
        return self._info

    def sign_many(
        self, key_id: str, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        """``activation`` is not needed: the service asks for what it needs itself."""
        del activation
        self.get(key_id)
        size = len(inputs[0])
        named = {octets: (oid, name) for oid, (name, octets) in DIGESTS.items()}
        if mechanism is not self._description.mechanism or size not in named:
            raise KeyUnsupported
        digest_oid, name = named[size]
        algorithm = next(oid for oid, digest in self._description.algorithms.items() if digest == name)
        return self._signs(inputs, digest_oid, algorithm)

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        """Never asked for: what is wrapped stays at the service."""
        del wrapped, mechanism, inputs, activation
        raise KeyHandleInvalid


class RemoteTimestamps:
    """`signing.ports.TimestampAuthority` at the service's ``/tsa``."""

    def __init__(self, link: Link, above: Sequence[x509.Certificate]) -> None:
        self._link, self._above = link, tuple(above)

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        nonce = int.from_bytes(secrets.token_bytes(_NONCE), "big")
        asked = tsp.TimeStampReq(
            {
                "version": 1,
                "message_imprint": {
                    "hash_algorithm": algos.DigestAlgorithm({"algorithm": hash_name}),
                    "hashed_message": imprint,
                },
                "nonce": nonce,
                "cert_req": True,
            }
        )
        answer = self._link.octets("/tsa", asked.dump(), "application/timestamp-query")
        try:
            said = tsp.TimeStampResp.load(answer, strict=True)
            token = said["time_stamp_token"]
            info = token["content"]["encap_content_info"]["content"].parsed
            if said["status"]["status"].native not in ("granted", "granted_with_mods") or info["nonce"].native != nonce:
                raise TimestampUnavailable  # RFC 3161 §2.4.2: the nonce is the one that was asked with
            return bytes(token.dump())
        except (ValueError, TypeError, KeyError) as error:
            raise TimestampUnavailable from error

    def certificates(self) -> Sequence[x509.Certificate]:
        return self._above


class RemoteStatus:
    """`signing.ports.StatusSource` at the service's ``/ocsp`` and ``/crl``. ``issuers``: certificates of CAs, by the
    names that the service's addresses have for them."""

    def __init__(self, link: Link, issuers: Mapping[str, x509.Certificate]) -> None:
        self._link, self._issuers = link, dict(issuers)

    def ocsp(self, certificate: x509.Certificate) -> bytes | None:
        """With a nonce (RFC 9654), so that the answer is made for this question."""
        issuer = next((one for one in self._issuers.values() if one.subject == certificate.issuer), None)
        if issuer is None:
            return None
        nonce = secrets.token_bytes(_NONCE)
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
        request = asked.add_extension(x509.OCSPNonce(nonce), critical=False).build().public_bytes(Encoding.DER)
        answer = self._link.octets("/ocsp", request, "application/ocsp-request")
        try:
            echoed = ocsp.load_der_ocsp_response(answer).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        except (ValueError, x509.ExtensionNotFound) as error:
            raise ServiceUnreachable from error
        if echoed != nonce:
            raise ServiceUnreachable
        return answer

    def crl(self, issuer: x509.Certificate) -> bytes | None:
        name = next((name for name, one in self._issuers.items() if one == issuer), None)
        if name is None:
            return None
        try:
            return self._link.octets(f"/crl/{name}.crl")
        except ServiceRefused:
            return None


class RemoteLog:
    """`signing.ports.LogProofs`: the proof of the credential's own certificate, which is its holder's to show."""

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch

    def proof(self, certificate: x509.Certificate) -> bytes:
        del certificate  # a client signs with one
        return self._fetch().encode()


def read_certificate(link: Link, name: str) -> x509.Certificate:
    """The certificate of a CA of the service. Raises ServiceUnreachable."""
    try:
        return x509.load_der_x509_certificate(link.octets(f"/aia/{name}.cer"))
    except ValueError as error:
        raise ServiceUnreachable from error


def from_base64(values: Sequence[str]) -> list[bytes]:
    """Octets that an answer holds. Raises ServiceUnreachable."""
    try:
        return [base64.b64decode(one, validate=True) for one in values]
    except (ValueError, TypeError) as error:
        raise ServiceUnreachable from error
