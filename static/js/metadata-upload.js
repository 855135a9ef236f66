// The page that takes metadata documents: what is dropped, chosen or pasted is checked at
// once, one request for each file, and stands in the form until it is published or removed.
import { ask, debounce } from "./dom.js";
import { announce, say } from "./messages.js";

const PASTE_WAIT_MS = 500;

const form = document.querySelector("[data-metadata]");
const list = form.querySelector("[data-list]");
const chooser = form.querySelector("[name=file]");
const text = form.querySelector("[name=text]");
const drop = form.querySelector("[data-drop]");

const texts = () => [...list.querySelectorAll("[name=document]")].map((field) => field.value);

/** The form is posted as a whole, and a post has its limit. */
function hasRoom(item) {
  const all = [...texts(), item.querySelector("[name=document]")?.value ?? ""];
  const bytes = all.reduce((sum, text) => sum + (text.length * 3) / 4, 0);
  return all.length <= Number(form.dataset.mostDocuments) && bytes <= Number(form.dataset.mostBytes);
}

/** What the answer holds, without what is here already. */
function place(answer) {
  const template = document.createElement("template");
  template.innerHTML = answer;
  for (const refusal of template.content.querySelectorAll("[data-refusal]")) say("error", refusal.content.textContent.trim());
  const fresh = [];
  for (const item of template.content.querySelectorAll("[data-document]")) {
    const text = item.querySelector("[name=document]")?.value;
    if (text && texts().includes(text)) continue;
    if (!hasRoom(item)) {
      const name = item.querySelector(".upload-name").textContent;
      say("error", `${name} was left out: the page is full. Publish these first.`);
      continue;
    }
    fresh.push(item);
    list.append(item);
  }
  sum();
  return fresh;
}

/** The page says what can be done with all. */
function sum() {
  const items = [...list.querySelectorAll("[data-document]")];
  form.querySelector("[data-none]").hidden = items.length > 0;
  form.querySelector("[data-publish]").hidden = !items.some((item) => "ready" in item.dataset);
}

async function check(part, value, name) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.set("act", "check");
  body.set(part, value);
  try {
    const response = await ask(form.action, { method: "POST", body });
    if (!response.ok) throw new TypeError(`status ${response.status}`);
    return place(await response.text());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    say("error", `${name} could not be checked: the portal did not answer. Choose it again.`);
    return [];
  }
}

function tell(fresh) {
  const good = fresh.filter((item) => "ready" in item.dataset).length;
  if (fresh.length) announce(`${fresh.length} checked, ${good} of them can be published`);
}

async function take(files) {
  drop.setAttribute("aria-busy", "true");
  const fresh = [];
  for (const file of files) fresh.push(...(await check("file", file, file.name)));
  drop.removeAttribute("aria-busy");
  tell(fresh);
}

chooser.addEventListener("change", async () => {
  const files = [...chooser.files];
  chooser.value = ""; // what was checked is in the form by then
  await take(files);
});

let last = "";
text.addEventListener(
  "input",
  debounce(async () => {
    const pasted = text.value.trim();
    if (pasted === last) return;
    last = pasted;
    list.querySelector("[data-pasted]")?.remove();
    sum();
    if (!pasted) return;
    const fresh = await check("text", text.value, "The pasted text");
    if (pasted !== last) {
      for (const item of fresh) item.remove(); // it was changed while it was looked at
      sum();
      return;
    }
    tell(fresh);
    const isGood = fresh.every((item) => "ready" in item.dataset);
    if (isGood && fresh.length) text.value = last = "";
    else for (const item of fresh) mark(item);
    sum();
  }, PASTE_WAIT_MS),
);

/** Text that is not right yet stays in its field, and what is said of it goes with the next try. */
function mark(item) {
  item.dataset.pasted = "";
  for (const field of item.querySelectorAll("input[type=hidden]")) field.remove();
  item.querySelector("[data-preview]")?.remove();
}

form.addEventListener("click", (event) => {
  const button = event.target.closest("[data-drop-document]");
  if (!button) return;
  event.preventDefault();
  const item = button.closest("[data-document]");
  const next = item.nextElementSibling ?? item.previousElementSibling;
  if ("pasted" in item.dataset) text.value = last = "";
  item.remove();
  sum();
  (next?.querySelector("button") ?? form.querySelector("#documents-title")).focus();
});

for (const name of ["dragenter", "dragover"]) {
  form.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("drop-here");
  });
}
form.addEventListener("dragleave", (event) => {
  if (!form.contains(event.relatedTarget)) form.classList.remove("drop-here");
});
form.addEventListener("drop", (event) => {
  form.classList.remove("drop-here");
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

for (const element of form.querySelectorAll("[data-with-script]")) element.hidden = false;
for (const element of form.querySelectorAll("[data-without-script]")) element.hidden = true;
sum();
