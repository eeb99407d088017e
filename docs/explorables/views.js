/**
 * The arithmetic of views: what torch makes of shapes, strides and offsets.
 *
 * A tensor is `{shape, stride, offset, storage}`, a storage is `{values, name}`. An operation returns a new tensor,
 * or the same one where torch does, and throws a `TorchError` where torch raises.
 */

import { TorchError } from "./torch-error.js";

function raise(name, message) {
  throw new TorchError(name, message);
}

/** Numbers as Python writes a tuple: `(2, 3)`, `(2,)`, `()`. */
export const tuple = (numbers) => `(${numbers.join(", ")}${numbers.length === 1 ? "," : ""})`;
const list = (numbers) => `[${numbers.join(", ")}]`;

/** How many elements a shape has. */
export const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** `torch.arange(n).reshape(shape)` for the n that fits: place p of its storage holds p. */
export const arange = (shape) => fresh(shape, [...Array(count(shape)).keys()], "x");

const fresh = (shape, values, name) => ({ shape, stride: dense(shape), offset: 0, storage: { values, name } });

/** The strides without a jump. A dimension of size 0 counts as one place. */
export function dense(shape) {
  const stride = shape.map(() => 1);
  for (let dim = shape.length - 1; dim > 0; dim--) stride[dim - 1] = stride[dim] * Math.max(shape[dim], 1);
  return stride;
}

/** `is_contiguous()`. The stride of a dimension of size 1 is never walked, so it may be anything. */
export function isContiguous({ shape, stride }) {
  const expected = dense(shape);
  return count(shape) === 0 || shape.every((size, dim) => size === 1 || stride[dim] === expected[dim]);
}

/** The index of the nth element, last dimension fastest. */
export function indexOf(n, shape) {
  const index = [];
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    index[dim] = n % shape[dim];
    n = Math.floor(n / shape[dim]);
  }
  return index;
}

/** The place in the storage of every element, in order. */
export const places = ({ shape, stride, offset }) =>
  Array.from({ length: count(shape) }, (_, n) =>
    indexOf(n, shape).reduce((place, i, dim) => place + i * stride[dim], offset),
  );

/** A dimension counted from the front. A tensor of rank 0 takes 0 and -1. IndexError beyond. */
function wrap(dim, rank) {
  const size = rank || 1;
  if (dim < -size || dim >= size) {
    const range = `expected to be in range of [${-size}, ${size - 1}], but got ${dim}`;
    raise("IndexError", `Dimension out of range (${range})`);
  }
  return dim < 0 ? dim + size : dim;
}

/** The dimensions of a tensor that are named, in that order. */
const pick = (tensor, dims) => ({
  ...tensor,
  shape: dims.map((dim) => tensor.shape[dim]),
  stride: dims.map((dim) => tensor.stride[dim]),
});

const dimensions = ({ shape }) => [...shape.keys()];

/** Dimensions counted from the front, each named once. */
function distinct(dims, rank, complaint) {
  const found = [];
  for (const given of dims) {
    const dim = wrap(given, rank);
    if (found.includes(dim)) raise("RuntimeError", complaint(dim));
    found.push(dim);
  }
  return found;
}

export function permute(tensor, dims) {
  const rank = tensor.shape.length;
  if (dims.length !== rank) {
    raise(
      "RuntimeError",
      "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired " +
        `ordering of dimensions i.e. input.dim() = ${rank} is not equal to len(dims) = ${dims.length}`,
    );
  }
  return pick(tensor, distinct(dims, rank, () => "permute(): duplicate dims are not allowed."));
}

export function transpose(tensor, dim0, dim1) {
  const dims = dimensions(tensor);
  const [first, second] = [wrap(dim0, dims.length), wrap(dim1, dims.length)];
  if (dims.length) [dims[first], dims[second]] = [second, first];
  return pick(tensor, dims);
}

/** `.T`: all dimensions in reverse. */
export const T = (tensor) => pick(tensor, dimensions(tensor).reverse());

/** `.mT`: the last two dimensions swapped; a number as it is. */
export function mT(tensor) {
  const rank = tensor.shape.length;
  if (rank === 1) {
    raise("RuntimeError", "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.");
  }
  return rank ? transpose(tensor, -2, -1) : tensor;
}

/** The sizes with -1 worked out. RuntimeError if they do not hold the elements there are. */
function inferred(sizes, elements) {
  const known = count(sizes.filter((size) => size !== -1));
  const unknown = sizes.indexOf(-1);
  for (const [dim, size] of sizes.entries()) {
    if (size === -1 && dim !== unknown) raise("RuntimeError", "only one dimension can be inferred");
    if (size < -1) raise("RuntimeError", `invalid shape dimension ${size} at index ${dim} of shape ${list(sizes)}`);
  }
  const fits = unknown < 0 || !known ? known === elements : elements % known === 0;
  if (!fits) raise("RuntimeError", `shape '${list(sizes)}' is invalid for input of size ${elements}`);
  if (unknown >= 0 && !known) {
    raise(
      "RuntimeError",
      `cannot reshape tensor of 0 elements into shape ${list(sizes)} because the unspecified dimension size -1 can ` +
        "be any value and is ambiguous",
    );
  }
  return sizes.map((size) => (size === -1 ? elements / known : size));
}

/**
 * The strides with which `shape` walks a tensor's elements in their order, or null where none do. Dimensions that lie
 * end to end are one run of places with one step. A run can be cut anew, and two never merge.
 */
function strides({ shape: old, stride: steps }, shape) {
  if (!count(old)) return String(old) === String(shape) ? steps : dense(shape);
  const result = [];
  let to = shape.length - 1;
  let step = steps.at(-1) ?? 1;
  let run = 1;
  for (let dim = Math.max(old.length - 1, 0); dim >= 0; dim--) {
    run *= old[dim] ?? 1;
    if (dim && (old[dim - 1] === 1 || steps[dim - 1] === run * step)) continue;
    let filled = 1;
    for (; to >= 0 && (filled < run || shape[to] === 1); to--) {
      result[to] = filled * step;
      filled *= shape[to];
    }
    if (filled !== run) return null;
    step = steps[dim - 1];
    run = 1;
  }
  return result;
}

/** The elements in another shape: a view, or what `otherwise` makes where no strides lead through them. */
function recut(tensor, sizes, otherwise) {
  const shape = inferred(sizes, count(tensor.shape));
  const stride = strides(tensor, shape);
  return stride ? { ...tensor, shape, stride } : otherwise(tensor, shape);
}

const refuse = () =>
  raise(
    "RuntimeError",
    "view size is not compatible with input tensor's size and stride (at least one dimension spans across two " +
      "contiguous subspaces). Use .reshape(...) instead.",
  );

const copy = (tensor, shape) => fresh(shape, places(tensor).map((place) => tensor.storage.values[place]), "the copy");

export const view = (tensor, sizes) => recut(tensor, sizes, refuse);
export const reshape = (tensor, sizes) => recut(tensor, sizes, copy);
export const contiguous = (tensor) => (isContiguous(tensor) ? tensor : copy(tensor, tensor.shape));

export function flatten(tensor, start = 0, end = -1) {
  const { shape } = tensor;
  const [first, last] = [wrap(start, shape.length), wrap(end, shape.length)];
  if (first > last) raise("RuntimeError", "flatten() has invalid args: start_dim cannot come after end_dim");
  if (shape.length && first === last) return tensor;
  return reshape(tensor, [...shape.slice(0, first), count(shape.slice(first, last + 1)), ...shape.slice(last + 1)]);
}

/** Without dimensions of size 1; of these only the named ones, if some are named. */
export function squeeze(tensor, dims = dimensions(tensor)) {
  const complaint = (dim) => `dim ${dim} appears multiple times in the list of dims`;
  const named = distinct(dims, tensor.shape.length, complaint);
  return pick(tensor, dimensions(tensor).filter((dim) => tensor.shape[dim] !== 1 || !named.includes(dim)));
}

export function unsqueeze(tensor, dim) {
  const { shape, stride } = tensor;
  const at = wrap(dim, shape.length + 1);
  const step = at < shape.length ? shape[at] * stride[at] : 1; // never walked, but torch shows it
  return { ...tensor, shape: shape.toSpliced(at, 0, 1), stride: stride.toSpliced(at, 0, step) };
}

export function expand(tensor, sizes) {
  const { shape: old, stride: steps } = tensor;
  const added = sizes.length - old.length;
  if (added < 0) {
    raise(
      "RuntimeError",
      `expand(torch.LongTensor{${list(old)}}, size=${list(sizes)}): the number of sizes provided (${sizes.length}) ` +
        `must be greater or equal to the number of dimensions in the tensor (${old.length})`,
    );
  }
  const shape = [...sizes];
  const stride = sizes.map(() => 0);
  for (let dim = sizes.length - 1; dim >= 0 && old.length; dim--) {
    const size = old[dim - added] ?? 1;
    if (shape[dim] === -1 && dim < added) {
      const where = `isn't allowed in a leading, non-existing dimension ${dim}`;
      raise("RuntimeError", `The expanded size of the tensor (-1) ${where}`);
    }
    if (shape[dim] === -1) shape[dim] = size;
    if (size === shape[dim]) stride[dim] = steps[dim - added] ?? shape[dim + 1] * stride[dim + 1];
    else if (size !== 1) {
      raise(
        "RuntimeError",
        `The expanded size of the tensor (${shape[dim]}) must match the existing size (${size}) at non-singleton ` +
          `dimension ${dim}.  Target sizes: ${list(sizes)}.  Tensor sizes: ${list(old)}`,
      );
    }
  }
  if (overflows(shape)) raise("RuntimeError", "numel: integer multiplication overflow");
  return { ...tensor, shape, stride };
}

/** Whether torch, which multiplies sizes as unsigned numbers of 64 bits, finds too many: -2 is huge to it. */
function overflows(shape) {
  let product = 1n;
  for (const size of shape) {
    product *= BigInt.asUintN(64, BigInt(size));
    if (product >= 2n ** 64n) return true;
  }
  return product >= 2n ** 63n;
}

/**
 * `tensor[items]`. An item is a number, `null` for None, `"..."`, or a slice `{start, stop, step}` with parts that may
 * be undefined; `alone` says that Python gets the item itself and not a tuple with one.
 */
export function index(tensor, items, alone) {
  const rank = tensor.shape.length;
  const used = items.filter((item) => item !== null && item !== "...");
  if (!rank && alone && used.length) refuseIndex(used[0]);
  if (used.length > rank) raise("IndexError", `too many indices for tensor of dimension ${rank}`);
  let result = { ...tensor };
  let dim = 0;
  for (const [position, item] of items.entries()) {
    if (item === "...") dim += rank - used.length;
    else if (item === null) result = unsqueeze(result, dim++);
    else if (typeof item === "number") result = select(result, dim, item, position);
    else result = slice(result, dim++, item);
  }
  return result;
}

/** What torch says to an index of a tensor without dimensions. */
function refuseIndex(item) {
  if (item === 0) {
    raise(
      "IndexError",
      "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a " +
        "0-dim tensor to a number",
    );
  }
  checkIndex(item, 0, 0);
  checkStep(item.step);
  raise("IndexError", "slice() cannot be applied to a 0-dim tensor.");
}

function checkIndex(i, dim, size) {
  if (i < -size || i >= size) raise("IndexError", `index ${i} is out of bounds for dimension ${dim} with size ${size}`);
}

function checkStep(step) {
  if (step === 0) raise("ValueError", "slice step cannot be zero");
  if (step < 0) raise("ValueError", "step must be greater than zero");
}

/** One place of a dimension, which then is gone. torch's message counts items, not dimensions. */
function select(tensor, dim, i, position) {
  const size = tensor.shape[dim];
  checkIndex(i, position, size);
  const offset = tensor.offset + (i < 0 ? i + size : i) * tensor.stride[dim];
  return { ...pick(tensor, dimensions(tensor).filter((other) => other !== dim)), offset };
}

/** Every step-th place from start on, before stop. What lies outside is cut off, as in a list. */
function slice(tensor, dim, { start = 0, stop = Infinity, step = 1 }) {
  checkStep(step);
  const size = tensor.shape[dim];
  const inside = (i) => Math.min(Math.max(i < 0 ? i + size : i, 0), size);
  const first = inside(start);
  return {
    ...tensor,
    shape: tensor.shape.with(dim, Math.ceil(Math.max(inside(stop) - first, 0) / step)),
    stride: tensor.stride.with(dim, tensor.stride[dim] * step),
    offset: tensor.offset + first * tensor.stride[dim],
  };
}
