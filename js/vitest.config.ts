import { defineConfig } from "vitest/config";
import { packed } from "./vite/packed.ts";

export default defineConfig({
  plugins: [packed()],
  test: {
    environment: "happy-dom",
    include: ["tests/**/*.test.ts"],
    restoreMocks: true,
  },
});
