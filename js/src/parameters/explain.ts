/**
 * Learning aids: what each kind of parameter, each statistic and each phase of a training is, and
 * what healthy and unhealthy look like. Texts only. They say "often" where a rule has exceptions,
 * and give no threshold that would hold for one architecture alone.
 */

import type { Kind, StatisticName } from "./stage";

export interface Explanation {
  readonly title: string;
  readonly text: string;
  readonly healthy: string;
  readonly unhealthy: string;
}

export const KINDS: Readonly<Record<Kind, Explanation>> = {
  embedding: {
    title: "Token embeddings",
    text: "One row of numbers per token: what the model knows of a token before it has seen any context. The cloud shows these rows in the three directions in which they differ most; much of what sets them apart lies in directions that are not shown.",
    healthy:
      "An even ball at the start that pulls apart into groups: numbers, punctuation, word beginnings, word endings. Frequent tokens move first and farthest.",
    unhealthy:
      "A ball that stays as it was while the loss falls little, all tokens crowding into one narrow cone, or a few tokens racing away from the rest.",
  },
  position: {
    title: "Position embeddings",
    text: "One row per place in the sequence, added to the token's row so that the model knows the order. Models with rotary positions or relative biases have no such rows.",
    healthy:
      "Neighbouring places end up near each other: the curve through them becomes smooth, often a spiral or a bow.",
    unhealthy:
      "A curve that stays a tangle, or a smooth beginning and a tangle behind it: late places that the training texts hardly ever reach.",
  },
  attention: {
    title: "Attention",
    text: "Queries and keys decide which earlier places a token looks at; values and the output matrix decide what is carried over. Each head has its own rows or columns of these matrices.",
    healthy:
      "Blocks or stripes of different strength: heads that have found different work. Early layers often change first.",
    unhealthy:
      "A matrix that stays even noise, a head whose stripe fades to nothing, or queries and keys that grow without end: attention then fixes on single places.",
  },
  mlp: {
    title: "MLP",
    text: "Two matrices (three with a gate) that treat each place by itself: the first widens it into many units, the second reads them back. Most parameters of a transformer are here.",
    healthy: "Stripes: some units become strong, the others stay in use at a moderate level.",
    unhealthy:
      "Rows or columns that stay at zero or stop changing (units that do nothing), or a few that outgrow all others by orders of magnitude.",
  },
  norm: {
    title: "Normalisation",
    text: "One scale, and sometimes one shift, per channel, applied after each vector has been brought to unit size. It sets how loudly each channel speaks to the next layer.",
    healthy: "Scales that begin at 1 and drift slowly, some up, some down.",
    unhealthy:
      "Scales that run towards 0 (channels switched off) or far above the others: often the first trace of an activation outlier.",
  },
  head: {
    title: "Head",
    text: "The matrix that turns the last layer's vector into one score per token or class. Many language models use the token embeddings for it (tied weights); it is then shown once, with them.",
    healthy: "It moves early: the frequencies of tokens or classes are learnt first.",
    unhealthy:
      "Steady growth after the loss has settled: the model only makes its guesses more confident, which fixed-set calibration would show.",
  },
  lora: {
    title: "LoRA adapter",
    text: "Two thin matrices, A and B, whose product is added to a frozen matrix. Usually A starts at random and B at zero, so that at step 0 the adapter changes nothing.",
    healthy: "B leaves zero within the first steps, in all adapted layers.",
    unhealthy:
      "B stays at zero: the adapter isn't trained, or its gradient doesn't arrive. Or the product outgrows the frozen matrix: the learning rate or the scaling is too high.",
  },
  expert: {
    title: "Expert",
    text: "One of several MLPs of which a router picks a few for each token. The router is a small matrix beside them.",
    healthy: "All experts change, at a similar pace; their pictures slowly become different.",
    unhealthy:
      "Experts that never change because the router never picks them, or experts that stay copies of each other.",
  },
  convolution: {
    title: "Convolution",
    text: "Small filters that slide over an image or a signal; one per pair of input and output channel. The heatmap lays them out as a matrix.",
    healthy: "Filters that differ from each other; first layers often find edges and colours.",
    unhealthy: "Filters that stay noise, turn alike, or fade to zero with their channel.",
  },
  other: {
    title: "Other",
    text: "Parameters whose use could not be told from the module's type or its place in the model. Their statistics are as exact as any.",
    healthy: "Slow, steady change.",
    unhealthy: "No change at all while gradients are there, or a norm that keeps growing.",
  },
};

export const STATISTICS: Readonly<Record<StatisticName, Explanation>> = {
  mean: {
    title: "Mean",
    text: "The average of all weights of the matrix, signs included.",
    healthy: "Near 0 for matrices, near 1 for the scales of a normalisation.",
    unhealthy: "A steady drift to one side: a bias that has found its way into the weights.",
  },
  std: {
    title: "Standard deviation",
    text: "How far the weights spread around their mean. At the start the initialisation sets it.",
    healthy: "Slow growth, then a plateau.",
    unhealthy: "Collapse towards 0 (weight decay wins over the gradient), or growth without end.",
  },
  min: {
    title: "Minimum",
    text: "The smallest weight. A single one decides it.",
    healthy: "A few standard deviations below the mean.",
    unhealthy: "Tens of standard deviations away: outliers, which also make quantisation hard.",
  },
  max: {
    title: "Maximum",
    text: "The largest weight. A single one decides it.",
    healthy: "A few standard deviations above the mean.",
    unhealthy: "Tens of standard deviations away: outliers, which also make quantisation hard.",
  },
  l2: {
    title: "Norm (L2)",
    text: "The square root of the sum of all squared weights. Larger matrices have larger norms, so compare a matrix with itself over time.",
    healthy: "Growth that levels off, or the slow fall that weight decay brings.",
    unhealthy: "Jumps, growth that speeds up, NaN or infinity.",
  },
  sparsity: {
    title: "Sparsity",
    text: "The share of weights that are next to nothing: no larger than a thousandth of the matrix's RMS.",
    healthy:
      "Near 0 in a dense model; what was meant, in a pruned one. LoRA's B is all zeros at step 0.",
    unhealthy: "A rise that nobody asked for: units are dying.",
  },
  grad_l2: {
    title: "Gradient norm",
    text: "The length of the gradient of this matrix at the snapshot's step: one batch, so it is noisy.",
    healthy: "Within a factor of ten or so between the layers, falling slowly.",
    unhealthy:
      "Orders of magnitude less in early layers than in late ones (vanishing), sudden spikes (exploding), or exactly 0 (cut off).",
  },
  grad_max: {
    title: "Largest gradient",
    text: "The largest entry of the gradient, by size. Compared with the norm it says whether few weights get most of the signal.",
    healthy: "Far below the norm of the gradient: many weights share it.",
    unhealthy: "Close to the norm: one or two weights get nearly all of it.",
  },
  change_l2: {
    title: "Change since the last snapshot",
    text: "The length of the step that the matrix has made. Snapshots come less often later on, so the same pace shows as a longer step. Large matrices are measured on a fixed sample of their weights, which makes it an estimate.",
    healthy: "Large in the first steps, then smaller with the learning rate; all layers take part.",
    unhealthy:
      "Exactly 0 in a layer that should be trained, or steps that are as long as the matrix itself.",
  },
  change_max: {
    title: "Largest change",
    text: "The weight that has changed most since the last snapshot. In a large matrix, the largest of a fixed sample: one outside it may have changed more.",
    healthy: "Small against the standard deviation of the weights.",
    unhealthy: "Single weights that leap: often a learning rate that is too high for this part.",
  },
};

/** Phases in the order in which most trainings go through them; not all have all of them. */
export type PhaseName =
  | "initialisation"
  | "rapid learning"
  | "refinement"
  | "convergence"
  | "overfitting"
  | "divergence";

export const PHASES: Readonly<Record<PhaseName, Explanation>> = {
  initialisation: {
    title: "The beginning",
    text: "Weights are still close to their random start, or, in a fine-tuning, to the model that was loaded. With a warm-up, the learning rate is only rising.",
    healthy: "An even cloud, heatmaps of even noise, changes that grow with the learning rate.",
    unhealthy: "Large changes in the very first steps: no warm-up, or too high a learning rate.",
  },
  "rapid learning": {
    title: "Rapid learning",
    text: "The loss falls fast. First come frequencies, then which tokens go together. Most of the movement that playback shows happens here.",
    healthy: "Frequent tokens move first; groups form; stripes appear in attention and MLP.",
    unhealthy: "The cloud shrinks into a point or a line, or one layer does all the moving.",
  },
  refinement: {
    title: "Refinement",
    text: "The loss falls slowly. Groups keep their places and become finer; rare tokens follow.",
    healthy: "Small changes everywhere, in line with the learning rate.",
    unhealthy:
      "Changes as large as before with a loss that stands still: it may be bouncing about.",
  },
  convergence: {
    title: "Convergence",
    text: "Loss and weights hardly change any more. Under a learning rate that decays to zero, standing still says nothing about having arrived.",
    healthy: "Everything fades together as the learning rate falls.",
    unhealthy: "Parts that never moved: what they could have learnt is missing.",
  },
  overfitting: {
    title: "Overfitting",
    text: "The training loss goes on falling while the evaluation loss rises: what is learnt now holds for the training data alone.",
    healthy: "Small and late; stop there, or keep the checkpoint with the best evaluation.",
    unhealthy: "Norms, of the head above all, that keep growing while the evaluation gets worse.",
  },
  divergence: {
    title: "Divergence",
    text: "The loss rises or becomes NaN. The weights show where it began: look for the first layer whose change or gradient leaps.",
    healthy: "Never; a single spike that heals within some steps is common, though.",
    unhealthy: "Changes that double from snapshot to snapshot, points that fly out of the picture.",
  },
};

/** What the controls of the cloud show. */
export const COLOURS = {
  norm: "Length of the token's row in full width. Rare tokens often keep the length they started with.",
  moved: "How far the token's row has gone since the previous snapshot, in full width.",
  since:
    "How far the token's row is from where it was at the run's first snapshot, in full width: what this training has done to it.",
  frequency:
    "Share of the token in the batches seen so far (the first hundred, then one in ten), on a logarithmic scale.",
  cluster:
    "Groups found by k-means in this 3-D view, named by the tokens nearest their centres. In the full width of the embedding the groups may be others.",
} as const;

/** What is found by looking at all matrices at once. */
export const INSIGHTS: Readonly<Record<string, Explanation>> = {
  flow: {
    title: "Gradient flow",
    text: "How strong the gradient is in each layer: the root mean square over all its weights, of one batch. It is made at the head and handed back, layer by layer, to the embeddings; the pulses run that way, bright and fast where it is strong.",
    healthy:
      "Bars within a factor of ten or so of each other. Embeddings are often lower: most rows get no gradient from one batch.",
    unhealthy:
      "A staircase down to the embeddings (vanishing: less than a thousandth of the median is named), bars that tower over the rest (exploding), or a layer with none (cut off).",
  },
  similarity: {
    title: "Similarity of updates",
    text: "Linear CKA (Kornblith et al. 2019) of what training has added to each matrix that reads the residual stream: 1 where two matrices have come to look at the same directions of it, about the level of chance where they have nothing in common. From a sample of units and inputs.",
    healthy:
      "Neighbouring layers alike, distant ones less so. In a fine-tuning, more likeness everywhere is common: little is learnt, and all of it is the task.",
    unhealthy:
      "Everything alike from the first layer to the last, early in a training from scratch: layers learn one and the same thing. One layer unlike all others may be broken.",
  },
  since: {
    title: "Changed since the start",
    text: "How far the sampled weights are from where they were at the run's first snapshot, in shares of their length then: ‖W−W₀‖/‖W₀‖. In a fine-tuning this is what it has changed in the model that was loaded.",
    healthy:
      "From scratch, all layers take part, often far beyond 0.5. In a fine-tuning, small shares (below 0.1, often far below), most in late layers.",
    unhealthy:
      "Parts at 0 that should learn; or a fine-tuning that rewrites a layer, and may have made it forget what it knew.",
  },
  units: {
    title: "Dead and exploding units",
    text: "A unit is one output of a matrix. Dead: its weights have not moved since the start although the matrix has, or are all zero. Exploding: its weights have grown to more than ten times what they were and far beyond the other units, or are not finite. Only the sampled units are looked at, and embeddings are never called dead: a token that does not come stands still.",
    healthy: "None. A few dead units in a wide MLP harm little.",
    unhealthy:
      "Dead units that become more, which no gradient reaches any more; or single units that outgrow all others: lower the learning rate, clip, or look for outliers there.",
  },
};

/** The text of a title attribute or a tip: four short paragraphs. */
export function spelled({ title, text, healthy, unhealthy }: Explanation): string {
  return `${title}\n${text}\nHealthy: ${healthy}\nUnhealthy: ${unhealthy}`;
}

/** What is known of a name that comes from the kernel; null if nothing is. */
export function explain(
  of: "kind" | "statistic" | "phase" | "insight",
  name: string,
): Explanation | null {
  const all: Readonly<Record<string, Explanation>> = {
    kind: KINDS,
    statistic: STATISTICS,
    phase: PHASES,
    insight: INSIGHTS,
  }[of];
  return Object.hasOwn(all, name) ? all[name]! : null;
}
