// `<form data-keep="url" data-keep-into="#id">`: what is typed is sent there while one types, so
// that nothing is lost; the answer, a fragment, takes the place of the element with that id. Its
// `data-wrong` names the fields that are still wrong: what was said of the others is taken back.
import { ask, debounce } from "./dom.js";
import { morph } from "./morph.js";

const WAIT_MS = 800;

/** Takes back what was said of fields that are right by now. */
function forgive(form, wrong) {
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    if (wrong.has(field.name)) continue;
    field.classList.remove("is-invalid");
    field.removeAttribute("aria-invalid");
    document.getElementById(`id_${field.name}_error`)?.remove();
    const link = form.querySelector(`.refusal a[href="#${CSS.escape(field.id)}"]`);
    link?.closest("li").remove();
  }
  const summary = form.querySelector(".refusal");
  if (summary && !summary.querySelector("li")) summary.remove();
}

function start(form) {
  const said = form.querySelector("[data-keep-said]");
  const say = (text) => {
    if (said) said.textContent = text;
  };
  let version = 0;
  let kept = 0;

  async function keep() {
    if (!form.isConnected || kept === version) return;
    const mine = version;
    const body = new FormData(form);
    try {
      const response = await ask(form.dataset.keep, { method: "POST", body });
      if (!response.ok || response.redirected) return say("Not saved: reload the page before you go on.");
      const html = await response.text();
      kept = Math.max(kept, mine);
      if (mine !== version) return later(); // more was typed meanwhile
      const shown = document.querySelector(form.dataset.keepInto);
      if (shown) morph(shown, html);
      const told = document.querySelector(form.dataset.keepInto)?.dataset.wrong ?? "";
      forgive(form, new Set(told.split(" ")));
      say("Saved.");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      say("Not saved: the portal does not answer. It is tried again.");
      setTimeout(keep, 5000);
    }
  }

  const later = debounce(keep, WAIT_MS);
  form.addEventListener("input", () => {
    version += 1;
    say("");
    later();
  });
  form.addEventListener("change", later);
  addEventListener("pagehide", () => {
    if (kept === version || form.dataset.sent) return;
    const headers = { "X-Requested-With": "fetch" };
    fetch(form.dataset.keep, { method: "POST", body: new FormData(form), headers, keepalive: true });
  });
}

export function startKeep() {
  document.querySelectorAll("form[data-keep]").forEach(start);
}
