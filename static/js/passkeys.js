// `<form data-passkey="create">` or `"get"`: when it is sent, the browser first asks the
// person's device, and its answer fills the field "credential". What to ask is JSON in
// `data-passkey-options`, or comes from the address in `data-passkey-from`.
import { ask } from "./dom.js";

const IS_ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|\[.*\])$/;

/** Why passkeys cannot work here, in a sentence; nothing if they can. */
export function hindrance() {
  if (IS_ADDRESS.test(location.hostname)) {
    const name = location.hostname === "127.0.0.1" || location.hostname === "[::1]";
    const way = name
      ? `Open ${location.protocol}//localhost${location.port && `:${location.port}`} instead.`
      : "Ask your administrator for its name.";
    return `Passkeys belong to the name of a site, and you have opened this one by its number ${location.hostname}. ${way}`;
  }
  if (!isSecureContext) return "Passkeys work over HTTPS only, and this page came without it.";
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON || !PublicKeyCredential.prototype.toJSON) {
    return "This browser is too old for passkeys on this site. Use a current one, or another way.";
  }
  return "";
}

async function options(form) {
  if (form.dataset.passkeyOptions) return JSON.parse(form.dataset.passkeyOptions);
  const response = await ask(form.dataset.passkeyFrom);
  if (!response.ok) throw new TypeError(`The portal answered ${response.status}.`);
  return response.json();
}

async function create(form) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await options(form));
  const alone = form.elements.passwordless.checked;
  Object.assign(publicKey.authenticatorSelection, {
    residentKey: alone ? "required" : "discouraged",
    requireResidentKey: alone,
    ...(alone && { userVerification: "required" }),
  });
  return navigator.credentials.create({ publicKey });
}

async function get(form) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await options(form));
  return navigator.credentials.get({ publicKey });
}

const SENTENCES = {
  NotAllowedError: "Nothing was sent: the question was closed, or nobody answered it in time. Try again.",
  InvalidStateError: "This device has a passkey for you already.",
  NotSupportedError: "This device cannot make such a passkey. Try another one.",
  SecurityError: "The browser does not allow passkeys at this address.",
  ConstraintError: "This key has no PIN, finger or face to ask for. Set a PIN on it, or add it without signing in by it alone.",
  TypeError: "The portal did not answer. Try again.",
};

function say(form, sentence) {
  const trouble = form.querySelector("[data-passkey-trouble]");
  trouble.hidden = !sentence;
  trouble.querySelector("p").textContent = sentence;
}

async function press(form, submitter) {
  const why = hindrance();
  say(form, why);
  if (why) return;
  submitter?.setAttribute("aria-busy", "true");
  try {
    const credential = await (form.dataset.passkey === "create" ? create(form) : get(form));
    form.elements.credential.value = JSON.stringify(credential);
    form.requestSubmit();
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    say(form, SENTENCES[error.name] ?? SENTENCES.NotAllowedError);
  } finally {
    submitter?.removeAttribute("aria-busy");
  }
}

export function startPasskeys() {
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.dataset.passkey || form.elements.credential.value) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.submitter?.getAttribute("aria-busy") !== "true") press(form, event.submitter);
    },
    true,
  );
  // A page for nothing else says at once when it cannot work.
  for (const form of document.querySelectorAll('[data-passkey="create"]')) say(form, hindrance());
  // Coming back to the page: an answer is good once.
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("[data-passkey] [name=credential]")) field.value = "";
  });
}
