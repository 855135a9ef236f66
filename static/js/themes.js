// The theme button: as the system, light, dark, and round again.
import { icon } from "./dom.js";

const CHOICES = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };
const WORDS = { auto: "as your system", light: "light", dark: "dark" };
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => {
  const kept = localStorage.getItem("theme");
  return CHOICES.includes(kept) ? kept : "auto";
};

function apply() {
  const choice = chosen();
  const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
  document.documentElement.dataset.bsTheme = theme;
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.hidden = false;
    button.replaceChildren(icon(ICONS[choice]));
    button.title = `Colours: ${WORDS[choice]}`;
    button.setAttribute("aria-label", `Colours: ${WORDS[choice]}. Change them.`);
  }
  document.dispatchEvent(new CustomEvent("portal:theme", { detail: theme }));
}

export function startThemes() {
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === "theme" && apply());
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const next = CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length];
    localStorage.setItem("theme", next);
    apply();
  });
}
