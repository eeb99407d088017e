/** The arithmetic of broadcasting: how torch lines up two shapes, which elements meet, and what goes wrong unnoticed. */

import { TorchError } from "./torch-error.js";
import { count, dense, expand } from "./views.js";

/**
 * Two shapes lined up from the right: `{a, b, size}` for each dimension. A missing size is undefined, and so is the
 * size of the result where two do not fit.
 */
export function align(a, b) {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, dim) => {
    const [m, n] = [a, b].map((shape) => shape[dim - rank + shape.length]);
    return { a: m, b: n, size: meet(m, n) };
  });
}

/** What comes of two sizes that meet. Even a 0 repeats a 1, which then is gone. */
function meet(m = 1, n = 1) {
  if (m === n || n === 1) return m;
  return m === 1 ? n : undefined;
}

/** The broadcast shape, or the error of the last dimension that does not fit. */
export function broadcast(a, b) {
  const dimensions = align(a, b);
  const refused = dimensions.findLastIndex(({ size }) => size === undefined);
  if (refused >= 0) {
    const { a: m, b: n } = dimensions[refused];
    throw new TorchError(
      "RuntimeError",
      `The size of tensor a (${m}) must match the size of tensor b (${n}) at non-singleton dimension ${refused}`,
    );
  }
  return dimensions.map(({ size }) => size);
}

/** The strides with which a tensor of one shape, in order in its storage, walks through another. */
export const stridesIn = (result, shape) => expand({ shape, stride: dense(shape) }, result).stride;

/** The index of the element that is found at an index of the broadcast shape. */
export const met = (index, shape) =>
  shape.map((size, dim) => (size === 1 ? 0 : index[dim + index.length - shape.length]));

/** How many in a each meet as many in b, where both have the same sizes but for ones. 0 where that is not so. */
export function pairs(a, b) {
  const sizes = (shape) => String(shape.filter((size) => size !== 1));
  const each = count(broadcast(a, b)) / count(a);
  return sizes(a) === sizes(b) && each > 1 ? each : 0;
}

/** Where `short` finds its own sizes in `long`: the dimension that its first one meets, from the right. */
export function fits(short, long) {
  if (!short.some((size) => size > 1)) return [];
  const firsts = Array.from({ length: Math.max(long.length - short.length + 1, 0) }, (_, n) => n).reverse();
  return firsts.filter((first) => short.every((size, dim) => size === 1 || size === long[first + dim]));
}
