/** Says in words what became of a number, what its bits mean, and where it stands on the number line. */

import { stations } from "./casts.js";
import { fraction, isFinite, isPast, neighbour, place, real, round } from "./floats.js";
import { compare, middle, same, subtract, truncate, way, whole } from "./fraction.js";
import { repr } from "./number.js";

const write = (stored) => repr(real(stored), !stored.format.isFloat);
const last = (stored) => write({ ...stored, code: stored.format.last });

/** What became of a number when it was stored, by a cast or by `torch.tensor`. */
export function explain(number, isCast, stored) {
  return stored.format.isFloat ? explainFloat(number, isCast, stored) : explainInteger(number, stored);
}

function explainInteger({ isInt, text, python, exact }, stored) {
  const [n, cut] = [fraction(real(stored)).n, truncate(fraction(python))];
  if (n !== cut) return `Wrapped around: ${turned(n, cut, stored.format)}.`;
  if (!same(fraction(python), whole(n))) return "What stands behind the point is cut off.";
  if (!same(fraction(exact), whole(n))) return "Python rounded it to a float before.";
  return isInt && !n && text.startsWith("-") ? "The int -0 has no sign. Write -0.0 for a float." : "Exactly.";
}

/** `300 - 256 = 44`: how far a number was moved around the range. */
function turned(n, cut, { bits }) {
  const [turns, round] = [(cut - n) / 2n ** BigInt(bits), 2n ** BigInt(bits)];
  const times = turns < 0n ? -turns : turns;
  return `${cut} ${turns < 0n ? "+" : "-"} ${times === 1n ? "" : `${times} * `}${round} = ${n}`;
}

function explainFloat(number, isCast, stored) {
  const { isInt, text, python, exact } = number;
  const { format, code } = stored;
  const value = real(stored);
  if (exact.size === "nan") return "nan stands for no number.";
  if (!format.inf && isPast(format, python))
    return `Too far past the last number, ${last(stored)}, and this dtype has no inf.`;
  if (exact.size === "inf") return "inf stays inf.";
  if (python.size === "inf") return "Past the largest float64: Python makes it inf.";
  if (value.size === "inf") return `Too far past the last number, ${last(stored)}.`;
  if (isInt && !exact.size.n && text.startsWith("-")) return "The int -0 has no sign. Write -0.0 for a float.";
  if (same(fraction(exact), fraction(value))) return "Exactly.";
  const nearest = round(exact, format);
  if (nearest.code !== code) {
    const [, ...before] = stations(number, isCast, format)
      .map(({ name }) => name)
      .reverse();
    const why = before.length
      ? `It was rounded to ${before.reverse().join(" and ")} before.`
      : "Python rounded before.";
    return `Not the nearest, which is ${write(nearest)}. ${why}`;
  }
  if (!code) return "Too close to 0.";
  const other = neighbour(stored, compare(fraction(exact), place(stored)));
  const isTie = other && same(fraction(exact), middle(place(stored), place(other)));
  return isTie ? "Halfway between two numbers. The one whose last bit is 0 is stored." : "Rounded to the nearest.";
}

/** How far a stored number is from what was typed, or nothing where one of them is none. */
export function difference({ exact }, stored) {
  const value = real(stored);
  return isFinite(exact) && isFinite(value) ? subtract(fraction(value), fraction(exact)) : undefined;
}

/** The parts of the bits, `[name, number of bits]`, a formula as Python would compute it, and what to know. */
export function anatomy({ format, isNegative, code }) {
  const { bits, isSigned, isFloat, fractionBits, bias } = format;
  if (!isFloat) {
    const top = 2n ** BigInt(bits - 1);
    return {
      parts: isSigned
        ? [
            ["sign", 1],
            ["value", bits - 1],
          ]
        : [["value", bits]],
      formula: isNegative ? `-2**${bits - 1} + ${top - code}` : String(code),
      hint: isSigned
        ? `The first bit counts -2**${bits - 1}. Each of the others counts twice as much as the next.`
        : "Each bit counts twice as much as the next.",
    };
  }
  const parts = [
    ["sign", 1],
    ["exponent", bits - 1 - fractionBits],
    ["fraction", fractionBits],
  ];
  const [field, digits] = [code >> BigInt(fractionBits), code & ((1n << BigInt(fractionBits)) - 1n)];
  const [exponent, share] = [Number(field) - bias, `${digits}/2**${fractionBits}`];
  const sign = isNegative ? "-" : "";
  if (code > format.last) {
    const rest = code === format.inf ? "and none of the fraction: inf." : "and of the fraction: nan.";
    return { parts, hint: `The bits of the exponent are set, ${rest}` };
  }
  if (field) {
    const formula = `${sign}(1 + ${share}) * 2**${exponent}`;
    return { parts, formula, hint: `The exponent says ${field}, and 2 is raised to ${field} - ${bias} = ${exponent}.` };
  }
  const what = code ? "A subnormal number" : "Zero";
  const formula = `${sign}(${share}) * 2**${1 - bias}`;
  return { parts, formula, hint: `${what}: no bit of the exponent is set, and the 1 before the fraction is gone.` };
}

/** Where the two ends of a line stand, in percent: they are neighbours, or with room beyond them a whole range. */
const NEIGHBOURS = [8, 92];
const RANGE = [20, 80];

/**
 * A number line in percent of its width: the numbers `low` at `left` and `high` at `right`, the places of
 * what was stored and, as `pointer`, of what was typed, and as `zone` from where to where numbers are stored as this one. Where a number has
 * wrapped, low and high are the ends of the range, and otherwise the neighbours. One that is missing is undefined.
 */
export function line({ isInt, python, exact }, stored) {
  const { format } = stored;
  const at = place(stored);
  const isWrapped = !format.isFloat && truncate(fraction(python)) !== at.n;
  const end = (n) => ({ format, isNegative: n < 0n, code: n < 0n ? -n : n });
  const [low, high] = isWrapped ? [end(format.min), end(format.max)] : [neighbour(stored, -1), neighbour(stored, 1)];
  const mirrored = (other) => subtract(at, subtract(place(other), at));
  const [from, to] = [low ? place(low) : mirrored(high), high ? place(high) : mirrored(low)];
  const [left, right] = isWrapped ? RANGE : NEIGHBOURS;
  const percent = (x) => Math.min(Math.max(left + (right - left) * way(x, from, to), 0), 100);
  const pointer = isFinite(exact) ? percent(fraction(exact)) : exact.isNegative ? 0 : 100;
  let zone = [];
  if (format.isFloat) {
    zone = [low ? percent(middle(from, at)) : 0, high ? percent(middle(at, to)) : 100];
  } else if (!isInt && !isWrapped) {
    zone = [percent(low && at.n <= 0n ? from : at), percent(high && at.n >= 0n ? to : at)];
  }
  return { isWrapped, low, high, left, right, stored: percent(at), pointer, zone };
}
