// The upload page. One card per file: draft, queued, sending, paused, stopped; then the
// server's own row of that disk, which is live, takes its place.
import { Upload } from "tus-js-client";
import { sure } from "./confirm.js";
import { ask } from "./dom.js";
import { announce } from "./messages.js";
import { AT_ONCE, PAUSES_MS, Rate } from "./upload-plan.js";
import { ends, isPassing, match, next, obstacle, quarter, sentence, size, tagFrom, timeLeft } from "./upload-plan.js";

const CHUNK = 64 * 2 ** 20; // some proxies take no larger body
const SHOW_MS = 250;

const page = document.querySelector("[data-uploads]");
const list = page.querySelector("[data-list]");
const chooser = page.querySelector("[data-files]");
const all = page.querySelector("[data-upload-all]");
const limits = () => ({
  largest: Number(page.dataset.largest),
  left: Number(page.querySelector("#upload-quota").dataset.left),
});
const token = page.querySelector("[name=csrfmiddlewaretoken]").value;
const headers = { "X-CSRFToken": token };
const cards = new Set();

class Card {
  phase = "draft";
  sent = 0;
  rate = new Rate();
  key = newKey();

  constructor(file) {
    this.file = file;
    this.element = page.querySelector("[data-card]").content.firstElementChild.cloneNode(true);
    this.part("name").textContent = file.name;
    this.part("size").textContent = size(file.size);
    this.field("tag").value = tagFrom(file.name);
    if (/\.iso$/i.test(file.name)) this.field("type").value = "DATA_IMAGE_RAW_READONLY";
    for (const act of ["start", "pause", "resume", "cancel"]) {
      this.act(act).addEventListener("click", () => this[act]());
      this.act(act).setAttribute("aria-label", `${this.act(act).textContent.trim()} ${file.name}`);
    }
    this.element.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
    cards.add(this);
    this.enter("draft");
    this.say(obstacle(file, limits()), true);
  }

  part = (name) => this.element.querySelector(`[data-${name}]`);
  act = (name) => this.element.querySelector(`[data-act=${name}]`);
  field = (name) => this.element.querySelector(`[name=${name}]`);

  enter(phase) {
    const had = this.element.contains(document.activeElement);
    this.phase = phase;
    this.part("status").textContent =
      { queued: "Waits for its turn", sending: "Uploading", paused: "Paused", stopped: "Stopped" }[phase] ?? "";
    this.part("form").hidden = phase !== "draft";
    this.part("progress-line").hidden = phase === "draft";
    this.act("start").hidden = phase !== "draft";
    this.act("pause").hidden = phase !== "sending" && phase !== "queued";
    this.act("resume").hidden = phase !== "paused" && phase !== "stopped";
    const isLost = !this.element.contains(document.activeElement) || document.activeElement.closest("[hidden]");
    if (had && isLost) this.element.querySelector(".upload-acts button:not([hidden])").focus();
    this.show();
    refresh();
  }

  say(words, isBad = false) {
    this.part("words").hidden = !words;
    this.part("words").textContent = words;
    this.part("words").toggleAttribute("data-bad", isBad);
  }

  show() {
    const { size: total } = this.file;
    this.element.querySelector("progress").value = total ? this.sent / total : 0;
    this.part("done").textContent = `${size(this.sent)} of ${size(total)}`;
    const rate = this.rate.perSecond;
    const isMoving = this.phase === "sending" && rate > 0;
    this.part("rate").textContent = isMoving ? `${size(rate)}/s, ${timeLeft(this.rate.left(total))}` : "";
  }

  start() {
    this.say("");
    this.enter("queued");
    pump();
  }

  resume = this.start;

  pause() {
    this.upload?.abort();
    this.rate.reset();
    this.enter("paused");
    pump();
  }

  async cancel() {
    if (this.url && !(await this.isSure())) return;
    this.phase = "over";
    await this.upload?.abort();
    if (!this.url) return this.leave();
    const answer = await reached(this.url, { method: "DELETE", headers: { ...headers, "Tus-Resumable": "1.0.0" } });
    if (answer) return this.settle();
    this.enter("stopped");
    this.say("The portal cannot be reached: it is not known whether it heard you.", true);
  }

  isSure() {
    return sure({
      confirmTitle: `Cancel the upload of ${this.file.name}?`,
      confirmBody: "What has come in of it is removed.",
      confirmAction: "Cancel the upload",
    });
  }

  /** Begins to send, or goes on. */
  send() {
    this.enter("sending");
    this.rate.reset();
    this.upload = this.prepare();
    this.upload.start();
  }

  prepare() {
    const known = this.url ? { uploadUrl: this.url } : { endpoint: page.dataset.tus };
    return new Upload(this.file, {
      ...known,
      headers,
      chunkSize: CHUNK,
      retryDelays: PAUSES_MS,
      storeFingerprintForResuming: false, // the server knows what is unfinished, for every browser
      metadata: this.metadata(),
      onUploadUrlAvailable: () => this.begun(),
      onShouldRetry: (error) => this.shouldRetry(error),
      onProgress: (sent) => this.progress(sent),
      onError: (error) => this.failed(error),
      onSuccess: () => this.settle(),
    });
  }

  begun() {
    this.url = this.upload.url;
    this.upload.options.endpoint = null; // what is refused from now on is not begun anew
  }

  metadata() {
    const said = {
      filename: this.file.name,
      key: this.key,
      tag: this.field("tag").value,
      type: this.field("type").value,
      visibility: this.field("visibility").value,
    };
    if (this.field("raw").checked) said.format = "raw";
    if (this.field("sha256").value.trim()) said.sha256 = this.field("sha256").value.trim();
    return said;
  }

  progress(sent) {
    const now = Date.now();
    if (sent < this.sent) this.rate.reset(); // it goes on from what the server has
    this.rate.add(sent, now);
    const reached = quarter(this.sent, sent, this.file.size);
    this.sent = sent;
    if (reached) announce(`${this.file.name}: ${reached} % uploaded`);
    if (now - (this.shown ?? 0) < SHOW_MS) return;
    this.shown = now;
    this.say("");
    this.show();
  }

  /** A connection that stands still has a rate as well. */
  tick() {
    this.rate.add(this.sent, Date.now());
    this.show();
  }

  shouldRetry(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    if (this.phase !== "sending" || !isPassing(status)) return false;
    const said = sentence(status, error.originalResponse?.getBody());
    this.rate.reset();
    this.say(status ? `${said || `The portal answered ${status}.`} Trying again…` : "The connection was lost. Trying again…");
    this.show();
    return true;
  }

  failed(error) {
    if (this.phase === "over") return;
    const status = error.originalResponse?.getStatus() ?? 0;
    const said = sentence(status, error.originalResponse?.getBody());
    const words = said || (status ? `The portal answered ${status}.` : "The portal cannot be reached.");
    if (this.url && [404, 410].includes(status)) return this.settle();
    this.enter(this.url ? "stopped" : "draft");
    if (!this.url) this.key = newKey();
    this.say(words, true);
    announce(`${this.file.name}: ${words}`);
    pump();
  }

  /** The server's row says the rest. */
  async settle() {
    const had = this.element.contains(document.activeElement);
    const uuid = this.url.split("/").at(-1);
    this.phase = "over";
    cards.delete(this);
    const row = await serversRow(uuid);
    if (row) this.element.replaceWith(row);
    else this.say("This upload is over, and its record is gone.", true);
    if (row && had) (row.querySelector("a, button") ?? page.querySelector("#uploads-title")).focus();
    document.dispatchEvent(new Event("portal:swapped"));
    refresh();
    pump();
  }

  leave() {
    cards.delete(this);
    this.element.remove();
    page.querySelector("#uploads-title").focus();
    refresh();
    pump();
  }

  /** Goes on with what another tab, browser or day has begun. */
  async continue(row) {
    this.url = row.dataset.tus;
    row.replaceWith(this.element);
    this.enter("queued");
    this.say("This file was begun before: it goes on where it ended.");
    pump();
  }
}

/** A UUID; without HTTPS a browser has no randomUUID. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}

/** The answer, or null if there was none. */
async function reached(url, options) {
  try {
    return await ask(url, options);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return null;
  }
}

async function serversRow(uuid) {
  const answer = await reached(`${page.dataset.row}${uuid}/`);
  if (!answer?.ok || answer.redirected) return null;
  const template = document.createElement("template");
  template.innerHTML = await answer.text();
  return template.content.querySelector("li");
}

function pump() {
  for (const card of next([...cards], AT_ONCE)) card.send();
}

function refresh() {
  const drafts = [...cards].filter(({ phase }) => phase === "draft").length;
  all.hidden = drafts < 2;
  all.textContent = `Upload all ${drafts} files`;
  page.querySelector("[data-none]").hidden = Boolean(list.childElementCount);
}

const unfinished = () =>
  [...list.querySelectorAll("[data-unfinished]")].map((row) => ({
    row,
    name: row.dataset.name,
    size: Number(row.dataset.size),
  }));

/** Whether the file begins, and goes on, as what the server has of it; null: no answer. */
async function isSame(file, row) {
  const head = await reached(row.dataset.tus, { method: "HEAD", headers: { "Tus-Resumable": "1.0.0" } });
  if (!head?.ok) return head && false;
  const offset = Number(head.headers.get("Upload-Offset"));
  const body = ends(file, offset);
  const answer = await reached(`${row.dataset.same}?offset=${offset}`, { method: "POST", headers, body });
  return answer && answer.status === 204;
}

async function take(file, row) {
  if (row.dataset.taken) return;
  row.dataset.taken = "1";
  const same = await isSame(file, row);
  delete row.dataset.taken;
  if (same === null) return announce("The portal cannot be reached. Try again.");
  const card = new Card(file);
  if (same) return card.continue(row);
  list.prepend(card.element);
  card.say("There is an unfinished upload of this name, but of another file: this becomes a disk of its own.");
  refresh();
}

function add(files) {
  const fresh = [];
  for (const file of files) {
    const found = match(file, unfinished());
    if (found) take(file, found.row);
    else fresh.push(new Card(file));
  }
  list.prepend(...fresh.map(({ element }) => element));
  refresh();
  fresh[0]?.act("start").focus();
}

/** The chooser of one unfinished upload: its file, whatever it is called now. */
function again(row) {
  const field = document.createElement("input");
  field.type = "file";
  field.addEventListener("change", () => {
    const [file] = field.files;
    if (!file) return;
    if (file.size === Number(row.dataset.size)) take(file, row);
    else {
      const words = row.querySelector(".upload-words");
      words.textContent = `${file.name} has ${file.size} bytes; the file that was begun has ${row.dataset.size}.`;
      words.setAttribute("data-bad", "");
      announce(words.textContent);
    }
  });
  field.click();
}

/** Cancel and dismiss of the server's rows, without leaving the page. */
async function end(event) {
  const form = event.target.closest("[data-upload-end]");
  if (!form || event.defaultPrevented) return;
  event.preventDefault();
  const row = form.closest("li");
  await reached(form.action, { method: "POST", body: new FormData(form), redirect: "manual" });
  const fresh = await serversRow(row.id.replace("upload-", ""));
  if (fresh && fresh.querySelector("[data-state]")?.dataset.state !== "deleted") row.replaceWith(fresh);
  else row.remove();
  page.querySelector("#uploads-title").focus();
  refresh();
}

function startDrop() {
  const zone = page.querySelector("[data-drop]");
  zone.hidden = false;
  page.querySelector("[data-without-script]").remove();
  chooser.addEventListener("change", () => {
    add([...chooser.files]);
    chooser.value = ""; // the same file may be chosen again
  });
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    page.classList.add("drop-here");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || page.classList.remove("drop-here"));
  addEventListener("drop", (event) => {
    page.classList.remove("drop-here");
    if (!hasFiles(event)) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
}

startDrop();
all.addEventListener("click", () => {
  for (const card of cards) if (card.phase === "draft") card.start();
});
page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-upload-again]");
  if (button) again(button.closest("li"));
});
document.addEventListener("submit", end);
list.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches(".upload-form input:not([type=checkbox])")) return;
  [...cards].find(({ element }) => element.contains(event.target))?.start();
});
setInterval(() => {
  for (const card of cards) if (card.phase === "sending") card.tick();
}, 1000);
addEventListener("online", () => {
  for (const card of cards) if (card.phase === "sending") card.upload.abort().then(() => card.upload.start());
});
addEventListener("beforeunload", (event) => {
  if ([...cards].some(({ phase }) => phase === "sending" || phase === "queued")) event.preventDefault();
});
