// A form that a passkey answers: asks the service for the question, the device for its answer, and sends the form.
"use strict";

const octets = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function answerOf(options) {
  const publicKey = {
    ...options,
    challenge: octets(options.challenge),
    allowCredentials: (options.allowCredentials || []).map((one) => ({ ...one, id: octets(one.id) })),
  };
  const made = await navigator.credentials.get({ publicKey });
  const response = {
    clientDataJSON: text(made.response.clientDataJSON),
    authenticatorData: text(made.response.authenticatorData),
    signature: text(made.response.signature),
  };
  return { id: made.id, rawId: text(made.rawId), type: made.type, response };
}

async function newOf(options) {
  const publicKey = {
    ...options,
    challenge: octets(options.challenge),
    user: { ...options.user, id: octets(options.user.id) },
    excludeCredentials: (options.excludeCredentials || []).map((one) => ({ ...one, id: octets(one.id) })),
  };
  const made = await navigator.credentials.create({ publicKey });
  const response = {
    clientDataJSON: text(made.response.clientDataJSON),
    attestationObject: text(made.response.attestationObject),
  };
  return { id: made.id, rawId: text(made.rawId), type: made.type, response };
}

const ASKED = ["form_token", "person", "credential", "name", "digest", "format"];

class Refused extends Error {}

async function send(form) {
  const fields = form.elements;
  if (form.dataset.person) fields.person.value = document.getElementById(form.dataset.person).value.trim();
  const asking = new URLSearchParams();
  for (const name of ASKED) if (fields[name]) asking.set(name, fields[name].value);
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  const asked = await fetch(form.dataset.passkey, { method: "POST", body: asking, headers });
  if (!asked.ok) {
    const problem = await asked.json();
    throw new Refused(`${problem.detail} ${problem.hint}`);
  }
  const question = await asked.json();
  fields.question.value = question.id;
  const options = JSON.parse(question.options);
  fields.assertion.value = JSON.stringify(await ("new" in form.dataset ? newOf(options) : answerOf(options)));
  if (form.dispatchEvent(new Event("answered", { cancelable: true }))) form.submit();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button[type=submit]");
  const trouble = form.querySelector("[data-trouble]");
  const tell = (sentence) => {
    trouble.textContent = sentence || trouble.dataset.trouble;
    trouble.hidden = false;
  };
  if (!window.PublicKeyCredential) {
    tell();
    continue;
  }
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    trouble.hidden = true;
    try {
      await send(form);
    } catch (failure) {
      tell(failure instanceof Refused ? failure.message : "");
    }
    button.disabled = false;
  });
}
