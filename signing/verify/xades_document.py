"""An XML file with signatures, as a document of its own: the document inside, or beside."""

from __future__ import annotations

from datetime import datetime

from signing import strict_xml
from signing.verify.model import FileVerdict, SubIndication, failed
from signing.verify.policy import Policy
from signing.verify.signature_value import other_content
from signing.verify.trust import Trust
from signing.verify.xades import judge_signatures
from signing.verify.xades_form import Referenced, plain
from signing.xmldsig import DS, ds


def judge_xml(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> FileVerdict | None:
    """The verdict on an XML file with signatures; None for one without. ``detached``: what it is about, beside it."""
    if DS.encode() not in data:
        return None

    def outside(_: str) -> Referenced | None:
        return None if detached is None else plain(detached)

    try:
        root = strict_xml.parse(data)
    except strict_xml.XmlRefused:
        reason = failed("XML-FORM", "XML Signature 1.1 §4", "verify_format_failure", SubIndication.FORMAT_FAILURE)
        return FileVerdict(name, "XAdES", (), (reason,))
    if root.tag != ds("Signature") and next(root.iter(ds("Signature")), None) is None:
        return None
    found = judge_signatures(root, trust, at, policy, outside)
    beside = detached is None or any(names for _, names in found)
    reasons = () if beside else (other_content("XML-DETACHED"),)
    return FileVerdict(name, "XAdES", tuple(verdict for verdict, _ in found), reasons)
