// The launch form's summary follows the chosen size. The server decides again at the post.
import { whenever } from "./dom.js";

const gib = (mib) => `${Number((mib / 1024).toFixed(2))} GiB`;
const memory = (mib) => (mib < 1024 ? `${mib} MiB` : gib(mib));
const QUOTAS = { machines: "quotaMachines", vcpus: "quotaVcpus", memory_mib: "quotaMemory" };
const SAY = {
  machines: (left, limit) => `${left} of ${limit} machines`,
  vcpus: (left, limit) => `${left} of ${limit} vCPU`,
  memory_mib: (left, limit) => `${memory(left)} of ${memory(limit)} of memory`,
};

function wanted(form) {
  const picked = form.querySelector("input[data-vcpus]:checked");
  const one = {
    machines: 1,
    vcpus: Number(picked?.dataset.vcpus ?? 0),
    memory_mib: Number(picked?.dataset.memoryMib ?? 0),
  };
  for (const name of ["vcpus", "memory_mib"]) {
    const field = form.elements[name];
    if (field?.value) one[name] = Number(field.value);
  }
  const count = Math.max(1, Math.floor(Number(form.elements.count?.value || 1)) || 1);
  const size = Object.fromEntries(Object.entries(one).map(([kind, need]) => [kind, need * count]));
  return { size, one, count, name: picked?.dataset.name ?? "" };
}

function leaves(summary, size) {
  const left = {};
  for (const [kind, attribute] of Object.entries(QUOTAS)) {
    const [used, limit] = (summary.dataset[attribute] ?? "").split("/").map(Number);
    if (limit) left[kind] = { left: limit - used - size[kind], free: limit - used, limit };
  }
  return left;
}

function put(form, part, text) {
  for (const place of form.querySelectorAll(`[data-summary="${part}"]`)) place.textContent = text;
}

function update(form, summary) {
  const { size, one, count, name } = wanted(form);
  put(form, "type", count > 1 ? `${count} × ${name}` : name);
  put(form, "vcpus", one.vcpus);
  put(form, "memory", memory(one.memory_mib));
  const left = leaves(summary, size);
  const over = Object.keys(left).filter((kind) => left[kind].left < 0);
  const place = summary.querySelector("[data-summary-leaves]");
  if (!place) return;
  place.classList.toggle("over", over.length > 0);
  const said = (kinds, value) => kinds.map((kind) => SAY[kind](value(left[kind]), left[kind].limit)).join(", ");
  place.textContent = over.length
    ? `Too ${count > 1 ? "many" : "big"}: your quota has only ${said(over, ({ free }) => free)} left.`
    : `Leaves you ${said(Object.keys(left), ({ left: rest }) => rest)}.`;
}

export function startLaunch() {
  startDisks();
  whenever("[data-launch-summary]", (summary) => {
    const form = summary.closest("form");
    form.addEventListener("input", () => update(form, summary));
    update(form, summary);
  });
}

/** A long list of disks is narrowed by what is typed; what is chosen always stays in sight. */
function narrow(group, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const line of group.querySelectorAll(".disk-line")) {
    const said = line.querySelector("label").textContent.toLowerCase();
    const fits = words.every((word) => said.includes(word));
    line.hidden = !fits && !line.querySelector("select").value;
    shown += Number(!line.hidden);
  }
  group.querySelector("[data-disk-none]").hidden = shown > 0;
}

function startDisks() {
  whenever("[data-disk-group]", (group) => {
    const filter = group.querySelector("[data-disk-filter]");
    if (filter) {
      filter.hidden = false;
      filter.addEventListener("input", () => narrow(group, filter.value));
      filter.addEventListener("keydown", (event) => {
        if (event.key === "Enter") event.preventDefault(); // it would send the order
      });
    }
    group.addEventListener("change", (event) => {
      const line = event.target.closest(".disk-line");
      line?.toggleAttribute("data-chosen", Boolean(event.target.value));
    });
  });
}
