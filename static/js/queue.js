// Deciding about rows without a mouse. `[data-queue]` holds rows `tr[data-row]`, in which
// `[data-act=yes]` and `[data-act=undo]` are buttons and `details[data-act=no]` holds a form.
// Single keys can be switched off (WCAG 2.1.4), and do nothing while somebody writes.
import { whenever } from "./dom.js";

const OFF = "queue-keys";
const WRITES = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";

const rows = () => [...document.querySelectorAll("[data-queue] [data-row]")];
const byId = (id) => (id ? document.getElementById(id) : null);

let here = ""; // the row that had the focus last
let place = 0; // and where it stood, should it go
let goOn = ""; // the row whose decision was asked for by a key
let decided = ""; // the row decided last
let acting = ""; // the row whose form is under way

const isOn = () => localStorage.getItem(OFF) !== "off";

function focus(row) {
  if (!row) return;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

function current() {
  return document.activeElement?.closest?.("[data-row]") ?? byId(here);
}

function step(by) {
  const all = rows();
  const at = all.indexOf(current());
  if (at < 0) return focus(all[Math.min(place, all.length - 1)]);
  focus(all[Math.max(0, Math.min(all.length - 1, at + by))]);
}

function press(row, act) {
  const button = row?.querySelector(`button[data-act=${act}]`);
  if (!button) return false;
  focus(row);
  button.click();
  return true;
}

function approve() {
  const row = current() ?? rows()[0];
  goOn = row?.id ?? "";
  if (!press(row, "yes")) goOn = "";
}

function reject() {
  const row = current() ?? rows()[0];
  const details = row?.querySelector("details[data-act=no]");
  if (!details) return;
  focus(row);
  goOn = row.id;
  details.open = true;
  details.querySelector("textarea").focus();
}

function undo() {
  goOn = "";
  if (press(current(), "undo") || press(byId(decided), "undo")) return;
  [...document.querySelectorAll("form[data-undo] button")].at(-1)?.click();
}

const ACTS = {
  j: () => step(1),
  k: () => step(-1),
  a: approve,
  r: reject,
  u: undo,
  x: () => current()?.querySelector("input[type=checkbox]")?.click(),
  "?": () => document.getElementById("keys")?.showModal(),
};

function heard(event) {
  const act = ACTS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.(WRITES) || document.querySelector("dialog[open]")) return;
  if (!isOn() || !document.querySelector("[data-queue]")) return;
  event.preventDefault();
  act();
}

/** In a field of a list, Enter must not decide about all rows that happen to be ticked. */
function enter(event) {
  const field = event.target;
  if (event.key !== "Enter" || !field.closest?.("[data-queue]")) return;
  if (field.matches("textarea") && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    field.form.requestSubmit(field.closest(".menu-list").querySelector("button[type=submit]"));
  } else if (field.matches("input[type=checkbox]")) {
    event.preventDefault();
  } else if (field.matches("[data-bulk-bar] input")) {
    event.preventDefault();
    field.closest(".menu-list")?.querySelector("button[type=submit]:enabled")?.click();
  }
}

function follow(event) {
  const row = event.target.closest?.("[data-row]");
  if (!row) return;
  here = row.id;
  place = rows().indexOf(row);
}

function sent(event) {
  const form = event.target;
  const message = form.closest(".message");
  if (message && form.dataset.undo) setTimeout(() => message.remove());
  for (const menu of form.querySelectorAll("details.menu[open]")) menu.open = false;
  acting = form.closest("[data-queue] [data-row]")?.id ?? "";
  if (acting) decided = acting;
}

/** After a swap the pressed button is gone: the focus goes on, or stays on its row. */
function swapped() {
  const told = [...document.querySelectorAll("[data-decided]")];
  for (const old of told.slice(0, -1)) old.remove(); // of hundreds, the last is enough
  const row = byId(acting);
  if (row?.querySelector("[data-act=yes]") && row.querySelector(".refusal")) {
    goOn = acting = "";
    return;
  }
  const isDone = row && !row.querySelector("[data-act=yes], [data-act=no]");
  if (isDone && goOn === acting) {
    const all = rows();
    const after = all.slice(all.indexOf(row) + 1);
    focus(after.find((each) => each.querySelector("[data-act=yes]")) ?? row);
    goOn = acting = "";
  } else if (document.activeElement === document.body && here) {
    const lost = byId(here) ?? rows()[Math.min(place, rows().length - 1)];
    if (lost && document.querySelector("[data-queue]")) lost.focus({ preventScroll: true });
    if (row) acting = "";
  }
}

function startKeys(button) {
  const dialog = document.getElementById("keys");
  const box = dialog.querySelector("[data-keys-switch]");
  button.hidden = false;
  box.checked = isOn();
  button.addEventListener("click", () => dialog.showModal());
  box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "on" : "off"));
}

/** A text that is given often takes the place of another such text, never of one's own words. */
function fill(select) {
  const field = select.form.elements[select.dataset.fills];
  const texts = [...select.options].map((option) => option.dataset.text).filter(Boolean);
  const text = select.selectedOptions[0]?.dataset.text;
  if (!text || !field) return;
  const own = field.value.trim();
  field.value = !own || texts.includes(own) ? text : `${own}\n${text}`.slice(0, field.maxLength);
  field.focus();
}

export function startQueue() {
  document.addEventListener("change", (event) => event.target.matches("[data-fills]") && fill(event.target));
  whenever("[data-keys-open]", startKeys);
  document.addEventListener("keydown", heard);
  document.addEventListener("keydown", enter);
  document.addEventListener("focusin", follow);
  document.addEventListener("submit", sent, true);
  document.addEventListener("portal:swapped", swapped);
}
