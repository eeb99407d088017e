/** Steps as the optimizers of torch take them, in float64 and in their order of operations. */

import { repr } from "./python-float.js";
import { TorchError } from "./torch-error.js";

const BETAS = [0.9, 0.999];
const EPS = 1e-8;

const each = (combine, ...vectors) => [0, 1].map((i) => combine(...vectors.map((vector) => vector[i])));

/** A power of a number below 1, rounded once. That of JavaScript may be wrong in its last digit. */
function power(base, n) {
  const cut = Math.max(0, 53 * n - 1000);
  return Number((BigInt(base * 2 ** 53) ** BigInt(n)) >> BigInt(cut)) / 2 ** (53 * n - cut);
}

function sgd({ lr, momentum, nesterov }) {
  let velocity;
  return (w, grad) => {
    velocity = velocity && momentum ? each((v, g) => v * momentum + g, velocity, grad) : grad;
    const move = nesterov ? each((g, v) => g + momentum * v, grad, velocity) : velocity;
    return { state: momentum ? { velocity } : {}, next: each((p, m) => p + -lr * m, w, move) };
  };
}

function adam({ lr }) {
  let [average, square, n] = [[0, 0], [0, 0], 0];
  const [beta1, beta2] = BETAS;
  return (w, grad) => {
    n++;
    average = each((a, g) => a + (1 - beta1) * (g - a), average, grad);
    square = each((s, g) => s * beta2 + (1 - beta2) * g * g, square, grad);
    const [size, root] = [lr / (1 - power(beta1, n)), Math.sqrt(1 - power(beta2, n))];
    const next = each((p, a, s) => p + (-size * a) / (Math.sqrt(s) / root + EPS), w, average, square);
    return { state: { exp_avg: average, exp_avg_sq: square }, next };
  };
}

export const OPTIMIZERS = { SGD: sgd, Adam: adam };

const refuse = (message) => {
  throw new TorchError("ValueError", message);
};

/** Take what torch takes, or throw its error. */
function check({ optimizer, lr, momentum, nesterov }) {
  if (lr < 0) refuse(`Invalid learning rate: ${repr(lr)}`);
  if (optimizer === "Adam") return;
  if (momentum < 0) refuse(`Invalid momentum value: ${repr(momentum)}`);
  if (nesterov && !momentum) refuse("Nesterov momentum requires a momentum and zero dampening");
}

/**
 * Descend: `{w, loss, grad, state, next}` for each of the steps, where `grad` is what the optimizer finds in `w.grad`,
 * the sum of all gradients so far if it is never cleared, and `slope` the gradient at w alone. Throws what torch raises.
 */
export function descend({ landscape, k, start, steps, clears, ...settings }) {
  check(settings);
  const step = OPTIMIZERS[settings.optimizer](settings);
  const taken = [];
  let [w, grad] = [start];
  for (let n = 0; n < steps; n++) {
    const slope = landscape.gradient(...w, k);
    grad = grad && !clears ? each((sum, g) => sum + g, grad, slope) : slope;
    taken.push({ w, loss: landscape.loss(...w, k), slope, grad, ...step(w, grad) });
    w = taken.at(-1).next;
  }
  return taken;
}

/** The number of the first step from which on neither the slope nor the move exceeds `small`, or -1. */
export function restsFrom(taken, small) {
  const isRest = ({ w, slope, next }) =>
    slope.every((g, i) => Math.abs(g) <= small && Math.abs(next[i] - w[i]) <= small);
  const last = taken.findLastIndex((step) => !isRest(step));
  return last + 1 < taken.length ? last + 1 : -1;
}

/** The rate up to which SGD converges where a loss curves by at most k: Goh, Why Momentum Really Works, 2017. */
export const largestRate = ({ k, momentum, nesterov }) => (2 * (1 + momentum)) / (nesterov ? 1 + 2 * momentum : 1) / k;
