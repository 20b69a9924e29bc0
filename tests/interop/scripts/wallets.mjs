// Foreign wallet clients, each asked in its own words. In: {client, uri}, then {call, with} on each line. Out, for each
// call: {result}, or {error: {name, code, message}} with the name of the error's class.
import { createInterface } from "node:readline";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
console.log = console.error; // nothing but answers on standard output

// The sdk of Alby. `listen` and `heard` are its subscription to notifications, one at a time; `get` reads what is no
// method, and `methods` names what there is.
const sdk = async (uri) => {
  const { NWCClient } = await import("@getalby/sdk");
  const client = new NWCClient({ nostrWalletConnectUrl: uri });
  const heard = queue();
  client.listen = async (...types) => void (await client.subscribeNotifications(heard.put, ...types));
  client.heard = heard.take;
  client.get = (name) => client[name];
  client.methods = () => [...Object.getOwnPropertyNames(NWCClient.prototype), ...statics(NWCClient)];
  return client;
};

// Its simple client, in satoshis. `listen` waits for the invoice that was asked for last, `heard` tells that it was paid.
const simple = async (uri) => {
  const { LNClient, SATS } = await import("@getalby/sdk");
  const client = new LNClient(uri);
  const heard = queue();
  let receiving;
  return {
    pay: (recipient, sat, more) => client.pay(recipient, sat && SATS(sat), more),
    requestPayment: async (sat, more) => (receiving = await client.requestPayment(SATS(sat), more)).transaction,
    listen: async () => {
      const requests = () => [...client.nwcClient.pool.relays.values()].flatMap((one) => [...one.openSubs.values()]);
      const listens = () => requests().some((request) => request.filters.some(({ kinds }) => kinds.includes(23197)));
      receiving.onPaid(heard.put);
      while (!listens()) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    heard: heard.take,
  };
};

// Bitcoin Connect, the button on web pages: it wants a page around it, and gives a WebLN provider.
const button = async (uri) => {
  const { Window } = await import("happy-dom");
  const window = new Window({ url: "https://shop.example" });
  const page = ["document", "customElements", "HTMLElement", "CustomEvent", "CSSStyleSheet", "MutationObserver", "localStorage"];
  for (const name of page) Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  globalThis.window = window;
  const connect = await import("@getalby/bitcoin-connect");
  connect.init({ appName: "shop", showBalance: true });
  const connected = new Promise((resolve) => connect.onConnected(resolve));
  connect.connectNWC(uri);
  const provider = await connected;
  provider.configured = () => connect.getConnectorConfig();
  return provider;
};

// applesauce of hzrd149, over its own relay pool. `listen` begins to wait for an invoice, `heard` tells that it was paid.
const applesauce = async (uri) => {
  const { WalletConnect } = await import("applesauce-wallet-connect");
  const { RelayPool } = await import("applesauce-relay");
  const client = WalletConnect.fromConnectURI(uri, { pool: new RelayPool() });
  let paid;
  client.listen = async (...given) => {
    paid = client.waitForPaid(...given);
    await client.supportsNotifications();
    await new Promise((resolve) => setTimeout(resolve, 0)); // what waits for the same answer has it first
  };
  client.heard = () => paid;
  return client;
};

const CLIENTS = { sdk, simple, button, applesauce };

function statics(type) {
  return Object.getOwnPropertyNames(type).filter((name) => typeof type[name] === "function");
}

function queue() {
  const values = [];
  const waiting = [];
  return {
    put: (value) => (waiting.length ? waiting.shift()(value) : values.push(value)),
    take: () => (values.length ? values.shift() : new Promise((resolve) => waiting.push(resolve))),
  };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { client, uri } = JSON.parse((await lines.next()).value);
const asked = await CLIENTS[client](uri);
for await (const line of lines) {
  const { call, with: given } = JSON.parse(line);
  try {
    say({ result: (await asked[call](...given)) ?? null });
  } catch (error) {
    say({ error: { name: error.constructor.name, code: error.code, message: error.message } });
  }
}
process.exit(0);
