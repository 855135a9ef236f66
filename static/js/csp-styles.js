// xterm.js writes its colours into <style> elements and `style` attributes, which our
// content security policy refuses. The CSSOM is allowed: what it writes goes there.
let isPatched = false;

/** Stands in for a <style>: an inert element whose text is a constructed style sheet. */
function adopted(element) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", {
    get: () => [...sheet.cssRules].map((rule) => rule.cssText).join("\n"),
    set: (css) => sheet.replaceSync(css),
  });
  const remove = element.remove;
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
    remove.call(element);
  };
  return element;
}

function styledByObject(element) {
  const { setAttribute, getAttribute } = element;
  element.setAttribute = (name, value) =>
    name === "style" ? (element.style.cssText = value) : setAttribute.call(element, name, value);
  element.getAttribute = (name) => (name === "style" ? element.style.cssText : getAttribute.call(element, name));
  return element;
}

/** From now on, <style> elements that script makes become constructed style sheets. */
export function adoptStyles() {
  if (isPatched) return;
  isPatched = true;
  const create = document.createElement;
  document.createElement = function (tag, options) {
    if (tag === "style") return adopted(create.call(document, "template"));
    const element = create.call(document, tag, options);
    return tag === "span" ? styledByObject(element) : element;
  };
}
