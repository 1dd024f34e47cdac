"""Three trust-list operators with a home each: two of them make a bundle together, by the commands that people use."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from camtrust.cli.main import run
from camtrust.demo import authorities
from signing.verify.bundle import Bundle, read_bundle
from tests.story.installation import Installation, installed


@dataclass(frozen=True)
class Table:
    """A short folder, for homes hold Unix sockets; ``services`` is the home with the CA, and one operator's."""

    folder: Path
    services: Installation

    def home(self, name: str) -> Path:
        return self.services.services.home.path if name == "services" else self.folder / name

    def run(self, name: str, *words: str) -> int:
        return run(["--json", "--home", str(self.home(name)), *words])


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    folder = Path(tempfile.mkdtemp(prefix="camtrust-ops-", dir="/tmp"))
    try:
        with installed(folder / "home", None) as installation:
            yield Table(folder, installation)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_two_of_three_make_a_bundle(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Certificates, a set that all sign, a draft by the first, the signature of the second; the old pin holds on."""

    def said(code: int) -> Any:
        assert code == 0
        return json.loads(capsys.readouterr().out)

    bundle, first_pin = table.services.bundle()
    with_one = bundle.read_bytes()
    names, chain = ("services", "b", "c"), str(table.folder / "operators.json")
    for name in names[1:]:
        said(table.run(name, "hsm", "init", "--token", "trust"))
    pems = []
    for name in names:
        pems.append(str(table.folder / f"{name}.pem"))
        said(table.run(name, "bundle", "operators", "certificate", "-o", pems[-1]))

    # the first set is the operator who signed alone so far: what relying parties pinned leads on from it
    said(table.run("services", "bundle", "operators", "propose", pems[0], "--threshold", "1", "-o", chain))
    assert table.run("services", "bundle", "operators", "adopt", chain) == 4  # nobody signed it
    capsys.readouterr()
    said(table.run("services", "bundle", "operators", "sign", chain))
    said(table.run("services", "bundle", "operators", "adopt", chain))
    second = str(table.folder / "second.json")
    said(table.run("services", "bundle", "operators", "propose", *pems, "--threshold", "2", "-o", second))
    said(table.run("services", "bundle", "operators", "sign", second))
    assert table.run("b", "bundle", "operators", "adopt", second) == 4  # of the new set one alone has signed
    capsys.readouterr()
    signed = said(table.run("b", "bundle", "operators", "sign", second))
    assert len(signed["signed"]) == 2
    for name in names:
        adopted = said(table.run(name, "bundle", "operators", "adopt", second))
    assert (adopted["version"], adopted["threshold"]) == (2, 2)

    written = authorities.export_bundle(table.services.station, table.services.services)
    assert written.missing == 1
    assert bundle.read_bytes() == with_one  # what is published stays until enough have signed
    assert not isinstance(read_bundle(written.path.read_bytes(), frozenset({first_pin, written.signer})), Bundle)
    carried = table.folder / "stick.bundle"
    shutil.copy(written.path, carried)
    made = said(table.run("c", "bundle", "sign", str(carried)))
    assert made["missing"] == 0
    finished = Path(made["path"]).read_bytes()
    for pin in (first_pin, written.signer):
        read = read_bundle(finished, frozenset({pin}))
        assert isinstance(read, Bundle)
        assert read.contents.sequence == 2
    assert table.run("c", "bundle", "sign", str(carried.with_name("nothing"))) == 4
    assert table.run("c", "bundle", "sign", made["path"]) == 4  # nobody signs twice
