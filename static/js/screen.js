// The graphical screen, by noVNC.
import RFB from "@novnc/novnc";
import { keystrokes } from "./keyboard.js";

const MODIFIERS = [
  [0xffe3, "ControlLeft"],
  [0xffe9, "AltLeft"],
  [0xffe1, "ShiftLeft"],
];

export function openScreen(stage, url, wsProtocols, { opened, closed }) {
  const rfb = new RFB(stage, url, { wsProtocols, shared: true });
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  rfb.addEventListener("connect", opened);
  rfb.addEventListener("disconnect", (event) =>
    closed(event.detail.clean ? "" : "The connection to the screen was lost. Reconnect to go on."),
  );
  rfb.addEventListener("securityfailure", () => closed("The machine's screen refused the connection."));
  return {
    focus: () => rfb.focus(),
    blur: () => {
      rfb.blur();
      for (const [keysym, code] of MODIFIERS) rfb.sendKey(keysym, code, false);
    },
    close: () => rfb.disconnect(),
    sendCtrlAltDel: () => rfb.sendCtrlAltDel(),
    type: (character) => {
      for (const [keysym, code, isDown] of keystrokes(character)) rfb.sendKey(keysym, code, isDown);
    },
  };
}
