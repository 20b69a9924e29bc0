// A client of a wallet made with @getalby/sdk: node clients.mjs NWC_URI. Each line `call NUMBER IN_FLIGHT` on standard
// input asks so often for the balance; the answer is [seconds of CPU, seconds by the clock on the wall].
import { NWCClient } from "@getalby/sdk/nwc";
import { createInterface } from "node:readline";

const client = new NWCClient({ nostrWalletConnectUrl: process.argv[2] });

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const call = async (number, inFlight) => {
  let left = number;
  const oneAfterTheOther = async () => {
    while (left-- > 0) {
      const { balance } = await client.getBalance();
      if (!(balance > 0)) throw new Error(`this is no balance: ${balance}`);
    }
  };
  const [cpuAtFirst, wallAtFirst] = [cpu(), performance.now()];
  await Promise.all(Array.from({ length: inFlight }, oneAfterTheOther));
  return [cpu() - cpuAtFirst, (performance.now() - wallAtFirst) / 1e3];
};

for await (const line of createInterface({ input: process.stdin })) {
  const [, number, inFlight] = line.split(" ");
  process.stdout.write(JSON.stringify(await call(Number(number), Number(inFlight))) + "\n");
}
process.exit();
