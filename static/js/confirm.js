// A form or submit button with `data-confirm-title` asks first, in a native dialog.
// `data-confirm-body`, `data-confirm-action` (the button's words), `data-confirm-type`
// (a name to type) are optional. Without script the form simply posts.
const confirmed = new WeakSet();

/** Asks; whether the answer was yes. */
export function sure({ confirmTitle, confirmBody = "", confirmAction = "Go on", confirmType = "" }) {
  const dialog = document.getElementById("confirm-dialog");
  const part = (name) => document.getElementById(`confirm-${name}`);
  part("title").textContent = confirmTitle;
  part("body").textContent = confirmBody;
  part("act").textContent = confirmAction;
  part("typed").hidden = !confirmType;
  part("expected").textContent = confirmType;
  const name = part("name");
  name.value = "";
  const check = () => (part("act").disabled = Boolean(confirmType) && name.value !== confirmType);
  name.oninput = check;
  check();
  dialog.returnValue = "";
  dialog.showModal();
  if (confirmType) name.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}

export function startConfirm() {
  document.addEventListener(
    "submit",
    async (event) => {
      const form = event.target;
      const submitter = event.submitter;
      const asker = [submitter, form].find((element) => element?.dataset.confirmTitle);
      if (!asker || confirmed.delete(form)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!(await sure(asker.dataset))) return;
      confirmed.add(form);
      // A live update may have replaced the button while the question was open.
      if (submitter?.isConnected) form.requestSubmit(submitter);
      else if (form.isConnected) form.requestSubmit();
      confirmed.delete(form);
    },
    true,
  );
}
