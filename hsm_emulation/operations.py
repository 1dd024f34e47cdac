"""What can be asked of the daemon: each operation, its arguments (checked strictly) and the roles that may ask.

There is no operation that gives a private key, changes a key's use or owner, or decrypts at large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from foundation.keys.errors import DataInvalid, MechanismInvalid
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.factor_operations import FACTOR_OPERATIONS
from hsm_emulation.operation import (
    ALL,
    BOTH,
    SO,
    USER,
    Operation,
    flag,
    label,
    list_of_octets,
    number,
    octets,
    one_of,
    opaque_id,
    or_none,
    secret,
)
from hsm_emulation.protocol import SIGN, SIGN_WRAPPED, STAMP, key_value
from hsm_emulation.quorum_operations import QUORUM_OPERATIONS
from hsm_emulation.rotation import MOST_ROWS
from hsm_emulation.sessions import Session
from hsm_emulation.staged import Staged
from hsm_emulation.token import PAGE, Token

_algorithm = one_of(KeyAlgorithm, MechanismInvalid)
_mechanism = one_of(Mechanism, MechanismInvalid)
_use = one_of(KeyUse, DataInvalid)


def _find(token: Token, _: Session, **args: Any) -> dict[str, Any]:
    keys, following = token.find(**args)
    return {"keys": [key_value(info) for info in keys], "after": following}


def _generate_wrapped(token: Token, session: Session, **args: Any) -> dict[str, Any]:
    made = token.wrapped.generate(session, **args)
    return {"info": key_value(made.info), "wrapped": made.wrapped}


def _stamp(token: Token, session: Session, inputs: list[bytes], **args: Any) -> Staged[list[bytes]]:
    return token.sign(session, inputs=inputs[::2], contents=inputs[1::2], **args)


OPERATIONS: Mapping[str, Operation] = {
    "find": Operation(
        BOTH,
        {"label": or_none(label), "use": or_none(_use), "owner": or_none(opaque_id), "after": number},
        _find,
    ),
    "get": Operation(BOTH, {"key_id": opaque_id}, lambda token, _, key_id: key_value(token.get(key_id)), hot=True),
    "sign": Operation(
        USER,
        {
            "key_id": opaque_id,
            "mechanism": _mechanism,
            "inputs": list_of_octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        lambda token, session, **args: token.sign(session, **args),
        "key_id",
        hot=True,
        frame=SIGN,
    ),
    "stamp": Operation(  # timestamps: each SignedAttributes, and the TSTInfo that it is over
        USER,
        {
            "key_id": opaque_id,
            "mechanism": _mechanism,
            "inputs": list_of_octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        _stamp,
        "key_id",
        hot=True,
        frame=STAMP,
    ),
    "set_enabled": Operation(
        USER,
        {"key_id": opaque_id, "enabled": flag},
        lambda token, session, **args: token.set_enabled(session, **args),
        "key_id",
    ),
    "destroy": Operation(
        USER,
        {"key_id": opaque_id},
        lambda token, session, key_id: token.destroy(session, key_id),
        "key_id",
    ),
    "generate_wrapped": Operation(
        USER,
        {"owner": opaque_id, "algorithm": _algorithm, "use": _use, "policy": or_none(KeyPolicy.parse)},
        _generate_wrapped,
        "owner",
    ),
    "sign_wrapped": Operation(
        USER,
        {
            "wrapped": octets,
            "mechanism": _mechanism,
            "inputs": list_of_octets,
            "activation": or_none(octets),
            "audience": or_none(label),
        },
        lambda token, session, **args: token.wrapped.sign(session, **args),
        "wrapped",
        hot=True,
        frame=SIGN_WRAPPED,
    ),
    "rewrap": Operation(
        USER,
        {"wrapped": octets},
        lambda token, session, wrapped: token.wrapped.rewrap(session, wrapped),
        "wrapped",
    ),
    "wrapped_keys": Operation(
        BOTH,
        {"owner": opaque_id},
        lambda token, _, owner: [key_value(info) for info in token.wrapped.of_owner(owner)],
    ),
    "set_wrapped_enabled": Operation(
        USER,
        {"owner": opaque_id, "key_id": opaque_id, "enabled": flag},
        lambda token, session, **args: token.wrapped.set_enabled(session, **args),
        "key_id",
    ),
    "destroy_wrapped": Operation(
        USER,
        {"owner": opaque_id, "key_id": opaque_id},
        lambda token, session, **args: token.wrapped.destroy(session, **args),
        "key_id",
    ),
    "renew_person": Operation(
        USER,
        {"owner": opaque_id},
        lambda token, session, owner: token.wrapped.renew(session, owner),
        "owner",
    ),
    **FACTOR_OPERATIONS,
    **QUORUM_OPERATIONS,
    "attest": Operation(
        BOTH,
        {"key_id": opaque_id},
        lambda token, _, key_id: token.attest(key_id),
        "key_id",
    ),
    "witness": Operation(
        BOTH,
        {"last": or_none(octets)},
        lambda token, session, last: token.witness(session, last),
    ),
    "marks": Operation(USER, {}, lambda token, _: token.marks.all()),
    "set_marks": Operation(
        USER,
        {"marks": list_of_octets, "again": flag},
        lambda token, session, **args: token.marks.set(session, **args),
    ),
    "rewrap_rows": Operation(
        BOTH,
        {"limit": number},
        lambda token, session, limit: token.rotation.step(session, min(limit, MOST_ROWS)),
    ),
    "token_key": Operation(BOTH, {}, lambda token, _: token.token_key()),
    "new_data_key": Operation(
        USER,
        {"owner": opaque_id, "purpose": label},
        lambda token, _, **args: list(token.persons.new_data_key(**args)),
    ),
    "open_data_key": Operation(
        USER,
        {"owner": opaque_id, "purpose": label, "wrapped": octets},
        lambda token, _, **args: token.persons.open_data_key(**args),
        "owner",
        hot=True,
    ),
    "destroy_owner": Operation(
        USER,
        {"owner": opaque_id},
        lambda token, session, owner: token.destroy_owner(session, owner),
        "owner",
    ),
    "set_user_pin": Operation(
        SO,
        {"pin": secret},
        lambda token, session, pin: token.sessions.set_user_pin(session, pin),
    ),
    "set_auditor_pin": Operation(
        SO,
        {"pin": secret},
        lambda token, session, pin: token.sessions.set_auditor_pin(session, pin),
    ),
    "backup": Operation(SO, {}, lambda token, session: token.backup(session)),
    "inventory": Operation(ALL, {}, lambda token, _: token.inventory()),
    "audit_entries": Operation(
        ALL,
        {"after": number, "limit": number},
        lambda token, _, after, limit: [asdict(one) for one in token.audit_entries(after, min(limit, PAGE))],
    ),
    "verify_audit": Operation(ALL, {}, lambda token, _: token.verify_audit()),
}

FRAMES: Mapping[int, tuple[str, Operation]] = {
    operation.frame.code: (name, operation) for name, operation in OPERATIONS.items() if operation.frame
}
