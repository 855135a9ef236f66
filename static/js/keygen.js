// `data-keygen data-keygen-target="#textarea"`: makes an Ed25519 key pair in the browser.
// The private half is downloaded and goes nowhere else; the public line fills the field.
import { make, whenever } from "./dom.js";
import { publicLine, privateFile } from "./openssh.js";

const FILE = "portal_ed25519";
const PLACE = `mkdir -p ~/.ssh && mv ~/Downloads/${FILE} ~/.ssh/ && chmod 600 ~/.ssh/${FILE}`;
const LACKING =
  "This browser cannot make keys on this page. In a terminal, run ssh-keygen -t ed25519 and paste the line of the .pub file.";

const bytes = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

async function generate(comment) {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const { d, x } = await crypto.subtle.exportKey("jwk", pair.privateKey);
  const check = crypto.getRandomValues(new Uint8Array(4));
  const [seed, pub] = [bytes(d), bytes(x)];
  return { line: publicLine(pub, comment), file: privateFile({ seed, pub, check, comment }) };
}

function download(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  make("a", "", [], { href: url, download: FILE }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function explain(report) {
  const copy = make("button", "btn btn-outline-secondary btn-sm", "Copy the command", {
    type: "button",
    "data-copy": PLACE,
  });
  report.replaceChildren(
    make("p", "", [
      make("strong", "", "Your key pair is ready. "),
      `The private key was saved by your browser as ${FILE}. It was made on this computer and was not sent: keep the file, the portal cannot give it to you again. The public key is in the field; save the form to use it.`,
    ]),
    make("p", "mb-1", "Put the private key where ssh looks for it, readable by you alone:"),
    make("pre", "mb-2", make("code", "", PLACE)),
    copy,
    make("p", "mt-2 mb-0", ["Then sign in to machines with ", make("code", "", `ssh -i ~/.ssh/${FILE}`), "."]),
  );
}

async function press(button, report) {
  const target = document.querySelector(button.dataset.keygenTarget);
  const comment = button.dataset.keygenComment || "portal";
  report.hidden = false;
  try {
    const { line, file } = await generate(comment);
    target.value = line;
    target.dispatchEvent(new Event("input", { bubbles: true }));
    download(file);
    explain(report);
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    report.textContent = LACKING;
  }
}

export function startKeygen() {
  whenever("[data-keygen]", (button) => {
    const report = make("div", "alert alert-info mt-2", [], { role: "status" });
    report.hidden = true;
    button.after(report);
    button.hidden = false;
    button.addEventListener("click", () => press(button, report));
  });
}
