// The form of a new disk says what the size would leave of the quota. The server decides again.
import { whenever } from "./dom.js";

const GIB = 2 ** 30;
const gib = (bytes) => Number((bytes / GIB).toFixed(2));

function update(place, field) {
  const size = Number(field.value);
  if (!Number.isInteger(size) || size < 1) return;
  const free = Number(place.dataset.freeBytes);
  const left = free - size * GIB;
  place.classList.toggle("over", left < 0);
  place.textContent =
    left < 0
      ? `Too big: your quota has only ${gib(free)} GiB left.`
      : `This leaves you ${gib(left)} GiB of ${place.dataset.limit} GiB.`;
}

export function startDisks() {
  whenever("[data-disk-leaves]", (place) => {
    const field = document.querySelector(place.dataset.size);
    field?.addEventListener("input", () => update(place, field));
  });
}
