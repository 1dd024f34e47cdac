"""What the verifier writes into the log about documents that broke it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from signing.verify import verdict
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust


def test_the_log_says_where_and_nothing_of_the_document(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kind of exception and the places it went through; not its words, which a parser takes from the document."""

    def broken(*_: object) -> None:
        raise ValueError("SPECIMEN Sok Dara, 012 345 678")

    monkeypatch.setattr(verdict, "read_pdf", broken)
    at = datetime(2026, 11, 26, tzinfo=UTC)
    trust = build_trust(None, frozenset(), [], at, STRICT)
    judged = verdict.verify_file(b"%PDF-1.7\n", "SPECIMEN.pdf", trust, at, STRICT)
    assert judged.indication.value != "TOTAL-PASSED"
    assert "ValueError" in caplog.text
    assert "verdict:" in caplog.text
    assert "test_verify_log:" in caplog.text
    assert "Sok Dara" not in caplog.text
    caplog.clear()  # it was meant to happen here
