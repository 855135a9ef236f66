// `<pre data-console-log data-src="url" data-live-every="5">`: the tail of a console log,
// fetched as text and coloured. It follows the end unless the reader has scrolled up.
import { parse } from "./ansi.js";
import { ask, make, whenever } from "./dom.js";

const NEAR_PX = 24;

function show(log, text) {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  log.replaceChildren(...parse(text).map((run) => (run.classes ? make("span", run.classes, run.text) : run.text)));
  if (follows) log.scrollTop = log.scrollHeight;
}

function start(log) {
  let shown = log.textContent;
  show(log, shown);
  log.scrollTop = log.scrollHeight;
  const every_ms = Number(log.dataset.liveEvery || 0) * 1000;
  const look = async () => {
    if (!log.isConnected) return clearInterval(timer);
    // A selection is being made for copying: replacing the text would lose it.
    if (document.hidden || getSelection().containsNode(log, true) && !getSelection().isCollapsed) return;
    try {
      const response = await ask(log.dataset.src, { headers: { Accept: "text/plain" } });
      const says = response.ok && response.status !== 204 && !response.redirected;
      const text = says ? await response.text() : shown;
      if (text !== shown) show(log, (shown = text));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network; the next look may reach it
    }
  };
  const timer = every_ms ? setInterval(look, every_ms) : 0;
  if (log.dataset.src) look();
}

export function startLogs() {
  whenever("[data-console-log]", start);
}
