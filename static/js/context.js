// The contextualization section: its buttons change it without a reload, files go into it as
// soon as they are chosen, and the check follows what is typed. Without script every button
// sends the form, and the same page comes back.
import { ask, debounce, whenever } from "./dom.js";
import { announce, say } from "./messages.js";
import { morph } from "./morph.js";

const PAUSE_MS = 400;
const AWAY = "The portal did not answer. What is filled in is still here; try again.";

function openIds(section) {
  return [...section.querySelectorAll("details[open][id]")].map((fold) => fold.id);
}

/** The section as the server has it now; it is rebuilt, because its fields have moved. */
function put(section, html) {
  const page = document.createElement("template");
  page.innerHTML = html;
  const fresh = page.content.getElementById("context");
  if (!fresh) return null;
  for (const id of openIds(section)) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  section.replaceWith(fresh);
  document.dispatchEvent(new CustomEvent("portal:swapped"));
  return fresh;
}

/** Where the person goes on: at the part that moved, the new one, or the one beside a removed one. */
function focus(section, what) {
  const [verb, number] = what.split(":");
  const parts = section.querySelectorAll(".context-part").length;
  const enabled = (id) => section.querySelector(`#${id}:not(:disabled)`);
  const place = Number(number);
  const target = {
    up: () => enabled(`part-${place - 1}-up`) ?? enabled(`part-${place - 1}-down`),
    down: () => enabled(`part-${place + 1}-down`) ?? enabled(`part-${place + 1}-up`),
    drop: () => enabled(`part-${Math.min(place, parts)}-drop`) ?? section.querySelector('[value="add"]'),
    add: () => section.querySelector(`#part-${parts}-text`),
    look: () => section.querySelector("#context-preview > summary"),
  }[verb];
  (target?.() ?? section.querySelector(`[name="context_do"][value="${CSS.escape(what)}"]`))?.focus();
}

async function act(section, what) {
  const form = section.closest("form");
  const body = new FormData(form);
  body.set("context_do", what);
  section.setAttribute("aria-busy", "true");
  try {
    const response = await ask(location.href, { method: "POST", body });
    if (!response.ok && response.status !== 422) throw new TypeError(`status ${response.status}`);
    const fresh = put(section, await response.text());
    if (!fresh) return location.reload();
    if (what === "look") fresh.querySelector("#context-preview").open = true;
    focus(fresh, what);
    announce(fresh.querySelector("[data-context-said]")?.textContent ?? "");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    say("error", AWAY);
  } finally {
    section.removeAttribute("aria-busy");
  }
}

async function check(section, state) {
  state.abort?.abort();
  const mine = (state.abort = new AbortController());
  const body = new FormData(section.closest("form"));
  body.delete("part_files");
  body.delete("context_file");
  try {
    const response = await ask(section.dataset.contextCheck, { method: "POST", body, signal: mine.signal });
    if (response.ok && section.isConnected) morph(section.querySelector("#context-check"), await response.text());
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
  }
}

function prepare(section) {
  const state = {};
  const later = debounce(() => section.isConnected && check(section, state), PAUSE_MS);
  section.closest("form").addEventListener("input", (event) => {
    if (event.target.type !== "file" && event.target.name !== "anyway") later();
  });
  section.addEventListener("click", (event) => {
    const button = event.target.closest('button[name="context_do"]');
    if (!button) return;
    event.preventDefault();
    if (!section.hasAttribute("aria-busy")) act(section, button.value);
  });
  section.addEventListener("change", (event) => {
    const what = event.target.dataset.contextFile;
    if (what && event.target.files.length) act(section, what);
  });
}

export function startContext() {
  whenever("[data-context]", prepare);
}
