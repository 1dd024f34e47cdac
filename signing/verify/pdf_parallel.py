"""Signatures beside the one of a PDF signature field, in an unsigned attribute of it (`signing.parallel_signatures`).

    C11  what a signature announces beside itself is there, over the same byte range, and announces it    CMS-PARALLEL

What is there is judged as a signature of its own, whether it was announced or not.
"""

from __future__ import annotations

from foundation.x509 import der
from signing.cms_parts import CmsParts
from signing.parallel_signatures import PARALLEL_MESSAGE
from signing.verify.cades_document import claim_of, parallel_reasons
from signing.verify.cms import CmsMalformed, SignedMessage, read_message
from signing.verify.model import SignatureKind, SignatureVerdict, SubIndication, failed
from signing.verify.pdf import PdfSignature
from signing.verify.signature import DigestOf, Known, judge, with_certificates
from signing.verify.standing import Case

_MAX_BESIDE = 4


def judge_beside(
    case: Case,
    signature: PdfSignature,
    message: SignedMessage,
    verdict: SignatureVerdict,
    digest_of: DigestOf,
    known: Known,
) -> tuple[SignatureVerdict, ...]:
    """The verdict on the signature of a field, with what the ones beside it mean for it, and the verdicts on those."""
    if not message.announces and PARALLEL_MESSAGE not in signature.contents:
        return (verdict,)
    own = _parts(signature.contents)
    beside = own.of_kind(PARALLEL_MESSAGE)[:_MAX_BESIDE] if own is not None else ()
    messages, parts, verdicts = [message], [own], [verdict]
    for number, octets in enumerate(beside, 1):
        field = f"{signature.field}/parallel-{number}"
        base = SignatureVerdict(SignatureKind.SIGNATURE, field, signature.objections, coverage=signature.coverage.value)
        try:
            other = read_message(octets)
            if other.content is not None:
                raise CmsMalformed
        except CmsMalformed as error:
            sub = SubIndication.FORMAT_FAILURE
            verdicts.append(base.with_reasons((failed(error.rule, "RFC 5652 §5", "verify_format_failure", sub),)))
            continue
        claim = claim_of(other, digest_of, case.policy)
        messages.append(other)
        parts.append(_parts(octets))
        verdicts.append(judge(with_certificates(case, other.certificates), base, claim, known))
    if len(messages) != len(verdicts):
        return tuple(verdicts)
    return tuple(
        one.with_reasons(tuple(parallel_reasons(number, messages, parts))) for number, one in enumerate(verdicts)
    )


def messages_beside(contents: bytes) -> tuple[SignedMessage, ...]:
    """What stands beside the signature in a field's contents, in its order. Raises CmsMalformed."""
    own = _parts(contents) if PARALLEL_MESSAGE in contents else None
    return tuple(read_message(one) for one in own.of_kind(PARALLEL_MESSAGE)[:_MAX_BESIDE]) if own is not None else ()


def _parts(contents: bytes) -> CmsParts | None:
    """A message, without the zeros of the hole behind it."""
    try:
        return CmsParts.parse(contents[: der.read(contents)[2]])
    except ValueError:
        return None
