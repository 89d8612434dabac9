/** Groups of tokens and their names: as the kernel found them, or else the page. Draws nothing. */

import type { Tensor } from "../tensor";
import type { Clusters } from "./cluster";

export const CLUSTERS_KEY = "parameters/clusters";

export interface Groups {
  /** The snapshot that they were found in. */
  readonly step: number;
  /** How they were found. */
  readonly method: string;
  /** Why not better, or "". */
  readonly absent: string;
  /** Group of each sampled token. */
  readonly labels: Uint8Array;
  /** By label: how many tokens it has, and those nearest its centre. */
  readonly groups: readonly { readonly size: number; readonly tokens: readonly number[] }[];
}

/** How the page finds them, which has no more than coordinates. */
const OWN = "k-means of this 3-D view";

/** What the kernel says of groups; without labels, why there are none. Null where it says nothing. */
export function readGroups(tensor: Tensor | undefined): Groups | null {
  if (!(tensor?.data instanceof Uint8Array)) return null;
  try {
    const said = JSON.parse(new TextDecoder().decode(tensor.data)) as {
      step?: number;
      method?: string;
      absent?: string;
      labels?: number[];
      clusters?: { label: number; size: number; tokens: number[] }[];
    };
    const groups: { size: number; tokens: number[] }[] = [];
    for (const { label, size, tokens } of said.clusters ?? []) groups[label] = { size, tokens };
    return {
      step: said.step ?? tensor.step,
      method: said.method ?? "",
      absent: said.absent ?? "",
      labels: Uint8Array.from(said.labels ?? []),
      groups: Array.from(groups, (group) => group ?? { size: 0, tokens: [] }),
    };
  } catch {
    return null;
  }
}

/** Groups that the page found itself; `absent` is why it had to. */
export function ownGroups({ labels, counts, nearest }: Clusters, step: number): Groups {
  const groups = nearest.map((tokens, label) => ({ size: counts[label] ?? 0, tokens }));
  return { step, method: OWN, absent: "", labels, groups };
}
