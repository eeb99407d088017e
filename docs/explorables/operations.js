/** The operations that torch records: the node of each, its value, what it saves, and its way back. */

/** As in C, where a base of 1 makes 1 of anything. */
const power = (x, n) => (x === 1 ? 1 : x ** n);
const powerToBase = (g, x, n) => (n === 0 ? 0 : g * (n * power(x, n - 1)));
const powerToExponent = (g, y, x, n) => g * (x === 0 && n >= 0 ? 0 : y * Math.log(x));

/** `gradients(g, y, ...inputs)` makes of the gradient for the result y those for the inputs. */
const operation = (node, value, gradients, saves = []) => ({ node, value, gradients, saves: () => saves });

export const add = operation(
  "AddBackward0",
  (a, b) => a + b,
  (g) => [g, g],
);
export const subtract = operation(
  "SubBackward0",
  (a, b) => a - b,
  (g) => [g, -g],
);
/** A product and a quotient save an input where another wants a gradient that takes it. */
export const multiply = {
  ...operation(
    "MulBackward0",
    (a, b) => a * b,
    (g, y, a, b) => [g * b, g * a],
  ),
  saves: (a, b) => [b && "self", a && "other"].filter(Boolean),
};
export const divide = {
  ...operation(
    "DivBackward0",
    (a, b) => a / b,
    (g, y, a, b) => [g / b, -g * (a / b / b)],
  ),
  saves: (a, b) => (b ? ["self", "other"] : ["other"]),
};
export const raise = operation(
  "PowBackward1",
  power,
  (g, y, x, n) => [powerToBase(g, x, n), powerToExponent(g, y, x, n)],
  ["self", "exponent", "result"],
);

/** Those of which one side is a number, for which their nodes have no edge. */
export const raiseTo = (n) =>
  operation(
    "PowBackward0",
    (x) => power(x, n),
    (g, y, x) => [powerToBase(g, x, n)],
    ["self"],
  );
export const powerOf = (n) =>
  operation(
    "PowBackward2",
    (x) => power(n, x),
    (g, y, x) => [powerToExponent(g, y, n, x)],
    ["exponent", "result"],
  );
export const subtractFrom = (n) =>
  operation(
    "RsubBackward1",
    (x) => n - x,
    (g) => [-g],
  );

export const negate = operation(
  "NegBackward0",
  (x) => -x,
  (g) => [-g],
);
export const reciprocal = operation(
  "ReciprocalBackward0",
  (x) => 1 / x,
  (g, y) => [-g * (y * y)],
  ["result"],
);

/** The functions that a reader can call, by name. */
export const FUNCTIONS = {
  exp: operation("ExpBackward0", Math.exp, (g, y) => [g * y], ["result"]),
  log: operation("LogBackward0", Math.log, (g, y, x) => [g / x], ["self"]),
  sin: operation("SinBackward0", Math.sin, (g, y, x) => [g * Math.cos(x)], ["self"]),
  cos: operation("CosBackward0", Math.cos, (g, y, x) => [g * -Math.sin(x)], ["self"]),
  tanh: operation("TanhBackward0", Math.tanh, (g, y) => [g * (1 - y * y)], ["result"]),
  sigmoid: operation(
    "SigmoidBackward0",
    (x) => 1 / (1 + Math.exp(-x)),
    (g, y) => [g * (1 - y) * y],
    ["result"],
  ),
  relu: operation(
    "ReluBackward0",
    (x) => Math.max(x, 0),
    (g, y) => [y <= 0 ? 0 : g],
    ["result"],
  ),
  sqrt: operation("SqrtBackward0", Math.sqrt, (g, y) => [g / (2 * y)], ["result"]),
  abs: operation("AbsBackward0", Math.abs, (g, y, x) => [g * (Math.sign(x) || 0)], ["self"]),
  square: raiseTo(2),
};
