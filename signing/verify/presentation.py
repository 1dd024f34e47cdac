"""A verdict as a person reads it: first whether to rely on it, then what to do, then why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foundation.catalogue import Language, text
from foundation.clock import rfc3339
from signing.verify.model import FileVerdict, Indication, Reason, SignatureKind, SignatureVerdict
from signing.verify.trust import Trust

_BY = {
    SignatureKind.SIGNATURE: "signing.verify_signed_by",
    SignatureKind.DOCUMENT_TIMESTAMP: "signing.verify_stamped_by",
    SignatureKind.COUNTER_SIGNATURE: "signing.verify_counter_signed_by",
    SignatureKind.CERTIFICATE: "signing.verify_certificate_of",
    SignatureKind.PAPER: "signing.verify_code_of",
}
_MARKS = {Indication.TOTAL_PASSED: "✓", Indication.INDETERMINATE: "?", Indication.TOTAL_FAILED: "✗"}


def file_lines(verdict: FileVerdict, language: Language) -> Iterator[str]:
    """The lines about one file."""
    yield verdict.headline(language)
    advice = verdict.advice(language)
    if advice:
        yield f"  → {advice}"
    if verdict.specimen:
        yield f"  ! {text('signing.verify_specimen', language)}"
    indication, sub = verdict.indication, verdict.sub_indication
    yield f"  {verdict.file}: {indication.value}{f' / {sub.value}' if sub else ''}"
    for reason in verdict.reasons:
        yield f"    {_reason(reason, language)}"
    for signature in verdict.signatures:
        yield from _signature_lines(signature, language)


def _signature_lines(signature: SignatureVerdict, language: Language) -> Iterator[str]:
    if signature.signer is None:
        who = text("signing.verify_unidentified", language, field=signature.field)
    else:
        key = _BY[signature.kind]
        who = text(key, language, who=signature.signer.name)
    facts = [who]
    if signature.level:
        facts.append(signature.level)
    when = signature.proved_at or signature.claimed_at
    if when:
        facts.append(rfc3339(when.replace(microsecond=0)))
    if signature.coverage:
        facts.append(signature.coverage)
    yield f"  {_MARKS[signature.indication]} {' · '.join(facts)}"
    for reason in signature.reasons:
        if reason.rule != "SPECIMEN":
            yield f"      {_reason(reason, language)}"


def _reason(reason: Reason, language: Language) -> str:
    return f"{_MARKS[reason.indication]} {reason.message(language)} [{reason.rule}]"


def bundle_lines(trust: Trust, language: Language) -> Iterator[str]:
    """The lines about the trust bundle."""
    shown = trust.bundle or trust.claimed
    if shown is not None:
        contents = shown.contents
        yield (
            f"  bundle {contents.sequence} · {rfc3339(contents.issued)} – {rfc3339(contents.expires)}"
            f"{' · SPECIMEN' if contents.specimen else ''}"
        )
    for reason in trust.reasons:
        yield f"    {_reason(reason, language)}"
    for one in trust.lists:
        if isinstance(one, Reason):
            yield f"    {_reason(one, language)}"
        else:
            yield f"  trust list {one.territory} {one.sequence} · {one.operator} · {len(one.anchors())} anchors"


def all_lines(verdicts: Sequence[FileVerdict], trust: Trust, language: Language) -> Iterator[str]:
    """The whole answer."""
    for number, verdict in enumerate(verdicts):
        if number:
            yield ""
        yield from file_lines(verdict, language)
    yield from bundle_lines(trust, language)
    if len(verdicts) > 1:
        counts = {one: sum(verdict.indication is one for verdict in verdicts) for one in Indication}
        yield ""
        yield text(
            "signing.verify_summary",
            language,
            total=len(verdicts),
            passed=counts[Indication.TOTAL_PASSED],
            failed=counts[Indication.TOTAL_FAILED],
            open=counts[Indication.INDETERMINATE],
        )
