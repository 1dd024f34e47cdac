"""``camtrust ra``: an officer of the registration authority, whose own key signs each word, against services anywhere.

Who approves is whoever's key signed the request (`identity.assertion`): the services know the public key alone, and no
session, password or page stands in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from camtrust.cli.context import Context
from camtrust.cli.ra_revocations import add_revocations, all_pages
from camtrust.cli.review import Address, Key, OfficerId, Origin, officer_at

RequestId = Annotated[str, typer.Argument(help="the request's id, as `ra list` shows it")]
Comment = Annotated[str | None, typer.Option(help="for other officers; kept sealed")]
_STATES = "pending, approved, issued, failed, rejected, expired"
_APPROVALS = "identity-verified, organisation-verified, control-verified, renewal-of-verified"
_REJECTIONS = "not-verified, not-entitled, request-incorrect, duplicate"


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(
        help="The registration authority, for officers: every command is signed with the officer's own key.",
        no_args_is_help=True,
        add_completion=False,
    )

    @app.command("list")
    def list_requests(
        officer: OfficerId,
        key: Key,
        state: Annotated[str | None, typer.Option(help=f"only this state: {_STATES}; 'all' for any")] = "pending",
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """List requests for certificates; those that wait for a decision, unless --state says otherwise."""
        only = f"&state={state}" if state not in (None, "all") else ""
        with officer_at(context, url, origin, officer, key) as colleague:
            found = all_pages(colleague, f"/ca/v1/requests?limit=200{only}", "requests")
        found.sort(key=lambda one: (one["requested_at"], one["id"]))
        rows = [(one["id"], one["state"], one["profile"], one["expires_at"][:10], _name(one)) for one in found]
        lines = table(("REQUEST", "STATE", "PROFILE", "UNTIL", "FOR"), rows)
        context.terminal.result({"requests": found}, lines if found else ["There is none."])

    @app.command()
    def show(
        request: RequestId,
        officer: OfficerId,
        key: Key,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Show all of a request: whom it names, which key, who asked, and every decision with its comment."""
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.get(f"/ca/v1/requests/{request}")
        context.terminal.result(one, _lines(one))

    @app.command()
    def request(
        csr: Annotated[Path, typer.Argument(help="PKCS#10, PEM: gives the key, never the name", exists=True)],
        officer: OfficerId,
        key: Key,
        profile: Annotated[str, typer.Option(help="one that `camtrust ca profile` lists and officers may ask for")],
        subject: Annotated[str, typer.Option(help='the verified name, as "C=KH, O=SPECIMEN …, CN=SPECIMEN …"')],
        owner: Annotated[str | None, typer.Option(help="opaque id of whom it names; default: made of the name")] = None,
        dns_name: Annotated[list[str] | None, typer.Option(help="a verified host name; may be repeated")] = None,
        authority: Annotated[str, typer.Option("--ca", help="the CA that issues it")] = "issuing",
        output: Annotated[Path | None, typer.Option("-o", "--output", help="write here; must not exist")] = None,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Ask for a certificate whose name you verified. It comes at once, or waits for two other officers."""
        from camtrust.cli.ca import deliver, subject_pairs

        body = {
            "authority": authority,
            "profile": profile,
            "csr": csr.read_text(encoding="ascii"),
            "subject": [{"name": name, "value": value} for name, value in subject_pairs(subject)],
            "dns_names": dns_name or [],
        }
        with officer_at(context, url, origin, officer, key) as colleague:
            made = colleague.post("/ca/v1/requests", body | ({"owner": owner} if owner else {}))
        if "certificate" in made:
            deliver(context, made, made["certificate"].encode(), output)
        else:
            context.terminal.result(made, [*_lines(made), "Two other officers have to approve it."])

    @app.command()
    def approve(
        request: RequestId,
        officer: OfficerId,
        key: Key,
        reason: Annotated[str, typer.Option(help=_APPROVALS)],
        comment: Comment = None,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Approve a request that another made; with the second officer's approval the certificate is issued."""
        _decide(context, (url, origin, officer, key), f"{request}/approvals", reason, comment)

    @app.command()
    def refuse(
        request: RequestId,
        officer: OfficerId,
        key: Key,
        reason: Annotated[str, typer.Option(help=_REJECTIONS)],
        comment: Comment = None,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Refuse a request; one officer's word ends it. A machine that waits is told the reason."""
        _decide(context, (url, origin, officer, key), f"{request}/rejections", reason, comment)

    @app.command()
    def withdraw(
        request: RequestId,
        officer: OfficerId,
        key: Key,
        url: Address = None,
        origin: Origin = None,
    ) -> None:
        """Take your own request back, or that of a machine whose credential you made."""
        with officer_at(context, url, origin, officer, key) as colleague:
            one = colleague.delete(f"/ca/v1/requests/{request}")
        context.terminal.result(one, _lines(one))

    add_revocations(app, context)
    return app


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with columns as wide as what stands in them; the last one as it is."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head) - 1)]
    cells = [[cell.ljust(width) for cell, width in zip(row, widths, strict=False)] for row in (head, *rows)]
    return ["  ".join([*line, row[-1]]) for line, row in zip(cells, (head, *rows), strict=True)]


def _decide(
    context: Context, who: tuple[str | None, str | None, str, Path], path: str, reason: str, comment: str | None
) -> None:
    body = {"reason": reason} | ({"comment": comment} if comment else {})
    with officer_at(context, *who) as colleague:
        one = colleague.post(f"/ca/v1/requests/{path}", body)
    context.terminal.result(one, _lines(one))


def _name(one: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in reversed(one["subject"]))


def _lines(one: dict[str, Any]) -> list[str]:
    """A request to be read."""
    told = [
        ("Request", one["id"]),
        ("State", one["state"] + (f" ({one['failure']})" if one["failure"] else "")),
        ("Profile", f"{one['profile']}, by the CA {one['authority']}"),
        ("Name", _name(one)),
        ("Hosts", ", ".join(one["dns_names"])),
        ("Owner", one["owner"]),
        ("Key", f"SHA-256 {one['public_key_sha256']}"),
        ("Asked by", f"{one['requested_by']} at {one['requested_at']}"),
        ("Introduced by", one["introduced_by"]),
        ("Ends", one["not_after"]),
        ("Open until", one["expires_at"]),
        ("Certificate", one["serial"]),
    ]
    lines = [f"{label + ':':<15}{value}" for label, value in told if value]
    for said in one["decisions"]:
        word = "approved" if said["approves"] else "refused"
        lines.append(f"  {said['at']}  {said['officer']} {word}: {said['reason']}")
        lines += [f"      {line}" for line in (said["comment"] or "").splitlines()]
    return lines
