// The page that measures a file of this computer: one worker for each checksum.
import { icon, make } from "./dom.js";
import { formatOf, identifierOf, inWords, packingOf } from "./measure-plan.js";

const LABELS = { md5: "MD5", sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" };
const UNREAD = { bz2: "bzip2", xz: "xz", zst: "Zstandard" };

const page = document.querySelector("[data-measure]");
const part = (name) => page.querySelector(`[data-measure-${name}]`);
let workers = [];

function stop() {
  workers.forEach((worker) => worker.terminate());
  workers = [];
  part("progress").hidden = true;
}

function fail(sentence) {
  stop();
  part("error").textContent = sentence;
  part("error").hidden = false;
}

function fact(label, value) {
  const copy = make("button", "copy-button", [], { type: "button", "data-copy": value, "aria-label": `Copy ${label}` });
  const line = make("span", "copy", [make("code", "copy-value", value, { title: value }), copy]);
  copy.append(icon("copy"));
  return [make("dt", "", label), make("dd", "", line)];
}

function show(file, found) {
  stop();
  const { packing, size, head, tail } = found.sha1;
  const { format, virtual } = formatOf(head, tail, size);
  const sums = Object.fromEntries(Object.entries(found).map(([name, one]) => [name, one.sum]));
  const identifier = identifierOf(sums.sha1);
  part("name").textContent = file.name;
  part("packed").textContent = packing
    ? "Packed with gzip; size and checksums are of what is in it."
    : "Not packed.";
  part("facts").replaceChildren(
    ...fact("Identifier", identifier),
    make("dt", "", "Size"),
    make("dd", "", `${inWords(size)} (${size} bytes)`),
    make("dt", "", "Format"),
    make("dd", "", format),
    ...Object.keys(LABELS).filter((name) => sums[name]).flatMap((name) => fact(LABELS[name], sums[name])),
  );
  part("search").href = `${part("search").href.split("?")[0]}?q=${identifier}&status=all`;
  const values = { name: file.name, size_bytes: size, virtual_size_bytes: virtual, format, compression: packing, ...sums };
  for (const field of part("form")?.querySelectorAll("input[type=hidden]") ?? []) {
    if (field.name in values) field.value = values[field.name] ?? "";
    else if (field.name === "md5") field.value = "";
  }
  part("found").hidden = false;
  document.dispatchEvent(new Event("portal:swapped"));
  part("found").focus();
}

function follow(file, algorithms) {
  const read = Object.fromEntries(algorithms.map((name) => [name, 0]));
  const found = {};
  const bar = part("progress").querySelector("progress");
  const tell = () => {
    const least = Math.min(...Object.values(read));
    bar.value = file.size ? least / file.size : 1;
    part("done").textContent = `${inWords(least)} of ${inWords(file.size)}`;
  };
  tell();
  return ({ data }) => {
    if (data.kind === "failed") {
      return fail(`The file could not be read to its end: ${data.reason}. If it is packed, it is damaged.`);
    }
    read[data.algorithm] = data.kind === "done" ? file.size : data.read;
    if (data.kind === "done") found[data.algorithm] = data;
    tell();
    if (Object.keys(found).length === algorithms.length) show(file, found);
  };
}

async function measure(file) {
  stop();
  part("error").hidden = true;
  part("found").hidden = true;
  if (!file.size) return fail("The file is empty.");
  const start = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const packing = packingOf(start);
  if (UNREAD[packing]) {
    return fail(
      `The file is packed with ${UNREAD[packing]}, which browsers do not unpack. Unpack it, or pack it with gzip; ` +
        "a file on the web is measured by the portal, whichever way it is packed.",
    );
  }
  const algorithms = ["sha1", "sha256", "sha512", ...(part("md5").checked ? ["md5"] : [])];
  const listen = follow(file, algorithms);
  part("progress").hidden = false;
  workers = algorithms.map((algorithm) => {
    const worker = new Worker(page.dataset.measureWorker, { type: "module" });
    worker.addEventListener("message", listen);
    worker.addEventListener("error", () => fail("This browser cannot compute checksums beside the page."));
    worker.postMessage({ file, algorithm });
    return worker;
  });
}

if (page) {
  part("without").hidden = true;
  part("file").disabled = false;
  part("file").addEventListener("change", () => part("file").files[0] && measure(part("file").files[0]));
  part("stop").addEventListener("click", () => {
    stop();
    part("file").value = "";
  });
}
