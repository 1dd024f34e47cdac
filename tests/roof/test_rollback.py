"""A home whose database was put back from an older backup: no service, no certificate, until two officers agree."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from camtrust import reconciliation
from foundation.http.actor import ActorKind
from issuing_ca.model import Reason
from tests.roof.test_command_line import camtrust
from tests.story.installation import Staff, installed


def test_an_older_database_is_refused_until_two_officers_sign(tmp_path: Path) -> None:
    """Backup, revoke, restore: every start ends with 4 and a stable code; with two assertions all is as before."""
    folder = tmp_path / "home"
    with installed(folder, None) as site:
        services = site.services
        officers = [site.staff(ActorKind.OFFICER, reconciliation.ROLE) for _ in range(2)]
        stranger = site.staff(ActorKind.OFFICER, "ca-revoke")
        public_url = services.settings.public_url
        stamped = services.ca.timestamps.certificate()
        backup = tmp_path / "backup.sqlite"
        assert camtrust("--home", folder, "db", "backup", backup).returncode == 0
        serial = f"{stamped.serial_number:x}"
        services.ca.revoke(serial, Reason.KEY_COMPROMISE, "operator:specimen")
    assert camtrust("--home", folder, "db", "restore", backup).returncode == 0
    environment = {"CAMTRUST_PUBLIC_URL": public_url}
    issue = ("ca", "issue", "--profile", "officer", "--subject", "CN=SPECIMEN", "--owner", "nobody", backup)
    for command in (("serve", "--port", "0"), issue, ("ca", "revoke", serial, "--reason", "superseded")):
        refused = camtrust("--home", folder, *command, **environment)
        assert refused.returncode == 4, refused.stdout
        assert "issuing_ca.database_rolled_back" in refused.stderr
    statement = tmp_path / "statement.json"
    done = camtrust("--home", folder, "ca", "reconcile", "--statement", statement, **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(statement.read_bytes())["again"][0]["serial"] == serial

    def reconcile(*signers: Staff) -> tuple[int, str]:
        arguments: list[str | Path] = ["--json", "ca", "reconcile", "--statement", statement]
        for number, signer in enumerate(signers):
            file = tmp_path / f"assertion-{number}"
            path = urlsplit(reconciliation.address(public_url)).path
            assertion = signer.authorization(reconciliation.METHOD, path, statement.read_bytes())
            file.write_text(assertion, encoding="ascii")
            arguments += ["--assertion", file]
        answer = camtrust("--home", folder, *arguments, **environment)
        return answer.returncode, answer.stdout + answer.stderr

    for wrong in ((officers[0],), (officers[0], officers[0]), (officers[0], stranger)):
        code, said = reconcile(*wrong)
        assert code == 4
        assert "issuing_ca.reconciliation_refused" in said
    code, said = reconcile(*officers)
    assert code == 0, said
    assert json.loads(said)["again"] == [serial]
    answer = camtrust("--home", folder, "--json", "ca", "ocsp", serial, **environment)
    assert json.loads(answer.stdout) == {"serial": serial, "status": "revoked"}


def test_a_copy_of_the_file_is_found_too(tmp_path: Path) -> None:
    """Not by `db restore`: the file itself put back, while nothing ran."""
    folder = tmp_path / "home"
    with installed(folder, None) as site:
        serial = f"{site.services.ca.timestamps.certificate().serial_number:x}"
        database = folder / "camtrust.sqlite"
        with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(tmp_path / "copy")) as copy:
            live.backup(copy)
        site.services.ca.revoke(serial, Reason.SUPERSEDED, "operator:specimen")
    for suffix in ("-wal", "-shm"):
        (folder / f"camtrust.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", folder / "camtrust.sqlite")
    refused = camtrust("--home", folder, "ca", "audit")
    assert refused.returncode == 4
    assert "issuing_ca.database_rolled_back" in refused.stderr


def test_the_witness_put_back_too_is_found_by_the_token(tmp_path: Path) -> None:
    """Database and witness file, both of last week: the token remembers more; two officers go on, and it with them."""
    folder = tmp_path / "home"
    with installed(folder, None) as site:
        officers = [site.staff(ActorKind.OFFICER, reconciliation.ROLE) for _ in range(2)]
        public_url = site.services.settings.public_url
        serial = f"{site.services.ca.timestamps.certificate().serial_number:x}"
        backup, witness = tmp_path / "backup.sqlite", folder / "witness" / "status.jsonl"
        assert camtrust("--home", folder, "db", "backup", backup).returncode == 0
        shutil.copy(witness, tmp_path / "witness")
        site.services.ca.revoke(serial, Reason.KEY_COMPROMISE, "operator:specimen")
    environment = {"CAMTRUST_PUBLIC_URL": public_url}
    assert camtrust("--home", folder, "db", "restore", backup).returncode == 0
    shutil.copy(tmp_path / "witness", witness)
    audit = ("ca", "audit")
    refused = camtrust("--home", folder, *audit, **environment)
    assert refused.returncode == 4, refused.stdout
    assert "issuing_ca.database_rolled_back" in refused.stderr
    statement = tmp_path / "statement.json"
    reconcile: tuple[str | Path, ...] = ("--json", "ca", "reconcile", "--statement", statement)
    assert camtrust("--home", folder, *reconcile, **environment).returncode == 0
    told = json.loads(statement.read_bytes())
    sizes = [(one["authority"], one["size"]) for one in told["remembered"] if one["authority"] == "tsa"]
    assert sizes[-1] > ("tsa", next(one["size"] for one in told["database"] if one["authority"] == "tsa"))
    for number, officer in enumerate(officers):
        path = urlsplit(reconciliation.address(public_url)).path
        assertion = officer.authorization(reconciliation.METHOD, path, statement.read_bytes())
        (tmp_path / f"assertion-{number}").write_text(assertion, encoding="ascii")
        reconcile += ("--assertion", tmp_path / f"assertion-{number}")
    done = camtrust("--home", folder, *reconcile, **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["again"] == []  # what was revoked was remembered by the file alone
    assert camtrust("--home", folder, *audit, **environment).returncode == 0
