/** Writes numbers as Python writes a float. */

/** Digits with their exponent: `1.5e-05`, or without one from 1e-4 up to 1e16. */
export function written(digits, exponent) {
  if (exponent < -4 || exponent >= 16) {
    const power = `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    return `${digits[0]}${digits.length > 1 ? "." : ""}${digits.slice(1)}e${power}`;
  }
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${digits}`;
  const all = digits.padEnd(exponent + 1, "0");
  return `${all.slice(0, exponent + 1)}.${all.slice(exponent + 1) || "0"}`;
}

/** A number as Python prints it: the shortest text that gives this float64. */
export function repr(number) {
  if (Number.isNaN(number)) return "nan";
  const sign = number < 0 || Object.is(number, -0) ? "-" : "";
  if (!Number.isFinite(number)) return `${sign}inf`;
  const [digits, exponent] = Math.abs(number).toExponential().split("e");
  return sign + written(digits.replace(".", ""), Number(exponent));
}

/** A number with six digits. A 0 keeps its sign, which `toPrecision` would drop. */
export const brief = (number) => repr(number && Number(number.toPrecision(6)));

/** Two numbers and more in brackets, with six digits each. */
export const vector = (numbers) => `[${numbers.map(brief).join(", ")}]`;
