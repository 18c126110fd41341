// What the checks of tenants share; tenants.py says what stands in the tables.
'use strict';

const { url } = require('./checks.js');

const sums = { acme: 6, globex: 30 };
const sum = 'SELECT sum(n)::int AS sum FROM orders';
const foreign = "INSERT INTO orders VALUES ('initech', 0)";

// The URLs that name this tenant: by options, by the user's name, and `more` queries.
function urls(tenant, ...more) {
  const queries = [`?options=-c%20app.tenant_id%3D${tenant}`, ...more.map((query) => query + tenant)];
  const all = [...queries.map((query) => url + query), url.replace('//app:', `//app.${tenant}:`)];
  all.forEach((one) => console.log(`url     ${one}`));
  return all;
}

module.exports = { sums, sum, foreign, urls, tenants: Object.keys(sums) };
