// OpenSSH's encodings of an Ed25519 key. Source: PROTOCOL.key of OpenSSH ("openssh-key-v1").
const KIND = "ssh-ed25519";
const LINE = 70;
const BLOCK = 8;

const text = (string) => new TextEncoder().encode(string);
const number = (value) => new Uint8Array(new Uint32Array([value]).buffer).reverse();

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const string = (content) => join(number(content.length), content);
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const publicBlob = (pub) => join(string(text(KIND)), string(pub));

/** The line of an authorized_keys file. `pub` is the 32 bytes of the public key. */
export const publicLine = (pub, comment) => `${KIND} ${base64(publicBlob(pub))} ${comment}`;

/** The private key file, without passphrase. `check` is four random bytes. */
export function privateFile({ seed, pub, check, comment }) {
  const secret = join(
    check,
    check,
    string(text(KIND)),
    string(pub),
    string(join(seed, pub)),
    string(text(comment)),
  );
  const missing = (BLOCK - (secret.length % BLOCK)) % BLOCK;
  const padding = Uint8Array.from({ length: missing }, (_, index) => index + 1);
  const none = string(text("none"));
  const file = join(
    text("openssh-key-v1\0"),
    none,
    none,
    string(text("")),
    number(1),
    string(publicBlob(pub)),
    string(join(secret, padding)),
  );
  const lines = base64(file).match(new RegExp(`.{1,${LINE}}`, "g"));
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}
