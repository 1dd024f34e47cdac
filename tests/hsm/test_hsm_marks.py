"""What the token remembers for others: it lets a mark go forward alone, and nobody writes one into its store."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.keys.errors import DataInvalid, KeyStoreError, NotLoggedIn, WrappedKeyInvalid
from foundation.keys.marks import MOST_MARKS, Mark, MarkBehind
from hsm_emulation.client import HsmClient
from hsm_emulation.store import FILE
from tests.hsm.conftest import SO_PIN, Served

HEAD = Mark("status/issuing", 7, bytes(range(32)))


def test_a_mark_goes_forward_alone(served: Served) -> None:
    """Further, or the same again; never back, never to something else at the same count; all of a call or none."""
    client, other = served.client, Mark("crl/issuing", 3, b"")
    assert client.marks() == ()
    client.set_marks([HEAD, other])
    client.set_marks([HEAD])
    assert client.marks() == (other, HEAD)
    further = Mark(HEAD.name, 8, b"other")
    for wrong in (Mark(HEAD.name, 6, HEAD.digest), Mark(HEAD.name, 7, bytes(32))):
        with pytest.raises(MarkBehind):
            client.set_marks([Mark(other.name, 4, b""), wrong])
    assert client.marks() == (other, HEAD)
    client.set_marks([further])
    assert client.marks() == (other, further)
    served.stop()
    served.start()
    assert served.client.marks() == (other, further)


def test_to_begin_again_is_written_down(served: Served) -> None:
    """In the place of all others, wherever they stood; the audit log of the token says so."""
    client = served.client
    client.set_marks([HEAD, Mark("crl/issuing", 3, b"")])
    client.set_marks([Mark(HEAD.name, 2, b"")], again=True)
    assert client.marks() == (Mark(HEAD.name, 2, b""),)
    rows = [row for row in client.audit_entries() if row["action"] == "set-marks"]
    assert [json.loads(row["details"])["again"] for row in rows] == [False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        [HEAD, HEAD],
        [Mark("", 1, b"")],
        [Mark("x" * 101, 1, b"")],
        [Mark("line\nbreak", 1, b"")],
        [Mark("x", -1, b"")],
        [Mark("x", 1 << 62, b"")],
        [Mark("x", True, b"")],
        [Mark("x", 1, bytes(65))],
        [Mark(f"x-{number}", 1, b"") for number in range(MOST_MARKS + 1)],
    ],
)
def test_other_marks_are_refused(served: Served, wrong: list[Mark]) -> None:
    """Names twice, too long or unprintable, counts out of range, digests too long, too many."""
    with pytest.raises(DataInvalid):
        served.client.set_marks(wrong)
    assert served.client.marks() == ()


def test_marks_are_the_user_s(served: Served) -> None:
    """Who administers the token neither reads nor sets them."""
    with HsmClient(served.daemon.socket_path) as officer:
        officer.login(SO_PIN, role="so")
        with pytest.raises(NotLoggedIn):
            officer.marks()
        with pytest.raises(NotLoggedIn):
            officer.set_marks([HEAD])


@pytest.mark.parametrize(
    "change", ["DELETE FROM meta WHERE name = 'marks'", "UPDATE meta SET value = zeroblob(99) WHERE name = 'marks'"]
)
def test_an_edited_store_is_told(served: Served, change: str) -> None:
    """Taken out of the store or written over: refused, not forgotten."""
    served.client.set_marks([HEAD])
    served.stop()
    with closing(sqlite3.connect(served.directory / FILE)) as connection:
        assert connection.execute(change).rowcount == 1
        connection.commit()
    served.start()
    for call in (served.client.marks, lambda: served.client.set_marks([Mark(HEAD.name, 1, b"")])):
        with pytest.raises(WrappedKeyInvalid):
            call()


@given(st.builds(Mark, st.text(min_size=1, max_size=9), st.integers(0, 1 << 61), st.binary(max_size=32)))
def test_the_form_of_a_mark(mark: Mark) -> None:
    """One form: what is written is read back where it is a mark, and no other octets say the same."""
    try:
        again = Mark.parse(mark.encode())
    except DataInvalid:
        assert not mark.name.isprintable()
        return
    assert again == mark
    with pytest.raises(KeyStoreError):
        Mark.parse(mark.encode() + b" ")
