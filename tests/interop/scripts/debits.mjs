// Ask for debits with one generation of clink-sdk, one after the other, with one key.
// In: {sdk, calls, secret, ndebit, requests, timeout_s}. Out: {pointer}, then for each request {asked}, {reply} or {failed}.
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.error; // where clink-sdk tells what it does

let text = "";
for await (const part of process.stdin) text += part;
const { sdk, calls, secret, ndebit, requests, timeout_s } = JSON.parse(text);
const { ClinkSDK, SendNdebitRequest, SimplePool, decodeBech32 } = await import(sdk);

const { type, data: pointer } = decodeBech32(ndebit);
say({ pointer: { type, ...pointer } });
const privateKey = Uint8Array.from(Buffer.from(secret, "hex"));
const relays = [pointer.relay];
const pool = new SimplePool();
const settings = { privateKey, relays, toPubKey: pointer.pubkey, defaultTimeoutSeconds: timeout_s };
const client = new ClinkSDK(settings, pool);
// Ndebit of the old class forgets to return the promise, so that its users call the function behind it.
const ask = {
  Ndebit: (data) => client.Ndebit(data),
  SendNdebitRequest: (data) => SendNdebitRequest(pool, privateKey, relays, pointer.pubkey, data, timeout_s),
}[calls];

for (const request of requests) {
  const answer = ask({ pointer: pointer.pointer, ...request });
  say({ asked: request });
  await answer.then((reply) => say({ reply }), (failed) => say({ failed: String(failed) }));
}
process.exit(0);
