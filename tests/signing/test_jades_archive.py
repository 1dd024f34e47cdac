"""The archive level of JAdES: what the timestamp is over, by the text of the standard; what is moved or added does not
count."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from asn1crypto import cms, tsp

from signing import jws
from signing.forms import Form
from signing.model import Level
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed

JSON = Form.named("jades", "json")


@pytest.fixture
def made(desk: Desk) -> dict[str, Any]:
    """A good one, taken apart."""
    value: dict[str, Any] = json.loads(sealed(desk, TEXT, JSON, Level.B_LTA))
    return value


def _with(value: dict[str, Any], members: list[Any]) -> bytes:
    return json.dumps({**value, "header": {"etsiU": members}}).encode()


def test_the_archive_timestamp_is_over_what_the_standard_says(made: dict[str, Any]) -> None:
    """TS 119 182-1 V1.2.1 §5.3.6.2.3 step by step: base64url of the payload, a full stop, the protected header, a full
    stop, the signature value, a full stop, then the members before it as they stand there, one behind the other."""
    *before, last = made["header"]["etsiU"]
    stamp = json.loads(jws.decode(last))
    assert set(stamp) == {"arcTst"}
    (token,) = stamp["arcTst"]["tstTokens"]
    content = cms.ContentInfo.load(jws.decode_base64(token["val"]))["content"]["encap_content_info"]["content"]
    imprint = tsp.TSTInfo.load(bytes(content))["message_imprint"]["hashed_message"].native
    text = made["payload"] + "." + made["protected"] + "." + made["signature"] + "." + "".join(before)
    assert imprint == hashlib.sha256(text.encode("ascii")).digest()
    assert "canonAlg" not in stamp["arcTst"]


def test_what_was_changed_behind_it_does_not_hold(desk: Desk, made: dict[str, Any]) -> None:
    """A member taken out, moved, or put in the clear; the timestamp of another signature: the time is not proved."""
    members = made["header"]["etsiU"]
    clear = [jws.member(members[0]), *members[1:]]
    for changed in (members[1:], [members[1], members[0], *members[2:]], clear):
        assert outcome(judged(desk, _with(made, changed)))[0] != "TOTAL-PASSED"
    other = json.loads(sealed(desk, TEXT, JSON, Level.B_LTA))["header"]["etsiU"][-1]
    assert outcome(judged(desk, _with(made, [*members[:-1], other])))[0] != "TOTAL-PASSED"


def test_evidence_behind_the_last_one_is_not_archived(desk: Desk, made: dict[str, Any]) -> None:
    """Values that stand behind the last archive timestamp take the level back to B-LT, not the verdict."""
    members = made["header"]["etsiU"]
    values = next(one for one in members if "xVals" in jws.member(one))
    verdict = judged(desk, _with(made, [*members, values]))
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LT"
