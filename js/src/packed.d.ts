/** What `vite/packed.ts` makes of an import: a function that opens the module. */

declare module "*/shell/mount?packed" {
  const open: () => Promise<typeof import("./shell/mount")>;
  export default open;
}

declare module "*/parameters/tab?packed" {
  const open: () => Promise<typeof import("./parameters/tab")>;
  export default open;
}
