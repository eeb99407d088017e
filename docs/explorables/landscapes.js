/**
 * Losses of two weights x and y. Each is `{name, code, loss, gradient, middle, width, level}`: the line of Python, its
 * value, and the derivatives by hand, multiplied and added in the order in which autograd does it. The picture is
 * `width` wide around its `middle`, and contours lie where `level` is halfway between two whole numbers. A descent starts
 * at `start` with the rate `lr`, unless a reader asks for something else.
 */

import { repr } from "./python-float.js";

/** Contours that lie close in the valleys and wide on the slopes: `near` tells from which loss on they thin out. */
const contours = (near, density) => ({
  level: (loss) => density * Math.asinh(loss / near),
  lossAt: (level) => near * Math.sinh(level / density),
});

/** The height of a picture, as part of its width. */
export const ASPECT = 0.8;

export const LANDSCAPES = {
  valley: {
    name: "a narrow valley",
    code: (k) => `x**2 / 2 + ${repr(k)} * y**2 / 2`,
    loss: (x, y, k) => (x * x) / 2 + (k * (y * y)) / 2,
    gradient: (x, y, k) => [0.5 * (2 * x), 0.5 * k * (2 * y)],
    middle: [0, 0],
    start: [4, 1],
    lr: 0.09,
    width: 10,
    ...contours(0.5, 1.8),
  },
  rosenbrock: {
    name: "a curved valley, of Rosenbrock",
    code: () => "(1 - x)**2 + 100 * (y - x**2)**2",
    loss(x, y) {
      const [a, b] = [1 - x, y - x * x];
      return a * a + 100 * (b * b);
    },
    gradient(x, y) {
      const [a, b] = [2 * (1 - x), 100 * (2 * (y - x * x))];
      return [-a + -b * (2 * x), b];
    },
    middle: [0, 0.8],
    start: [-1.5, 2],
    lr: 0.001,
    width: 4,
    ...contours(0.4, 1.6),
  },
  saddle: {
    name: "a saddle",
    code: () => "x**2 - y**2",
    loss: (x, y) => x * x - y * y,
    gradient: (x, y) => [2 * x, -(2 * y)],
    middle: [0, 0],
    start: [2, 0.5],
    lr: 0.1,
    width: 5,
    ...contours(1.5, 4),
  },
  himmelblau: {
    name: "four minima, of Himmelblau",
    code: () => "(x**2 + y - 11)**2 + (x + y**2 - 7)**2",
    loss(x, y) {
      const [a, b] = [x * x + y - 11, x + y * y - 7];
      return a * a + b * b;
    },
    gradient(x, y) {
      const [a, b] = [2 * (x * x + y - 11), 2 * (x + y * y - 7)];
      return [a * (2 * x) + b, a + b * (2 * y)];
    },
    middle: [0, 0],
    start: [0, 0],
    lr: 0.01,
    width: 12,
    ...contours(15, 2.5),
  },
  kink: {
    name: "a kink, |x| + |y|",
    code: () => "x.abs() + y.abs()",
    loss: (x, y) => Math.abs(x) + Math.abs(y),
    gradient: (x, y) => [Math.sign(x), Math.sign(y)],
    middle: [0, 0],
    start: [2, 1.1],
    lr: 0.3,
    width: 5,
    ...contours(20, 50),
  },
};

/** The four sides of the picture of a landscape. */
export function sides({ middle: [x, y], width }) {
  const height = width * ASPECT;
  return { left: x - width / 2, right: x + width / 2, bottom: y - height / 2, top: y + height / 2 };
}
