// `[data-scripts]`: rows of scripts in a form; "another one" copies the blank one of a template.
import { whenever } from "./dom.js";

const MOST = 20;

function start(box) {
  const count = box.querySelector("[data-scripts-count]");
  const blank = box.querySelector("[data-scripts-blank]");
  const more = box.querySelector("[data-scripts-more]");
  more.hidden = false;
  more.addEventListener("click", () => {
    const number = Number(count.value);
    const row = blank.content.cloneNode(true);
    for (const element of row.querySelectorAll("*")) {
      for (const { name, value } of [...element.attributes]) {
        if (value.includes("__n__")) element.setAttribute(name, value.replaceAll("__n__", number));
      }
    }
    row.querySelector("[data-script-number]").textContent = number + 1;
    row.querySelector("[name$=position]").value = number + 1;
    const first = row.querySelector("[name$=name]");
    more.parentElement.before(row);
    count.value = number + 1;
    more.hidden = number + 1 >= MOST;
    first.focus();
  });
}

export function startScripts() {
  whenever("[data-scripts]", start);
}
