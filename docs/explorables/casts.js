/** What torch does with a number of Python: `torch.tensor(number, dtype=…)`, and a cast from int64 or float64. */

import { FORMATS, fraction, holds, isPast, real, round, wrap } from "./floats.js";
import { compare, truncate, whole } from "./fraction.js";
import { TorchError } from "./torch-error.js";

const { int64, float32, float64 } = FORMATS;

/** The floats through which torch rounds a number, one after the other. To the small ones it goes through float32. */
export function stations({ isInt }, isCast, format) {
  const first = isInt && isCast ? [] : [float64]; // an int is cast from int64
  return [...new Set([...first, ...(format.bits < 32 ? [float32] : []), format])];
}

function roundThrough(number, formats) {
  const before = formats.slice(0, -1).reduce((passed, format) => real(round(passed, format)), number);
  return round(before, formats.at(-1));
}

/** An int as torch takes it in, which has 64 bits. */
function unpack(number) {
  if (!holds(int64, number)) throw new TorchError("ValueError", "Overflow when unpacking long long");
  return truncate(fraction(number));
}

function refuse({ name }) {
  throw new TorchError("RuntimeError", `value cannot be converted to type ${name} without overflow`);
}

/** `torch.tensor(number, dtype=…)`, which checks the range. An unsigned dtype also takes ints counted from its end. */
export function made(number, format) {
  const { isInt, python } = number;
  if (format.isFloat) {
    if (isInt && isPast(float64, python)) throw new TorchError("OverflowError", "int too large to convert to float");
    return roundThrough(python, stations(number, false, format));
  }
  if (isInt) {
    const n = unpack(python);
    return n > format.max || n < (format.min || -format.max) ? refuse(format) : wrap(n, format);
  }
  const isTaken = holds(format, python) && compare(fraction(python), whole(format.min)) >= 0;
  return isTaken ? wrap(truncate(fraction(python)), format) : refuse(format);
}

/** A cast. Where C does not define it, nothing is returned. */
export function cast(number, format) {
  const { isInt, python } = number;
  const n = isInt && unpack(python);
  if (format.isFloat) return roundThrough(python, stations(number, true, format));
  if (isInt) return wrap(n, format);
  return holds(format, python) ? wrap(truncate(fraction(python)), format) : undefined;
}

/** What earlier versions of torch did otherwise, in words, or nothing. */
export function earlier({ isInt, python }, isCast, format) {
  if (format === FORMATS.float8_e4m3fn && isPast(format, real(round(python, float32)))) {
    return "Up to torch 2.12 it became nan.";
  }
  if (format.isFloat || isInt || isCast || typeof python.size === "string") return "";
  const past = compare(fraction(python), whole(format.max));
  if (past > 0 && holds(format, python)) return "Up to torch 2.13 this raised.";
  return format === int64 && compare(fraction(python), whole(format.max + 1n)) === 0
    ? "Up to torch 2.13 it did not raise."
    : "";
}
