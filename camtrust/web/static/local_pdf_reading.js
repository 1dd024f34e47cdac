// Reads of a PDF what a revision is appended to: cross-reference sections, objects, object streams (ISO 32000-2 §7).
// Values keep how they were written. Whatever is not understood is an error: the caller then leaves the file as it is.

const MOST_SECTIONS = 500;
const MOST_OBJECTS = 4_000_000;
const LARGEST_STREAM = 64 * 1024 * 1024; // octets of a stream of objects, unpacked
const DEEPEST = 100;

const SPACE = new Set([0, 9, 10, 12, 13, 32]);
const DELIMITER = new Set([..."()<>[]{}/%"].map((one) => one.charCodeAt(0)));
const regular = (octet) => octet !== undefined && !SPACE.has(octet) && !DELIMITER.has(octet);
export const latin = (octets) => {
  let text = "";
  for (let start = 0; start < octets.length; start += 32768) {
    text += String.fromCharCode(...octets.subarray(start, start + 32768));
  }
  return text;
};
export const octetsOf = (text) => Uint8Array.from(text, (one) => one.charCodeAt(0));

// Values: {kind: "name" | "number" | "string" | "word", value, raw}, {kind: "reference", number, generation},
// {kind: "array", items}, {kind: "dictionary", entries: Map}, {kind: "stream", dictionary, data}.
export const name = (value) => ({ kind: "name", value });
export const number = (value) => ({ kind: "number", value, raw: String(value) });
export const raw = (text) => ({ kind: "word", value: text, raw: text });
export const reference = (id, generation = 0) => ({ kind: "reference", number: id, generation });
export const array = (items) => ({ kind: "array", items });
export const dictionary = (entries) => ({ kind: "dictionary", entries: new Map(Object.entries(entries)) });

export function write(value) {
  if (value.kind === "name") {
    return `/${value.value.replace(/[^!-~]|[#()<>[\]{}/%]/g, (one) => `#${one.charCodeAt(0).toString(16).padStart(2, "0")}`)}`;
  }
  if (value.kind === "reference") return `${value.number} ${value.generation} R`;
  if (value.kind === "array") return `[${value.items.map(write).join(" ")}]`;
  if (value.kind === "dictionary") {
    return `<<${[...value.entries].map(([key, one]) => `${write(name(key))} ${write(one)}`).join("\n")}>>`;
  }
  return value.raw;
}

class Lexer {
  constructor(data, at = 0) {
    this.data = data;
    this.at = at;
  }

  skip() {
    for (;;) {
      const octet = this.data[this.at];
      if (SPACE.has(octet)) this.at += 1;
      else if (octet === 37) while (this.at < this.data.length && this.data[this.at] !== 10 && this.data[this.at] !== 13) this.at += 1;
      else return octet;
    }
  }

  word() {
    this.skip();
    const start = this.at;
    while (regular(this.data[this.at])) this.at += 1;
    return latin(this.data.subarray(start, this.at));
  }

  integer() {
    const word = this.word();
    if (!/^\+?\d{1,12}$/.test(word)) throw new Error("not a number");
    return Number(word);
  }

  expect(word) {
    if (this.word() !== word) throw new Error(`not ${word}`);
  }

  value(depth = 0) {
    if (depth > DEEPEST) throw new Error("too deep");
    const octet = this.skip();
    if (octet === undefined) throw new Error("ended early");
    if (octet === 47) return this.named();
    if (octet === 40) return this.literal();
    if (octet === 60) return this.data[this.at + 1] === 60 ? this.dictionary(depth) : this.hexadecimal();
    if (octet === 91) {
      this.at += 1;
      const items = [];
      while (this.skip() !== 93) items.push(this.value(depth + 1));
      this.at += 1;
      return array(items);
    }
    const word = this.word();
    if (/^\d{1,10}$/.test(word)) {
      const after = this.at;
      const [generation, sign] = [this.word(), this.word()];
      if (/^\d{1,5}$/.test(generation) && sign === "R") return reference(Number(word), Number(generation));
      this.at = after;
    }
    if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(word)) return { kind: "number", value: Number(word), raw: word };
    if (!["true", "false", "null"].includes(word)) throw new Error("an unknown word");
    return raw(word);
  }

  named() {
    this.at += 1;
    const start = this.at;
    while (regular(this.data[this.at])) this.at += 1;
    const text = latin(this.data.subarray(start, this.at));
    return name(text.replace(/#([0-9A-Fa-f]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16))));
  }

  literal() {
    const start = this.at;
    let open = 0;
    for (; this.at < this.data.length; this.at += 1) {
      const octet = this.data[this.at];
      if (octet === 92) this.at += 1;
      else if (octet === 40) open += 1;
      else if (octet === 41 && (open -= 1) === 0) break;
    }
    this.at += 1;
    return { kind: "string", raw: latin(this.data.subarray(start, this.at)) };
  }

  hexadecimal() {
    const start = this.at;
    while (this.at < this.data.length && this.data[this.at] !== 62) this.at += 1;
    this.at += 1;
    return { kind: "string", raw: latin(this.data.subarray(start, this.at)) };
  }

  dictionary(depth) {
    this.at += 2;
    const entries = new Map();
    for (;;) {
      const octet = this.skip();
      if (octet === 62 && this.data[this.at + 1] === 62) break;
      if (octet !== 47) throw new Error("a key that is no name");
      const key = this.named().value;
      if (entries.has(key)) throw new Error("a key that stands twice");
      entries.set(key, this.value(depth + 1));
    }
    this.at += 2;
    return { kind: "dictionary", entries };
  }
}

export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

async function inflated(data) {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > LARGEST_STREAM) throw new Error("a stream that grows too much");
    parts.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// PNG predictors (§7.4.4.4).
function predicted(data, columns, colours, bits) {
  const width = Math.ceil((columns * colours * bits) / 8);
  const step = Math.max(1, (colours * bits) >> 3);
  const rows = Math.floor(data.length / (width + 1));
  const out = new Uint8Array(rows * width);
  for (let row = 0; row < rows; row += 1) {
    const kind = data[row * (width + 1)];
    for (let column = 0; column < width; column += 1) {
      const place = row * width + column;
      const left = column >= step ? out[place - step] : 0;
      const up = row ? out[place - width] : 0;
      const corner = row && column >= step ? out[place - width - step] : 0;
      let guess = 0;
      if (kind === 1) guess = left;
      else if (kind === 2) guess = up;
      else if (kind === 3) guess = (left + up) >> 1;
      else if (kind === 4) {
        const distances = [left, up, corner].map((one) => Math.abs(left + up - corner - one));
        guess = distances[0] <= distances[1] && distances[0] <= distances[2] ? left : distances[1] <= distances[2] ? up : corner;
      } else if (kind !== 0) throw new Error("an unknown predictor");
      out[place] = data[row * (width + 1) + 1 + column] + guess;
    }
  }
  return out;
}

export class Document {
  constructor(data) {
    this.data = data;
    this.places = new Map(); // number: {at, generation} in the file, or {stream, index}, or null: free
    this.changed = new Map(); // number: a value that a revision has
    this.streams = new Map();
  }

  static async open(data) {
    if (latin(data.subarray(0, 5)) !== "%PDF-") throw new Refused("not_pdf");
    const found = new Document(data);
    try {
      await found.sections();
      if (found.trailer.entries.has("Encrypt")) throw new Refused("encrypted");
      found.rootReference = found.trailer.entries.get("Root");
      if (found.rootReference.kind !== "reference") throw new Error("no catalog");
      const root = await found.follow(found.rootReference);
      if (root.kind !== "dictionary" || (await found.entry(root, "Type"))?.value !== "Catalog") throw new Error("no catalog");
      return found;
    } catch (failure) {
      throw failure instanceof Refused ? failure : new Refused("damaged");
    }
  }

  async sections() {
    const tail = latin(this.data.subarray(Math.max(0, this.data.length - 2048)));
    const told = [...tail.matchAll(/startxref\s+(\d{1,12})\s+%%EOF/g)].at(-1);
    if (!told) throw new Error("no startxref");
    this.last = Number(told[1]);
    const seen = new Set();
    let at = this.last;
    while (at !== undefined) {
      if (seen.has(at) || seen.size > MOST_SECTIONS) throw new Error("sections in a circle");
      seen.add(at);
      const trailer = await this.section(at);
      if (this.trailer === undefined) this.trailer = trailer;
      const previous = trailer.entries.get("Prev");
      at = previous === undefined ? undefined : previous.value;
    }
    this.next = this.trailer.entries.get("Size").value;
    if (!Number.isSafeInteger(this.next) || this.next < 1 || this.next > MOST_OBJECTS) throw new Error("another Size");
    for (const one of this.places.keys()) if (one >= this.next) throw new Error("an object beyond Size");
  }

  async section(at) {
    const lexer = new Lexer(this.data, at);
    const table = latin(this.data.subarray(at, at + 4)) === "xref";
    if (this.streamed === undefined) this.streamed = !table;
    return table ? this.table(lexer) : await this.stream(lexer);
  }

  place(id, where) {
    if (!this.places.has(id)) this.places.set(id, where);
    if (this.places.size > MOST_OBJECTS) throw new Error("too many objects");
  }

  table(lexer) {
    lexer.expect("xref");
    for (;;) {
      const before = lexer.at;
      if (lexer.word() === "trailer") break;
      lexer.at = before;
      const [first, count] = [lexer.integer(), lexer.integer()];
      for (let one = first; one < first + count; one += 1) {
        const [at, generation, kind] = [lexer.integer(), lexer.integer(), lexer.word()];
        if (kind !== "n" && kind !== "f") throw new Error("another entry");
        this.place(one, kind === "n" ? { at, generation } : null);
      }
    }
    const trailer = lexer.value();
    if (trailer.entries.has("XRefStm")) throw new Refused("hybrid");
    return trailer;
  }

  async stream(lexer) {
    lexer.integer();
    lexer.integer();
    lexer.expect("obj");
    const { dictionary: told, data } = this.streamAt(lexer, lexer.value());
    if (told.entries.get("Type")?.value !== "XRef") throw new Error("no cross-reference stream");
    const content = await this.unpacked(told, data);
    const widths = told.entries.get("W").items.map((one) => one.value);
    const index = told.entries.get("Index")?.items.map((one) => one.value) ?? [0, told.entries.get("Size").value];
    const size = widths.reduce((sum, one) => sum + one, 0);
    if (widths.length !== 3 || !(size > 0) || widths.some((one) => one > 8)) throw new Error("other widths");
    let at = 0;
    const field = (width, otherwise) => {
      let found = width ? 0 : otherwise;
      for (let one = 0; one < width; one += 1, at += 1) found = found * 256 + content[at];
      return found;
    };
    for (let run = 0; run + 1 < index.length; run += 2) {
      for (let one = index[run]; one < index[run] + index[run + 1]; one += 1) {
        if (at + size > content.length) throw new Error("a table that ends early");
        const [kind, second, third] = [field(widths[0], 1), field(widths[1], 0), field(widths[2], 0)];
        if (kind === 1) this.place(one, { at: second, generation: third });
        else if (kind === 2) this.place(one, { stream: second, index: third });
        else this.place(one, null);
      }
    }
    return told;
  }

  streamAt(lexer, told, length = told.entries.get("Length")) {
    lexer.expect("stream");
    let at = lexer.at;
    if (this.data[at] === 13) at += 1;
    if (this.data[at] !== 10) throw new Error("no end of line after stream");
    at += 1;
    if (length?.kind !== "number" || at + length.value > this.data.length) throw new Error("another length");
    const behind = new Lexer(this.data, at + length.value);
    behind.expect("endstream");
    return { kind: "stream", dictionary: told, data: this.data.subarray(at, at + length.value) };
  }

  async unpacked(told, data) {
    let filter = await this.entry(told, "Filter");
    let parameters = await this.entry(told, "DecodeParms");
    if (filter?.kind === "array") {
      if (filter.items.length > 1) throw new Error("several filters");
      filter = filter.items.length ? await this.follow(filter.items[0]) : undefined;
      if (parameters?.kind === "array") parameters = await this.follow(parameters.items[0]);
    }
    if (filter === undefined) return data;
    if (filter.value !== "FlateDecode") throw new Error("another filter");
    const content = await inflated(data);
    if (parameters?.kind !== "dictionary") return content;
    const told2 = (key, otherwise) => parameters.entries.get(key)?.value ?? otherwise;
    const predictor = told2("Predictor", 1);
    if (predictor === 1) return content;
    if (predictor < 10) throw new Error("another predictor");
    return predicted(content, told2("Columns", 1), told2("Colors", 1), told2("BitsPerComponent", 8));
  }

  // The value behind a reference, as the newest revision has it; any other value is itself.
  async follow(value, depth = 0) {
    if (value?.kind !== "reference") return value;
    if (depth > 20) throw new Error("references in a circle");
    return this.follow(await this.object(value.number, value.generation), depth + 1);
  }

  async object(id, generation = 0) {
    if (this.changed.has(id)) return this.changed.get(id);
    const place = this.places.get(id);
    if (!place) return raw("null");
    if (place.stream !== undefined) return (await this.objects(place.stream)).get(id) ?? raw("null");
    const lexer = new Lexer(this.data, place.at);
    if (lexer.integer() !== id || lexer.integer() !== generation || generation !== place.generation) throw new Error("another object");
    lexer.expect("obj");
    const value = lexer.value();
    const after = lexer.at;
    const word = lexer.word();
    if (word === "endobj") return value;
    if (word !== "stream" || value.kind !== "dictionary") throw new Error("an object without an end");
    lexer.at = after;
    return this.streamAt(lexer, value, await this.follow(value.entries.get("Length")));
  }

  async objects(id) {
    if (!this.streams.has(id)) {
      const place = this.places.get(id);
      if (!place || place.stream !== undefined) throw new Error("a stream of objects that is none");
      const found = await this.object(id, place.generation);
      const [count, first] = [await this.entry(found.dictionary, "N"), await this.entry(found.dictionary, "First")];
      const content = await this.unpacked(found.dictionary, found.data);
      const head = new Lexer(content);
      const values = new Map();
      const starts = [];
      for (let one = 0; one < count.value; one += 1) starts.push([head.integer(), head.integer()]);
      for (const [member, at] of starts) {
        if (this.places.get(member)?.stream === id) values.set(member, new Lexer(content, first.value + at).value());
      }
      this.streams.set(id, values);
    }
    return this.streams.get(id);
  }

  // What a dictionary holds, followed; undefined where there is nothing.
  async entry(holder, key) {
    const found = await this.follow(holder.entries.get(key));
    return found === undefined || (found.kind === "word" && found.value === "null") ? undefined : found;
  }
}
