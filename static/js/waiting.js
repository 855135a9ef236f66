// What a list shows while it is fetched, and when that failed. A list that shows nothing, one
// that is on its way and one that could not be had must not look alike.
import { icon, make } from "./dom.js";

/** What comes sooner needs no hint: it would only flicker. */
const HINT_MS = 300;

const faults = new WeakMap();
const hints = new WeakMap();

/** The list is being fetched: say so, to the eye too if it lasts. */
export function began(list) {
  clearTimeout(hints.get(list));
  hints.set(list, setTimeout(() => list.isConnected && list.setAttribute("aria-busy", "true"), HINT_MS));
}

export function ended(list) {
  clearTimeout(hints.get(list));
  list.removeAttribute("aria-busy");
}

/** It could not be had: what is shown is of before. `again` tries once more. */
export function failed(list, again) {
  if (faults.get(list)?.isConnected) return;
  const what = list.dataset.liveWhat ?? "This list";
  const at = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const button = make("button", "btn btn-sm btn-outline-secondary", "Try again", { type: "button" });
  button.addEventListener("click", again);
  const words = make("p", "", `${what} could not be brought up to date at ${at}. What you see is of before.`);
  const fault = make("div", "list-fault", [icon("error"), words, button], { role: "alert" });
  list.before(fault);
  faults.set(list, fault);
}

export function succeeded(list) {
  const fault = faults.get(list);
  if (!fault) return;
  if (fault.contains(document.activeElement)) list.querySelector("a, button, input")?.focus();
  fault.remove();
  faults.delete(list);
}
