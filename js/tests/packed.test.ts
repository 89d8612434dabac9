// @vitest-environment node
/** What `?packed` makes of a module, and that the page can unpack it. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inflateRawSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { describe, expect, test, vi } from "vitest";
import { unpack } from "../src/unpack";
import { pack, packed } from "../vite/packed";

/** The bundle of two files, one of which imports the other packed. */
async function bundle(inner: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "packed-"));
  writeFileSync(join(folder, "inner.js"), inner);
  writeFileSync(join(folder, "outer.js"), 'export { default } from "./inner?packed";');
  const [made] = (await build({
    configFile: false,
    root: resolve(import.meta.dirname, ".."),
    logLevel: "silent",
    plugins: [packed()],
    build: {
      write: false,
      lib: { entry: join(folder, "outer.js"), formats: ["es"], fileName: () => "made.js" },
    },
  })) as Rolldown.RolldownOutput[];
  return (made as Rolldown.RolldownOutput).output[0].code;
}

describe("a packed module", () => {
  test("stands in the bundle deflated, not as code", async () => {
    const code = await bundle('export const answer = "forty" + "two " + String(globalThis.x);');
    expect(code).not.toContain("fortytwo");
    const texts = [...code.matchAll(/["'`]([A-Za-z0-9+/=]{40,})["'`]/g)].map((m) => m[1] as string);
    expect(texts).toHaveLength(1);
    expect(inflateRawSync(Buffer.from(texts[0] as string, "base64")).toString()).toContain(
      "fortytwo",
    );
  });

  test("is one file: styles that would be another are refused", async () => {
    const css = join(mkdtempSync(join(tmpdir(), "packed-")), "a.css");
    writeFileSync(css, ".a { color: red }");
    await expect(bundle(`import ${JSON.stringify(css)}; export const a = 1;`)).rejects.toThrow(
      /one file, styles as \?inline/,
    );
  });

  test("is unpacked byte by byte, and its address given back", async () => {
    let source = "";
    const gone = vi.spyOn(URL, "revokeObjectURL");
    vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      void (blob as Blob).text().then((text) => {
        source = text;
      });
      return "data:text/javascript,export const answer = 42";
    });
    const module = await unpack<{ answer: number }>(pack('export const answer = "ä – 42";'));
    expect(module.answer).toBe(42);
    expect(source).toBe('export const answer = "ä – 42";');
    expect(gone).toHaveBeenCalledTimes(1);
  });

  test("says what is needed where nothing can unpack it", async () => {
    vi.stubGlobal("DecompressionStream", undefined);
    await expect(unpack(pack("export {}"))).rejects.toThrow(/Safari 16\.4/);
    vi.unstubAllGlobals();
  });
});
