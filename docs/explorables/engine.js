/** Backward as torch's engine does it, one node after the other. */

import { TorchError } from "./torch-error.js";

const NO_TAPE = "element 0 of tensors does not require grad and does not have a grad_fn";
const FREED =
  "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward.";

/** The nodes of a tape, its root first. */
export function nodesOf(root) {
  const found = new Set([root]);
  for (const { ends } of found) for (const end of ends) if (end) found.add(end);
  return [...found];
}

/**
 * The steps of one `backward()` per entry of `passes`, which says whether the graph is retained: `{pass, node, came,
 * sum, slopes, out, before, after}`. `came` lists the gradients that came in, `sum` their sum. On each edge leaves what
 * comes in times its slope, `out`. `frees` says whether what the node had saved is let go. At a leaf `grad` goes from `before` to `after`. Where torch raises is the last step,
 * with the `error`.
 */
export function run(root, passes) {
  if (!root) return [{ pass: 0, error: new TorchError("RuntimeError", NO_TAPE) }];
  const steps = [];
  const freed = new Set();
  const grads = new Map();
  for (const [pass, isRetained] of passes.entries()) {
    const waits = new Map();
    for (const { ends } of nodesOf(root)) for (const end of ends) waits.set(end, (waits.get(end) ?? 0) + 1);
    const all = new Map([[root, [1]]]);
    const ready = [root];
    while (ready.length) {
      // Of the nodes that wait for nothing, the one that was made last, and leaves before all others.
      const node = ready.reduce((first, other) => (other.sequence > first.sequence ? other : first));
      ready.splice(ready.indexOf(node), 1);
      const came = all.get(node);
      const sum = came.reduce((total, g) => total + g);
      if (freed.has(node)) return [...steps, { pass, node, came, sum, error: new TorchError("RuntimeError", FREED) }];
      const step = { pass, node, came, sum, out: [], slopes: [] };
      steps.push(step);
      if (node.leaf) {
        step.before = grads.get(node);
        step.after = step.before === undefined ? sum : step.before + sum;
        grads.set(node, step.after);
        continue;
      }
      const wanted = (gradients) => gradients.slice(0, node.ends.length).map((g, n) => (node.ends[n] ? g : undefined));
      step.out = wanted(node.gradients(sum));
      step.slopes = wanted(node.gradients(1));
      step.frees = !isRetained && Object.keys(node.saved).length > 0;
      if (step.frees) freed.add(node);
      for (const [n, end] of node.ends.entries()) {
        if (!end) continue;
        all.set(end, [...(all.get(end) ?? []), step.out[n]]);
        waits.set(end, waits.get(end) - 1);
        if (!waits.get(end)) ready.push(end);
      }
    }
  }
  return steps;
}
