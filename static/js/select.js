// Selecting rows. `<form data-bulk-bar id="bulk">` holds the verbs; each row carries
// `data-verbs` and a check box with `form="bulk"`, so rows may hold forms of their own.
import { whenever } from "./dom.js";

const BOX = "[data-verbs] input[type=checkbox]";
const boxes = (form) => [...document.querySelectorAll(BOX)].filter((box) => box.form === form);

function showEligible(form, picked) {
  for (const button of form.querySelectorAll("[data-bulk]")) {
    const able = picked.filter((box) =>
      box.closest("[data-verbs]").dataset.verbs.split(" ").includes(button.dataset.bulk),
    ).length;
    button.disabled = able === 0;
    let note = button.querySelector("small");
    if (!note) button.append((note = document.createElement("small")));
    note.textContent = able === picked.length ? "" : `Applies to ${able} of ${picked.length} selected`;
  }
}

function update(form) {
  const all = boxes(form);
  const picked = all.filter((box) => box.checked);
  for (const head of document.querySelectorAll("[data-select-all]")) {
    head.checked = all.length > 0 && picked.length === all.length;
    head.indeterminate = picked.length > 0 && picked.length < all.length;
  }
  form.hidden = picked.length === 0;
  form.querySelector("[data-bulk-count]").textContent = `${picked.length} selected`;
  showEligible(form, picked);
}

/** Shift and a click take everything between this box and the one before. */
function range(all, from, to) {
  const [start, end] = [all.indexOf(from), all.indexOf(to)].sort((one, other) => one - other);
  if (start < 0) return;
  for (const box of all.slice(start, end + 1)) box.checked = to.checked;
}

function start(form) {
  let before = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (box.matches("[data-select-all]")) {
      for (const each of boxes(form)) each.checked = box.checked;
    } else if (box.matches(BOX) && box.form === form) {
      if (event.shiftKey && before) range(boxes(form), before, box);
      before = box;
    } else return;
    update(form);
  });
  document.addEventListener("portal:swapped", () => update(form));
  addEventListener("pageshow", () => update(form)); // the browser restores ticks on "back"
  update(form);
}

export function startSelection() {
  whenever("form[data-bulk-bar]", start);
}
