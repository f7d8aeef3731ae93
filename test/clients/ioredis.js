// ioredis against a daemon: node ioredis.js PORT SOCKET. Ends with 1 at the first check that fails.
"use strict";
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const [port, path] = process.argv.slice(2);
const options = { host: "127.0.0.1", port: Number(port), retryStrategy: () => 20 };

// RESP2 shows a map as a flat array.
function record(flat) {
  const entries = [];
  for (let i = 0; i < flat.length; i += 2) entries.push([flat[i], flat[i + 1]]);
  return Object.fromEntries(entries);
}

function event(redis, name) {
  return new Promise((resolve) => redis.once(name, resolve));
}

async function oneByOne(redis) {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(record(await redis.call("OPEN", "ioredis", "USD/2")).created, 1);
  const reply = record(
    await redis.call("CREDIT", "ioredis", "9007199254740993", "KEY", "ioredis-1", "MEMO", "kůň"));
  assert.deepEqual(
    { ...reply, transfer: "" },
    { transfer: "", account: "ioredis", balance: "9007199254740993",
      available: "9007199254740993", version: "2", duplicate: 0 });
  assert.equal(await redis.get("ioredis"), "9007199254740993");
  assert.deepEqual(await redis.getBuffer("ioredis"), Buffer.from("9007199254740993"));
  assert.equal(await redis.get("ioredis-none"), null);
  assert.deepEqual(await redis.mget("ioredis", "ioredis-none"), ["9007199254740993", null]);
  assert.equal(await redis.exists("ioredis", "ioredis-none", "@world"), 2);
  assert.equal(record((await redis.call("HISTORY", "ioredis"))[0]).memo, "kůň");
  await assert.rejects(redis.call("DEBIT", "ioredis", "1e3", "KEY", "ioredis-2"),
    { name: "ReplyError", message: /^ERR amount must be an integer/ });
  await assert.rejects(redis.set("ioredis", "1"), /ERR unknown command/);
}

async function pipelines(redis) {
  await redis.call("OPEN", "ioredis-pipe", "USD/2");
  const pipeline = redis.pipeline();
  for (let i = 1; i <= 500; i++) {
    pipeline.call("CREDIT", "ioredis-pipe", 1, "KEY", `ioredis-pipe-${i}`).get("ioredis-pipe");
  }
  pipeline.call("DEBIT", "ioredis-pipe", 501, "KEY", "ioredis-pipe-refused");
  const replies = await pipeline.exec();
  for (let i = 1; i <= 500; i++) {
    assert.equal(replies[2 * i - 2][0], null);
    assert.equal(record(replies[2 * i - 2][1]).balance, String(i));
    assert.deepEqual(replies[2 * i - 1], [null, String(i)]);
  }
  assert.match(replies[1000][0].message, /^INSUFFICIENT /);
}

async function autoPipelining() {
  const redis = new Redis({ ...options, enableAutoPipelining: true });
  await redis.call("OPEN", "ioredis-auto", "USD/2");
  await Promise.all(Array.from({ length: 500 }, (_, i) =>
    redis.call("CREDIT", "ioredis-auto", 2, "KEY", `ioredis-auto-${i}`)));
  const balances = await Promise.all(Array.from({ length: 500 }, () => redis.get("ioredis-auto")));
  assert.deepEqual(new Set(balances), new Set(["1000"]));
  await redis.quit();
}

// The connection is killed under commands in flight: those that are lost are sent again by their
// key, and done once.
async function reconnecting(killer) {
  const redis = new Redis({ ...options, connectionName: "to-be-killed", maxRetriesPerRequest: 10 });
  await redis.call("OPEN", "ioredis-again", "USD/2");
  assert.equal(await redis.client("GETNAME"), "to-be-killed");
  for (let round = 0; round < 5; round++) {
    const id = await redis.client("ID");
    const ready = event(redis, "ready");
    const credits = Array.from({ length: 50 }, (_, i) =>
      redis.call("CREDIT", "ioredis-again", 1, "KEY", `ioredis-again-${round}-${i}`));
    assert.equal(await killer.client("KILL", "ID", id), 1);
    await Promise.all(credits);
    await ready;
    assert.equal(await redis.get("ioredis-again"), String(50 * (round + 1)));
    assert.equal(await redis.client("GETNAME"), "to-be-killed");
  }
  await redis.quit();
}

async function main() {
  const redis = new Redis({ ...options, db: 0 });
  await event(redis, "ready");
  await oneByOne(redis);
  await pipelines(redis);
  await autoPipelining();
  await reconnecting(redis);
  const local = new Redis({ path });
  assert.equal(await local.get("ioredis-auto"), "1000");
  await local.quit();
  await redis.quit();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
