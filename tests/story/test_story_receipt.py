"""A receipt from a whole installation, checked without it: its key, the log, and the timestamp by OpenSSL."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ekyc.receipts import receipt
from foundation.signed_note import NoteKey
from tests import programs
from tests.story.installation import Installation


def test_a_receipt_is_checked_without_the_services(assembled: Installation, tmp_path: Path) -> None:
    """The log's proof is of this receipt and no other; OpenSSL verifies the timestamp over it, and not over another."""
    person, other = (assembled.applicant().until("certificate") for _ in range(2))
    answer = person.ask("GET", f"{person.base}/receipt")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store"), answer.text
    made, theirs = answer.json(), other.get(f"{other.base}/receipt")
    key = bytes.fromhex(made["public_key"])
    pins, log = {hashlib.sha256(key).hexdigest()}, NoteKey.parse(made["log_key"])
    said, findings = receipt.check(made["receipt"], key, pins, made["log_proof"].encode(), log)
    assert findings == ()
    assert said["sub"] == person.person_id
    _, wrong = receipt.check(made["receipt"], key, pins, theirs["log_proof"].encode(), log)
    assert {one.rule for one in wrong} == {"LOG-OPENS", "LOG-LABEL"}

    ca = assembled.services.ca.authorities.get("tsa")
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (ca.certificate, *ca.chain, ca.root)))
    token, data = tmp_path / "receipt.tst", tmp_path / "receipt.jws"
    token.write_bytes(base64.b64decode(made["timestamp"]))
    check = ("ts", "-verify", "-token_in", "-in", token, "-CAfile", anchors, "-data", data)
    data.write_text(made["receipt"], encoding="ascii")
    programs.run("openssl", *check)
    data.write_text(theirs["receipt"], encoding="ascii")
    with pytest.raises(programs.ProgramFailed, match="message imprint mismatch"):
        programs.run("openssl", *check)
