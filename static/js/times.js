// Ages (`<time data-ago>`) stay true while the page is open.
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [2 * 86400, 3600, "h"],
  [Infinity, 86400, "days"],
];
const EVERY_MS = 10_000;

/** An age in seconds, as people say it. */
export function age(seconds) {
  if (seconds < 5) return "just now";
  const [, unit, word] = STEPS.find(([limit]) => seconds < limit);
  return `${Math.floor(seconds / unit)} ${word} ago`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = age((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes() {
  tick();
  setInterval(tick, EVERY_MS);
  document.addEventListener("portal:swapped", tick);
}
