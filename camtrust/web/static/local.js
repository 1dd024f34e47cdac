// A file that is signed without leaving the browser: hashed here, approved by the person, and put together here with
// the signature that comes back. The service is told the digest and the file's name.
import { prepare } from "./local_pdf.js";

const LARGEST = 256 * 1024 * 1024; // octets: WebCrypto hashes what is in memory, and a signed copy stands beside it
const at = (id) => document.getElementById(id);
const sentences = new Map([...document.querySelectorAll("#sentences li")].map((one) => [one.dataset.name, one.textContent]));
const choose = at("choose");
let draft = null;
let fetched = null;

const base64 = (octets) => {
  let text = "";
  for (let start = 0; start < octets.length; start += 32768) {
    text += String.fromCharCode(...octets.subarray(start, start + 32768));
  }
  return btoa(text);
};
const octets = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const hexadecimal = (found) => [...found].map((one) => one.toString(16).padStart(2, "0")).join("");

// Whether these octets stand in those: a signature over a digest has the digest in it (messageDigest).
const holds = (whole, part) =>
  whole.some((_, start) => start + part.length <= whole.length && part.every((one, index) => whole[start + index] === one));

class Told extends Error {}

function tell(sentence) {
  at("trouble").textContent = sentence;
  at("trouble").hidden = !sentence;
}

async function ask(path, fields) {
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  let said = null;
  try {
    const answer = await fetch(path, { method: "POST", body: new URLSearchParams(fields), headers });
    said = await answer.json();
    if (answer.ok) return said;
  } catch {
    throw new Told(sentences.get("refused"));
  }
  throw new Told(said.detail ? `${said.detail} ${said.hint || ""}` : sentences.get("refused"));
}

// What is to be signed: the document in the browser's memory, what is hashed of it, and how both become the result.
async function drafted(file, where) {
  if (file.size === 0) throw new Told(sentences.get("empty"));
  if (file.size > LARGEST) throw new Told(sentences.get("too_large"));
  let data;
  try {
    data = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Told(sentences.get("unreadable"));
  }
  if (where === "inside") {
    const made = await prepare(data, new Date());
    if (made.refused === undefined) {
      const signed = async (answer) => [await made.complete(answer), `${file.name.replace(/\.pdf$/i, "")}.signed.pdf`, "application/pdf"];
      return { format: "pades", how: "inside", hashed: made.hashed, signed };
    }
    return beside(file, data, `beside_${made.refused}`);
  }
  return beside(file, data, "beside");
}

function beside(file, data, how) {
  const signed = async (answer) => [answer.signature, `${file.name}.p7s`, "application/pkcs7-signature"];
  return { format: "cades", how, hashed: data, signed };
}

async function begin() {
  const file = choose.elements.file.files[0];
  const one = await drafted(file, choose.elements.where.value);
  one.digest = new Uint8Array(await crypto.subtle.digest(choose.dataset.hash, one.hashed));
  delete one.hashed;
  const digest = base64(one.digest);
  const told = await ask("/portal/local/fingerprint", { form_token: choose.dataset.token, digest });
  at("name").textContent = file.name;
  at("how").textContent = sentences.get(one.how);
  at("digest").textContent = hexadecimal(one.digest);
  at("words").replaceChildren(
    ...told.words.map((word) => {
      const item = document.createElement("li");
      item.textContent = word;
      return item;
    }),
  );
  for (const form of document.querySelectorAll("form.approve")) {
    for (const [name, value] of Object.entries({ name: file.name, digest, format: one.format })) {
      if (!form.elements[name]) {
        const field = document.createElement("input");
        field.type = "hidden";
        field.name = name;
        form.append(field);
      }
      form.elements[name].value = value;
    }
  }
  draft = one;
  at("approve").hidden = false;
  at("approving").focus();
}

async function finish(form) {
  const told = await ask(form.getAttribute("action"), new FormData(form));
  let made;
  try {
    const answer = { signature: octets(told.signature) };
    if (!holds(answer.signature, draft.digest)) throw new Error("a signature over something else");
    for (const name of ["certificates", "ocsp", "crl"]) answer[name] = told[name].map(octets);
    made = await draft.signed(answer);
  } catch {
    throw new Told(sentences.get("answer_wrong"));
  }
  const [data, name, type] = made;
  if (fetched) URL.revokeObjectURL(fetched);
  fetched = URL.createObjectURL(new Blob([data].flat(), { type }));
  at("download").href = fetched;
  at("download").download = name;
  at("kept").textContent = sentences.get(draft.how);
  at("approve").hidden = true;
  at("done").hidden = false;
  at("signed").focus();
  draft = null;
}

async function guarded(form, work) {
  const buttons = [...form.querySelectorAll("button")];
  tell("");
  at("working").textContent = form === choose ? sentences.get("working") : "";
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (failure) {
    tell(failure instanceof Told ? failure.message : sentences.get("unreadable"));
    at("trouble").scrollIntoView({ block: "nearest" });
  }
  for (const button of buttons) button.disabled = false;
  at("working").textContent = "";
}

if (!globalThis.crypto || !crypto.subtle) {
  tell(sentences.get("no_crypto"));
} else if (choose.dataset.hash) {
  choose.querySelector("button").disabled = false;
  choose.addEventListener("submit", (event) => {
    event.preventDefault();
    at("approve").hidden = true;
    at("done").hidden = true;
    draft = null;
    guarded(choose, begin);
  });
  for (const form of document.querySelectorAll("form.approve")) {
    if (form.dataset.passkey) {
      form.addEventListener("answered", (event) => {
        event.preventDefault();
        guarded(form, () => finish(form));
      });
    } else {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        guarded(form, () => finish(form));
      });
    }
  }
}
