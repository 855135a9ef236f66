// Selecting rows: `data-select` on the form around the table. Rows carry `data-verbs`,
// their check box is named as the form wants it; bulk buttons carry `data-bulk="verb"`.
import { whenever } from "./dom.js";

const boxes = (form) => [...form.querySelectorAll("[data-verbs] input[type=checkbox]")];

function showCount(form, picked) {
  const bar = form.querySelector("[data-bulk-bar]");
  if (!bar) return;
  bar.hidden = picked.length === 0;
  const count = bar.querySelector("[data-bulk-count]");
  if (count) count.textContent = `${picked.length} selected`;
}

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
  const head = form.querySelector("[data-select-all]");
  if (head) {
    head.checked = all.length > 0 && picked.length === all.length;
    head.indeterminate = picked.length > 0 && picked.length < all.length;
  }
  showCount(form, picked);
  showEligible(form, picked);
}

/** Shift and a click take everything between this box and the one before. */
function range(form, from, to) {
  const all = boxes(form);
  const [start, end] = [all.indexOf(from), all.indexOf(to)].sort((one, other) => one - other);
  if (start < 0) return;
  for (const box of all.slice(start, end + 1)) box.checked = to.checked;
}

function start(form) {
  let before = null;
  form.addEventListener("click", (event) => {
    const box = event.target;
    if (box.matches("[data-select-all]")) {
      for (const each of boxes(form)) each.checked = box.checked;
    } else if (box.matches("[data-verbs] input[type=checkbox]")) {
      if (event.shiftKey && before) range(form, before, box);
      before = box;
    } else return;
    update(form);
  });
  document.addEventListener("portal:swapped", () => form.isConnected && update(form));
  update(form);
}

export function startSelection() {
  whenever("form[data-select]", start);
}
