/**
 * The arithmetic of matrix products: which sizes meet, stay and vanish, which row meets which column, and what torch
 * raises. A shape is the shape of `torch.arange(1, n + 1).view(shape)`.
 */

import { align, broadcast, met } from "./broadcast.js";
import { TorchError } from "./torch-error.js";
import { count, dense } from "./views.js";

/** Both shapes as matmul takes them: a vector is a row on the left, and a column on the right. */
export const asMatrices = (a, b) => [a.length === 1 ? [1, ...a] : a, b.length === 1 ? [...b, 1] : b];

const batchOf = (shape) => shape.slice(0, -2);

/** How the shapes line up: their batch dimensions, the rows of a, the two sizes that meet, and the columns of b. */
export function lineUp(a, b) {
  const [left, right] = asMatrices(a, b);
  return {
    batch: align(batchOf(left), batchOf(right)),
    rows: left.at(-2),
    inner: [left.at(-1), right.at(-2)],
    columns: right.at(-1),
  };
}

/** The shape of `a @ b`, or torch's error. */
export function multiply(a, b) {
  if (!a.length || !b.length) {
    const ranks = `${a.length}D and ${b.length}D`;
    refuse(`both arguments to matmul need to be at least 1D, but they are ${ranks}`);
  }
  const [left, right] = asMatrices(a, b);
  const batch = broadcast(batchOf(left), batchOf(right));
  if (left.at(-1) !== right.at(-2)) refuseInner(a, b, count(batch));
  return [...batch, ...a.slice(-2, -1), ...(b.length > 1 ? b.slice(-1) : [])];
}

function refuse(message, note) {
  throw Object.assign(new TorchError("RuntimeError", message), { note });
}

/** Refuse the sizes that meet and differ. The words are those of the product that torch chooses for the ranks. */
function refuseInner(a, b, batch) {
  const [m, n] = lineUp(a, b).inner;
  const rows = count(a.slice(0, -1));
  if (a.length === 1 && b.length === 1) {
    const sizes = `expected tensor [${m}] and src [${n}] to have the same number of elements`;
    refuse(`inconsistent tensor size, ${sizes}, but got ${m} and ${n} elements respectively`);
  }
  if (b.length === 1) refuse(`size mismatch, got input (${rows}), mat (${rows}x${m}), vec (${n})`);
  if (b.length === 2) {
    const message = `mat1 and mat2 shapes cannot be multiplied (${rows}x${m} and ${n}x${b[1]})`;
    refuse(`mm: ${message}`, `Before torch 2.15: ${message}`);
  }
  const matrix = (size) => `[${batch}, ${size}]`;
  const many = `Expected size for first two dimensions of batch2 tensor to be: ${matrix(m)} but got: ${matrix(n)}.`;
  if (a.length > 1) refuse(many);
  // A vector and a batch: where that takes no copy, torch makes one matrix of all columns. Since 2.14 it finds more such.
  const columns = batch * b.at(-1);
  const one = `size mismatch, got input (${columns}), mat (${columns}x${n}), vec (${m})`;
  if (!count(b) || n === 1) refuse(one);
  if (batch === 1 || b.at(-1) === 1) refuse(one, `Before torch 2.14: ${many}`);
  refuse(many);
}

/** The element of a tensor at an index. */
export const valueAt = (shape, index) => dense(shape).reduce((value, step, dim) => value + step * index[dim], 1);

/** The matrices that make an element of the result, and the one that it is in: their indices in front. */
export function matricesOf(a, b, index) {
  const result = index.slice(0, lineUp(a, b).batch.length);
  const [ofA, ofB] = asMatrices(a, b).map((shape) => met(result, batchOf(shape)));
  return { a: ofA, b: ofB, result };
}

/** The row of a and the column of b that meet in an element of the result: the index of each of their elements. */
export function meeting(a, b, index) {
  const leads = matricesOf(a, b, index);
  const row = a.length > 1 ? [...leads.a, index[leads.result.length]] : [];
  const column = b.length > 1 ? index.slice(-1) : [];
  const places = [...Array(a.at(-1)).keys()];
  return { row: places.map((k) => [...row, k]), column: places.map((k) => [...leads.b, k, ...column]) };
}
