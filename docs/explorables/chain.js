/** Reads a chain of operations as Python writes it, `x.T[1:].reshape(2, -1)`, and runs it one step at a time. */

import { NUMBER, pieces, readNumbers, Unread } from "./read.js";
import * as views from "./views.js";

/** How many numbers a method takes, from and to, or null where that depends on the tensor. */
const METHODS = {
  permute: null,
  transpose: [2, 2],
  reshape: null,
  view: null,
  flatten: [0, 2],
  squeeze: null,
  unsqueeze: [1, 1],
  expand: null,
  contiguous: [0, 0],
};
const UNDERSTOOD =
  `Understood are ${Object.keys(METHODS).join(", ")} with whole numbers in parentheses, T, mT, and brackets with ` +
  "numbers, slices, None and one ...";

// A name with or without arguments, or an index. What these enclose stays whole, for messages quote it.
const STEP = /^\s*(?:\.\s*([A-Za-z]\w*)\s*(\((?:[^()]|\([^()]*\))*\))?|\[((?:[^[\]]|\[[^[\]]*\])*)\])/;

/** The operation that a method does with its arguments, or nothing where Python would not take them. */
function readMethod(name, given) {
  const method = views[name];
  if (!given) return ["T", "mT"].includes(name) && method;
  const inside = given.slice(1, -1).trim();
  const values = readNumbers(inside);
  if (!values || !Object.hasOwn(METHODS, name)) return undefined;
  const [least, most] = METHODS[name] ?? [];
  if (least === undefined) {
    if (!inside && name !== "squeeze") return undefined;
    return (tensor) => method(tensor, inside ? values : undefined);
  }
  const fits = values.length >= least && values.length <= most && !/[([]/.test(inside);
  return fits && ((tensor) => method(tensor, ...values));
}

/** An item as `views.index` takes it, or nothing where it is something else. */
function readItem(text) {
  if (text === "...") return text;
  if (text === "None") return null;
  if (NUMBER.test(text)) return Number(text);
  const ends = text.split(":").map((end) => end.trim());
  if (ends.length < 2 || ends.length > 3 || !ends.every((end) => !end || NUMBER.test(end))) return undefined;
  const [start, stop, step] = ends.map((end) => (end ? Number(end) : undefined));
  return { start, stop, step };
}

function readIndex(inside) {
  const items = pieces(inside).map(readItem);
  const dots = items.filter((item) => item === "...").length;
  if (!items.length || items.includes(undefined) || dots > 1) return undefined;
  return (tensor) => views.index(tensor, items, !inside.includes(","));
}

/** The operations of a chain, `{text, name, operation}`, one after the other. Throws `Unread` at what is none. */
function* readChain(text) {
  let rest = text.trim().replace(/^x(?!\w)|^(?=\w)/, (x) => (x ? "" : "."));
  while (rest.trim()) {
    const [piece, name, given, inside = ""] = STEP.exec(rest) ?? [rest];
    const operation = name ? readMethod(name, given) : readIndex(inside);
    if (!operation) throw new Unread(piece.trim(), UNDERSTOOD);
    yield { text: piece.trim(), name, operation };
    rest = rest.slice(piece.length);
  }
}

/** What an operation did to the memory: made a view or a copy, or returned the tensor it was called on. */
function memory(before, after) {
  if (after === before) return "the same tensor";
  return after.storage === before.storage ? `view of ${after.storage.name}` : "copy";
}

/** What torch calls deprecated. It warns, and goes on. */
const isDeprecated = (name, { shape }) => (name === "T" && shape.length !== 2) || (name === "mT" && !shape.length);

/**
 * Run a chain on x. Returns the steps that ran, `{text, tensor, memory, deprecated}` with x itself first, and as
 * `failed` what stopped the chain, `{text, error}`: a `TorchError`, or `Unread`.
 */
export function run(x, chain) {
  const steps = [{ text: "x", tensor: x, memory: "storage of x" }];
  let at;
  let copies = 0;
  try {
    for (const { text, name, operation } of readChain(chain)) {
      at = text;
      const before = steps.at(-1).tensor;
      const tensor = operation(before);
      const { shape, storage } = tensor;
      if (views.count(shape) > 256 || shape.length > 6 || shape.some((size) => size < 0)) {
        throw new Unread(text, `At most 256 elements in 6 dimensions. This is ${views.tuple(shape)}.`, "Not drawn");
      }
      if (storage !== before.storage && ++copies > 1) storage.name = `copy ${copies}`;
      steps.push({ text, tensor, memory: memory(before, tensor), deprecated: isDeprecated(name, before) });
    }
  } catch (error) {
    return { steps, failed: { text: error.piece ?? at, error } };
  }
  return { steps };
}
