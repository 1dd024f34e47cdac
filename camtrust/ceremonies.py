"""Ceremonies in the issuance log: the digest of every transcript, so that none can be held in secret or forgotten."""

from __future__ import annotations

from pathlib import Path

from camtrust.errors import RootsRefused
from issuing_ca.log import IssuanceLog
from issuing_ca.service import CertificateAuthority
from root_ca.service import verify


def log_transcripts(last: Path, ca: CertificateAuthority, log: IssuanceLog) -> dict[str, str]:
    """Record a transcript and all before it, each once; gives SHA-256 (hexadecimal) by file name, oldest first.

    RootsRefused where it does not verify, or is about no root of the authorities that are installed.
    """
    result = verify(last)
    roots = {state.certificate for state in result.states}
    ours = [authority.root for authority in ca.authorities.all() if authority.root in roots]
    if not result.valid or not ours:
        raise RootsRefused(transcript=last.name)
    return {act.path.name: log.record_transcript(act.path.read_bytes(), ours[0].subject).hex() for act in result.acts}
