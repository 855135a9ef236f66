// Menus and help are <details>; this closes them as people expect of menus. Where a side
// navigation is a row that scrolls, it starts at the page that one is on.
const OPEN = "details.menu[open], details.help[open]";

export function startMenus() {
  const side = document.querySelector(".side ul");
  const here = side?.querySelector("[aria-current]");
  if (here) side.scrollLeft = here.offsetLeft - (side.clientWidth - here.offsetWidth) / 2;

  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll(OPEN)) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const open of document.querySelectorAll(OPEN)) {
      if (open.contains(document.activeElement)) open.querySelector("summary").focus();
      open.open = false;
    }
  });
}
