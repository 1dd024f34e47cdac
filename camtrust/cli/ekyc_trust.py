"""``camtrust ekyc import-csca``: country signing authorities and their CRLs, on the assertions of officers.

An officer signs, where their key is, an assertion over the file for the address of what is to be done (see
`docs/examples/assertion.py`). Whoever runs the machine cannot stand in for an officer, and nobody for two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import services_of
from foundation.clock import rfc3339

if TYPE_CHECKING:
    from camtrust.assembly import Services
    from ekyc.documents.chip_trust import TrustImport
    from foundation.http.actor import Actor

_PATH = "/ekyc/v1/chip-trust/imports"


def add_import_csca(app: typer.Typer, context: Context) -> None:
    """Add the command to the group."""

    @app.command("import-csca")
    def import_csca(
        file: Annotated[
            Path, typer.Argument(help="your own copy: master list (CMS), certificate, or CRL", exists=True)
        ],
        assertion: Annotated[
            Path, typer.Option(help="your assertion over the file, as over HTTP; two minutes old at most", exists=True)
        ],
        approve: Annotated[str | None, typer.Option(help="approve what another officer brought: TRU-…")] = None,
        reject: Annotated[str | None, typer.Option(help="reject what was brought: TRU-…")] = None,
        crl: Annotated[bool, typer.Option("--crl", help="the file is a CRL of an approved authority")] = False,
    ) -> None:
        """Bring authorities that sign chips; another officer approves them with their own copy of the file.

        The assertion is over POST /ekyc/v1/chip-trust/imports (to bring), …/imports/ID/approval, …/imports/ID/rejection
        or /ekyc/v1/chip-trust/crls, with the file as the body.
        """
        if sum((approve is not None, reject is not None, crl)) > 1:
            raise typer.BadParameter("one of --approve, --reject and --crl")
        data = file.read_bytes()
        with services_of(context) as services:
            actor = _officer(services, assertion, _signed_path(approve, reject, crl), data)
            trust = services.ekyc.chip_trust
            if crl:
                kept = trust.bring_crl(actor, data)
                context.terminal.result({"sha256": kept}, [f"CRL kept, SHA-256 {kept}"])
                return
            named = approve or reject
            if named:
                from ekyc.chip.master_list import digest_of

                found = trust.decide(actor, named, digest_of(data), approve=approve is not None)
            else:
                found = trust.bring(actor, data)
        context.terminal.result(_value(found), _lines(found))


def _signed_path(approve: str | None, reject: str | None, crl: bool) -> str:
    if crl:
        return "/ekyc/v1/chip-trust/crls"
    if approve is not None:
        return f"{_PATH}/{approve}/approval"
    return _PATH if reject is None else f"{_PATH}/{reject}/rejection"


def _officer(services: Services, assertion: Path, path: str, data: bytes) -> Actor:
    """Whose assertion it is. Raises Unauthenticated, Forbidden."""
    import hashlib

    from ekyc.documents.chip_trust import ROLE
    from foundation.http.actor import ActorKind, Credential, Forbidden

    header = assertion.read_text(encoding="utf-8", errors="replace").strip().removeprefix("Authorization:").strip()
    url = services.settings.public_url.rstrip("/") + path
    actor = services.identity.authenticate(Credential(header, "POST", url, hashlib.sha256(data).digest()))
    if actor.kind is not ActorKind.OFFICER or ROLE not in actor.roles:
        raise Forbidden
    return actor


def _value(found: TrustImport) -> dict[str, object]:
    return {
        "id": found.id,
        "kind": found.kind,
        "digest": found.digest,
        "state": found.state,
        "imported_by": found.imported_by,
        "decided_by": found.decided_by,
        "signer": found.signer.sha256 if found.signer else None,
        "unreadable": found.unreadable,
        "authorities": [
            {"sha256": one.sha256, "country": one.subject.country, "not_after": rfc3339(one.not_after)}
            for one in found.authorities
        ],
    }


def _lines(found: TrustImport) -> list[str]:
    lines = [f"{found.id}  {found.kind}  {found.state}", f"  SHA-256 of the file {found.digest}"]
    if found.signer is not None:
        lines.append(f"  signed by {found.signer.subject.country}, certificate {found.signer.sha256}")
    for one in found.authorities:
        known = "  known" if one.sha256 in found.known else ""
        lines.append(f"  {one.subject.country or '??'}  {one.sha256}  until {one.not_after.date()}{known}")
    if found.unreadable:
        lines.append(f"  {found.unreadable} entries cannot be read and are left out")
    if found.state == "pending":
        lines.append(f"Nothing is trusted yet: another officer verifies their own copy, then --approve {found.id}")
    return lines
