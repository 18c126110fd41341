// Runs the checks of a driver one after the other and says which hold.
'use strict';

const url = process.env.DATABASE_URL;
const limit = 20_000;

async function runAll(checks) {
  let failed = 0;
  for (const check of checks) {
    const start = Date.now();
    let timer;
    const patience = new Promise((_, reject) => {
      const time = check.limit ?? limit;
      timer = setTimeout(() => reject(new Error(`no end after ${time / 1000} s`)), time);
    });
    try {
      await Promise.race([check(), patience]);
      console.log(`ok      ${check.name} (${(Date.now() - start) / 1000} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${check.name}`);
      console.error(error);
    }
    clearTimeout(timer);
  }
  process.exit(failed ? 1 : 0);
}

module.exports = { url, runAll, clients: 20, rounds: 30 };
