// What the upload page computes without a page: words, rates, and what comes next.

const MIB = 2 ** 20;
const ENDINGS = /(\.(img|raw|iso|qcow2?|vdi|vmdk|vhdx?|gz|gzip|bz2|xz|zst|zstd))+$/i;

export const COMPARED = MIB;
export const LONGEST_TAG = 40;
export const AT_ONCE = 2;
const WINDOW_MS = 15_000;

/** debian-12 for debian-12.img.xz, as the server would call it. */
export function tagFrom(name) {
  const stem = name.replace(ENDINGS, "") || name;
  return [...stem].slice(0, LONGEST_TAG).join("").trim();
}

const UNITS = [
  ["GiB", 2 ** 30, 2],
  ["MiB", MIB, 1],
  ["KiB", 2 ** 10, 1],
];

/** 512 bytes, 1.5 MiB, 12 GiB: as core/sizes.py says them. */
export function size(bytes) {
  const [unit, step, decimals] = UNITS.find(([, least]) => bytes >= least) ?? ["bytes", 1, 0];
  return bytes ? `${Number((bytes / step).toFixed(decimals))} ${unit}` : "0 GiB";
}

/** less than a minute, 5 min, 2 h 10 min, 3 days. */
export function timeLeft(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min left`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
  return `${Math.round(minutes / 1440)} days left`;
}

/** Bytes per second over the last seconds; a pause does not count. */
export class Rate {
  #points = [];

  add(bytes, now_ms) {
    this.#points.push({ bytes, now_ms });
    while (this.#points.length > 2 && now_ms - this.#points[0].now_ms > WINDOW_MS) this.#points.shift();
  }

  reset() {
    this.#points = [];
  }

  get perSecond() {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    const span_ms = last ? last.now_ms - first.now_ms : 0;
    return span_ms >= 500 ? Math.max(0, ((last.bytes - first.bytes) * 1000) / span_ms) : 0;
  }

  left(total) {
    const rate = this.perSecond;
    return rate > 0 ? (total - this.#points.at(-1).bytes) / rate : Infinity;
  }
}

/** The quarter that has just been reached, for whoever hears the page; else 0. */
export function quarter(before, after, total) {
  const of = (bytes) => Math.floor((bytes / total) * 4);
  return of(after) > of(before) && of(after) < 4 ? of(after) * 25 : 0;
}

/** Which of `uploads` begin now: in their order, so many at a time. */
export function next(uploads, atOnce = AT_ONCE) {
  const busy = uploads.filter(({ phase }) => phase === "sending").length;
  return uploads.filter(({ phase }) => phase === "queued").slice(0, Math.max(0, atOnce - busy));
}

/** The unfinished upload that a chosen file may be the rest of. */
export function match(file, unfinished) {
  return unfinished.find(({ name, size: bytes }) => name === file.name && bytes === file.size);
}

/** Of a file, what the server compares with the first `offset` bytes that it has. */
export function ends(file, offset) {
  return new Blob([
    file.slice(0, Math.min(offset, COMPARED)),
    file.slice(Math.max(0, offset - COMPARED), offset),
  ]);
}

/** What the server said no with: a sentence, or JSON with one, or nothing that is for people. */
export function sentence(status, body) {
  if (status === 401) return "You are signed out. Sign in again, then choose the same file to go on.";
  const text = (body ?? "").trim();
  if (text.startsWith("{")) {
    try {
      return JSON.parse(text).detail ?? "";
    } catch {
      return "";
    }
  }
  return text.startsWith("<") ? "" : text;
}

/** Whether the same is worth another try: the network, a portal that restarts, a busy upload. */
export function isPassing(status) {
  return !status || status === 408 || status === 409 || status === 423 || status === 429 || status >= 500;
}

/** Milliseconds before each further try: soon, then patiently, for two hours. */
export const PAUSES_MS = [0, 1000, 2000, 5000, 10_000, 15_000, ...Array(240).fill(30_000)];

/** Why a file cannot be sent at all, or "". */
export function obstacle(file, { largest, left }) {
  if (!file.size) return "It is empty: there is no disk in it.";
  if (file.size > largest) return `It has ${size(file.size)}; a file may have ${size(largest)}.`;
  if (file.size > left) return `It needs ${size(file.size)} of your quota; ${size(left)} are left.`;
  return "";
}
