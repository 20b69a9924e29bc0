// Ask for a debit with clink-sdk, by its own ndebit code of the service.
// In: {pubkey, relay, data}. Out: {pointer}, {reply, ms}.
import { ClinkSDK, ndebitEncode } from "@shocknet/clink-sdk";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.error; // where clink-sdk tells what it does

let text = "";
for await (const part of process.stdin) text += part;
const { pubkey, relay, data } = JSON.parse(text);

const { type, data: pointer } = ClinkSDK.decodeBech32(ndebitEncode({ pubkey, relay }));
say({ pointer: { type, ...pointer } });
const sdk = new ClinkSDK({
  privateKey: ClinkSDK.generateSecretKey(),
  relays: [pointer.relay],
  toPubKey: pointer.pubkey,
  defaultTimeoutSeconds: 20,
});
const start = performance.now();
const reply = await sdk.Ndebit({ pointer: pointer.pointer, ...data });
say({ reply, ms: performance.now() - start });
process.exit(0);
