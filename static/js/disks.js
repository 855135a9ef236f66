// The form of a new disk says what the size would leave of the quota. The server decides again.
import { whenever } from "./dom.js";
import { size as inWords } from "./upload-plan.js";

const GIB = 2 ** 30;

function update(place, field) {
  const size = Number(field.value);
  if (!Number.isInteger(size) || size < 1) return;
  const free = Number(place.dataset.freeBytes);
  const left = free - size * GIB;
  place.classList.toggle("over", left < 0);
  place.textContent =
    left < 0
      ? `Too big: your quota has only ${inWords(free)} left.`
      : `This leaves you ${inWords(left)} of ${place.dataset.limit} GiB.`;
}

export function startDisks() {
  whenever("[data-disk-leaves]", (place) => {
    const field = document.querySelector(place.dataset.size);
    field?.addEventListener("input", () => update(place, field));
  });
}
