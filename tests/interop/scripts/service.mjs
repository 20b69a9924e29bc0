// A wallet service made with Alby's sdk; what it answers is decided by whoever runs it. In: {relay, secret, client,
// methods}, then {id, result} or {id, error} for each question. Out: {ready}, then {id, method, params} for each request.
import { createInterface } from "node:readline";
import { NWCWalletService, NWCWalletServiceKeyPair } from "@getalby/sdk";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.warn = console.error;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { relay, secret, client, methods } = JSON.parse((await lines.next()).value);
const service = new NWCWalletService({ relayUrls: [relay] });
const asked = new Map();
const ask = (method) => (params) =>
  new Promise((resolve) => {
    asked.set(asked.size, resolve);
    say({ id: asked.size - 1, method, params: params ?? {} });
  });
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

await service.publishWalletServiceInfoEvent(secret, methods, []);
const handler = Object.fromEntries(methods.map((name) => [camel(name), ask(name)]));
await service.subscribe(new NWCWalletServiceKeyPair(secret, client), handler);
say({ ready: true });
for await (const line of lines) {
  const { id, result, error } = JSON.parse(line);
  asked.get(id)({ result, error });
}
process.exit(0);
