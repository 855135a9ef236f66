// The key "/" leads to `[data-search]`. It can be switched off (WCAG 2.1.4), and does nothing
// while somebody writes.
const OFF = "search-key";
const WRITES = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";

function heard(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest?.(WRITES) || document.querySelector("dialog[open]")) return;
  const field = document.querySelector("[data-search]");
  if (!field || localStorage.getItem(OFF) === "off") return;
  event.preventDefault();
  field.focus();
  field.select();
}

export function startSearchKey() {
  if (!document.querySelector("[data-search]")) return;
  document.addEventListener("keydown", heard);
  for (const label of document.querySelectorAll("[data-search-key]")) {
    const box = label.querySelector("input");
    label.hidden = false;
    box.checked = localStorage.getItem(OFF) !== "off";
    box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "on" : "off"));
  }
}
