/** Hands a file to the viewer's browser. */

/** Long enough for a browser to have begun; it keeps what it has begun to read. */
const REVOKE_MS = 10_000;

/** Offer `blob` as a file called `name`. */
export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  // Some browsers only follow a link that is in the page.
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_MS);
}

/** `name` as a file name: what no system forbids. */
export function fileName(name: string, ending: string): string {
  const plain = name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|-+$/g, "");
  return `${plain || "run"}.${ending}`;
}
