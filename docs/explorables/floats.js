/**
 * The number formats of torch: which number each pattern of bits stands for, and which is nearest to a number.
 *
 * A real is `{isNegative, size}`: the sign, which a 0 has as well, and a fraction, or "inf", or "nan". A stored number
 * is `{format, isNegative, code}`, where the code counts the patterns from 0 upwards, without the sign.
 */

import { divide, logarithm, multiply, nearest, negative, power, truncate, whole } from "./fraction.js";

/** A float format: bits for the exponent and the fraction. The patterns after the `last` number are inf and nans. */
function float(name, exponentBits, fractionBits, special = {}) {
  const inf = ((1n << BigInt(exponentBits)) - 1n) << BigInt(fractionBits);
  const bias = 2 ** (exponentBits - 1) - 1;
  const nan = inf | (1n << BigInt(fractionBits - 1));
  return {
    name,
    isFloat: true,
    bits: 1 + exponentBits + fractionBits,
    fractionBits,
    bias,
    inf,
    nan,
    last: inf - 1n,
    ...special,
  };
}

function integer(name, bits, isSigned) {
  const max = (1n << BigInt(bits - isSigned)) - 1n;
  return { name, bits, isSigned, max, min: isSigned ? -max - 1n : 0n };
}

const ALL = [
  integer("uint8", 8, 0),
  integer("int8", 8, 1),
  integer("int16", 16, 1),
  integer("int32", 32, 1),
  integer("int64", 64, 1),
  float("float8_e4m3fn", 4, 3, { inf: undefined, nan: 0x7fn, last: 0x7en }),
  float("float8_e5m2", 5, 2, { nan: 0x7fn }),
  float("float16", 5, 10),
  float("bfloat16", 8, 7),
  float("float32", 8, 23),
  float("float64", 11, 52),
];
export const FORMATS = Object.fromEntries(ALL.map((format) => [format.name, format]));

/** The number that a pattern without its sign stands for. After the last number of a format goes on as before. */
function decode({ fractionBits, bias }, code) {
  const bits = BigInt(fractionBits);
  const exponent = code >> bits;
  const digits = exponent ? code - ((exponent - 1n) << bits) : code;
  return multiply(whole(digits), power(2, Math.max(Number(exponent), 1) - bias - fractionBits));
}

/** The pattern of the float nearest to a real, and of two the even one. It may lie past the last number. */
function encode({ fractionBits, bias }, size) {
  if (!size.n) return 0n;
  const lowest = 1 - bias;
  const exponent = Math.max(logarithm(size, 2), lowest);
  const digits = nearest(divide(size, power(2, exponent - fractionBits)));
  return (BigInt(exponent - lowest) << BigInt(fractionBits)) + digits;
}

/** Whether a real rounds to more than the last number of a format. */
export const isPast = (format, { size }) => size === "inf" || (size !== "nan" && encode(format, size) > format.last);

/** A real as a float. Past the last number comes inf, or where a format has none the last number again. */
export function round(real, format) {
  const { isNegative, size } = real;
  if (size === "nan") return { format, isNegative, code: format.nan };
  return { format, isNegative, code: isPast(format, real) ? (format.inf ?? format.last) : encode(format, size) };
}

/** A whole number in the bits of an integer format, around whose ends it wraps. */
export function wrap(n, format) {
  const code = format.isSigned ? BigInt.asIntN(format.bits, n) : BigInt.asUintN(format.bits, n);
  return { format, isNegative: code < 0n, code: code < 0n ? -code : code };
}

/** What a stored number stands for. */
export function real({ format, isNegative, code }) {
  if (!format.isFloat) return { isNegative, size: whole(code) };
  if (code === format.inf) return { isNegative, size: "inf" };
  return { isNegative, size: code > format.last ? "nan" : decode(format, code) };
}

export const isFinite = ({ size }) => typeof size !== "string";

const signed = (isNegative, size) => (isNegative ? negative(size) : size);

/** A finite real as a fraction. */
export const fraction = ({ isNegative, size }) => signed(isNegative, size);

/** Where a stored number stands on the number line. inf stands where the next number would be. */
export const place = ({ format, isNegative, code }) =>
  signed(isNegative, format.isFloat ? decode(format, code) : whole(code));

/** The next stored number below (-1) or above (1), or nothing where there is none. A 0 above a negative float is -0.0. */
export function neighbour({ format, isNegative, code }, direction) {
  const at = (isNegative ? -code : code) + BigInt(direction);
  const isBelow = at < 0n || (at === 0n && isNegative && Boolean(format.isFloat));
  const next = { format, isNegative: isBelow, code: at < 0n ? -at : at };
  const end = format.inf ?? format.last;
  return (format.isFloat ? next.code <= end : at >= format.min && at <= format.max) ? next : undefined;
}

/** The bits as they are stored: of an integer below 0 the two's complement. */
export function bits({ format, isNegative, code }) {
  const sign = 1n << BigInt(format.bits - 1);
  const pattern = format.isFloat
    ? code + (isNegative ? sign : 0n)
    : BigInt.asUintN(format.bits, isNegative ? -code : code);
  return pattern.toString(2).padStart(format.bits, "0");
}

const buffer = new DataView(new ArrayBuffer(8));

/** A real as the number of JavaScript, which is a float64. */
export function toNumber(real) {
  buffer.setBigUint64(0, BigInt(`0b${bits(round(real, FORMATS.float64))}`));
  return buffer.getFloat64(0);
}

/** A number of JavaScript, or a BigInt, as a real. */
export function fromNumber(number) {
  if (typeof number === "bigint") return { isNegative: number < 0n, size: whole(number < 0n ? -number : number) };
  buffer.setFloat64(0, number);
  const code = buffer.getBigUint64(0) & ((1n << 63n) - 1n);
  return real({ format: FORMATS.float64, isNegative: number < 0 || Object.is(number, -0), code });
}

/** Whether a real lies in an integer format once its fraction is cut off. */
export function holds(format, real) {
  if (!isFinite(real)) return false;
  const n = truncate(fraction(real));
  return n >= format.min && n <= format.max;
}
