// Small things that several modules need.

const SVG = "http://www.w3.org/2000/svg";

/** An icon of img/icons.svg, as the component `_icon.html` draws it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** An element with a class, children and attributes; text is text, never markup. */
export function make(tag, className = "", children = [], attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...[children].flat());
  return element;
}

/** Calls `act` once after `wait_ms` without another call. */
export function debounce(act, wait_ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait_ms);
  };
}

/** Runs `act` for every match, now and whenever a fragment has been swapped in. */
export function whenever(selector, act) {
  const seen = new WeakSet();
  const look = () => {
    for (const element of document.querySelectorAll(selector)) {
      if (seen.has(element)) continue;
      seen.add(element);
      act(element);
    }
  };
  look();
  document.addEventListener("portal:swapped", look);
}

/** Fetches one of our own pages or fragments, saying that the page's script asks. */
export function ask(url, options = {}) {
  const headers = { "X-Requested-With": "fetch", ...options.headers };
  return fetch(url, { credentials: "same-origin", ...options, headers });
}
