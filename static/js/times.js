// Ages (`<time data-ago>`) stay true while the page is open. core/dates.py says them first.
const STEPS = [
  [60, 1, "second", "s"],
  [3600, 60, "minute", "min"],
  [2 * 86400, 3600, "hour", "h"],
  [Infinity, 86400, "day", "days"],
];
const JUST_NOW_S = 5;
const EVERY_MS = 10_000;

/** An age in seconds, as people say it in the language of `style` (BCP 47, or "iso"). */
export function age(seconds, style = "en-GB") {
  const [, size, unit, word] = STEPS.find(([most]) => seconds < most);
  const count = Math.max(0, Math.floor(seconds / size));
  if (style !== "iso" && !style.startsWith("en"))
    return new Intl.RelativeTimeFormat(style, { style: "short" }).format(-Math.max(count, 1), unit);
  return seconds < JUST_NOW_S ? "just now" : `${count} ${word} ago`;
}

function tick() {
  const style = document.documentElement.dataset.dateStyle || undefined;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = age((Date.now() - Date.parse(time.dateTime)) / 1000, style);
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes() {
  tick();
  setInterval(tick, EVERY_MS);
  document.addEventListener("portal:swapped", tick);
}
