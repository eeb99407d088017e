/** Reads a number as Python does, `2**24 + 1`, `0.1 + 0.2`, `0xff`, and writes numbers as Python does. */

import * as fractions from "./fraction.js";
import { fromNumber, toNumber } from "./floats.js";
import { evaluate } from "./grammar.js";
import { repr as pythonFloat, written } from "./python-float.js";
import { Unread } from "./read.js";

const UNDERSTOOD = "Understood are numbers as Python writes them, inf, nan, and + - * / ** with parentheses.";
const TOKEN =
  /\s*(?:(0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+)|((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(\*\*|[-+*/()]))\s*/y;
/** The most binary digits of a whole number, and decimal ones of an exponent. */
const LARGEST = 4000;

/** A number as Python holds it, a BigInt for int and a number for float, and exactly what was written. */
const value = (python, exact) => ({ python, exact });
const int = (n) => value(n, fractions.whole(n));
const asFloat = (python) => (typeof python === "bigint" ? Number(python) : python);

function literal(hex, text) {
  if (/^0+[1-9]\d*$/.test(text)) throw new Unread(text, "Python writes an int without a 0 before it.");
  if (hex || /^\d+$/.test(text)) return int(BigInt(hex ?? text));
  const [digits, exponent = 0] = text.toLowerCase().split("e");
  if (Math.abs(exponent) > LARGEST) throw new Unread(text, `Exponents go up to ${LARGEST}.`, "Not shown");
  const [before, after = ""] = digits.split(".");
  const scale = fractions.power(10, Number(exponent) - after.length);
  return value(Number(text), fractions.multiply(fractions.whole(before + after), scale));
}

/** What Python makes of `a operator b`. What it would raise, or make an inf of, is not shown. */
function operate(operator, a, b) {
  const isInt = [a, b].every(({ python }) => typeof python === "bigint");
  if (operator === "**") return raise(a, b);
  if (operator === "/" && !b.exact.n) throw new Unread("/", "Python does not divide by 0.", "Not shown");
  const { add, subtract, multiply, divide } = fractions;
  const exact = { "+": add, "-": subtract, "*": multiply, "/": divide }[operator](a.exact, b.exact);
  if (isInt && operator !== "/") return int(exact.n);
  const [x, y] = [a, b].map(({ python }) => asFloat(python));
  const divided = isInt && toNumber({ isNegative: exact.n < 0n, size: fractions.size(exact) });
  const python = { "+": x + y, "-": x - y, "*": x * y, "/": isInt ? divided : x / y }[operator];
  if (!Number.isFinite(python)) throw new Unread(operator, "This is too large for a float of Python.", "Not shown");
  return value(python, exact);
}

/** Powers of whole numbers. Below 0 only those of two, which floats hold exactly. */
function raise({ python: base }, { python: exponent }) {
  const isInt = typeof base === "bigint" && typeof exponent === "bigint";
  if (!isInt || (exponent < 0n && base !== 2n)) {
    throw new Unread("**", "Powers are those of whole numbers. A negative exponent goes with 2.", "Not shown");
  }
  if (Math.abs(Number(exponent)) * base.toString(2).length > LARGEST) {
    throw new Unread("**", `Powers have up to ${LARGEST} binary digits.`, "Not shown");
  }
  const exact = fractions.power(base, Number(exponent));
  return exponent < 0n ? value(2 ** Number(exponent), exact) : int(exact.n);
}

/** The tokens of an expression, `{operator}` or `{value}`. */
function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const [token, hex, decimal, operator] = TOKEN.exec(text) ?? [];
    if (token === undefined) throw new Unread(text.slice(start), UNDERSTOOD);
    found.push(operator ? { operator } : { value: literal(hex, decimal) });
  }
  return found;
}

function negate({ python, exact }) {
  return value(-python, fractions.negative(exact));
}

/**
 * Read a number: `{text, code, isInt, python, exact}`, where `code` is how a program has it, `python` what Python makes
 * of it and `exact` what is written, both as reals. Throws `Unread`.
 */
export function readNumber(typed) {
  const text = typed.trim().replace(/(?<=[\da-fA-F])_(?=[\da-fA-F])/g, "");
  const [, sign, name] = /^([+-]?)(inf|nan)$/.exec(text) ?? [];
  if (name === "inf" || (name && !sign)) {
    const real = { isNegative: sign === "-", size: name };
    return { text, code: `${sign}torch.${name}`, isInt: false, python: real, exact: real };
  }
  const { python, exact } = evaluate(tokens(text), {
    read: (token) => token.value,
    operate,
    sign: (operator, a) => (operator === "+" ? a : negate(a)),
    refuse: () => {
      throw new Unread(text, UNDERSTOOD);
    },
  });
  const real = fromNumber(python);
  const isNegative = exact.n ? exact.n < 0n : real.isNegative;
  const isInt = typeof python === "bigint";
  return { text, code: text, isInt, python: real, exact: { isNegative, size: fractions.size(exact) } };
}

/** A real as Python prints it: an int, or the shortest text that gives its float64. */
export function repr(real, isInt) {
  const sign = real.isNegative ? "-" : "";
  if (typeof real.size === "string") return sign + real.size;
  if (isInt) return sign + real.size.n;
  return sign + pythonFloat(Math.abs(toNumber(real)));
}

/** A fraction with three digits, or as a whole number where it is one of at most six. */
export function brief(fraction) {
  const { n, d } = fractions.size(fraction);
  const sign = fraction.n < 0n ? "-" : "";
  if (n % d === 0n && n / d < 1_000_000n) return sign + n / d;
  let exponent = fractions.logarithm({ n, d }, 10);
  let digits = fractions.nearest(fractions.divide({ n, d }, fractions.power(10, exponent - 2)), "up");
  if (digits === 1000n) [digits, exponent] = [100n, exponent + 1];
  return sign + written(String(digits).replace(/0+$/, ""), exponent).replace(/\.0$/, "");
}

/** All decimal digits of a stored real, which is a whole number over a power of two. */
export function decimal({ isNegative, size: { n, d } }) {
  const places = d.toString(2).length - 1;
  const digits = String(n * 5n ** BigInt(places)).padStart(places + 1, "0");
  const [before, after] = [digits.slice(0, digits.length - places), digits.slice(digits.length - places)];
  return `${isNegative ? "-" : ""}${before}.${after.replace(/0+$/, "") || "0"}`;
}
