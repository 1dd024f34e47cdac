"""Signed notes and checkpoints: published ones of other logs verify; what is changed or badly written does not."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from foundation.signed_note import (
    MAX_NOTE,
    Checkpoint,
    Note,
    NoteInvalid,
    NoteKey,
    SignatureType,
    cosigned_at,
    read_note,
    read_signatures,
    sign_note,
)

# The example of golang.org/x/mod/sumdb/note (its documentation and note_test.go).
NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

# The example of c2sp.org/signed-note.
C2SP_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

# A checkpoint that a public staging log (Certificate Transparency, 2026) published with its witnesses' cosignatures.
# Its first line is a signature of another type (0x05), which verifiers ignore.
REAL = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
"""  # noqa: E501
REAL_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REAL_WITNESS = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"

ORIGIN = "log.example/log"


def own_key(name: str = ORIGIN) -> tuple[NoteKey, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    return NoteKey(name, SignatureType.ED25519, private.public_key().public_bytes_raw()), private


@pytest.mark.parametrize(("note", "key"), [(NOTE, NOTE_KEY), (C2SP_NOTE, C2SP_KEY), (REAL, REAL_LOG)])
def test_published_notes_verify(note: str, key: str) -> None:
    """The published notes are read, written back byte for byte, and opened by their published keys."""
    parsed, known = read_note(note.encode()), NoteKey.parse(key)
    assert str(known) == key
    assert bytes(parsed) == note.encode()
    assert parsed.opened_by([known]) == (known,)
    assert parsed.text == note.partition("\n\n")[0] + "\n"


def test_a_published_cosignature_verifies() -> None:
    """A witness's cosignature/v1 on a real checkpoint verifies, and tells its time."""
    note, witness = read_note(REAL.encode()), NoteKey.parse(REAL_WITNESS)
    assert note.opened_by([witness]) == (witness,)
    assert note.opened_by([NoteKey.parse(REAL_LOG), witness])[1] == witness
    line = next(line for line in note.signatures if witness.made(line))
    assert int(cosigned_at(line).timestamp()) == 1779573024
    assert Checkpoint.parse(note.text).size == 1432088532
    later = Note(note.text.replace("1432088532", "1432088533"), note.signatures)
    with pytest.raises(NoteInvalid):
        later.opened_by([witness])


def test_our_notes_verify() -> None:
    """What we write we read; a stranger's key does not open it, nor one with the same name."""
    key, private = own_key()
    text = Checkpoint(ORIGIN, 7, bytes(32)).text
    note = sign_note(text, key, private.sign)
    again = read_note(bytes(note))
    assert again == note
    assert again.opened_by([key]) == (key,)
    assert Checkpoint.parse(again.text) == Checkpoint(ORIGIN, 7, bytes(32))
    with pytest.raises(NoteInvalid):
        again.opened_by([own_key()[0]])
    with pytest.raises(NoteInvalid):
        again.opened_by([])


def test_a_false_signature_of_a_known_key_spoils_the_note() -> None:
    """One good signature does not help where another line claims a known key and is false."""
    (one, private), (other, _) = own_key(), own_key("other.example")
    note = sign_note("text\n", one, private.sign)
    false = sign_note("text\n", other, private.sign)
    both = note.with_signatures(false.signatures)
    assert both.opened_by([one]) == (one,)
    with pytest.raises(NoteInvalid):
        both.opened_by([one, other])


def test_types_are_kept_apart() -> None:
    """The same key and name as a log's and as a witness's key have other ids, and neither signs for the other."""
    key, private = own_key()
    witness = NoteKey(key.name, SignatureType.COSIGNATURE_V1, key.public_key)
    note = sign_note("text\n", key, private.sign)
    assert key.key_id != witness.key_id
    with pytest.raises(NoteInvalid):
        note.opened_by([witness])


@given(at=st.integers(0, len(NOTE.encode()) - 1), bit=st.integers(0, 7))
def test_no_changed_note_opens(at: int, bit: int) -> None:
    """Flip any bit of a note: it is not opened by its key."""
    data = bytearray(NOTE.encode())
    data[at] ^= 1 << bit
    with pytest.raises(NoteInvalid):
        read_note(bytes(data)).opened_by([NoteKey.parse(NOTE_KEY)])


@given(at=st.integers(0, len(NOTE_KEY) - 1), sign=st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_key_is_read(at: int, sign: str) -> None:
    """A verifier key with any character changed is refused: its id is that of the key."""
    changed = NOTE_KEY[:at] + sign + NOTE_KEY[at + 1 :]
    if changed != NOTE_KEY:
        with pytest.raises(NoteInvalid):
            NoteKey.parse(changed)


SIGNATURE = "— a " + base64.b64encode(bytes(68)).decode() + "\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        ("text\n" + SIGNATURE).encode(),
        ("\n\n" + SIGNATURE).encode(),
        ("text\n\n" + SIGNATURE).encode()[:-1],
        ("text\n\n" + SIGNATURE + "more\n").encode(),
        ("text\r\n\n" + SIGNATURE).encode(),
        ("text\x00\n\n" + SIGNATURE).encode(),
        ("text\n\n" + SIGNATURE.replace("—", "-")).encode(),
        ("text\n\n" + SIGNATURE.replace(" a ", " a+b ")).encode(),
        ("text\n\n" + SIGNATURE.replace(" a ", "  ")).encode(),
        ("text\n\n" + SIGNATURE.replace(" a ", " a\u2003b ")).encode(),
        ("text\n\n" + SIGNATURE.replace("=\n", "\n")).encode(),
        "text\n\n— a AAAAAA==\n".encode(),
        "text\n\n— a AAAAAAB=\n".encode(),
        b"\xff\n\n" + SIGNATURE.encode(),
        (" " * MAX_NOTE + "\n\n" + SIGNATURE).encode(),
    ],
)
def test_what_is_no_note(data: bytes) -> None:
    """Anything that is not written as a note is refused as a whole."""
    with pytest.raises(NoteInvalid):
        read_note(data)


@given(data=st.binary(max_size=200))
def test_no_octets_break_the_reader(data: bytes) -> None:
    """Whatever comes: a note that is written back as it came, or NoteInvalid."""
    try:
        note = read_note(data)
    except NoteInvalid:
        return
    assert bytes(note) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\nAAAA\n",
        f"{ORIGIN}\n01\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n١\n{base64.b64encode(bytes(32)).decode()}\n",
        f"\n1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(32)).decode()}",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(32)).decode()}\n\nmore\n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(31)).decode()}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    """Origin, size and root, each in its one form."""
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_signature_lines_alone() -> None:
    """A witness's answer is signature lines and nothing else; a name with a plus is no name of a key."""
    assert read_signatures("") == ()
    assert read_signatures(SIGNATURE)[0].line == SIGNATURE
    for wrong in ("\n", SIGNATURE + "\n", "text\n"):
        with pytest.raises(NoteInvalid):
            read_signatures(wrong)
    with pytest.raises(NoteInvalid):
        NoteKey("a+b", SignatureType.ED25519, bytes(32))
    with pytest.raises(NoteInvalid):
        sign_note("no newline", own_key()[0], lambda _: b"")
