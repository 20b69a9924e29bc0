// nostr-tools judges what kitestring made. In: {events, encrypt, decrypt, request}. Out: one answer for each entry.
// encrypt and decrypt: [{secret, peer, text | payload, nonce?, cipher}]; request: {secret, service, command} or nothing.
import { finalizeEvent, getEventHash, getPublicKey, verifyEvent } from "nostr-tools/pure";
import * as nip04 from "nostr-tools/nip04";
import * as nip44 from "nostr-tools/nip44";

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const shared = ({ secret, peer }) => nip44.v2.utils.getConversationKey(bytes(secret), peer);

const encrypt = (entry) => nip44.v2.encrypt(entry.text, shared(entry), entry.nonce ? bytes(entry.nonce) : undefined);
const decrypt = (entry) =>
  entry.cipher === "nip04"
    ? nip04.decrypt(bytes(entry.secret), entry.peer, entry.payload)
    : nip44.v2.decrypt(entry.payload, shared(entry));

// A wallet request as nostr-tools would write it.
const request = ({ secret, service, command }) =>
  finalizeEvent(
    {
      kind: 23194,
      created_at: Math.floor(Date.now() / 1000),
      tags: [["p", service], ["encryption", "nip44_v2"]],
      content: encrypt({ secret, peer: service, text: JSON.stringify(command) }),
    },
    bytes(secret),
  );

let text = "";
for await (const part of process.stdin) text += part;
const asked = JSON.parse(text);
const answers = {
  events: (asked.events ?? []).map((event) => ({ hash: getEventHash(event), valid: verifyEvent(event) })),
  encrypt: (asked.encrypt ?? []).map(encrypt),
  decrypt: await Promise.all((asked.decrypt ?? []).map(decrypt)),
  keys: (asked.keys ?? []).map((secret) => getPublicKey(bytes(secret))),
  request: asked.request ? request(asked.request) : null,
};
process.stdout.write(JSON.stringify(answers) + "\n");
