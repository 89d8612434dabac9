/** What `vite/packed.ts` makes of an import: a function that opens the module. */

declare module "*/parameters/tab?packed" {
  const open: () => Promise<typeof import("./parameters/tab")>;
  export default open;
}
