"""Where personal data and secrets are not: database, audit trail, files, log and metrics, after a whole story.

What a person gave is looked for as it was given, in every octet that the services keep. A certificate names its
subject: that is what it is for, and anybody may see it. So the columns that hold certificates, or the to-be-signed
part of one, are left out of the search for the name, and only for that, and only those of this table:
"""

from __future__ import annotations

import json
import re
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import MetaData, select
from sqlalchemy.exc import SAWarning

from camtrust.documents import make_specimen_documents
from camtrust.home import Home
from foundation.clock import SystemClock
from foundation.db.engine import Database
from tests.story.installation import Applicant, Installation

NAMES_ARE_PUBLIC_IN = {
    ("ca_certificates", "certificate"): "the certificate that was issued (DER)",
    ("ca_certificates", "tbs"): "its to-be-signed part, until it is issued",
    ("signing_credentials", "certificate"): "the certificate that a credential signs with (DER)",
}
DOCUMENT = "SPECIMEN-divorce-papers.pdf"


def names_of(person: Applicant) -> dict[str, str]:
    """What a certificate says of a person. (The surname of all specimens is SPECIMEN, which everything says.)"""
    given = person.person.given_names
    return {"given names": given.removeprefix("SERIES "), "Khmer given names": person.person.given_names_km}


def secrets_of(person: Applicant) -> dict[str, str]:
    """What is nowhere: what the person typed, what was sent to them, and what opens their key."""
    assert person.phone is not None
    birth = person.person.date_of_birth
    return {
        "document number": person.person.document_number,
        "birth date": birth,
        "birth date, day first": "/".join(reversed(birth.split("-"))),
        "birth date and check digit in the MRZ": person.person.card()[1][:8],
        "MRZ, line 1": person.person.card()[0],
        "MRZ, line 2": person.person.card()[1],
        "MRZ, line 3": person.person.card()[2],
        "phone number": person.phone_number,
        "phone number, international": "+855" + person.phone_number[1:],
        "one-time code": person.otp,
        "PIN": person.pin,
        "TOTP secret": person.phone.secret,
        "session": person.session,
        "file name": DOCUMENT.removesuffix(".pdf"),
    }


def spellings(text: str) -> Iterator[bytes]:
    """A text as UTF-8, as JSON writes it, in hexadecimal, and in other letters."""
    for one in dict.fromkeys((text, text.lower(), text.upper(), json.dumps(text)[1:-1])):
        yield one.encode()
        yield one.encode().hex().encode()


def found(data: bytes, what: dict[str, str], certificates: tuple[bytes, ...] = ()) -> set[str]:
    """Which of these texts are in the octets, outside of certificates. A few digits inside of a longer run of
    hexadecimal digits are no text: six of them are in any large digest."""
    return {
        name
        for name, text in what.items()
        for spelled in spellings(text)
        for hit in re.finditer(_alone(spelled), data)
        if not any(_stands_in(der, data, hit.start(), spelled) for der in certificates)
    }


def _alone(text: bytes) -> bytes:
    few_digits = re.fullmatch(rb"[0-9a-f]{1,8}", text)
    return rb"(?<![0-9a-f])" + text + rb"(?![0-9a-f])" if few_digits else re.escape(text)


def _stands_in(der: bytes, data: bytes, at: int, text: bytes) -> bool:
    """Whether this occurrence is part of a certificate: with the octets before it or those after it, DER and all.

    (A page of a database can end between them; what was once on a page can still be there.)
    """
    end = at + len(text)
    return any(
        data[max(0, at - 24) : at] == der[hit.start() - 24 : hit.start()]
        or data[end : end + 48] == der[hit.end() : hit.end() + 48]
        for hit in re.finditer(re.escape(text), der)
    )


def columns(database: Database) -> Iterator[tuple[str, str, bytes]]:
    """Every value of every column of every table that the database has, as octets."""
    tables = MetaData()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # indexes over expressions are not reflected; they hold no more
        tables.reflect(database.engine)
    with database.read() as connection:
        for table in tables.sorted_tables:
            for row in connection.execute(select(table)):
                for column, value in row._mapping.items():
                    yield table.name, str(column), _octets(value)


def _octets(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def files(home: Home) -> Iterator[tuple[str, bytes]]:
    """Every file of a home, tokens and write-ahead logs too."""
    for file in sorted(home.path.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(home.path)), file.read_bytes()


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


def test_what_a_person_gave_is_nowhere(assembled: Installation, letter: bytes) -> None:
    """After an enrolment with wrong turns, a signature and a refusal: not in any column, file, log line or metric.
    The name is in the certificate alone. What is searched does hold the story: the certificate is found in it."""
    lines = len(assembled.logs.kept)
    person = assembled.applicant().until("send_code")
    person.ask("POST", f"{person.base}/contact/verification", {"code": "00000x"})
    person.until("verify_code")
    person.ask("POST", f"{person.base}/document", person.card() | {"lines": ["<" * 30] * 3})
    person.until("certificate")
    document = person.uploaded(DOCUMENT, letter)
    person.ask("POST", "/sign/v1/authorisations", person.authorisation(document, totp="000000"))
    person.sign(document)
    names, secrets = names_of(person), secrets_of(person)
    pem = person.get(f"{person.base}/certificate")["certificate"]
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    assert found(der, names) == set(names), "the certificate names its subject"

    where_it_may_be = set()
    for table, column, value in columns(assembled.services.database):
        assert not found(value, secrets), f"{table}.{column}"
        if (table, column) in NAMES_ARE_PUBLIC_IN:
            where_it_may_be |= {(table, column)} if der == value else set()
        else:
            assert not found(value, names), f"{table}.{column}"
    assert len(where_it_may_be) == 2, "issued and credential: the tables that were searched hold this story"

    searched = set()
    for name, data in files(assembled.home):
        assert not found(data, secrets), name
        assert not found(data, names, (der,)), name
        searched.add(name.partition("/")[0])
        if name.startswith("blobs/"):
            assert b"%PDF" not in data, "documents are sealed"
    assert {"blobs", "hsm", "root"} <= searched
    assert any(name.startswith("camtrust.sqlite") for name in searched) == (
        assembled.services.database.dialect == "sqlite"
    )

    log = "\n".join(assembled.logs.kept[lines:]).encode()
    metrics = assembled.http.get("/metrics").content
    for text in (log, metrics):
        assert b"/sign/v1/authorisations" in text
        assert not found(text, names | secrets)
    trail = json.dumps([{name: str(value) for name, value in row.items()} for row in assembled.audit()]).encode()
    assert person.enrolment["id"].encode() in trail
    assert not found(trail, names | secrets)


def test_what_is_public_names_nobody(assembled: Installation) -> None:
    """CRLs, issuer certificates, portal, readiness and the OpenAPI document: no person's name."""
    person = assembled.applicant().until("certificate")
    for path in (
        "/crl/issuing.crl",
        "/crl/tsa.crl",
        "/crl/root.crl",
        "/aia/issuing.cer",
        "/",
        "/readyz",
        "/openapi.json",
    ):
        answer = assembled.http.get(path)
        assert answer.status_code == 200, path
        assert not found(answer.content, names_of(person) | secrets_of(person)), path


def test_an_erased_person_leaves_nothing_to_open(assembled: Installation) -> None:
    """Who withdraws is destroyed in the token: messages and evidence cannot be opened, and the session is over."""
    person = assembled.applicant().until("match")
    gone = person.ask("DELETE", person.base)
    assert (gone.status_code, gone.json()["state"]) == (200, "WITHDRAWN")
    assert person.ask("GET", person.base).status_code == 401
    with pytest.raises(IndexError):
        person._code_of(person.person_id)
    case = assembled.officer.ask("GET", f"/ekyc/v1/reviews/{person.enrolment['id']}")
    assert case.status_code in (404, 409), case.text
    assert not found(case.content, names_of(person) | {"document number": person.person.document_number})


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The search itself: a number in a row, a name in Khmer in JSON or in hexadecimal, what was deleted from a table
    and is still in its file; and a certificate's own name does not hide the same name beside it."""
    file = tmp_path / "planted.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is deleted
        connection.execute("CREATE TABLE t (a TEXT, b BLOB)")
        connection.execute("INSERT INTO t VALUES (?, ?)", ('{"number":"900000041"}', b""))
        connection.commit()
        connection.execute("DELETE FROM t")
    connection.close()
    what = {"number": "900000041", "name": "កខគឃង", "code": "123456"}
    assert found(file.read_bytes(), what) == {"number"}
    assert found(json.dumps({"x": "កខគឃង"}).encode(), what) == {"name"}
    assert found("កខគឃង".encode().hex().encode(), what) == {"name"}
    assert found(('{"x":"កខគឃង"}'.encode().hex()).encode(), what) == {"name"}
    assert found(b"code 123456, digest 7712345600abc", what) == {"code"}
    assert found(b"digest 7712345600abc", what) == set()
    der = bytes(range(24)) + "កខគឃង".encode() + bytes(range(48))
    assert found(b"page" + der, what, (der,)) == set()
    assert found(der[:40] + b'{"name":"' + "កខគឃង".encode() + b'"}', what, (der,)) == {"name"}
