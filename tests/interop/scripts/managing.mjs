// Manage offers with one generation of clink-sdk, one request after the other, with one key.
// In: {sdk, calls, secret, nmanage, requests, timeout_s}; a request is {make, args}: a function of clink-sdk, and what it is given.
// Out: {pointer}, then for each request {asked}, {reply} or {failed}.
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.error; // where clink-sdk tells what it does

let text = "";
for await (const part of process.stdin) text += part;
const { sdk, calls, secret, nmanage, requests, timeout_s } = JSON.parse(text);
const library = await import(sdk);
const { ClinkSDK, SendNmanageRequest, SimplePool, decodeBech32 } = library;

const { type, data: pointer } = decodeBech32(nmanage);
say({ pointer: { type, ...pointer } });
const privateKey = Uint8Array.from(Buffer.from(secret, "hex"));
const relays = [pointer.relay];
const pool = new SimplePool();
const settings = { privateKey, relays, toPubKey: pointer.pubkey, defaultTimeoutSeconds: timeout_s };
const client = new ClinkSDK(settings, pool);
// Nmanage of the old class forgets to return the promise, so that its users call the function behind it.
const ask = {
  Nmanage: (data) => client.Nmanage(data),
  SendNmanageRequest: (data) => SendNmanageRequest(pool, privateKey, relays, pointer.pubkey, data, timeout_s),
}[calls];

for (const { make, args } of requests) {
  const data = library[make](...args.map((one) => (one === "@pointer" ? pointer.pointer : one)));
  const answer = ask(data);
  say({ asked: data });
  await answer.then((reply) => say({ reply }), (failed) => say({ failed: String(failed) }));
}
process.exit(0);
