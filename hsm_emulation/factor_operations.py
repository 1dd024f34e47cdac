"""What can be asked of the daemon about persons' factors and what they approve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.keys.activation import Method, Proof
from foundation.keys.errors import DataInvalid
from hsm_emulation.factors_wire import (
    activation_value,
    approval_value,
    change_from,
    change_request_value,
    factors_value,
    proof_from,
)
from hsm_emulation.operation import (
    SO,
    USER,
    Operation,
    label,
    list_of_labels,
    list_of_octets,
    octets,
    one_of,
    opaque_id,
    or_none,
    secret,
    text,
)
from hsm_emulation.sessions import Session
from hsm_emulation.token import Token

_response = text(64 * 1024)
_method = one_of(Method, DataInvalid)


def _activate(token: Token, session: Session, key_id: str, **args: Any) -> dict[str, Any]:
    return activation_value(token.activations.activate(session, token.get(key_id), **args))


def _prepare_activation(token: Token, session: Session, key_id: str, **args: Any) -> dict[str, Any]:
    return approval_value(token.activations.prepare(session, token.get(key_id), **args))


def _approve(token: Token, session: Session, nonce: bytes, proof: Proof) -> dict[str, Any]:
    info = token.get(token.activations.key_of(nonce))
    return activation_value(token.activations.approve(session, info, nonce, proof))


def _prepare_change(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    return change_request_value(token.factors.prepare_change(session, **args))


FACTOR_OPERATIONS: Mapping[str, Operation] = {
    "enrol": Operation(
        USER,
        {"owner": opaque_id, "pin": secret},
        lambda token, session, **args: token.factors.enrol(session, **args).provisioning_uri,
        "owner",
    ),
    "enrol_card": Operation(
        USER,
        {"owner": opaque_id, "pin": secret},
        lambda token, session, **args: list(token.factors.enrol_card(session, **args)),
        "owner",
    ),
    "enrol_device": Operation(
        USER,
        {"owner": opaque_id, "pin": secret, "serial": label, "sealed": octets},
        lambda token, session, **args: token.factors.enrol_device(session, **args),
        "owner",
    ),
    "seal_device": Operation(
        USER,
        {"serial": label, "seed": octets},
        lambda token, session, **args: token.factors.seal_device(session, **args),
    ),
    "confirm": Operation(
        USER,
        {"owner": opaque_id, "totp": secret},
        lambda token, session, **args: token.factors.confirm(session, **args),
        "owner",
    ),
    "check": Operation(
        USER,
        {"owner": opaque_id, "pin": secret, "totp": secret},
        lambda token, session, **args: token.factors.check(session, **args),
        "owner",
    ),
    "activate": Operation(
        USER,
        {"key_id": opaque_id, "digests": list_of_octets, "pin": secret, "totp": secret, "audience": label},
        _activate,
        "key_id",
    ),
    "factors_of": Operation(
        USER, {"owner": opaque_id}, lambda token, _, owner: factors_value(token.factors.factors_of(owner))
    ),
    "begin_passkey": Operation(
        USER,
        {"owner": opaque_id},
        lambda token, session, owner: token.factors.begin_passkey(session, owner),
        "owner",
    ),
    "finish_passkey": Operation(
        USER,
        {"owner": opaque_id, "response": _response},
        lambda token, session, **args: token.factors.finish_passkey(session, **args),
        "owner",
    ),
    "prepare_activation": Operation(
        USER,
        {"key_id": opaque_id, "digests": list_of_octets, "audience": label, "method": _method},
        _prepare_activation,
        "key_id",
    ),
    "approve": Operation(USER, {"nonce": octets, "proof": proof_from}, _approve, "nonce"),
    "prepare_presence": Operation(
        USER,
        {"owner": opaque_id, "audience": label},
        lambda token, _, **args: approval_value(token.factors.prepare_presence(**args)),
        "owner",
    ),
    "check_presence": Operation(
        USER,
        {"owner": opaque_id, "nonce": octets, "proof": proof_from},
        lambda token, session, **args: token.factors.check_presence(session, **args),
        "owner",
    ),
    "prepare_change": Operation(
        USER, {"owner": opaque_id, "change": change_from, "method": _method}, _prepare_change, "owner"
    ),
    "approve_change": Operation(
        USER,
        {"owner": opaque_id, "nonce": octets, "proof": proof_from, "totp": or_none(secret)},
        lambda token, session, **args: token.factors.approve_change(session, **args),
        "owner",
    ),
    "lose_factors": Operation(
        USER, {"owner": opaque_id}, lambda token, session, owner: token.factors.lose(session, owner), "owner"
    ),
    "set_relying_party": Operation(
        SO,
        {"rp_id": label, "origins": list_of_labels},
        lambda token, session, **args: token.factors.set_relying_party(session, **args),
    ),
}
