// Pages that are never stale. docs/developers/front-end.md tells the attributes.
import { ask, debounce } from "./dom.js";
import { announce, say } from "./messages.js";
import { morph } from "./morph.js";
import { began, ended, failed, succeeded } from "./waiting.js";

const LIST_WAIT_MS = 150;
const DOWN_AFTER_MS = 5_000;
const POLL_MS = 10_000;
const HIDDEN_MS = 60_000;
const BACKOFF_MS = [1_000, 30_000];

const ANY = "[data-live], [data-live-list]";
let changes = new Map();

/** What is refetched on its own: not what its list brings along anyway. */
const roots = () =>
  [...document.querySelectorAll(ANY)].filter(
    (element) => element.dataset.liveSrc && !element.parentElement.closest("[data-live-list]"),
  );

const words = (element) => {
  const states = [element, ...element.querySelectorAll("[data-live]")];
  return new Map(
    states
      .filter((state) => state.dataset.live)
      .map((state) => [state.dataset.live, state.querySelector("[data-state-word]")?.textContent.trim()]),
  );
};

const tell = debounce(() => {
  const told = [...changes].map(([name, word]) => `${name}: ${word}`);
  announce(told.length > 3 ? `${told.length} have changed` : told.join(". "));
  changes = new Map();
}, 500);

function mark(before, after, element) {
  for (const [key, word] of after) {
    const was = before.get(key);
    if (!was || !word || was === word) continue;
    const row = [element, ...element.querySelectorAll("[data-live]")].find((e) => e.dataset.live === key);
    row.classList.add("changed");
    row.addEventListener("animationend", () => row.classList.remove("changed"), { once: true });
    changes.set(row.dataset.liveName ?? "Machine", word);
    tell();
  }
}

const busy = new WeakMap();

/** Fetches an element's fragment and morphs it in; a call during a fetch means once more. */
export async function refresh(element) {
  if (busy.has(element)) return busy.set(element, true);
  busy.set(element, false);
  const isList = Boolean(element.dataset.liveWhat);
  if (isList) began(element);
  try {
    const response = await ask(element.dataset.liveSrc);
    if (response.redirected && new URL(response.url).pathname.includes("login")) return signedOut();
    if (response.status === 404 && element.dataset.live) leave(element);
    else if (response.ok) {
      const html = await response.text();
      if (!element.isConnected) return;
      const before = words(element);
      morph(element, html);
      mark(before, words(element), element);
      if (isList) succeeded(element);
    } else if (isList) failed(element, () => refresh(element));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the network; polling comes back to it
    if (isList) failed(element, () => refresh(element));
  } finally {
    if (isList) ended(element);
    const again = busy.get(element);
    busy.delete(element);
    if (again && element.isConnected) refresh(element);
  }
}

/** What is gone is taken out; its list counts anew, and shows who moves up. */
function leave(element) {
  const list = element.closest("[data-live-list]");
  element.remove();
  if (list) refreshList(list);
}

const refreshAll = () => roots().forEach(refresh);
const lists = new WeakMap();

function refreshList(list) {
  if (!lists.has(list)) lists.set(list, debounce(() => list.isConnected && refresh(list), LIST_WAIT_MS));
  lists.get(list)();
}

function changed({ kind, uuid }) {
  const shown = [...document.querySelectorAll(`[data-live="${CSS.escape(kind)}:${CSS.escape(uuid)}"]`)];
  shown.filter((element) => element.dataset.liveSrc).forEach(refresh);
  for (const list of document.querySelectorAll(`[data-live-list~="${CSS.escape(kind)}"]`)) {
    const covered = shown.some((element) => list.contains(element) && element.dataset.liveSrc);
    if (!covered) refreshList(list);
  }
}

let source = null;
let last = "";
let failures = 0;
let downSince = 0;
let isSignedOut = false;

function show(status) {
  const shown = document.querySelector("[data-live-status]");
  if (!shown || shown.dataset.liveStatus === status) return;
  shown.dataset.liveStatus = status;
  shown.textContent = { open: "Live", connecting: "Connecting…", polling: "Looking every 10 s" }[status] ?? "";
}

function signedOut() {
  if (isSignedOut) return;
  isSignedOut = true;
  disconnect();
  show("off");
  say("warning", "You are signed out, so this page no longer changes. Reload it to sign in again.");
}

function connect() {
  if (source || isSignedOut || document.hidden) return;
  downSince ||= Date.now();
  show(failures ? "polling" : "connecting");
  source = new EventSource(`${document.body.dataset.stream}?since=${last || document.body.dataset.since}`);
  source.addEventListener("open", () => {
    failures = 0;
    downSince = 0;
    show("open");
  });
  source.addEventListener("changed", (event) => {
    last = event.lastEventId;
    changed(JSON.parse(event.data));
  });
  source.addEventListener("reset", (event) => {
    last = event.lastEventId;
    refreshAll();
  });
  source.addEventListener("error", retry);
}

/** The browser reconnects a cut stream by itself, but gives up at the first refusal. */
function retry() {
  downSince ||= Date.now();
  if (source?.readyState !== EventSource.CLOSED) return;
  disconnect();
  const wait_ms = Math.min(BACKOFF_MS[0] * 2 ** failures++, BACKOFF_MS[1]);
  setTimeout(connect, wait_ms * (0.75 + Math.random() / 2));
}

function disconnect() {
  source?.close();
  source = null;
}

function poll() {
  if (document.hidden || isSignedOut || !downSince || Date.now() - downSince < DOWN_AFTER_MS) return;
  show("polling");
  refreshAll();
}

/** A browser allows six connections to a site: hidden tabs must not hold them all. */
function followVisibility() {
  let leaving = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(disconnect, HIDDEN_MS);
    else connect();
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => event.persisted && connect());
}

/** `data-live-every="5"`: looked at each 5 seconds while the tab is visible. */
function followClock() {
  const due = new WeakMap();
  setInterval(() => {
    if (document.hidden || isSignedOut) return;
    for (const element of document.querySelectorAll("[data-live-every][data-live-src]")) {
      const every_ms = Math.max(1, Number(element.dataset.liveEvery)) * 1000;
      const at = due.get(element) ?? Date.now() + every_ms;
      if (Date.now() >= at) refresh(element);
      due.set(element, Date.now() >= at ? Date.now() + every_ms : at);
    }
  }, 500);
}

export function startLive() {
  followClock();
  if (!document.body.dataset.stream || !document.querySelector(ANY)) return;
  followVisibility();
  setInterval(poll, POLL_MS);
  connect();
}
