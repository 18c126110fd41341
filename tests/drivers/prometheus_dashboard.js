// The dashboard has the types that Grafana publishes of its dashboards (@grafana/schema).

const fs = require("node:fs");
const path = require("node:path");
const ts = require("typescript");

const dashboard = JSON.parse(fs.readFileSync("config/grafana/pgusher.json", "utf8"));
// A query for marks is described by its data source and not there.
for (const marks of dashboard.annotations.list) {
  for (const key of ["expr", "titleFormat", "textFormat", "step", "useValueForTime"]) delete marks[key];
}

// Where its modules are found. Enumerations are numbers and texts in JSON.
const file = path.join(path.dirname(require.resolve("typescript/package.json")), "../../dashboard.ts");
const source = `
import type * as schema from "@grafana/schema";
type Number = schema.VariableRefresh | schema.VariableHide | schema.VariableSort;
type Json<T> = T extends Number ? number | T
  : T extends string ? \`\${T}\`
  : T extends (infer U)[] ? Json<U>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
export const dashboard: Json<schema.Dashboard> = ${JSON.stringify(dashboard, null, 1)};
`;

function mistakes(text) {
  const options = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => name === file || fileExists.call(host, name);
  host.getSourceFile = (name, version, ...rest) =>
    name === file ? ts.createSourceFile(name, text, version) : getSourceFile.call(host, name, version, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map((it) => ts.flattenDiagnosticMessageText(it.messageText, "\n"));
}

const found = mistakes(source);
// The check itself can fail.
const broken = mistakes(source.replace('"collapsed": true', '"colapsed": true'));
if (found.length || broken.length !== 1) {
  console.error(found, broken);
  process.exit(1);
}
console.log(`${dashboard.panels.length} panels and rows`);
