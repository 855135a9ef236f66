// Puts new HTML in the place of old, keeping what the person is doing: focus, ticked
// boxes, typed text, open details and dialogs, and anything marked `data-keep`.
import { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";

/** Whether the person has changed this field since the server rendered it. */
function isTouched(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  return "defaultValue" in field && field.value !== field.defaultValue;
}

const callbacks = {
  beforeNodeMorphed(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) return true;
    if (old.hasAttribute("data-keep")) return false;
    // Script shows what needs script; the server always sends it hidden.
    if (old.matches("[data-copy], [data-dismiss], [data-keygen], [data-search-key]")) fresh.hidden = old.hidden;
    return true;
  },
  beforeAttributeUpdated(name, element) {
    if (name === "open") return false;
    if (name === "checked" || name === "value") return !isTouched(element);
    return true;
  },
};

/** Morphs `target` into `html` (or an element); returns false when `html` holds nothing. */
export function morph(target, html) {
  const content = typeof html === "string" ? parse(html, target.id) : html;
  if (!content) return false;
  Idiomorph.morph(target, content, { morphStyle: "outerHTML", callbacks });
  document.dispatchEvent(new CustomEvent("portal:swapped"));
  return true;
}

/** The element of that id in a fragment or a whole page, else the fragment's first
 * element; rows of tables included. Scripts in it never run. */
function parse(html, id) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return (id && template.content.getElementById(id)) || template.content.firstElementChild;
}
