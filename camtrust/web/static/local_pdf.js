// A PDF signature made in the browser (EN 319 142-1): a revision with room for the signature is appended, everything
// but that room is hashed, the signature that comes back is put in, and its status appended (/DSS). What the document
// was stays octet for octet. A document that this cannot be done to is refused with a reason.
import { Document, Refused, array, dictionary, latin, name, number, octetsOf, raw, reference, write } from "./local_pdf_reading.js";

const ROOM = 20480; // octets for the SignedData: some 8 KB with certificates, timestamp and proof
const RANGE = 4 + 3 * 11;
const MOST_FIELDS = 5000;
const DEEPEST = 20;
const PRINT_AND_LOCKED = 132;
const SIGNATURES_EXIST_APPEND_ONLY = 3;
const WRITTEN_ANEW = ["Root", "Size", "Prev", "ID", "XRefStm", "Type", "W", "Index", "Length", "Filter", "DecodeParms"];
const LISTS = { Certs: "certificates", OCSPs: "ocsp", CRLs: "crl" };

const text = (value) => raw(`(${value})`);
const hexadecimal = (octets) => [...octets].map((one) => one.toString(16).padStart(2, "0")).join("");
const at = (now) => `D:${now.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;

// Sections behind a document, one after the other.
class Update {
  constructor(document) {
    this.document = document;
    this.length = document.data.length;
    this.previous = document.last;
    this.written = new Set();
    this.sections = [];
  }

  add(value) {
    const id = this.document.next;
    this.document.next += 1;
    this.document.changed.set(id, value);
    this.written.add(id);
    return reference(id);
  }

  // A place in the file: the object with this number, and the value in it that is meant.
  async at(found) {
    if (found?.kind !== "reference") throw new Error("not a reference");
    const whole = await this.document.object(found.number, found.generation);
    if (whole.kind === "reference") throw new Error("a reference to a reference");
    return { id: found.number, whole, value: whole };
  }

  touch(place) {
    this.document.changed.set(place.id, place.whole);
    this.written.add(place.id);
  }

  // What stands in a dictionary under this key, to be changed: where it is, or made where there is nothing.
  async hold(place, key, made) {
    const found = place.value.entries.get(key);
    let inner = { ...place, value: found };
    if (found?.kind === "reference") inner = await this.at(found);
    else if (found === undefined || found.value === "null") {
      inner.value = made;
      place.value.entries.set(key, made);
    }
    if (inner.value.kind !== made.kind) throw new Error("another kind of value");
    this.touch(inner);
    return inner;
  }

  async section() {
    const parts = ["\n"];
    let length = 1;
    const put = (one) => {
      parts.push(one);
      length += one.length;
    };
    const places = [];
    for (const id of this.written) {
      const generation = this.document.places.get(id)?.generation ?? 0;
      places.push([id, this.length + length, generation]);
      put(`${id} ${generation} obj\n`);
      put(written(this.document.changed.get(id)));
      put("\nendobj\n");
    }
    const digest = await crypto.subtle.digest("SHA-256", octetsOf(parts.join("")));
    const second = raw(`<${hexadecimal(new Uint8Array(digest).subarray(0, 16))}>`);
    const start = this.length + length;
    if (this.document.streamed) {
      const id = this.document.next;
      this.document.next += 1;
      places.push([id, start, 0]);
      put(`${id} 0 obj\n${this.stream(places, this.entries(second))}\nendobj\n`);
    } else {
      put(`${table(places)}trailer\n${write(this.entries(second))}\n`);
    }
    put(`startxref\n${start}\n%%EOF\n`);
    this.previous = start;
    this.length += length;
    this.written = new Set();
    const section = octetsOf(parts.join(""));
    this.sections.push(section);
    return section;
  }

  entries(second) {
    const { trailer, rootReference, next } = this.document;
    const kept = [...trailer.entries].filter(([key]) => !WRITTEN_ANEW.includes(key));
    const found = dictionary(Object.fromEntries(kept));
    const first = trailer.entries.get("ID");
    const own = { Root: rootReference, Size: number(next), Prev: number(this.previous) };
    for (const [key, value] of Object.entries(own)) found.entries.set(key, value);
    found.entries.set("ID", array([first?.kind === "array" ? first.items[0] : second, second]));
    return found;
  }

  stream(places, entries) {
    const index = [0, 1];
    let body = `${"\0".repeat(9)}\xff\xff`;
    for (const run of runs(places)) {
      index.push(run[0][0], run.length);
      for (const [, place, generation] of run) {
        const octets = new Uint8Array(11);
        const view = new DataView(octets.buffer);
        octets[0] = 1;
        view.setBigUint64(1, BigInt(place));
        view.setUint16(9, generation);
        body += latin(octets);
      }
    }
    entries.entries.set("Type", name("XRef"));
    entries.entries.set("W", array([1, 8, 2].map(number)));
    entries.entries.set("Index", array(index.map(number)));
    return written({ kind: "stream", dictionary: entries, data: octetsOf(body) });
  }
}

function written(value) {
  if (value.kind !== "stream") return write(value);
  value.dictionary.entries.set("Length", number(value.data.length));
  return `${write(value.dictionary)}\nstream\n${latin(value.data)}\nendstream`;
}

function runs(places) {
  const found = [];
  for (const one of [...places].sort((a, b) => a[0] - b[0])) {
    const last = found.at(-1);
    if (last && last.at(-1)[0] + 1 === one[0]) last.push(one);
    else found.push([one]);
  }
  return found;
}

function table(places) {
  const padded = (value, width) => String(value).padStart(width, "0");
  let found = "xref\n0 1\n0000000000 65535 f \n";
  for (const run of runs(places)) {
    found += `${run[0][0]} ${run.length}\n`;
    for (const [, place, generation] of run) found += `${padded(place, 10)} ${padded(generation, 5)} n \n`;
  }
  return found;
}

async function firstPage(update, root) {
  const { document } = update;
  const seen = new Set();
  let found = root.value.entries.get("Pages");
  for (;;) {
    if (found?.kind !== "reference" || seen.has(found.number)) throw new Error("pages in a circle");
    seen.add(found.number);
    const node = await update.at(found);
    if (node.value.kind !== "dictionary") throw new Error("no page");
    const kids = await document.entry(node.value, "Kids");
    if (kids === undefined) return { ...node, reference: found };
    if (kids.kind !== "array" || !kids.items.length) throw new Error("no pages");
    [found] = kids.items;
  }
}

// Refused for what restricts signatures, or shows pages that are not in the file.
async function judge(document, root) {
  const permissions = await document.entry(root, "Perms");
  if (permissions !== undefined && permissions.entries?.size) throw new Refused("restricted");
  if (root.entries.has("NeedsRendering")) throw new Refused("form");
  const form = await document.entry(root, "AcroForm");
  if (form === undefined) return;
  if (form.entries.has("XFA")) throw new Refused("form");
  const fields = await document.entry(form, "Fields");
  let left = MOST_FIELDS;
  const walk = async (items, depth) => {
    for (const one of items) {
      left -= 1;
      if (left < 0 || depth > DEEPEST) throw new Error("too many fields");
      const field = await document.follow(one);
      if (field?.kind !== "dictionary") continue;
      const value = await document.entry(field, "V");
      if (value?.kind === "dictionary" && (value.entries.has("Reference") || (field.entries.has("Lock") && value.entries.has("ByteRange")))) {
        throw new Refused("restricted");
      }
      const kids = await document.entry(field, "Kids");
      if (kids?.kind === "array") await walk(kids.items, depth + 1);
    }
  };
  if (fields?.kind === "array") await walk(fields.items, 0);
}

// That PAdES is used, where PDF is older than 2.0 (EN 319 142-1 §5.4.1, ISO 32000-2 §7.12).
async function declare(update, root) {
  const extensions = await update.hold(root, "Extensions", dictionary({}));
  if (extensions.value.entries.has("ESIC")) return;
  const entries = { Type: name("DeveloperExtensions"), BaseVersion: name("1.7"), ExtensionLevel: number(1) };
  extensions.value.entries.set("ESIC", dictionary(entries));
}

// The revision with room for the signature; gives its octets, and where the room begins and ends in them.
async function place(update, now) {
  const { document } = update;
  const root = await update.at(document.rootReference);
  const page = await firstPage(update, root);
  const signature = update.add(
    dictionary({
      Type: name("Sig"),
      Filter: name("Adobe.PPKLite"),
      SubFilter: name("ETSI.CAdES.detached"),
      M: text(at(now)),
      ByteRange: raw(" ".repeat(RANGE)),
      Contents: raw(`<${"0".repeat(2 * ROOM)}>`),
    }),
  );
  const called = `CamTrust-${hexadecimal(crypto.getRandomValues(new Uint8Array(8)))}`;
  const field = update.add(
    dictionary({
      Type: name("Annot"),
      Subtype: name("Widget"),
      FT: name("Sig"),
      T: text(called),
      Rect: array([0, 0, 0, 0].map(number)),
      F: number(PRINT_AND_LOCKED),
      P: page.reference,
      V: signature,
    }),
  );
  (await update.hold(page, "Annots", array([]))).value.items.push(field);
  update.touch(root);
  const form = await update.hold(root, "AcroForm", dictionary({}));
  const flags = await document.entry(form.value, "SigFlags");
  form.value.entries.set("SigFlags", number((flags?.value ?? 0) | SIGNATURES_EXIST_APPEND_ONLY));
  (await update.hold(form, "Fields", array([]))).value.items.push(field);
  await declare(update, root);
  const start = update.length;
  const section = await update.section();
  const said = latin(section);
  const before = said.indexOf(`<${"0".repeat(2 * ROOM)}>`);
  const [hole, end] = [start + before, start + before + 2 * ROOM + 2];
  const range = `[0 ${hole} ${end} ${start + section.length - end}]`.padEnd(RANGE);
  section.set(octetsOf(range), said.indexOf(" ".repeat(RANGE)));
  return { section, before, after: before + 2 * ROOM + 2 };
}

// The security store (§5.4.2); one that is there goes on.
async function store(update, answer) {
  const root = await update.at(update.document.rootReference);
  if (root.value.entries.get("DSS") === undefined) {
    root.value.entries.set("DSS", update.add(dictionary({ Type: name("DSS") })));
    update.touch(root);
  }
  const found = await update.hold(root, "DSS", dictionary({}));
  for (const [key, list] of Object.entries(LISTS)) {
    const kept = await update.hold(found, key, array([]));
    for (const data of answer[list]) kept.value.items.push(update.add({ kind: "stream", dictionary: dictionary({}), data }));
  }
  await declare(update, root);
  await update.section();
}

// The document made ready: `hashed` is what the signature is over, `complete` gives the parts of the signed file for the
// answer {signature, certificates, ocsp, crl}; or {refused: reason}.
export async function prepare(data, now) {
  try {
    const document = await Document.open(data);
    await judge(document, await document.follow(document.rootReference));
    const update = new Update(document);
    const { section, before, after } = await place(update, now);
    const hashed = new Uint8Array(data.length + section.length - (after - before));
    hashed.set(data);
    hashed.set(section.subarray(0, before), data.length);
    hashed.set(section.subarray(after), data.length + before);
    const complete = async (answer) => {
      if (answer.signature.length > ROOM) throw new Error("a signature without room");
      section.set(octetsOf(hexadecimal(answer.signature)), before + 1);
      if (answer.certificates.length) await store(update, answer);
      return [data, ...update.sections];
    };
    return { hashed, complete };
  } catch (failure) {
    return { refused: failure instanceof Refused ? failure.reason : "damaged" };
  }
}
