"""Formats other than PDF, told apart by content: each has a reader, and all are judged alike by `signature`.

    XAdES   XML with a ds:Signature                                `xades_document`, `xades`
    JAdES   a JSON Web Signature, compact or JSON                  `jades`
    ERS     an evidence record (RFC 4998)                          `evidence_records`
    CMS     a DER or BER SEQUENCE                                  `cades_document`
    ASiC    a ZIP file with a container's mimetype, or META-INF    `asic`
    alone   a timestamp token or a certificate                     `bare`

A file that is none of these gives None. Codes on paper (`paper`) come before them. Names and suffixes say nothing here.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from signing.asic_container import is_container
from signing.strict_xml import looks_like_xml
from signing.verify.asic import judge_container
from signing.verify.bare import judge_bare
from signing.verify.cades_document import judge_messages
from signing.verify.cms import CmsMalformed
from signing.verify.evidence_records import judge_record
from signing.verify.jades import judge_json
from signing.verify.model import FileVerdict
from signing.verify.policy import Policy
from signing.verify.trust import Trust
from signing.verify.xades_document import judge_xml


def judge_document(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> FileVerdict | None:
    """The verdict on a file of one of these formats; None for any other. ``detached``: what was signed."""
    if is_container(data):
        return judge_container(data, name, trust, at, policy)
    if looks_like_xml(data):
        return judge_xml(data, name, trust, at, policy, detached)
    found = judge_json(data, name, trust, at, policy, detached)
    if found is not None:
        return found
    found = judge_bare(data, name, trust, at, policy, detached)
    if found is not None:
        return found
    if data[:1] == b"\x30":
        record = judge_record(data, name, trust, at, policy, detached)
        if record is not None:
            return record
        with suppress(CmsMalformed):
            return FileVerdict(name, "CMS", judge_messages(data, trust, at, policy, detached))
    return None
