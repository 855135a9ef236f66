// `data-key-drop="#textarea"`: the file of a public key that is dropped here, or chosen in the
// file field inside, becomes the text of the field. It is read in this browser, so a private
// key that was taken by mistake is not even sent.
import { make, whenever } from "./dom.js";

const LARGEST = 32 * 1024;
const PRIVATE = /PRIVATE KEY|^PuTTY-User-Key-File/;
const TOO_LARGE = "This file is too large for a public key. Choose the one whose name ends in .pub.";
const IS_PRIVATE =
  "This is a private key. It was not sent. Choose the public half, the file whose name ends in .pub.";

const marks = { "255,254": "utf-16le", "254,255": "utf-16be" };

async function read(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return new TextDecoder(marks[bytes.slice(0, 2).join()] ?? "utf-8").decode(bytes);
}

async function take(file, target, say) {
  if (file.size > LARGEST) return say(TOO_LARGE);
  const text = await read(file);
  if (PRIVATE.test(text)) return say(IS_PRIVATE);
  target.value = text.trim();
  target.dispatchEvent(new Event("input", { bubbles: true }));
  say(`${file.name} is in the field. Save the form to keep it.`);
}

function prepare(place) {
  const target = document.querySelector(place.dataset.keyDrop);
  const field = place.querySelector("input[type=file]");
  const report = make("p", "form-text", [], { role: "status" });
  place.append(report);
  const use = async (file) => {
    await take(file, target, (sentence) => (report.textContent = sentence));
    if (field) field.value = ""; // the text is sent, not the file
  };
  field?.addEventListener("change", () => field.files.length && use(field.files[0]));
  place.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    place.classList.add("drop-here");
  });
  place.addEventListener("dragleave", () => place.classList.remove("drop-here"));
  place.addEventListener("drop", (event) => {
    place.classList.remove("drop-here");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    use(event.dataTransfer.files[0]);
  });
}

export function startKeyFiles() {
  whenever("[data-key-drop]", prepare);
}
