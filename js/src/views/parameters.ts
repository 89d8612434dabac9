/** Parameters over a training: embeddings and weights, filtered and played back. */

import { ParametersPanel } from "../parameters/panel";
import type { View } from "../view";

const parameters: View = {
  name: "parameters",
  mount(el, ctx) {
    new ParametersPanel(el, ctx);
  },
};

export default parameters;
