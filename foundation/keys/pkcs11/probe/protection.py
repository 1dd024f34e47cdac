"""What the module lets out: reading what is sensitive, changing or copying it to what can be read, unwrapping it so.

All of it is tried on session objects, which end with the session. A module passes when every way is refused: nothing is
taken from anybody's key. What is found is told by the PKCS#11 name of the way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pkcs11.constants import DEFAULT, Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid, PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from foundation.keys.pkcs11.sessions import Connection
from foundation.keys.probe.report import Finding, Verdict

_P256 = bytes.fromhex("06082a8648ce3d030107")
_OPENED: Mapping[Any, Any] = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
_WRAPS: tuple[tuple[Mechanism, Callable[[], Any]], ...] = (
    (Mechanism.AES_KEY_WRAP, lambda: None),
    (Mechanism.AES_KEY_WRAP_PAD, lambda: None),
    (Mechanism.AES_CBC_PAD, lambda: os.urandom(16)),
)
_REFUSED = (PKCS11Error, NotImplementedError, TypeError, ValueError)
_RATE_SECONDS = 0.5
# python-pkcs11 names these in every template, and a module refuses them for an EC private key.
_UNUSED = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.VERIFY,
    Attribute.DERIVE,
)


def check_protection(connection: Connection) -> Finding:
    """A sensitive key that must not leave: it is not read, not changed, not copied and not wrapped."""
    leaks = connection.run(lambda session: list(_leaks(session.raw)))
    if leaks:
        return Finding("key protection", Verdict.FAIL, f"a protected key leaves by {', '.join(leaks)}", {"ways": leaks})
    return Finding(
        "key protection",
        Verdict.PASS,
        "a protected key is not read, made readable (C_SetAttributeValue, C_CopyObject) or wrapped",
        {"ways": []},
    )


def check_unwrap(connection: Connection) -> Finding:
    """A sensitive key that may be wrapped: whether what unwraps it can ask for it to be readable, or the wrapping key
    decrypts it. Then whoever is logged in reads every key that is kept wrapped outside.
    """
    tried, ways, rate = connection.run(lambda session: _unwraps(session.raw))
    details = {"mechanisms": tried, "ways": ways, "unwrap_and_sign_per_second": rate}
    if not tried:
        return Finding(
            "unwrap downgrade", Verdict.PASS, "nothing can be wrapped: the module offers no AES wrapping", details
        )
    used = "" if rate is None else f"; {rate:,.0f} wrapped P-256 keys unwrapped and used a second"
    if ways:
        said = f"a wrapped sensitive key comes out readable: {', '.join(ways)}{used}"
        return Finding("unwrap downgrade", Verdict.FAIL, said, details)
    return Finding("unwrap downgrade", Verdict.PASS, f"refused by {', '.join(tried)}{used}", details)


def _leaks(raw: Any) -> Iterator[str]:
    _, private = _pair(raw, extractable=False)
    if _reads(private):
        yield "C_GetAttributeValue"
    if _reads(raw.generate_key(KeyType.AES, 256, store=False, template=_template(sensitive=True, extractable=False))):
        yield "C_GetAttributeValue of a secret key"
    for attribute, value in _OPENED.items():
        try:
            private[attribute] = value
        except _REFUSED:
            continue
        if private[attribute] == value:
            yield f"C_SetAttributeValue of CKA_{attribute.name}"
    try:
        copy = private.copy(dict(_OPENED))
    except _REFUSED:
        pass
    else:
        if _reads(copy):
            yield "C_CopyObject"
    wrapping = _wrapping_key(raw)
    for mechanism, parameter in _WRAPS:
        _, again = _pair(raw, extractable=False)
        try:
            wrapping.wrap_key(again, mechanism=mechanism, mechanism_param=parameter())
        except _REFUSED:
            continue
        yield f"C_WrapKey by CKM_{mechanism.name}"


def _unwraps(raw: Any) -> tuple[list[str], list[str], float | None]:
    """The mechanisms that wrap, the ways out, and unwrap-and-sign per second where a private key can be wrapped."""
    wrapping, tried, ways, rate = _wrapping_key(raw), [], [], None
    secret = raw.generate_key(KeyType.AES, 256, store=False, template=_template(sensitive=True, extractable=True))
    if _reads(secret):
        ways.append("C_GetAttributeValue")
    for mechanism, parameter in _WRAPS:
        given = parameter()
        try:
            wrapped = wrapping.wrap_key(secret, mechanism=mechanism, mechanism_param=given)
        except _REFUSED:
            continue
        tried.append(f"CKM_{mechanism.name}")
        try:
            opened = wrapping.unwrap_key(
                *(ObjectClass.SECRET_KEY, KeyType.AES, wrapped),
                mechanism=mechanism,
                mechanism_param=given,
                store=False,
                template=dict(_OPENED),
            )
        except _REFUSED:
            pass
        else:
            if _reads(opened):
                ways.append(f"C_UnwrapKey by CKM_{mechanism.name} with CKA_SENSITIVE false")
        if mechanism is Mechanism.AES_CBC_PAD and _decrypts(raw, secret):
            ways.append("C_WrapKey, then C_Decrypt by the same key")
    if "CKM_AES_KEY_WRAP_PAD" in tried:
        rate = _private_rate(raw, wrapping)
    return tried, ways, rate


def _private_rate(raw: Any, wrapping: Any) -> float | None:
    """Keys kept wrapped outside: unwrapped, used once and forgotten, per second. None where that does not work."""
    try:
        _, private = _pair(raw, extractable=True)
        wrapped = wrapping.wrap_key(private, mechanism=Mechanism.AES_KEY_WRAP_PAD)
        begin, count = time.perf_counter(), 0
        while (taken := time.perf_counter() - begin) < _RATE_SECONDS:
            opened = wrapping.unwrap_key(
                *(ObjectClass.PRIVATE_KEY, KeyType.EC, wrapped),
                mechanism=Mechanism.AES_KEY_WRAP_PAD,
                store=False,
                capabilities=MechanismFlag.SIGN,
                template={**_template(sensitive=True, extractable=False), **dict.fromkeys(_UNUSED, DEFAULT)},
            )
            opened.sign(bytes(32), mechanism=Mechanism.ECDSA)
            opened.destroy()
            count += 1
    except _REFUSED:
        return None
    return round(count / taken, 1)


def _decrypts(raw: Any, secret: Any) -> bool:
    """Whether one key may both wrap and decrypt, which gives every key it wraps in the clear."""
    vector = os.urandom(16)
    both = {
        **_template(sensitive=True, extractable=False),
        **dict.fromkeys((Attribute.WRAP, Attribute.DECRYPT), True),
    }
    try:
        key = raw.generate_key(
            KeyType.AES,
            256,
            store=False,
            capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP | MechanismFlag.DECRYPT,
            template=both,
        )
        wrapped = key.wrap_key(secret, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=vector)
        return len(key.decrypt(wrapped, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=vector)) == 32
    except _REFUSED:
        return False


def _wrapping_key(raw: Any) -> Any:
    return raw.generate_key(
        KeyType.AES,
        256,
        store=False,
        capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
        template=_template(sensitive=True, extractable=False),
    )


def _pair(raw: Any, *, extractable: bool) -> tuple[Any, Any]:
    pair: tuple[Any, Any] = raw.generate_keypair(
        KeyType.EC,
        store=False,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template={Attribute.EC_PARAMS: _P256},
        private_template=_template(sensitive=True, extractable=extractable),
    )
    return pair


def _template(*, sensitive: bool, extractable: bool) -> dict[Any, Any]:
    return {Attribute.SENSITIVE: sensitive, Attribute.EXTRACTABLE: extractable}


def _reads(key: Any) -> bool:
    """Whether the value of a key comes out."""
    try:
        return bool(key[Attribute.VALUE])
    except (PKCS11Error, AttributeTypeInvalid):
        return False
