// xterm.js writes its colours into <style> elements and `style` attributes, which our
// content security policy refuses. The CSSOM is allowed: what it writes goes there.
let isPatched = false;

function adopt(element) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    get: () => [...sheet.cssRules].map((rule) => rule.cssText).join("\n"),
    set: (css) => sheet.replaceSync(css),
  });
  const remove = element.remove;
  element.remove = function () {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
    remove.call(element);
  };
}

function styleByObject(element) {
  const { setAttribute, getAttribute } = element;
  element.setAttribute = (name, value) =>
    name === "style" ? (element.style.cssText = value) : setAttribute.call(element, name, value);
  element.getAttribute = (name) => (name === "style" ? element.style.cssText : getAttribute.call(element, name));
}

/** From now on, <style> elements that script makes become constructed style sheets. */
export function adoptStyles() {
  if (isPatched) return;
  isPatched = true;
  const create = document.createElement;
  document.createElement = function (tag, options) {
    const element = create.call(document, tag, options);
    if (tag === "style") adopt(element);
    if (tag === "span") styleByObject(element);
    return element;
  };
}
