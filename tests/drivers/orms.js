// What the checks of ORMs and migration tools share: see orms.py.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync, spawn } = require('node:child_process');
const { Client } = require('pg');
const { url } = require('./checks.js');

const who = process.env.WHO ?? 'one';
const schema = who === 'one' ? 'public' : who;
const ownUrl = who === 'one' ? url : `${url}?options=-csearch_path%3D${who}`;
const packages = process.env.NODE_PATH;

// Two processes run the same checks at once, each in a schema of its own: the first check.
async function schemaOfItsOwn() {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await client.end();
}

// A directory with these files, by path; gone when the process ends.
function files(texts) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pgusher-orms-'));
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(texts)) {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  return directory;
}

// Runs a program, by its path in the packages; what it said.
function run(program, args, cwd, env = {}) {
  const ran = spawnSync(path.join(packages, program), args, options(cwd, env));
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}:\n${ran.stdout}${ran.stderr}`);
  return ran.stdout + ran.stderr;
}

// The same without waiting; resolves to what it said and how it ended.
function start(program, args, cwd, env = {}) {
  const child = spawn(path.join(packages, program), args, options(cwd, env));
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, said })));
}

function options(cwd, env) {
  return { cwd, encoding: 'utf8', env: { ...process.env, DATABASE_URL: ownUrl, NO_COLOR: '1', ...env } };
}

const all = (count, work) => Promise.all(Array.from({ length: count }, (_, i) => work(i)));

module.exports = { who, schema, ownUrl, schemaOfItsOwn, files, run, start, all };
