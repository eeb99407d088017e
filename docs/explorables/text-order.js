/** The order of texts in Python: by the first character in which they differ, and of that by its code point. */

/** Negative if `a` comes first. JavaScript's own order is by halves of a character, which differs for emoji. */
export function compare(a, b) {
  const [left, right] = [a, b].map((text) => Array.from(text, (character) => character.codePointAt(0)));
  const at = left.findIndex((point, n) => point !== right[n]);
  return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
}

export const sorted = (texts) => [...texts].sort(compare);

/** Text and numbers in turn, as a person reads a name: case and accents do not count. */
const parts = (name) =>
  name
    .normalize("NFD")
    .replace(/\p{Mn}/gu, "")
    .toLowerCase()
    .split(/(\d+)/);

/** Positive if a person would say `b` first. */
function compareAsPerson(a, b) {
  const [left, right] = [parts(a), parts(b)];
  for (const [n, part] of left.entries()) {
    if (right[n] === undefined) return 1;
    const difference = n % 2 ? part - right[n] : compare(part, right[n]);
    if (difference) return difference;
  }
  return left.length - right.length;
}

/** Why two neighbours of a sorted list stand as no person would put them, or nothing where all do. */
export function surprise(names) {
  const n = names.findIndex((name, n) => n && compareAsPerson(names[n - 1], name) > 0);
  if (n < 0) return "";
  const [a, b] = names.slice(n - 1, n + 1).map((name) => [...name]);
  const at = a.findIndex((character, n) => character !== b[n]);
  const ord = (character) => `ord(${JSON.stringify(character)}) is ${character.codePointAt(0)}`;
  return `${names[n - 1]} comes before ${names[n]}: ${ord(a[at])}, ${ord(b[at])}.`;
}
