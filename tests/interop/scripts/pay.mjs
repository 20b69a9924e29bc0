// Pay an invoice over a wallet connection with nostr-tools. In: {uri, invoice}. Out: {reply}.
import { nip47 } from "nostr-tools";
import * as nip04 from "nostr-tools/nip04";
import { finalizeEvent, getPublicKey } from "nostr-tools/pure";
import { Relay } from "nostr-tools/relay";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

let text = "";
for await (const part of process.stdin) text += part;
const { uri, invoice } = JSON.parse(text);
const { pubkey, relay, secret } = nip47.parseConnectionString(uri);
const key = bytes(secret);

const line = await Relay.connect(relay);
const request = await nip47.makeNwcRequestEvent(pubkey, key, invoice);
const wanted = { kinds: [23195], authors: [pubkey], "#p": [getPublicKey(key)], "#e": [request.id] };
let arrived;
const reply = new Promise((resolve) => (arrived = resolve));
const listens = () =>
  new Promise((resolve) =>
    line.subscribe([wanted], { onevent: arrived, oneose: () => resolve(true), onclose: () => resolve(false) }),
  );

if (!(await listens())) {
  // A relay that wants to know who reads has said so; then it serves.
  await line.auth(async (event) => finalizeEvent(event, key));
  await listens();
}
line.publish(request).catch(() => undefined); // some relays never say that they have taken it
say({ reply: JSON.parse(await nip04.decrypt(key, pubkey, (await reply).content)) });
process.exit(0);
