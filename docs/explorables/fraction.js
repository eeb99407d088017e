/** Exact arithmetic: a fraction is `{n, d}`, two BigInts of which d is above 0. Nothing is ever rounded by accident. */

export const whole = (n) => ({ n: BigInt(n), d: 1n });
export const power = (base, exponent) =>
  exponent < 0 ? { n: 1n, d: BigInt(base) ** BigInt(-exponent) } : whole(BigInt(base) ** BigInt(exponent));

export const add = (a, b) => ({ n: a.n * b.d + b.n * a.d, d: a.d * b.d });
export const negative = ({ n, d }) => ({ n: -n, d });
export const subtract = (a, b) => add(a, negative(b));
export const multiply = (a, b) => ({ n: a.n * b.n, d: a.d * b.d });
export const divide = (a, b) => (b.n < 0n ? divide(negative(a), negative(b)) : { n: a.n * b.d, d: a.d * b.n });
export const size = (a) => (a.n < 0n ? negative(a) : a);

/** Below, at or above 0 as a is below, at or above b. */
export function compare(a, b) {
  const { n } = subtract(a, b);
  return n < 0n ? -1 : Number(n > 0n);
}

export const same = (a, b) => compare(a, b) === 0;
export const middle = (a, b) => divide(add(a, b), whole(2));

/** A fraction without what stands behind its point. */
export const truncate = ({ n, d }) => n / d;

/** The largest whole e with base ** e at most a fraction above 0. */
export function logarithm({ n, d }, base) {
  const length = (number) => number.toString(base).length;
  const e = length(n) - length(d);
  return compare({ n, d }, power(base, e)) < 0 ? e - 1 : e;
}

/** The whole number nearest to a fraction that is not below 0. Of two it is the even one, or the upper. */
export function nearest({ n, d }, half = "even") {
  const [floor, rest] = [n / d, 2n * (n % d)];
  const up = rest > d || (rest === d && (half === "up" || floor % 2n === 1n));
  return floor + BigInt(up);
}

/** How far x lies on the way from a to b, as a plain number. */
export const way = (x, a, b) => {
  const { n, d } = divide(subtract(x, a), subtract(b, a));
  return Number((n * 1_000_000n) / d) / 1_000_000;
};
