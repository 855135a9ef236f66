// `[data-goes-on]`: a link that a page which waits leads to, followed as soon as it is there.
import { whenever } from "./dom.js";

export function startGoingOn() {
  whenever("a[data-goes-on]", (link) => location.assign(link.href));
}
