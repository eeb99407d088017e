/** What a chain of elementwise operations reads, writes and computes, one by one and fused into one kernel. */

import { pieces, Unread } from "./read.js";

/** Bytes of one element. */
export const DTYPES = { float32: 4, float64: 8, float16: 2, bfloat16: 2 };
/** Batch norm keeps four numbers for each channel: mean, variance, weight and bias. */
export const CHANNELS = 64;
const KEPT = 4;
const LONGEST = 12;

/** Arithmetic per element. In eval mode a batch norm is one product and one sum. The hard ones are series. */
const EASY = { relu: 1, batch_norm: 2 };
const HARD = ["exp", "tanh", "sigmoid"];
/** A number as Python writes it, with at most nine digits before its point. */
const OPERAND = /^([-+*/])\s*(x|r|[-+]?(?:(?:0|[1-9]\d{0,8})(?:\.\d*)?|\.\d+))$/;

/** A step of a chain: how it is written, its operations per element, and which tensors it reads besides y. */
function readStep(text) {
  if (HARD.includes(text)) return { text, isHard: true, reads: [] };
  if (Object.hasOwn(EASY, text)) return { text, cost: EASY[text], reads: text === "batch_norm" ? ["norm"] : [] };
  const [, operator, operand] = OPERAND.exec(text) ?? [];
  if (!operator) {
    const known = [...Object.keys(EASY), ...HARD].join(", ");
    throw new Unread(text, `Steps are ${known}, or + - * / with a number or one of the tensors x and r.`);
  }
  return { text: `${operator} ${operand}`, cost: 1, reads: /[xr]/.test(operand) ? [operand] : [] };
}

/** The steps of `relu, + 3, * r`. Throws `Unread` for what is none. */
export function readChain(text) {
  const steps = pieces(text).map(readStep);
  if (!steps.length) throw new Unread("", "A chain has at least one step, such as relu.");
  if (steps.length > LONGEST)
    throw new Unread(`${steps.length} steps`, `Chains here have up to ${LONGEST}.`, "Not drawn");
  return steps;
}

/** How many elements `1048576` or `2**20` are. Throws `Unread` for a size that is not drawn. */
export function readElements(text, dtype) {
  const [, power] = /^2\*\*(\d{1,2})$/.exec(text.trim()) ?? [];
  const elements = power ? 2 ** power : Number(/^\s*\d{1,15}\s*$/.test(text) ? text : NaN);
  if (Number.isNaN(elements)) throw new Unread(text, "A whole number stands here, such as 1048576 or 2**20.");
  const [low, high] = sizes(dtype);
  if (elements < low || elements > high)
    throw new Unread(text, `Tensors of ${dtype} have ${low} to ${high} elements here: 64 KB to 512 MB.`, "Not drawn");
  if (elements % CHANNELS)
    throw new Unread(text, `x has ${CHANNELS} channels, so take a multiple of that.`, "Not drawn");
  return elements;
}

/** The fewest and the most elements that are drawn. */
export const sizes = (dtype) => [2 ** 16, 2 ** 29].map((bytes) => bytes / DTYPES[dtype]);

/**
 * Each step of a chain as a call of its own, and the chain as one call: its bytes in (`reads`) and out (`writes`), and
 * its operations (`work`). A tensor that a call reads twice counts once, and `hard` is what exp and its like take.
 */
export function traffic(steps, { elements, dtype, hard }) {
  const whole = elements * DTYPES[dtype];
  const bytes = (names) =>
    [...new Set(names)].reduce((sum, name) => sum + (name === "norm" ? KEPT * CHANNELS * DTYPES[dtype] : whole), 0);
  const eager = steps.map(({ text, isHard, cost, reads }, n) => ({
    text,
    reads: bytes([n ? "y" : "x", ...reads]),
    writes: whole,
    work: elements * (isHard ? hard : cost),
  }));
  const fused = {
    reads: bytes(["x", ...steps.flatMap(({ reads }) => reads)]),
    writes: whole,
    work: eager.reduce((sum, { work }) => sum + work, 0),
  };
  return { eager, fused };
}

/**
 * How long calls take, one after the other, in seconds, and what takes most of it: `memory`, `compute` or `overhead`.
 * A call waits for its overhead, and then for whatever is slower, moving its bytes or computing (Williams, Waterman
 * and Patterson, "Roofline", 2009). Bytes and operations are per second.
 */
export function predict(calls, { bandwidth, rate, overhead }) {
  const spent = { memory: 0, compute: 0, overhead: 0 };
  for (const { reads, writes, work } of calls) {
    const [moving, computing] = [(reads + writes) / bandwidth, work / rate];
    spent.overhead += overhead;
    spent[moving >= computing ? "memory" : "compute"] += Math.max(moving, computing);
  }
  const sum = (key) => calls.reduce((all, call) => all + call[key], 0);
  const [reads, writes, work] = ["reads", "writes", "work"].map(sum);
  const time = spent.memory + spent.compute + spent.overhead;
  const bound = Object.keys(spent).reduce((most, cause) => (spent[cause] > spent[most] ? cause : most));
  return { reads, writes, bytes: reads + writes, work, time, bound };
}
