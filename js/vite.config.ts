import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { packed } from "./vite/packed.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/**
 * One configuration, three outputs: the widget (default), the kernel-less page
 * (`--mode page`, into dist/) and the node benchmark (`--mode bench`, into .bench/).
 */
export default defineConfig(({ mode }) => {
  if (mode === "page") {
    return {
      base: "./",
      plugins: [packed()],
      build: {
        outDir: "dist",
        emptyOutDir: true,
        rollupOptions: { input: here("dev/index.html") },
      },
    };
  }
  if (mode === "bench") {
    return {
      build: { outDir: ".bench", emptyOutDir: true, ssr: here("bench/million.ts"), minify: false },
    };
  }
  return {
    plugins: [packed()],
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    server: { host: "127.0.0.1" },
    build: {
      outDir: here("../nbmonitor/static"),
      emptyOutDir: true,
      target: "es2022",
      sourcemap: false,
      minify: true,
      cssMinify: true,
      lib: {
        entry: here("src/widget.ts"),
        formats: ["es"],
        fileName: () => "widget.js",
        cssFileName: "widget",
      },
      // Vite leaves a library its white space, a quarter of this file; each notebook carries it.
      rolldownOptions: { output: { minify: true } },
    },
  };
});
