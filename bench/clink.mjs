// CLINK with @shocknet/clink-sdk: node clink.mjs NOFFER,NOFFER,…  Each line on standard input is a question, each answer
// one line of JSON: `call NUMBER IN_FLIGHT` asks so often for an invoice, each time with a new key and the next code, over
// one pool that stays connected; `alone NUMBER IN_FLIGHT` does the same with a pool for each. The answer is [seconds of
// CPU, seconds by the clock on the wall]. `codes NUMBER` writes and reads so many new codes: seconds of CPU.
import { ClinkSDK, SimplePool, decodeBech32, generateSecretKey, nofferEncode } from "@shocknet/clink-sdk";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

console.log = console.error = () => {}; // where clink-sdk tells what it does
const codes = (process.argv[2] ?? "").split(",").filter(Boolean);
let [next, relays] = [0, []];

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const ask = async (pool) => {
  const { data } = decodeBech32(codes[next++ % codes.length]);
  const settings = { privateKey: generateSecretKey(), relays: [data.relay], toPubKey: data.pubkey, defaultTimeoutSeconds: 30 };
  const reply = await new ClinkSDK(settings, pool).Noffer({ offer: data.offer, amount_sats: 1000 });
  if (!reply.bolt11?.startsWith("lnbcrt")) throw new Error(`this is no invoice: ${JSON.stringify(reply)}`);
  return [data.relay];
};

const askAlone = async () => {
  const pool = new SimplePool();
  pool.close(await ask(pool));
};

const call = async (once, number, inFlight) => {
  let left = number;
  const oneAfterTheOther = async () => {
    while (left-- > 0) await once();
  };
  const [cpuAtFirst, wallAtFirst] = [cpu(), performance.now()];
  await Promise.all(Array.from({ length: inFlight }, oneAfterTheOther));
  return [cpu() - cpuAtFirst, (performance.now() - wallAtFirst) / 1e3];
};

const writeAndRead = (number) => {
  const offers = Array.from({ length: number }, (_, each) => ({
    pubkey: randomBytes(32).toString("hex"), relay: "wss://relay.example.com", offer: randomBytes(8).toString("hex"),
    priceType: 0, price: 1000 + each,
  }));
  const cpuAtFirst = cpu();
  for (const offer of offers) {
    const { data } = decodeBech32(nofferEncode(offer));
    if (data.offer !== offer.offer || data.price !== offer.price) throw new Error(`this is another offer: ${data}`);
  }
  return cpu() - cpuAtFirst;
};

const callConnected = (number, inFlight) => {
  const pool = new SimplePool();
  return call(async () => { relays = await ask(pool); }, number, inFlight).finally(() => pool.close(relays));
};

const questions = {
  call: callConnected,
  alone: (number, inFlight) => call(askAlone, number, inFlight),
  codes: async (number) => writeAndRead(number),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [question, ...numbers] = line.split(" ");
  process.stdout.write(JSON.stringify(await questions[question](...numbers.map(Number))) + "\n");
}
process.exit();
