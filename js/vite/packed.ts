/**
 * Modules that are imported as `./module?packed`: what they export by default is a function that
 * opens them. Built, it is a bundle of its own, deflated, in a string of the main one, and is
 * unpacked by `src/unpack.ts` when it is first wanted: each notebook carries the bundle, and few
 * of its viewers open every tab. Served and under test it is a plain dynamic import.
 *
 * A packed module shares nothing with the rest of the page but what it is handed: the helpers it
 * imports are in it a second time. No module here keeps state (`tests/floors.test.ts`), so that
 * two of them do no harm.
 */

import { deflateRawSync } from "node:zlib";
import { build, type Plugin, type Rolldown } from "vite";

const MARK = "?packed";
const ID = "\0packed:";

/** What is built from `entry` alone, with the files that it was made of. */
async function bundled(entry: string, root: string): Promise<{ code: string; files: string[] }> {
  const made = (await build({
    configFile: false,
    root,
    logLevel: "warn",
    // One may hold another.
    plugins: [packed()],
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    build: {
      write: false,
      target: "es2022",
      minify: true,
      cssMinify: true,
      lib: { entry, formats: ["es"], fileName: () => "packed.js" },
      rolldownOptions: { output: { minify: true } },
    },
  })) as Rolldown.RolldownOutput[];
  const chunks = made.flatMap(({ output }) => output);
  const [chunk, ...more] = chunks;
  if (chunk?.type !== "chunk" || more.length > 0) {
    const names = chunks.map(({ fileName }) => fileName).join(", ");
    throw new Error(`a packed module is one file, styles as ?inline; ${entry} makes ${names}`);
  }
  return { code: chunk.code, files: chunk.moduleIds.filter((id) => !id.startsWith("\0")) };
}

/** Deflated, in base64. */
export function pack(code: string): string {
  return deflateRawSync(code, { level: 9 }).toString("base64");
}

export function packed(): Plugin {
  let building = false;
  let root = "";
  return {
    name: "nbmonitor-packed",
    // Before Vite resolves the import itself, mark and all.
    enforce: "pre",
    configResolved(config) {
      building = config.command === "build";
      root = config.root;
    },
    async resolveId(source, importer) {
      if (!source.endsWith(MARK)) return null;
      const found = await this.resolve(source.slice(0, -MARK.length), importer);
      return found && ID + found.id;
    },
    async load(id) {
      if (!id.startsWith(ID)) return null;
      const entry = id.slice(ID.length);
      // Opened once: what a page has imported stays with it, and a second import would too.
      const made = (module: string) => `let opened;
export default () => (opened ??= ${module});`;
      if (!building) return made(`import(${JSON.stringify(entry)})`);
      const { code, files } = await bundled(entry, root);
      for (const file of files) this.addWatchFile(file);
      return `import { unpack } from ${JSON.stringify(`${root}/src/unpack.ts`)};
${made(`unpack(${JSON.stringify(pack(code))})`)}`;
    },
  };
}
