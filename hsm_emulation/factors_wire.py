"""Persons' factors as they cross the socket, and the client's calls about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foundation.clock import parse_rfc3339, rfc3339
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp, Proof
from foundation.keys.errors import DataInvalid
from foundation.keys.factors import (
    ApprovalRequest,
    ChangeKind,
    ChangeRequest,
    FactorChange,
    FactorsOf,
    RegisteredPasskey,
)
from foundation.keys.port import Activation, TotpEnrolment

_LONGEST_SECRET = 255
_LONGEST_RESPONSE = 64 * 1024


def activation_value(activation: Activation) -> dict[str, Any]:
    return {"token": activation.token, "expires": rfc3339(activation.expires)}


def approval_value(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "nonce": request.nonce,
        "data": request.data,
        "expires": rfc3339(request.expires),
        "options": request.options,
    }


def change_request_value(request: ChangeRequest) -> dict[str, Any]:
    return {"approval": approval_value(request.approval), "provisioning_uri": request.provisioning_uri}


def factors_value(factors: FactorsOf) -> dict[str, Any]:
    passkeys = [one.credential_id for one in factors.passkeys]
    left, codes = factors.codes_left, factors.codes
    return {"methods": sorted(factors.methods), "passkeys": passkeys, "codes_left": left, "codes": codes}


def proof_from(value: object) -> Proof:
    """A proof as a client sent it: ``{"pin", "totp"}`` or ``{"passkey"}``; DataInvalid."""
    if isinstance(value, dict) and set(value) == {"pin", "totp"}:
        return PinTotp(_secret(value["pin"], _LONGEST_SECRET), _secret(value["totp"], _LONGEST_SECRET))
    if isinstance(value, dict) and set(value) == {"passkey"}:
        return PasskeyAssertion(_secret(value["passkey"], _LONGEST_RESPONSE))
    raise DataInvalid


def change_from(value: object) -> FactorChange:
    """A change as a client sent it: ``{"kind", "pin", "passkey"}``; DataInvalid."""
    if not isinstance(value, dict) or set(value) != {"kind", "pin", "passkey"}:
        raise DataInvalid
    try:
        kind = ChangeKind(value["kind"])
    except ValueError:
        raise DataInvalid from None
    pin, passkey = value["pin"], value["passkey"]
    return FactorChange(
        kind,
        None if pin is None else _secret(pin, _LONGEST_SECRET),
        None if passkey is None else _secret(passkey, _LONGEST_RESPONSE),
    )


def _secret(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise DataInvalid
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise DataInvalid from None
    return value


def _approval_from(value: dict[str, Any]) -> ApprovalRequest:
    return ApprovalRequest(value["nonce"], value["data"], parse_rfc3339(value["expires"]), value["options"])


def _proof_value(proof: Proof) -> dict[str, str]:
    if isinstance(proof, PinTotp):
        return {"pin": proof.pin, "totp": proof.totp}
    return {"passkey": proof.response}


class FactorCalls:
    """`foundation.keys.factors.PersonFactors` over the socket; `hsm_emulation.client.HsmClient` is one."""

    def _call(self, op: str, *, reads: bool = False, **args: Any) -> Any:
        raise NotImplementedError

    def enrol(self, owner: str, pin: str) -> TotpEnrolment:
        return TotpEnrolment(self._call("enrol", owner=owner, pin=pin))

    def enrol_card(self, owner: str, pin: str) -> tuple[str, ...]:
        return tuple(self._call("enrol_card", owner=owner, pin=pin))

    def enrol_device(self, owner: str, pin: str, serial: str, sealed: bytes) -> None:
        self._call("enrol_device", owner=owner, pin=pin, serial=serial, sealed=sealed)

    def seal_device(self, serial: str, seed: bytes) -> bytes:
        return bytes(self._call("seal_device", serial=serial, seed=seed))

    def confirm(self, owner: str, totp: str) -> None:
        self._call("confirm", owner=owner, totp=totp)

    def check(self, owner: str, pin: str, totp: str) -> None:
        self._call("check", owner=owner, pin=pin, totp=totp)

    def activate(self, key_id: str, digests: Sequence[bytes], pin: str, totp: str, audience: str) -> Activation:
        value = self._call("activate", key_id=key_id, digests=list(digests), pin=pin, totp=totp, audience=audience)
        return Activation(value["token"], parse_rfc3339(value["expires"]))

    def factors_of(self, owner: str) -> FactorsOf:
        value = self._call("factors_of", reads=True, owner=owner)
        methods = frozenset(Method(one) for one in value["methods"])
        return FactorsOf(
            methods, tuple(RegisteredPasskey(one) for one in value["passkeys"]), value["codes_left"], value["codes"]
        )

    def begin_passkey(self, owner: str) -> str:
        return str(self._call("begin_passkey", owner=owner))

    def finish_passkey(self, owner: str, response: str) -> None:
        self._call("finish_passkey", owner=owner, response=response)

    def prepare_activation(
        self, key_id: str, digests: Sequence[bytes], audience: str, method: Method
    ) -> ApprovalRequest:
        return _approval_from(
            self._call("prepare_activation", key_id=key_id, digests=list(digests), audience=audience, method=method)
        )

    def approve(self, nonce: bytes, proof: Proof) -> Activation:
        value = self._call("approve", nonce=nonce, proof=_proof_value(proof))
        return Activation(value["token"], parse_rfc3339(value["expires"]))

    def prepare_presence(self, owner: str, audience: str) -> ApprovalRequest:
        return _approval_from(self._call("prepare_presence", owner=owner, audience=audience))

    def check_presence(self, owner: str, nonce: bytes, proof: Proof) -> None:
        self._call("check_presence", owner=owner, nonce=nonce, proof=_proof_value(proof))

    def prepare_change(self, owner: str, change: FactorChange, method: Method) -> ChangeRequest:
        asked = {"kind": change.kind, "pin": change.pin, "passkey": change.passkey}
        value = self._call("prepare_change", owner=owner, change=asked, method=method)
        return ChangeRequest(_approval_from(value["approval"]), value["provisioning_uri"])

    def approve_change(self, owner: str, nonce: bytes, proof: Proof, totp: str | None = None) -> None:
        self._call("approve_change", owner=owner, nonce=nonce, proof=_proof_value(proof), totp=totp)

    def lose_factors(self, owner: str) -> tuple[str, ...]:
        return tuple(self._call("lose_factors", owner=owner))

    def set_relying_party(self, rp_id: str, origins: Sequence[str]) -> None:
        """As SO: whose passkeys the token takes, and from which pages."""
        self._call("set_relying_party", rp_id=rp_id, origins=list(origins))
