"""An authorisation request as a client pushes it (RFC 9126), read strictly once. Pure.

    response_type          code, alone                                  RFC 6749 §4.1.1
    client_id              whoever pushes it                            RFC 9126 §2.1
    redirect_uri           exactly one that is registered               RFC 9700 §2.1
    code_challenge(_method) S256; there is no other                     RFC 7636 §4.3
    scope                  openid, profile, service; or credential      OpenID Connect Core §3.1.2.1; CSC API §8.4
    state, nonce           handed back as they came
    credentialID, numSignatures, hashes or hash, hashAlgorithmOID, description      CSC API v2 §8.4.2, v1 §8.3.2
    authorization_details  one object of type credential                RFC 9396; CSC API v2 §8.4.3

What is unknown is passed over (RFC 6749 §3.1); what would change what the person permits and is not understood
is refused. Checks:

    OR-01  the form as above          OR-04  scopes that the client may ask persons for
    OR-02  redirect_uri               OR-05  what is to be signed: which digests, of which credential
    OR-03  PKCE by S256
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.printable import is_printable
from identity.oauth.errors import OAuthRefused, invalid_request
from identity.oauth.model import CREDENTIAL, OPENID, PROFILE, OAuthClient

MOST_DIGESTS = 1000
DIGEST_SIZES: Mapping[str, int] = {
    "2.16.840.1.101.3.4.2.1": 32,
    "2.16.840.1.101.3.4.2.2": 48,
    "2.16.840.1.101.3.4.2.3": 64,
}
SHA256 = "2.16.840.1.101.3.4.2.1"

_CHALLENGE = re.compile(r"^[A-Za-z0-9_-]{43}$")
_VISIBLE = re.compile(r"^[\x20-\x7e]{1,512}$")
_CREDENTIAL = re.compile(r"^[A-Za-z0-9_.-]{1,100}$")
_REFUSED = ("request", "request_uri", "claims", "id_token_hint", "registration")
_DETAILS = frozenset({"type", "credentialID", "documentDigests", "hashAlgorithmOID", "signatureQualifier", "locations"})
_LONGEST_LABEL, _LONGEST_DESCRIPTION = 200, 500


@dataclass(frozen=True)
class DocumentDigest:
    """What is to be signed, and what the client calls it (its word alone: nobody has seen the document)."""

    digest: bytes
    label: str


@dataclass(frozen=True)
class Signing:
    """What a person is asked to permit with a credential of theirs."""

    credential_id: str
    documents: tuple[DocumentDigest, ...]
    digest_algorithm: str

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(one.digest for one in self.documents)


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request that was found good for its client."""

    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str
    state: str | None = None
    nonce: str | None = None
    description: str | None = None
    signing: Signing | None = None

    def to_json(self) -> str:
        """As it is kept."""
        signing = None
        if self.signing is not None:
            signing = {
                "credential_id": self.signing.credential_id,
                "documents": [[one.digest.hex(), one.label] for one in self.signing.documents],
                "digest_algorithm": self.signing.digest_algorithm,
            }
        kept = {name: getattr(self, name) for name in ("client_id", "redirect_uri", "challenge", "state", "nonce")}
        kept |= {"scopes": sorted(self.scopes), "description": self.description, "signing": signing}
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> AuthorizationRequest:
        """The inverse of :meth:`to_json`."""
        kept = json.loads(text)
        if (signing := kept.pop("signing")) is not None:
            documents = tuple(DocumentDigest(bytes.fromhex(digest), label) for digest, label in signing["documents"])
            signing = Signing(signing["credential_id"], documents, signing["digest_algorithm"])
        return cls(**kept | {"scopes": frozenset(kept["scopes"]), "signing": signing})


def read_request(client: OAuthClient, parameters: Mapping[str, str]) -> AuthorizationRequest:
    """What a client pushed. Raises OAuthRefused."""
    for name in _REFUSED:
        if name in parameters:
            raise invalid_request(f"{name} is not supported", "OR-01")
    if parameters.get("response_type") != "code":
        raise OAuthRefused("unsupported_response_type", "response_type is code", "OR-01")
    if parameters.get("response_mode", "query") != "query":
        raise invalid_request("response_mode is query", "OR-01")
    if parameters.get("prompt") == "none":
        raise OAuthRefused("login_required", "a person proves both factors each time", "OR-01")
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None or redirect_uri not in client.redirect_uris:
        raise invalid_request("redirect_uri is not one that was registered", "OR-02")
    challenge = parameters.get("code_challenge", "")
    if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.match(challenge):
        raise invalid_request("code_challenge and code_challenge_method S256 are required", "OR-03")
    details = _details(parameters)
    scopes = _scopes(client, parameters, details is not None)
    signing = _signing(parameters, details) if CREDENTIAL in scopes else None
    return AuthorizationRequest(
        client.client_id,
        redirect_uri,
        scopes,
        challenge,
        _visible(parameters, "state"),
        _visible(parameters, "nonce"),
        _line(parameters.get("description"), "description", _LONGEST_DESCRIPTION),
        signing,
    )


def _scopes(client: OAuthClient, parameters: Mapping[str, str], details: bool) -> frozenset[str]:
    asked = frozenset(parameters.get("scope", "").split(" ")) - {""}
    if details:
        asked |= {CREDENTIAL}  # RFC 9396 §3: the details alone say what is asked for
    alone = CREDENTIAL not in asked or asked == {CREDENTIAL}
    known = PROFILE not in asked or OPENID in asked
    if not asked or not asked <= client.scopes or not alone or not known:
        raise OAuthRefused("invalid_scope", "these scopes are not this client's, or do not go together", "OR-04")
    return asked


def _details(parameters: Mapping[str, str]) -> dict[str, Any] | None:
    text = parameters.get("authorization_details")
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
        raise _bad_details("one object in a list")
    found: dict[str, Any] = value[0]
    if found.get("type") != "credential" or not set(found) <= _DETAILS:
        raise _bad_details("type is credential, with credentialID, documentDigests and hashAlgorithmOID")
    return found


def _signing(parameters: Mapping[str, str], details: dict[str, Any] | None) -> Signing:
    if details is None:
        credential = parameters.get("credentialID", "")
        algorithm = parameters.get("hashAlgorithmOID", SHA256)
        hashes = parameters.get("hashes", parameters.get("hash", "")).split(",")
        documents = [DocumentDigest(_octets(one), "") for one in hashes if one]
        if parameters.get("numSignatures", str(len(documents))) != str(len(documents)):
            raise invalid_request("numSignatures is not the number of the digests", "OR-05")
    else:
        credential, algorithm = details.get("credentialID", ""), details.get("hashAlgorithmOID", SHA256)
        listed = details.get("documentDigests")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise _bad_details("documentDigests is a list of objects with hash and label")
        if not all(set(one) <= {"hash", "label"} for one in listed):
            raise _bad_details("documentDigests have hash and label")
        documents = [
            DocumentDigest(_octets(one.get("hash")), _line(one.get("label"), "label", _LONGEST_LABEL) or "")
            for one in listed
        ]
    if not isinstance(credential, str) or not _CREDENTIAL.match(credential):
        raise invalid_request("credentialID is missing", "OR-05")
    if not isinstance(algorithm, str) or algorithm not in DIGEST_SIZES:
        raise invalid_request("hashAlgorithmOID is not one of SHA-256, SHA-384 and SHA-512", "OR-05")
    if not 1 <= len(documents) <= MOST_DIGESTS:
        raise invalid_request(f"name 1 to {MOST_DIGESTS} digests: nothing is permitted unseen", "OR-05")
    if any(len(one.digest) != DIGEST_SIZES[algorithm] for one in documents):
        raise invalid_request("a digest has not the length of its algorithm", "OR-05")
    return Signing(credential, tuple(documents), algorithm)


def _octets(value: Any) -> bytes:
    """Base64url (and Base64, which clients send too), with or without padding."""
    if isinstance(value, str) and len(value) <= 128:
        standard = value.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise invalid_request("a digest is not Base64url", "OR-05")


def _visible(parameters: Mapping[str, str], name: str) -> str | None:
    value = parameters.get(name)
    if value is not None and not _VISIBLE.match(value):
        raise invalid_request(f"{name} has characters that it cannot have, or is too long", "OR-01")
    return value


def _line(value: Any, name: str, longest: int) -> str | None:
    """Text that is shown to a person: printable, so that it cannot reorder or hide what stands around it."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise invalid_request(f"{name} is too long, or no text", "OR-05")
    if not is_printable(value):
        raise invalid_request(f"{name} has characters that cannot be shown", "OR-05")
    return value.strip() or None


def _bad_details(why: str) -> OAuthRefused:
    return OAuthRefused("invalid_authorization_details", why, "OR-05")
