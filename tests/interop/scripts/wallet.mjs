// A wallet service made with nostr-tools. In: {relay, secret, cipher, tags, clock_s, says: {method: response}}; its
// replies have the named tags, and times of a clock that is so far ahead. Out: {pubkey}, then {method} for each request.
import { finalizeEvent, getPublicKey } from "nostr-tools/pure";
import { Relay } from "nostr-tools/relay";
import * as nip04 from "nostr-tools/nip04";
import * as nip44 from "nostr-tools/nip44";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

let text = "";
for await (const part of process.stdin) text += part;
const { relay, secret, cipher, tags, clock_s, says } = JSON.parse(text);
const key = bytes(secret);
const pubkey = getPublicKey(key);

const shared = (peer) => nip44.v2.utils.getConversationKey(key, peer);
const open = (event) =>
  cipher === "nip04" ? nip04.decrypt(key, event.pubkey, event.content) : nip44.v2.decrypt(event.content, shared(event.pubkey));
const seal = (peer, text) => (cipher === "nip04" ? nip04.encrypt(key, peer, text) : nip44.v2.encrypt(text, shared(peer)));

const answer = async (event) => {
  const { method } = JSON.parse(await open(event));
  say({ method });
  const all = { p: ["p", event.pubkey], e: ["e", event.id], v: ["v", "1.0"] };
  const reply = {
    kind: 23195,
    created_at: Math.floor(Date.now() / 1000) + clock_s,
    tags: tags.map((name) => all[name]),
    content: await seal(event.pubkey, JSON.stringify(says[method])),
  };
  await line.publish(finalizeEvent(reply, key));
};

const line = await Relay.connect(relay);
line.subscribe([{ kinds: [23194], "#p": [pubkey], since: Math.floor(Date.now() / 1000) - 1 }], {
  onevent: answer,
  oneose: () => say({ pubkey }),
});
