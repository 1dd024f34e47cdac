"""The schemas of ETSI and W3C, loaded from the files beside this one; nothing is fetched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree

_HERE = Path(__file__).parent
# the last part of a schemaLocation, where the file here is called otherwise
_NAMES = {"ts_119612v020201_201601xsd.xsd": "ts_119612v020301_xsd.xsd"}


class _Local(etree.Resolver):
    def resolve(self, url: str, _identifier: str, context: object) -> object:
        name = url.rsplit("/", 1)[-1]
        path = _HERE / _NAMES.get(name, name)
        assert path.is_file(), f"no schema here for {url}"
        return self.resolve_filename(str(path), context)


@cache
def schema(name: str) -> etree.XMLSchema:
    """The schema in the file of this name."""
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False)
    parser.resolvers.add(_Local())
    return etree.XMLSchema(etree.parse(str(_HERE / name), parser))


def problems(xml: bytes, name: str) -> list[str]:
    """What is wrong with the document by that schema; empty where nothing is."""
    document = etree.fromstring(xml, etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False))
    one = schema(name)
    return [] if one.validate(document) else [f"{entry.line}: {entry.message}" for entry in one.error_log]
