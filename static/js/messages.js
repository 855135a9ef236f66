// Messages of the site: those in the page can be put away, and script can add some.
import { icon, make, whenever } from "./dom.js";

const ICONS = { error: "error", warning: "warning", success: "check", info: "info" };

/** Says something in the page's message region, which screen readers announce. */
export function say(level, sentence) {
  const close = make("button", "bar-button", icon("x"), {
    type: "button",
    "data-dismiss": "",
    "aria-label": "Dismiss this message",
  });
  const text = make("p", "", sentence);
  const message = make("div", `message message-${level}`, [icon(ICONS[level]), text, close]);
  document.getElementById("messages").append(message);
  return message;
}

/** Announces without showing: what has just changed is already on the screen. */
export function announce(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

export function startMessages() {
  whenever("[data-dismiss]", (button) => (button.hidden = false));
  whenever("[data-focus]", (element) => element.focus());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-dismiss]");
    button?.closest(".message").remove();
  });
}
