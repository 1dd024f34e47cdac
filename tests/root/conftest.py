"""A specimen ceremony that was performed once; each test gets a copy of its folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from root_ca.ceremonies import Act
from tests.root.life_world import live
from tests.root.root_world import MemoryKeyStore, perform_all, prepare


class Done(NamedTuple):
    """A performed ceremony: its folder, and the key store that it was performed on."""

    folder: Path
    store: MemoryKeyStore
    acts: tuple[Act, ...]


@pytest.fixture(scope="session")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, store = tmp_path_factory.mktemp("ceremony"), MemoryKeyStore()
    acts = prepare(folder)
    perform_all(folder, store, acts)
    return Done(folder, store, acts)


@pytest.fixture
def done(_original: Done, tmp_path: Path) -> Done:
    """A copy of the performed ceremony, free to be changed; the keys are shared."""
    folder = tmp_path / "root"
    shutil.copytree(_original.folder, folder)
    return Done(folder, _original.store, _original.acts)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with the five ceremony files and the requests, nothing performed."""
    folder = tmp_path / "root"
    folder.mkdir()
    prepare(folder)
    return folder


@pytest.fixture(scope="session")
def _lived(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, store = tmp_path_factory.mktemp("life"), MemoryKeyStore()
    acts = prepare(folder)
    perform_all(folder, store, acts)
    live(folder, store)
    return Done(folder, store, acts)


@pytest.fixture
def lived(_lived: Done, tmp_path: Path) -> Done:
    """A copy of a root's whole life: the five acts, and seven more up to the destruction of its key."""
    folder = tmp_path / "root"
    shutil.copytree(_lived.folder, folder)
    return Done(folder, _lived.store, _lived.acts)
