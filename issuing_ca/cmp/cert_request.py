"""What a CRMF request of ir, cr and kur brings (RFC 4211, RFC 9483 §4.1.1)."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from issuing_ca.cmp.message import CmpRefused, Failure, verify
from issuing_ca.enrolment.model import Wanted


def requested(content: Any) -> tuple[int, Wanted]:
    """One certificate request, with the proof that its key is held (RFC 9483 §4.1.1). Raises CmpRefused."""
    if len(content) != 1:
        raise CmpRefused(Failure.BAD_REQUEST)
    request, popo = content[0]["request"], content[0]["popo"]
    template = request["template"]
    if template["public_key"].native is None:
        raise CmpRefused(Failure.BAD_CERT_TEMPLATE)
    try:
        public_key = load_der_public_key(template["public_key"].untag().dump(force=True))
    except Exception:  # whatever an odd key makes the library say
        raise CmpRefused(Failure.BAD_CERT_TEMPLATE) from None
    if popo.native is None or popo.name != "signature" or popo.chosen["input"].native is not None:
        raise CmpRefused(Failure.BAD_POP)
    proof = popo.chosen
    algorithm, signature = proof["algorithm"]["algorithm"].dotted, bytes(proof["signature"].native)
    if not verify(public_key, algorithm, signature, request.dump()):
        raise CmpRefused(Failure.BAD_POP)
    number = request["id"].native
    subject, names = _subject(template["subject"]), _names(template["extensions"])
    return number, Wanted(public_key, subject, names, content[0].dump())  # type: ignore[arg-type]


def _subject(name: Any) -> x509.Name | None:
    if name.native is None:
        return None
    try:
        return x509.Name(
            [
                x509.NameAttribute(x509.ObjectIdentifier(pair["type"].dotted), str(pair["value"].native))
                for rdn in name.chosen
                for pair in rdn
            ]
        )
    except Exception:  # a value that no name can have
        raise CmpRefused(Failure.BAD_CERT_TEMPLATE) from None


def _names(extensions: Any) -> tuple[str, ...] | None:
    for extension in extensions if extensions.native is not None else ():
        if extension["extn_id"].native == "subject_alt_name":
            given = extension["extn_value"].parsed
            if not all(one.name == "dns_name" for one in given):
                raise CmpRefused(Failure.BAD_CERT_TEMPLATE)
            return tuple(str(one.native) for one in given)
    return None
