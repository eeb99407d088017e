/** Reads what a reader types as Python would: numbers with commas between them. */

/** Text that cannot be used: the piece, why, and in a word what it is. */
export class Unread extends Error {
  constructor(piece, message, name = "Not understood") {
    super(message);
    this.piece = piece;
    this.name = name;
  }
}

// At most nine digits, which JavaScript holds exactly.
export const NUMBER = /^-?(0|[1-9]\d{0,8})$/;

/** What stands between commas. Python allows one comma more at the end. */
export function pieces(text) {
  const parts = text.split(",").map((part) => part.trim());
  if (!parts.at(-1)) parts.pop();
  return parts;
}

/** The numbers in `2, 3`, `(2, 3)` or `[2, 3]`, or nothing where something else is written. */
export function readNumbers(text) {
  const parts = pieces(text.trim().replace(/^\((.*)\)$|^\[(.*)\]$/s, "$1$2"));
  return parts.every((part) => NUMBER.test(part)) ? parts.map(Number) : undefined;
}

/** The sizes of a shape. Throws `Unread` where they are no whole numbers. */
export function readShape(text) {
  const sizes = readNumbers(text);
  if (!sizes) throw new Unread(text, "A shape is written as whole numbers of up to nine digits: 2, 3, 4");
  return sizes;
}

/** A number as Python writes a float: `0.1`, `-2`, `1e-3`. Throws `Unread` where there is none, or one past the last. */
export function readFloat(text) {
  const number = /^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$/.test(text) ? Number(text) : NaN;
  if (Number.isFinite(number)) return number;
  throw new Unread(text, "Understood are numbers as Python writes a float: 0.1, -2, 1e-3");
}
