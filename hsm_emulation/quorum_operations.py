"""The operations that need custodians where there are any: asked for directly, or done on an approved request.

Each is one entry: the roles that may ask, its arguments, and the act. Without custodians it is an operation like any
other; with them the direct way raises QuorumRequired, and ``quorum_perform`` does it when enough of them have signed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from foundation.keys.errors import DataInvalid, MechanismInvalid, NotLoggedIn, RequestInvalid
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.keys.quorum import Custodians, Request
from hsm_emulation.operation import BOTH, SO, USER, Operation, label, list_of_octets, octets, one_of, opaque_id, or_none
from hsm_emulation.protocol import key_value
from hsm_emulation.sessions import Session
from hsm_emulation.token import Token


def _generate(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    return key_value(token.generate(session, **args))


def _set_policy(token: Token, session: Session, key_id: str, policy: KeyPolicy) -> dict[str, Any]:
    return key_value(token.set_policy(session, key_id, policy))


ACTS: Mapping[str, Operation] = {
    "generate": Operation(
        USER,
        {
            "label": label,
            "algorithm": one_of(KeyAlgorithm, MechanismInvalid),
            "use": one_of(KeyUse, DataInvalid),
            "owner": or_none(opaque_id),
            "policy": or_none(KeyPolicy.parse),
        },
        _generate,
        "label",
    ),
    "set_policy": Operation(SO, {"key_id": opaque_id, "policy": KeyPolicy.parse}, _set_policy, "key_id"),
    "rotate_master": Operation(SO, {}, lambda token, session: token.rotation.begin(session)),
    "accept_store": Operation(SO, {}, lambda token, session: token.accept_store(session)),
    "set_custodians": Operation(
        SO,
        {"custodians": Custodians.parse},
        lambda token, session, custodians: token.quorum.replace(session, custodians),
    ),
}


def direct(name: str) -> Operation:
    """The act as an operation that nobody has to approve: QuorumRequired where there are custodians."""
    act = ACTS[name]

    def run(token: Token, session: Session, **args: Any) -> Any:
        if name != "generate" or policy_for(args["use"], args["policy"]).needs_quorum:
            token.quorum.require_none()
        return act.run(token, session, **args)

    return Operation(act.roles, act.fields, run, act.subject)


def _ask(token: Token, session: Session, operation: str, arguments: dict[str, Any]) -> bytes:
    _checked(session, operation, arguments)
    return token.quorum.ask(session, operation, arguments)


def _perform(token: Token, session: Session, request: bytes, approvals: list[bytes]) -> Any:
    asked = Request.parse(request)
    checked = _checked(session, asked.operation, dict(asked.arguments))  # before the nonce is used up
    token.quorum.redeem(session, request, approvals)
    return ACTS[asked.operation].run(token, session, **checked)


def _checked(session: Session, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    act = ACTS.get(name)
    if act is None or set(arguments) != set(act.fields):
        raise RequestInvalid
    if session.role not in act.roles:
        raise NotLoggedIn
    return {field: check(arguments[field]) for field, check in act.fields.items()}


def _arguments(value: object) -> dict[str, Any]:
    """JSON values in an object."""
    if not isinstance(value, str):
        raise DataInvalid
    try:
        found = json.loads(value)
    except ValueError:
        raise DataInvalid from None
    if not isinstance(found, dict):
        raise DataInvalid
    return found


QUORUM_OPERATIONS: Mapping[str, Operation] = {
    **{name: direct(name) for name in ACTS},
    "custodians": Operation(BOTH, {}, lambda token, _: token.quorum.custodians().data()),
    "quorum_ask": Operation(BOTH, {"operation": label, "arguments": _arguments}, _ask),
    "quorum_perform": Operation(BOTH, {"request": octets, "approvals": list_of_octets}, _perform),
}
