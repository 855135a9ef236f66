// `[data-list]`: a list whose tabs, filters, heads and pages change in place. Links with
// `data-list-to`, those in heads and pagers, and GET forms in it are followed by fetch; the
// address follows, and without script they are plain links and forms.
import { whenever } from "./dom.js";
import { announce } from "./messages.js";
import { morph } from "./morph.js";
import { began, ended, failed, succeeded } from "./waiting.js";

const LINKS = "a[data-list-to], th a.sort, .pager a";
let under_way = new AbortController();

const shown = (region) => region.querySelector("[data-live-list][data-live-what]") ?? region;
const fields = (region) => [...region.querySelectorAll("form[data-list-form] [name]")];

/** A field keeps what is typed into it while the answer is on its way. */
function fill(region, fresh, sent) {
  for (const field of fields(region)) {
    const now = fresh.querySelector(`form[data-list-form] [name="${CSS.escape(field.name)}"]`);
    const typed = field === document.activeElement && field.value !== sent.get(field.name);
    if (now && field.type !== "checkbox" && !typed) field.value = now.value;
  }
}

async function go(region, url, { push }) {
  under_way.abort();
  const mine = (under_way = new AbortController());
  const list = shown(region);
  const sent = new Map(fields(region).map((field) => [field.name, field.value]));
  began(list);
  try {
    const response = await fetch(url, { credentials: "same-origin", signal: mine.signal });
    if (response.redirected) return location.assign(response.url);
    if (!response.ok) throw new TypeError(`status ${response.status}`);
    const page = document.createElement("template");
    page.innerHTML = await response.text();
    const fresh = page.content.getElementById(region.id);
    if (!fresh) return location.assign(url);
    if (push) history.pushState({}, "", url);
    const copy = fresh.cloneNode(true);
    succeeded(list); // before the morph, which would take the fault for a part of the list
    morph(region, fresh);
    fill(region, copy, sent);
    announce(shown(region).dataset.liveSays ?? "");
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof TypeError)) throw error;
    failed(list, () => go(region, url, { push }));
  } finally {
    if (under_way === mine) ended(list);
  }
}

function follow(event, region) {
  const link = event.target.closest(LINKS);
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(region, link.href, { push: true });
  if (link.closest(".pager")) region.scrollIntoView({ block: "start" });
}

function search(event, region) {
  const form = event.target;
  if (form.method !== "get" || !form.hasAttribute("data-list-form")) return;
  event.preventDefault();
  const asked = [...new FormData(form, event.submitter)].filter(([, value]) => value !== "");
  go(region, `${location.pathname}?${new URLSearchParams(asked)}`, { push: true });
}

function start(region) {
  region.addEventListener("click", (event) => follow(event, region));
  region.addEventListener("submit", (event) => search(event, region));
  region.addEventListener("change", (event) => {
    if (event.target.matches("form[data-list-form] select")) event.target.form.requestSubmit();
  });
  addEventListener("popstate", () => go(region, location.href, { push: false }));
}

export function startLists() {
  whenever("[data-list]", start);
}
