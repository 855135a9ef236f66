// `data-copy="text"` on a button puts that text on the clipboard.
import { icon, whenever } from "./dom.js";
import { announce } from "./messages.js";

const SHOWN_MS = 1600;

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on another host has no clipboard API.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new DOMException("refused", "NotAllowedError");
}

async function press(button) {
  const worked = await copy(button.dataset.copy).then(
    () => true,
    () => false,
  );
  button.focus();
  announce(worked ? "Copied" : "Your browser did not allow copying; select the text and copy it.");
  if (!worked || button.classList.contains("copied")) return;
  const drawn = button.querySelector(".icon");
  const check = icon("check");
  button.classList.add("copied");
  drawn?.replaceWith(check);
  setTimeout(() => {
    button.classList.remove("copied");
    if (drawn) check.replaceWith(drawn);
  }, SHOWN_MS);
}

export function startCopy() {
  whenever("[data-copy]", (button) => (button.hidden = false));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) press(button);
  });
}
