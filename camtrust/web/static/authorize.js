// Asks the person's passkey on the page that lets a client in. Without it, PIN and code do.
"use strict";

const form = document.getElementById("ask");
const button = document.getElementById("passkey");
const problem = document.getElementById("passkey-problem");

const octets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));

const told = (text) => {
  problem.textContent = text;
  problem.hidden = false;
};

if (!window.PublicKeyCredential) {
  button.disabled = true;
} else {
  button.addEventListener("click", async () => {
    problem.hidden = true;
    const person = form.elements.person_id;
    if (!person.reportValidity()) return;
    button.disabled = true;
    try {
      const answer = await fetch("/oauth2/authorize/passkey", {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded", "Accept-Language": document.documentElement.lang },
        body: new URLSearchParams({
          client_id: form.elements.client_id.value,
          request_uri: form.elements.request_uri.value,
          form: form.elements.form.value,
          person_id: person.value,
        }),
      });
      const asked = await answer.json();
      if (!answer.ok) {
        told(`${asked.detail} ${asked.hint}`);
        return;
      }
      const options = asked.options;
      options.challenge = octets(options.challenge);
      for (const one of options.allowCredentials ?? []) one.id = octets(one.id);
      const credential = await navigator.credentials.get({ publicKey: options });
      form.elements.assertion.value = JSON.stringify(credential.toJSON());
      form.noValidate = true;
      form.requestSubmit(document.getElementById("allow"));
    } catch {
      told(button.dataset.failed);
    } finally {
      button.disabled = false;
    }
  });
}
