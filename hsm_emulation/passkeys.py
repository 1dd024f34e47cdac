"""Passkeys (WebAuthn Level 2): what a device is asked, and whether its answer proves its owner. Pure.

The relying party and its origins are fixed in the token by the security officer; user verification is always asked
for. The library comes with the services' installation: a token without it has no passkeys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from foundation.keys.errors import DataInvalid, PasskeyCloned, PasskeyInvalid, PasskeysUnavailable
from hsm_emulation.factors import ISSUER, Passkey, Record

_LONGEST_RESPONSE = 64 * 1024
_TIMEOUT_MS = 300_000
_MOST_PASSKEYS = 10


@dataclass(frozen=True)
class RelyingParty:
    """Whose passkeys these are: a domain (WebAuthn §5.1.2: RP ID), and the origins whose pages may ask for them."""

    rp_id: str
    origins: tuple[str, ...]

    def __post_init__(self) -> None:
        """DataInvalid for an origin that is not ``https://`` on the domain or below it (``http://`` for localhost)."""
        if not self.rp_id or not 1 <= len(self.origins) <= 16:
            raise DataInvalid
        for origin in self.origins:
            scheme, _, rest = origin.partition("://")
            host = rest.partition(":")[0]
            local = self.rp_id == "localhost" and scheme == "http"
            if not (scheme == "https" or local) or not (host == self.rp_id or host.endswith(f".{self.rp_id}")):
                raise DataInvalid

    def encode(self) -> bytes:
        return json.dumps([self.rp_id, list(self.origins)]).encode()

    @staticmethod
    def decode(data: bytes) -> RelyingParty:
        rp_id, origins = json.loads(data)
        return RelyingParty(rp_id, tuple(origins))


def _library() -> Any:
    try:
        import webauthn
    except ImportError:
        raise PasskeysUnavailable from None
    return webauthn


def registration_options(party: RelyingParty, owner: str, record: Record | None, challenge: bytes) -> str:
    """JSON for ``navigator.credentials.create()``; passkeys that are registered already are excluded.

    The person is an opaque handle to the device too. DataInvalid when they have ten.
    """
    webauthn = _library()
    from webauthn.helpers import structs

    known = record.passkeys if record else ()
    if len(known) >= _MOST_PASSKEYS:
        raise DataInvalid
    options = webauthn.generate_registration_options(
        rp_id=party.rp_id,
        rp_name=ISSUER,
        user_name=owner,
        user_id=hashlib.sha256(b"camtrust-passkey-user\0" + owner.encode()).digest(),
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        attestation=structs.AttestationConveyancePreference.NONE,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.PREFERRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[_descriptor(one) for one in known],
    )
    return str(webauthn.options_to_json(options))


def challenge_of(response: str) -> bytes:
    """The challenge that a response says it answers; PasskeyInvalid. It proves nothing: it finds what was asked."""
    _library()
    from webauthn.helpers import base64url_to_bytes

    try:
        data = json.loads(base64url_to_bytes(_parsed(response)["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(data["challenge"])
    except Exception:
        raise PasskeyInvalid from None
    return challenge


def verify_registration(party: RelyingParty, response: str, challenge: bytes) -> Passkey:
    """The passkey that a device made for this challenge (WebAuthn §7.1); PasskeyInvalid."""
    webauthn = _library()
    try:
        made = webauthn.verify_registration_response(
            credential=_parsed(response),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=list(party.origins),
            require_user_verification=True,
        )
    except Exception:  # whatever a stranger's octets make a parser say
        raise PasskeyInvalid from None
    _refuse_cross_origin(response)
    return Passkey(
        made.credential_id.hex(), made.credential_public_key.hex(), made.sign_count, party.rp_id, party.origins
    )


def assertion_options(passkeys: Sequence[Passkey], challenge: bytes) -> str:
    """JSON for ``navigator.credentials.get()`` with one of these passkeys."""
    webauthn = _library()
    from webauthn.helpers import structs

    options = webauthn.generate_authentication_options(
        rp_id=passkeys[0].rp_id,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        allow_credentials=[_descriptor(one) for one in passkeys],
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return str(webauthn.options_to_json(options))


def verify_assertion(record: Record, response: str, challenge: bytes) -> Record:
    """The record after this assertion over ``challenge`` by one of its passkeys (WebAuthn §7.2).

    PasskeyInvalid when it is of another challenge, relying party, origin or key, or without user verification;
    PasskeyCloned when all is right but the signature counter did not go up: two devices have this key.
    """
    webauthn = _library()
    parsed = _parsed(response)
    from webauthn.helpers import base64url_to_bytes

    try:
        wanted = base64url_to_bytes(parsed["id"]).hex()
        passkey = next(one for one in record.passkeys if one.credential_id == wanted)
        seen = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=passkey.rp_id,
            expected_origin=list(passkey.origins),
            credential_public_key=bytes.fromhex(passkey.public_key),
            credential_current_sign_count=0,  # judged below: a clone is told apart from a forgery
            require_user_verification=True,
        )
    except Exception:
        raise PasskeyInvalid from None
    _refuse_cross_origin(response)
    if seen.new_sign_count <= passkey.sign_count and (seen.new_sign_count or passkey.sign_count):
        raise PasskeyCloned
    after = replace(passkey, sign_count=seen.new_sign_count)
    return replace(record, passkeys=tuple(after if one is passkey else one for one in record.passkeys))


def _refuse_cross_origin(response: str) -> None:
    """A page inside another site's frame is not a page of ours (WebAuthn §13.4.2), whatever its own origin is."""
    from webauthn.helpers import base64url_to_bytes

    with suppress(ValueError):
        data = json.loads(base64url_to_bytes(_parsed(response)["response"]["clientDataJSON"]))
        if data.get("crossOrigin") in (None, False):
            return
    raise PasskeyInvalid


def _parsed(response: str) -> dict[str, Any]:
    try:
        value = json.loads(response) if len(response) <= _LONGEST_RESPONSE else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PasskeyInvalid
    return value


def _descriptor(passkey: Passkey) -> Any:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return PublicKeyCredentialDescriptor(id=bytes.fromhex(passkey.credential_id))
