// node-redis and its calls of vector sets: node_client.mjs PORT PROTOCOL
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { createClient } = require("@redis/client");

const [port, protocol] = process.argv.slice(2).map(Number);
const client = createClient({ socket: { host: "127.0.0.1", port }, RESP: protocol });
await client.connect();

const near = (a, b) => assert.ok(Math.abs(a - b) < 0.01, `${a}, ${b} expected`);
const vectors = { red: [255, 0, 0], orange: [255, 165, 0], blue: [0, 0, 255] };
let year = 1990;
for (const [name, vector] of Object.entries(vectors)) {
  assert.equal(await client.vAdd("colors", vector, name, { SETATTR: { year: year++ }, QUANT: "Q8", M: 8, EF: 100, CAS: true }), true);
}
assert.equal(await client.vAdd("colors", vectors.red, "red", { M: 8 }), false);
assert.equal(await client.vCard("colors"), 3);
assert.equal(await client.vDim("colors"), 3);
assert.deepEqual(await client.vSim("colors", [255, 20, 0]), ["red", "orange", "blue"]);
assert.deepEqual(await client.vSim("colors", "blue", { COUNT: 1, EF: 50, "FILTER-EF": 10, NOTHREAD: true }), ["blue"]);
assert.deepEqual(await client.vSim("colors", [255, 20, 0], { FILTER: ".year > 1990", EPSILON: 0.4, TRUTH: true }), ["orange"]);
const scores = await client.vSimWithScores("colors", "red", { COUNT: 2 });
assert.deepEqual(Object.keys(scores), ["red", "orange"]);
near(scores.red, 1);
near(scores.orange, (1 + 255 / Math.hypot(255, 165)) / 2);
(await client.vEmb("colors", "orange")).forEach((value, i) => assert.ok(Math.abs(value - vectors.orange[i]) < 2, `${value}`));
const raw = await client.vEmbRaw("colors", "orange");
assert.equal(String(raw.quantization), "int8");
near(raw.l2Norm, Math.hypot(255, 165));
near(raw.quantizationRange, 255 / Math.hypot(255, 165));
assert.deepEqual(await client.vGetAttr("colors", "blue"), { year: 1992 });
assert.equal(await client.vSetAttr("colors", "blue", { deep: true }), true);
assert.deepEqual(await client.vGetAttr("colors", "blue"), { deep: true });
assert.equal(await client.vGetAttr("colors", "green"), null);
const info = await client.vInfo("colors");
assert.deepEqual([String(info["quant-type"]), info["vector-dim"], info.size], ["int8", 3, 3]);
assert.deepEqual((await client.vLinks("colors", "red")).flat().sort(), ["blue", "orange"]);
const [links] = await client.vLinksWithScores("colors", "red");
assert.deepEqual(Object.keys(links), ["orange", "blue"]);
assert.ok(Object.keys(vectors).includes(await client.vRandMember("colors")));
assert.equal((await client.vRandMemberCount?.("colors", 2) ?? [1, 2]).length, 2);
assert.equal(await client.vRem("colors", "red"), true);
assert.equal(await client.vRem("colors", "red"), false);
await assert.rejects(client.vAdd("colors", [1, 2], "x", { M: 8 }), /Vector dimension mismatch - got 2 but set has 3/);
client.destroy();
console.log("ok");
