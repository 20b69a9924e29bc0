// Ask an offer for an invoice with clink-sdk, and stay for the receipt if there is an invoice.
// In: {noffer, data, wait_for_receipt}. Out: {pointer}, {reply, ms}, {receipt}.
import { ClinkSDK } from "@shocknet/clink-sdk";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.error; // where clink-sdk tells what it does

let text = "";
for await (const part of process.stdin) text += part;
const { noffer, data, wait_for_receipt } = JSON.parse(text);

const { type, data: pointer } = ClinkSDK.decodeBech32(noffer);
say({ pointer: { type, ...pointer } });
const sdk = new ClinkSDK({
  privateKey: ClinkSDK.generateSecretKey(),
  relays: [pointer.relay],
  toPubKey: pointer.pubkey,
  defaultTimeoutSeconds: 20,
});
let arrived;
const receipt = new Promise((resolve) => (arrived = resolve));
const start = performance.now();
const reply = await sdk.Noffer({ offer: pointer.offer, ...data }, arrived);
say({ reply, ms: performance.now() - start });
if (wait_for_receipt) say({ receipt: await receipt });
process.exit(0);
