// `<form data-swap="#id">` posts by fetch; the answer takes the place of the element with
// that id. A fragment, a whole page and a redirect all do: what is not on this page is
// followed as a link. A refused form (422) comes back the same way, with its sentences.
import { ask } from "./dom.js";
import { say } from "./messages.js";
import { morph } from "./morph.js";

const SENT_MS = 8000;

function showMessages(page) {
  // Beside a row of a table they come in a <template>: forms that stand between rows lose
  // what is in them when they are parsed.
  const holder = page.querySelector("template[data-messages]");
  const fresh = (holder?.content ?? page).querySelector("#messages");
  if (fresh?.childElementCount) document.getElementById("messages").append(...fresh.children);
}

async function place(response, target) {
  const here = new URL(response.url).pathname === location.pathname;
  if (response.redirected && !here) return location.assign(response.url);
  if (!response.ok && response.status !== 422) {
    const reference = response.headers.get("X-Request-ID");
    const tail = reference ? ` Reference: ${reference}` : "";
    return say("error", `That did not work (${response.status}). Nothing is known to have changed; reload the page to see.${tail}`);
  }
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  showMessages(template.content);
  const fresh = template.content.querySelector(target);
  const old = document.querySelector(target);
  if (fresh && old) morph(old, fresh);
  else if (response.status === 422) say("error", template.content.textContent.trim());
  else location.assign(response.url);
}

async function send(form, submitter) {
  const busy = submitter ?? form;
  busy.setAttribute("aria-busy", "true");
  try {
    const body = new FormData(form, submitter);
    const action = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
    await place(await ask(action, { method: "POST", body }), form.dataset.swap);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    say("error", "The portal did not answer. It is not known whether it heard you: reload the page to see.");
  } finally {
    busy.removeAttribute("aria-busy");
  }
}

/** One press, one post: the second press of a plain form is dropped for a while. */
function guard(event) {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, SENT_MS);
}

export function startForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (event.submitter?.formTarget === "_blank") return; // this page goes on
    if (!form.dataset.swap) return guard(event);
    event.preventDefault();
    if (event.submitter?.getAttribute("aria-busy") !== "true") send(form, event.submitter);
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}
