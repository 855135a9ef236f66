// The serial line, by xterm.js: text, so it also works with a screen reader.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { adoptStyles } from "./csp-styles.js";

const LINK = 8;
const CLIPBOARD = 52;
const THEME = { background: "#05090c", foreground: "#d5dfe5", cursor: "#67c5e8", selectionBackground: "#2b6079" };

function terminal() {
  const term = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 14,
    lineHeight: 1.15,
    screenReaderMode: true,
    scrollback: 5000,
    theme: THEME,
  });
  // A guest may not make links to click on, nor write to the person's clipboard.
  term.parser.registerOscHandler(LINK, () => true);
  term.parser.registerOscHandler(CLIPBOARD, () => true);
  return term;
}

export function openSerial(stage, url, protocols, { opened, closed }) {
  adoptStyles();
  const term = terminal();
  const fit = new FitAddon();
  const frame = document.createElement("div");
  stage.append(frame);
  term.loadAddon(fit);
  term.open(frame);
  const watcher = new ResizeObserver(() => fit.fit());
  watcher.observe(frame);
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const encoder = new TextEncoder();
  const send = (text) => socket.readyState === WebSocket.OPEN && socket.send(encoder.encode(text));
  term.onData(send);
  term.onBinary((data) => socket.send(Uint8Array.from(data, (character) => character.charCodeAt(0))));
  socket.addEventListener("open", opened);
  socket.addEventListener("message", ({ data }) => term.write(typeof data === "string" ? data : new Uint8Array(data)));
  socket.addEventListener("close", (event) => closed(event.reason));
  return {
    focus: () => term.focus(),
    blur: () => term.blur(),
    close: () => {
      socket.close();
      watcher.disconnect();
      term.dispose();
    },
    sendCtrlAltDel: () => {},
    type: (character) => send(character === "\n" ? "\r" : character),
  };
}
