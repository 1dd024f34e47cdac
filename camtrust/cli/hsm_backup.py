"""``camtrust hsm backup | restore``: a token in one sealed file, and back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from camtrust.backups import TOKEN, note
from camtrust.cli.context import Context
from camtrust.cli.hsm_cards import read_card
from camtrust.keys import opened_by_cards
from foundation.keys.errors import BackupExists
from hsm_emulation.backup import restore_backup
from hsm_emulation.client import HsmClient

Opened = Callable[[str], AbstractContextManager[HsmClient]]
TokenOption = Annotated[str, typer.Option("--token", help="services, root or trust")]
CardOption = Annotated[list[Path] | None, typer.Option("--card", help="files with cards, for a token without PINs")]


def add_backup(
    app: typer.Typer, context: Context, opened: Opened, officer: Opened, directory_of: dict[str, str]
) -> None:
    """The commands, bound to the global options."""

    @contextmanager
    def security_officer(token: str, cards: list[Path] | None) -> Iterator[HsmClient]:
        if cards:
            given = [read_card(file) for file in cards]
            with opened_by_cards(context.home(), directory_of[token], given, "so") as client:
                yield client
            return
        with opened(token), officer(token) as client:
            yield client

    @app.command()
    def backup(
        file: Annotated[Path, typer.Argument(help="where to write it; must not exist")],
        token: TokenOption = "services",  # noqa: S107 - the name of a token
        card: CardOption = None,
    ) -> None:
        """Back up a token while it works: one file, sealed, opened by the PIN or cards that the token has now."""
        if file.exists():
            raise BackupExists
        with security_officer(token, card) as client:
            made = Path(client.backup())
        shutil.move(made, file)
        if token == "services":  # noqa: S105 - the name of a token
            note(context.home(), TOKEN, file, context.clock.now())
        size = file.stat().st_size
        context.terminal.result(
            {"file": str(file), "octets": size},
            [f"{file}: {size} octets, sealed.", "Keep the PIN or cards of today with it; without them it opens never."],
        )

    @app.command()
    def restore(
        file: Annotated[Path, typer.Argument(help="a backup that `hsm backup` made", exists=True, dir_okay=False)],
        token: TokenOption = "services",  # noqa: S107
        so_pin_file: Annotated[Path | None, typer.Option("--so-pin-file", help="the SO's PIN at the backup")] = None,
        card: CardOption = None,
    ) -> None:
        """Put a token back where there is none. With custodians it signs nothing until they approve `accept_store`."""
        if token not in directory_of:
            raise typer.BadParameter(f"'{token}' is not one of {', '.join(directory_of)}")
        home, name = context.new_home(), directory_of[token]
        pin_file = so_pin_file or home.path / name / "so.pin"
        opened_by = [read_card(one) for one in card] if card else pin_file.read_text(encoding="utf-8").strip()

        def progress(done: int, size: int) -> None:
            if size > 64 << 20:
                context.terminal.note(f"{100 * done // size} %")

        custodians = restore_backup(file, home.path / name, opened_by, clock=context.clock, progress=progress)
        waits = bool(custodians.people)
        lines = [f"The {token} token is back in {home.path / name}, in a new epoch."]
        if waits:
            lines = [
                f"The {token} token is back in {home.path / name}. It signs nothing yet:",
                f"{custodians} custodians must approve `camtrust hsm request accept_store --token {token}`.",
            ]
        context.terminal.result({"token": token, "directory": str(home.path / name), "waits_for_quorum": waits}, lines)
