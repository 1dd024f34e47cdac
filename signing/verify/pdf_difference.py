"""What one revision did to the one before it, object by object (ISO 32000-2 §7.5.6, §12.8.2.2; EN 319 142-1 §5.4).

Every object that a revision writes must have a role that may change, and must change in no other way than the role
allows. A role is reached from the catalog; whatever is left unexplained is a problem, used or not.

    V1  the trailer still names the same catalog, identity and encryption                        PDF-TRAILER
    V2  the catalog changes in nothing but evidence, form, metadata, version and extensions      PDF-CATALOG
        page tree, scripts, attachments and layers are named by what they are          PDF-PAGE, PDF-SCRIPT,
                                                                                       PDF-ATTACHMENT, PDF-LAYER
    V3  pages change in nothing but the widgets of new signature fields                PDF-PAGE, PDF-ANNOTATION
    V4  fields change as `signing.verify.pdf_fields` says                              PDF-FIELD, PDF-FORM, ...
    V5  nothing is freed, and no stream of an older revision is written anew           PDF-SHADOW
    V6  no new object has a number that an older revision refers to already            PDF-SHADOW
    V7  what is changed in place has one place that refers to it                       PDF-SHADOW
    V8  every object is where its own revision is, and nothing stands between objects  PDF-XREF, PDF-GAP
    V9  what no role explains is a problem                                             PDF-CHANGES, PDF-FONT, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from signing.verify import pdf_fields
from signing.verify.model import Reason, SubIndication, failed
from signing.verify.pdf_layout import Layout
from signing.verify.pdf_objects import Name, Ref, Revisions, Stream, entries_of

CLAUSE = "ISO 32000-2 §12.8.2.2"
_STORE_LISTS = {"/Certs", "/CRLs", "/OCSPs", "/Cert", "/CRL", "/OCSP"}
_STORE_KEYS = {"/Type", "/VRI", "/TU", "/TS", *_STORE_LISTS}
_PLAIN_STREAM = {"/Length", "/Filter", "/DecodeParms", "/Type", "/Subtype"}
_INFO_KEYS = {"/ModDate", "/CreationDate", "/Producer", "/Creator"}
_CATALOG_RULES = {
    "/Pages": "PDF-PAGE",
    "/OpenAction": "PDF-SCRIPT",
    "/AA": "PDF-SCRIPT",
    "/Names": "PDF-ATTACHMENT",
    "/AF": "PDF-ATTACHMENT",
    "/Collection": "PDF-ATTACHMENT",
    "/OCProperties": "PDF-LAYER",
}


class Level(IntEnum):
    """How far a revision goes, in the order of DocMDP's P (ISO 32000-2 Table 257)."""

    NOTHING = 0
    EVIDENCE = 1  # validation data, document timestamps, metadata
    FORMS = 2  # signatures and form fields


@dataclass
class Step:
    """What one revision did. ``problems`` are never allowed, ``filled`` and ``visible`` are for the policy to judge."""

    level: Level = Level.NOTHING
    problems: list[Reason] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)  # names of signature fields that got a value
    filled: list[pdf_fields.Filling] = field(default_factory=list)
    visible: list[pdf_fields.Appeared] = field(default_factory=list)

    def reach(self, level: Level) -> None:
        self.level = max(self.level, level)

    def refuse(self, rule: str, key: str = "verify_changed", **params: str) -> None:
        if all((one.rule, one.params) != (rule, params) for one in self.problems):
            self.problems.append(failed(rule, CLAUSE, key, SubIndication.FORMAT_FAILURE, **params))


class Comparison:
    """Revision ``after`` against the one before it. Used once; :meth:`step` gives what was found."""

    def __init__(self, revisions: Revisions, layout: Layout, after: int) -> None:
        self.revisions, self.layout = revisions, layout
        self.before, self.after = after - 1, after
        self.changed = revisions.changed(after)
        self.explained: set[Ref] = set()
        self.found = Step()

    def step(self) -> Step:
        self._trailers()
        old, new = self.revisions.catalog(self.before), self.revisions.catalog(self.after)
        root = self.revisions.trailer(self.after).get("/Root")
        if isinstance(root, Ref):
            self.explained.add(root)
        self._catalog(old, new)
        pdf_fields.compare_forms(self, old.get("/AcroForm"), new.get("/AcroForm"))
        self._pages()
        self._containers()
        self._left()
        for rule in self.layout.objections(self.after):  # V8
            self.found.refuse(rule)
        return self.found

    # --- what other rules ask

    def old(self, value: Any) -> Any:
        return self.revisions.resolve(value, self.before)

    def new(self, value: Any) -> Any:
        return self.revisions.resolve(value, self.after)

    def is_new(self, ref: Ref) -> bool:
        """Whether this revision brought the object, under a number that meant nothing before (V6)."""
        return ref in self.changed and not self.revisions.exists(ref, self.before)

    def explain(self, ref: Any) -> None:
        if isinstance(ref, Ref):
            self.explained.add(ref)

    def explain_in_place(self, ref: Any, was: Any) -> None:
        """A container that may change in place, if this is the only role that it has, and had it before (V7)."""
        if not isinstance(ref, Ref) or ref not in self.changed:
            return
        if not self.is_new(ref) and (ref != was or not self.layout.sole_reference(ref, self.before)):
            self.found.refuse("PDF-SHADOW")
        self.explained.add(ref)

    def explain_deep(self, value: Any, depth: int = 0) -> None:
        """A new object and all new objects that it refers to. What is old is not touched by it."""
        if depth > 30 or len(self.explained) > 20_000:
            self.found.refuse("PDF-CHANGES")
            return
        if isinstance(value, Ref):
            if value in self.explained or not self.is_new(value):
                return
            self.explained.add(value)
            value = self.new(value)
        if isinstance(value, tuple):
            for one in value:
                self.explain_deep(one, depth + 1)
        for one in entries_of(value).values():
            self.explain_deep(one, depth + 1)

    # --- V1, V2

    def _trailers(self) -> None:
        old, new = self.revisions.trailer(self.before), self.revisions.trailer(self.after)
        encrypted = old.get("/Encrypt")
        same_identity = encrypted is None or _first(old.get("/ID")) == _first(new.get("/ID"))  # part of the key
        if old.get("/Root") != new.get("/Root") or encrypted != new.get("/Encrypt") or not same_identity:
            self.found.refuse("PDF-TRAILER")
        info = new.get("/Info")
        if old.get("/Info") != info or info in self.changed:
            was, is_ = entries_of(self.old(old.get("/Info"))), entries_of(self.new(info))
            if not isinstance(self.new(info), dict):
                self.found.refuse("PDF-TRAILER")
            for key in was.keys() | is_.keys():
                if was.get(key) != is_.get(key) and (key not in _INFO_KEYS or not isinstance(is_.get(key), bytes)):
                    self.found.refuse("PDF-CATALOG")
            self.found.reach(Level.EVIDENCE)
            self.explain(info)

    def _catalog(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for key in old.keys() | new.keys():
            if key in ("/DSS", "/AcroForm", "/Metadata"):
                continue
            if old.get(key) != new.get(key) and not self._catalog_entry(key, old.get(key), new.get(key)):
                self.found.refuse(_CATALOG_RULES.get(key, "PDF-CATALOG"))
        if "/DSS" in old and "/DSS" not in new:
            self.found.refuse("PDF-CATALOG")
        self._store(old.get("/DSS"), new.get("/DSS"))
        self._metadata(old.get("/Metadata"), new.get("/Metadata"))

    def _catalog_entry(self, key: str, old: Any, new: Any) -> bool:
        if key == "/Version":
            return isinstance(new, Name) and new in ("/1.6", "/1.7", "/2.0") and (old is None or str(old) <= str(new))
        if key == "/Extensions":
            self.explain_deep(new)
            return _is_flat(self.new(new))
        return False

    def _store(self, was: Any, store: Any) -> None:
        """The document security store (EN 319 142-1 §5.4.2): lists of streams that are new, and nothing else."""
        if store is None:
            return
        dictionary = self.new(store)
        if not isinstance(dictionary, dict) or not dictionary.keys() <= _STORE_KEYS:
            self.found.refuse("PDF-CATALOG")
            return
        if isinstance(store, Ref) and store in self.changed:
            self.found.reach(Level.EVIDENCE)
        self.explain_in_place(store, was)
        before = entries_of(self.old(was))
        self._evidence(before, dictionary)
        related, entries = dictionary.get("/VRI"), entries_of(self.old(before.get("/VRI")))
        self.explain_in_place(related, before.get("/VRI"))
        for key, one in entries_of(self.new(related)).items():
            self.explain_in_place(one, entries.get(key))
            entry = self.new(one)
            if isinstance(entry, dict):
                self._evidence(entries_of(self.old(entries.get(key))), entry)
            elif not isinstance(entry, Name):  # /Type
                self.found.refuse("PDF-CATALOG")

    def _evidence(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for key, value in after.items():
            if key == "/TS":
                self._evidence_stream(value)
            if key not in _STORE_LISTS:
                continue
            self.explain_in_place(value, before.get(key))
            items = self.new(value)
            for one in items if isinstance(items, tuple) else ():
                self._evidence_stream(one)

    def _evidence_stream(self, ref: Any) -> None:
        if not isinstance(ref, Ref) or ref not in self.changed:
            return
        stream = self.new(ref)
        if not isinstance(stream, Stream) or not stream.entries.keys() <= _PLAIN_STREAM:
            self.found.refuse("PDF-CATALOG")
        if not self.is_new(ref) and self.old(ref) != stream:
            self.found.refuse("PDF-SHADOW")
        self.found.reach(Level.EVIDENCE)
        self.explain(ref)

    def _metadata(self, old: Any, new: Any) -> None:
        if old == new and new not in self.changed:
            return
        self.found.reach(Level.EVIDENCE)
        stream = self.new(new)
        is_xmp = isinstance(stream, Stream) and stream.entries.keys() <= _PLAIN_STREAM
        if not is_xmp or stream.entries.get("/Subtype") != "/XML":
            self.found.refuse("PDF-CATALOG")
        self.explain_in_place(new, old)

    # --- V3, V9

    def _pages(self) -> None:
        """The pages of new widgets: their annotations were appended, and nothing else changed."""
        for page_ref, widgets in self._widgets_by_page().items():
            old, new = self.old(page_ref), self.new(page_ref)
            if not isinstance(old, dict) or not isinstance(new, dict) or old.get("/Type") != "/Page":
                self.found.refuse("PDF-PAGE")
                continue
            if any(old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - {"/Annots"}):
                self.found.refuse("PDF-PAGE")
            annotations = new.get("/Annots")
            before, after = self.old(old.get("/Annots")) or (), self.new(annotations) or ()
            if not isinstance(before, tuple) or not isinstance(after, tuple) or after[: len(before)] != before:
                self.found.refuse("PDF-ANNOTATION")
                continue
            if any(one not in widgets for one in after[len(before) :]):
                self.found.refuse("PDF-ANNOTATION")
            self.explain(page_ref)
            self.explain_in_place(annotations, old.get("/Annots"))

    def _widgets_by_page(self) -> dict[Ref, set[Any]]:
        pages: dict[Ref, set[Any]] = {}
        for one in self.found.visible:
            if isinstance(one.page, Ref):
                pages.setdefault(one.page, set()).add(one.widget)
        return pages

    def _containers(self) -> None:
        """Cross-reference and object streams of this revision (V5: none of an older one is written anew)."""
        for ref in self.changed - self.explained:
            kind = self.revisions.get(ref, self.after)
            if isinstance(kind, Stream) and kind.entries.get("/Type") in ("/XRef", "/ObjStm"):
                if self.is_new(ref):
                    self.explain(ref)
                else:
                    self.found.refuse("PDF-SHADOW")

    def _left(self) -> None:
        """V5, V6, V9 for what no role explained."""
        if self.revisions.freed(self.after):
            self.found.refuse("PDF-SHADOW")
        referred = self.layout.referred(self.before)
        for ref in self.changed:
            if not self.revisions.exists(ref, self.after):
                continue  # an entry that only repeats what is free
            if self.is_new(ref):
                if ref in referred:  # V6
                    self.found.refuse("PDF-SHADOW")
            elif isinstance(was := self.old(ref), Stream) and ref not in self.explained:
                if was != self.new(ref):
                    self.found.refuse("PDF-SHADOW")  # V5
                continue
            if ref not in self.explained and (self.is_new(ref) or self.old(ref) != self.new(ref)):
                self.found.refuse(_kind_of(self.old(ref), self.new(ref)))


def _first(identity: Any) -> Any:
    return identity[0] if isinstance(identity, tuple) and identity else None


def _is_flat(value: Any, depth: int = 0) -> bool:
    """Names, numbers and strings in dictionaries and arrays, nothing that could be shown or run."""
    if isinstance(value, tuple):
        return depth < 4 and all(_is_flat(one, depth + 1) for one in value)
    if isinstance(value, dict):
        return depth < 4 and all(_is_flat(one, depth + 1) for one in value.values())
    return not isinstance(value, Ref | Stream)


def _kind_of(old: Any, new: Any) -> str:
    """The rule that speaks for a change that nothing explains, by what the object is."""
    for value in (new, old):
        entries = entries_of(value)
        kind, subtype = entries.get("/Type"), entries.get("/Subtype")
        if kind in ("/Page", "/Pages"):
            return "PDF-PAGE"
        if "/JS" in entries or "/AA" in entries or entries.get("/S") in ("/JavaScript", "/Launch", "/URI", "/GoToR"):
            return "PDF-SCRIPT"
        if kind in ("/Filespec", "/EmbeddedFile") or "/EmbeddedFiles" in entries or "/EF" in entries:
            return "PDF-ATTACHMENT"
        if kind in ("/OCG", "/OCMD") or "/OCGs" in entries:
            return "PDF-LAYER"
        if kind in ("/Font", "/FontDescriptor") or "/FontFile2" in entries:
            return "PDF-FONT"
        if "/FT" in entries or "/Kids" in entries:
            return "PDF-FIELD"
        if kind == "/Annot" or (subtype is not None and "/Rect" in entries):
            return "PDF-ANNOTATION"
    return "PDF-CHANGES"
