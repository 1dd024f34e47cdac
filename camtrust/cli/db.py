"""``camtrust db``: bring the schema up to date; copy the embedded database while it is in use; put a copy back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from camtrust.backups import DATABASE, note
from camtrust.cli.context import Context
from camtrust.errors import BackupUnusable, EmbeddedOnly
from foundation.clock import rfc3339


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(help="The services' database.", no_args_is_help=True, add_completion=False)

    @app.command()
    def upgrade() -> None:
        """Bring the database to the newest schema."""
        from camtrust.assembly import database_url
        from camtrust.database import revisions, upgrade
        from camtrust.settings import load_settings
        from foundation.db.engine import open_database

        home = context.home()
        database = open_database(database_url(home, load_settings(home.settings_file)))
        try:
            before, _ = revisions(database)
            upgrade(database)
            after, _ = revisions(database)
        finally:
            database.close()
        context.terminal.result({"before": before, "after": after}, [f"Schema: {before or 'empty'} → {after}"])

    @app.command()
    def backup(
        file: Annotated[Path, typer.Argument(help="where to write the copy; must not exist")],
    ) -> None:
        """Copy the embedded database as it is now, while the services run. The token is backed up by itself."""
        source = _embedded(context)
        if file.exists():
            raise BackupUnusable(file=str(file), problem="the file exists and is not overwritten")
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as live, sqlite3.connect(file) as copy:
            live.backup(copy)
        _check(file)
        now = context.clock.now()
        note(context.home(), DATABASE, file, now)
        at = rfc3339(now.replace(microsecond=0))
        context.terminal.result({"file": str(file), "at": at}, [f"Copied to {file}; it opens and is whole."])

    @app.command()
    def restore(
        file: Annotated[Path, typer.Argument(help="a copy that `db backup` made", exists=True)],
    ) -> None:
        """Put a copy back; the services must be stopped. The database that was there is kept beside it."""
        home, target = context.home(), _embedded(context, must_exist=False)
        _check(file)
        with home.locked():
            aside = None
            if target.exists():
                aside = target.with_name(f"{target.name}.before-{context.clock.now():%Y%m%dT%H%M%SZ}")
                with sqlite3.connect(target) as live:
                    live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                target.rename(aside)
                for suffix in ("-wal", "-shm"):
                    target.with_name(target.name + suffix).unlink(missing_ok=True)
            with sqlite3.connect(file) as copy, sqlite3.connect(target) as live:
                copy.backup(live)
            target.chmod(0o600)
        context.terminal.result(
            {"restored": str(file), "kept": str(aside) if aside else None},
            [f"Restored from {file}." + (f" The database before is kept as {aside.name}." if aside else "")],
        )

    return app


def _embedded(context: Context, must_exist: bool = True) -> Path:
    from camtrust.assembly import database_url
    from camtrust.settings import load_settings

    home = context.home()
    url = database_url(home, load_settings(home.settings_file))
    if not url.startswith("sqlite:///"):
        raise EmbeddedOnly
    file = Path(url.removeprefix("sqlite:///"))
    if must_exist and not file.exists():
        raise BackupUnusable(file=str(file), problem="there is no such file")
    return file


def _check(file: Path) -> None:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as copy:
            (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise BackupUnusable(file=str(file), problem=str(error)) from error
    if answer != "ok":
        raise BackupUnusable(file=str(file), problem=answer)
