"""``camtrust ra``: revocation by officers, of one certificate or of all that conditions find, alone or by two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from camtrust.cli.context import Context
from camtrust.cli.review import Address, Key, OfficerId, Origin, officer_at
from foundation.clock import rfc3339

if TYPE_CHECKING:
    from camtrust.demo.client import Officer

ProposalId = Annotated[str, typer.Argument(help="the proposal's id, as `ra proposals` shows it")]
Reason = Annotated[str, typer.Option("--reason", help="RFC 5280 name or number")]
_BASE = "/ca/v1/revocations"


def add_revocations(app: typer.Typer, context: Context) -> None:
    """The commands, bound to the global options."""

    @app.command()
    def revoke(
        serial: Annotated[str, typer.Argument(help="serial number, hexadecimal")],
        officer: OfficerId,
        key: Key,
        reason: Reason,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Revoke, hold (certificateHold) or release (removeFromCRL) one certificate."""
        path = f"/ca/v1/certificates/{serial.lower().lstrip('0')}/revocation"
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.post(path, {"reason": reason})
        context.terminal.result(one, [f"Certificate {one['serial']} is {one['state']}."])

    @app.command("revoke-matching")
    def revoke_matching(
        officer: OfficerId,
        key: Key,
        reason: Reason,
        profile: Annotated[str | None, typer.Option()] = None,
        owner: Annotated[str | None, typer.Option(help="opaque id of whom they name")] = None,
        requested_by: Annotated[str | None, typer.Option(help="as acme:ACCOUNT, cmp:REFERENCE or officer:ID")] = None,
        evidence: Annotated[list[str] | None, typer.Option(help="what they were issued on; may be repeated")] = None,
        issued_from: Annotated[datetime | None, typer.Option(help="in UTC")] = None,
        issued_until: Annotated[datetime | None, typer.Option(help="in UTC")] = None,
        digest: Annotated[str | None, typer.Option(help="from the dry run; without it nothing is revoked")] = None,
        propose: Annotated[bool, typer.Option("--propose", help="for another officer to approve")] = False,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Revoke every certificate that meets all conditions: first a dry run, then with its --digest.

        With --propose nothing is revoked until another officer approves exactly this list."""
        given: dict[str, Any] = {"profile": profile, "owner": owner, "requested_by": requested_by}
        given |= {"evidences": evidence or None, "issued_from": _moment(issued_from)}
        given["issued_until"] = _moment(issued_until)
        conditions = {name: value for name, value in given.items() if value is not None}
        with officer_at(context, url, origin, officer, key) as colleague:
            if digest is None:
                found = colleague.post(f"{_BASE}/dry-run", conditions)
                lines = [f"{found['count']} certificates would be revoked ({reason}):", *found["first"]]
                context.terminal.result(found, [*lines, f"To revoke or propose them: --digest {found['digest']}"])
                return
            body = {"conditions": conditions, "reason": reason, "digest": digest}
            if propose:
                one = colleague.post(f"{_BASE}/proposals", body)
                context.terminal.result(one, [*_lines(one), "Another officer has to approve it."])
                return
            done = _until_none_remain(colleague, _BASE, body)
        context.terminal.result({"revoked": done}, [f"Revoked {done} certificates."])

    @app.command()
    def proposals(officer: OfficerId, key: Key, url: Address = None, origin: Origin = None) -> None:
        """List bulk revocations that were proposed, and what became of them."""
        with officer_at(context, url, origin, officer, key) as colleague:
            found = all_pages(colleague, f"{_BASE}/proposals?limit=200", "proposals")
        found.sort(key=lambda one: (one["proposed_at"], one["id"]))
        lines = [
            f"{one['id']}  {one['state']:<9}  {one['done']} of {one['count']}  {one['reason']}  by {one['proposed_by']}"
            for one in found
        ]
        context.terminal.result({"proposals": found}, lines or ["There is none."])

    @app.command()
    def proposal(
        proposal_id: ProposalId,
        officer: OfficerId,
        key: Key,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Show one proposed bulk revocation: its conditions, how many it found, and the digest to approve."""
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.get(f"{_BASE}/proposals/{proposal_id}")
        context.terminal.result(one, _lines(one))

    @app.command("approve-revocation")
    def approve_revocation(
        proposal_id: ProposalId,
        officer: OfficerId,
        key: Key,
        digest: Annotated[str, typer.Option(help="of the proposal as you saw it")],
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Approve what another officer proposed, and revoke it to the end."""
        with officer_at(context, url, origin, officer, key) as colleague:
            path = f"{_BASE}/proposals/{proposal_id}/approval"
            done = _until_none_remain(colleague, path, {"digest": digest}, same=True)
        context.terminal.result({"revoked": done}, [f"Revoked {done} certificates."])

    @app.command("refuse-revocation")
    def refuse_revocation(
        proposal_id: ProposalId,
        officer: OfficerId,
        key: Key,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Refuse what another officer proposed; nothing is revoked."""
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.post(f"{_BASE}/proposals/{proposal_id}/rejection", {})
        context.terminal.result(one, _lines(one))

    @app.command("withdraw-revocation")
    def withdraw_revocation(
        proposal_id: ProposalId,
        officer: OfficerId,
        key: Key,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Take back what you proposed; nothing is revoked."""
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.delete(f"{_BASE}/proposals/{proposal_id}")
        context.terminal.result(one, _lines(one))


def all_pages(colleague: Officer, path: str, member: str) -> list[Any]:
    """What stands under ``member`` on every page of a list; ``path`` has a query already."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = colleague.get(path + cursor)
        found += page[member]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def _until_none_remain(colleague: Officer, path: str, body: dict[str, Any], *, same: bool = False) -> int:
    """Ask again until all are revoked, with a bar on standard error; gives how many. ``same``: one digest for all."""
    done: int = 0
    bar: TaskID | None = None
    with Progress(console=Console(stderr=True)) as progress:
        while True:
            part = colleague.post(path, body)
            done += int(part["revoked"])
            bar = progress.add_task("Revoking", total=done + part["remaining"]) if bar is None else bar
            progress.update(bar, completed=done)
            if not part["remaining"]:
                return done
            body = body if same else body | {"digest": part["digest"]}


def _moment(at: datetime | None) -> str | None:
    return rfc3339(at.replace(tzinfo=UTC)) if at is not None else None


def _lines(one: dict[str, Any]) -> list[str]:
    """A proposal to be read."""
    decided = f"{one['decided_by']} at {one['decided_at']}" if one["decided_by"] else None
    told = [
        ("Proposal", one["id"]),
        ("State", f"{one['state']}, {one['done']} of {one['count']} gone through"),
        ("Reason", one["reason"]),
        ("Conditions", ", ".join(f"{name}={value}" for name, value in one["conditions"].items())),
        ("Digest", one["digest"]),
        ("Proposed by", f"{one['proposed_by']} at {one['proposed_at']}"),
        ("Open until", one["expires_at"]),
        ("Decided by", decided),
    ]
    return [f"{label + ':':<15}{value}" for label, value in told if value]
