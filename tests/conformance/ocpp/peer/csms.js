// A CSMS on ocpp-rpc in strict mode: it validates every frame by its own schemas, and says on stdout what it hears.
//
// Out, one JSON line each: {"url"}, {"action", "payload"}, {"invalid"}, {"answer"} or {"refused"}, {"gone"}.
// In, one JSON line each: {"call": action, "payload": {...}}.
"use strict";

const { RPCServer } = require("ocpp-rpc");
const readline = require("node:readline");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const now = () => new Date().toISOString();
const accepted = { idTokenInfo: { status: "Accepted" } };

const answers = {
  BootNotification: () => ({ currentTime: now(), interval: 300, status: "Accepted" }),
  Heartbeat: () => ({ currentTime: now() }),
  Authorize: () => accepted,
  TransactionEvent: (params) => (params.idToken ? accepted : {}),
};

let station = null;
const server = new RPCServer({ protocols: ["ocpp2.0.1"], strictMode: true });

server.auth((accept) => accept());
server.on("client", (client) => {
  station = client;
  client.on("strictValidationFailure", (event) => say({ invalid: String(event.error.message), seen: event }));
  client.on("badMessage", (event) => say({ invalid: "bad message", seen: String(event.error) }));
  client.on("close", () => say({ gone: client.identity }));
  client.handle(({ method, params }) => {
    say({ action: method, payload: params });
    return (answers[method] || (() => ({})))(params);
  });
});

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line);
  try {
    say({ answer: await station.call(command.call, command.payload) });
  } catch (error) {
    say({ refused: error.rpcErrorCode || String(error) });
  }
});

server.listen(0, "127.0.0.1").then((listener) => say({ url: `ws://127.0.0.1:${listener.address().port}` }));
