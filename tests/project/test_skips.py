"""A test that does not run is a failure, and the account of databases is right, with and without xdist."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]

SKIPPED = {
    "call": "import pytest\ndef test_one(): pytest.skip('no reason')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='no reason')\ndef test_one(): pass\n",
    "module": "import pytest\npytest.skip('no reason', allow_module_level=True)\n",
    "import": "import pytest\npytest.importorskip('no_such_module')\n",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_one(): assert False\n",
}
COUNTED = "def test_one(sqlite_url): pass\ndef test_two(sqlite_database): assert False\ndef test_three(): pass\n"


@pytest.mark.parametrize("way", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_skips_fail_and_databases_are_counted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...]
) -> None:
    """Whatever way a test is skipped, the run says so and fails; the last lines tell how many ran on each database."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(**{f"test_{name}": source for name, source in {**SKIPPED, "counted": COUNTED}.items()})
    result = pytester.runpytest_subprocess(
        "-p", "tests.conftest", "-p", "no:cacheprovider", "--continue-on-collection-errors", *way
    )
    assert result.ret != 0
    output = result.stdout.str()
    for name in SKIPPED:
        assert f"test_{name}.py" in output
    assert output.count("did not run, and tests/allowed-skips.toml does not permit that") >= len(SKIPPED)
    result.stdout.fnmatch_lines(["databases: 2 tests on SQLite, 0 on PostgreSQL"])
    assert " skipped" not in output.splitlines()[-1]
    assert " xfailed" not in output.splitlines()[-1]
