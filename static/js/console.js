// A machine's screen (`data-console="screen"`) or serial line (`"serial"`) in the page.
// The page asks for a grant that works once and for a short time, then opens a WebSocket;
// the grant travels as a subprotocol, so no address or log ever holds it.
import { ask, whenever } from "./dom.js";
import { announce } from "./messages.js";
import { openScreen } from "./screen.js";
import { openSerial } from "./serial.js";

const OPENERS = { screen: openScreen, serial: openSerial };
const PROTOCOL = "portal.console";
const KEYS_PER_S = 60;

/** Asks for a grant; the sentence of a refusal is what the promise fails with. */
async function grant(root) {
  const body = new FormData();
  body.set("kind", root.dataset.console);
  body.set("csrfmiddlewaretoken", root.querySelector("[name=csrfmiddlewaretoken]").value);
  const response = await ask(root.dataset.consoleGrant, { method: "POST", body, headers: { Accept: "application/json" } });
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const answer = isJson ? await response.json() : {};
  if (response.ok && answer.grant) return answer;
  throw new Error(answer.detail ?? `The portal gave no access to the console (${response.status}). Reload the page.`);
}

function address(path) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

class Console {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector("[data-console-stage]");
    this.status = root.querySelector("[data-console-status]");
    this.view = null;
    this.attempt = 0;
    root.addEventListener("click", (event) => {
      const act = event.target.closest("[data-console-act]")?.dataset.consoleAct;
      if (act) this[act]();
    });
    root.addEventListener("keydown", (event) => this.watchEscape(event), true);
    this.dialog.addEventListener("close", () => this.type());
    addEventListener("pagehide", () => this.view?.close());
  }

  get dialog() {
    return this.root.querySelector("dialog");
  }

  say(connection, sentence) {
    this.status.dataset.connection = connection;
    this.status.textContent = sentence;
    this.root.classList.toggle("is-open", connection === "open");
    for (const button of this.root.querySelectorAll("[data-console-needs]")) button.disabled = connection !== "open";
  }

  async reconnect() {
    const attempt = ++this.attempt;
    this.view?.close();
    this.stage.replaceChildren();
    this.say("connecting", "Connecting…");
    try {
      const { grant: token, path } = await grant(this.root);
      if (attempt !== this.attempt) return;
      this.view = OPENERS[this.root.dataset.console](this.stage, address(path), [PROTOCOL, `grant.${token}`], {
        opened: () => attempt === this.attempt && this.say("open", "Connected"),
        closed: (why) => attempt === this.attempt && this.say("closed", why || "Disconnected. Reconnect to go on."),
      });
    } catch (error) {
      const lost = error instanceof TypeError;
      if (attempt === this.attempt) this.say("closed", lost ? "The portal did not answer. Try to reconnect." : error.message);
    }
  }

  focus() {
    this.view?.focus();
  }

  release() {
    this.view?.blur();
    this.root.querySelector("[data-console-act=release]").focus();
    announce("The keyboard is yours again");
  }

  /** Ctrl+Alt+Shift, in any order, gives the keyboard back to the page. */
  watchEscape(event) {
    if (!this.stage.contains(event.target) || !(event.ctrlKey && event.altKey && event.shiftKey)) return;
    event.stopPropagation();
    event.preventDefault();
    this.release();
  }

  power() {
    this.view?.sendCtrlAltDel();
    announce("Ctrl+Alt+Del sent");
  }

  fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen();
  }

  paste() {
    this.dialog.returnValue = "";
    this.dialog.showModal();
  }

  async type() {
    const area = this.dialog.querySelector("textarea");
    const text = area.value.replaceAll("\r\n", "\n");
    area.value = "";
    if (this.dialog.returnValue !== "type" || !text) return;
    const view = this.view;
    for (const character of text) {
      if (view !== this.view || this.status.dataset.connection !== "open") return;
      view.type(character);
      await new Promise((resolve) => setTimeout(resolve, 1000 / KEYS_PER_S));
    }
    announce("All of it has been typed");
    view.focus();
  }
}

whenever("[data-console]", (root) => new Console(root).reconnect());
