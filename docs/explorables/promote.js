/** Looks up what torch makes of two operands, and tells which rule led there. */

import { OPERANDS, RESULTS, TABLES } from "./promotions.js";

/** An operand is `{form, dtype}`: a form that counts less stands further down. Numbers have the names of Python. */
export const FORMS = { dims: "tensor with dimensions", "rank 0": "tensor of rank 0", number: "number of Python" };
const KINDS = {
  bool: "bool",
  int: "integer",
  uint: "integer",
  float: "float",
  bfloat: "float",
  complex: "complex",
  bcomplex: "complex",
};
const [LATEST, ...EARLIER] = Object.keys(TABLES).reverse();

/** The dtypes that an operand of a form can have. */
export const dtypes = (form) =>
  OPERANDS.filter((name) => name.startsWith(form)).map((name) => name.slice(form.length + 1));

export const kind = (dtype) => KINDS[dtype.replace(/\d+$/, "")];

/** Above 0 where the kind of a comes later than that of b, below 0 where it comes before. */
const later = (a, b) => {
  const order = Object.values(KINDS);
  return order.indexOf(kind(a)) - order.indexOf(kind(b));
};

const several = (kind) => (kind === "complex" ? kind : `${kind}s`);

function answer(since, a, b) {
  const [row, column] = [a, b].map(({ form, dtype }) => OPERANDS.indexOf(`${form} ${dtype}`));
  return RESULTS[TABLES[since][row].charCodeAt(column) - "a".charCodeAt(0)];
}

/** The dtype of the result in the latest torch. */
export const promote = (a, b) => answer(LATEST, a, b);

/** What versions before made of the operands, in words, or nothing. */
export function earlier(a, b) {
  const before = EARLIER.length ? answer(EARLIER[0], a, b) : promote(a, b);
  return before === promote(a, b) ? "" : `Before torch ${LATEST} it was ${before}.`;
}

/** The rule that decides, in words. */
export function rule(a, b) {
  const forms = Object.keys(FORMS);
  const result = promote(a, b);
  if (a.form === b.form) return betweenEquals(a.form, a.dtype, b.dtype, result);
  const [strong, weak] = [a, b].sort((x, y) => forms.indexOf(x.form) - forms.indexOf(y.form));
  const [own, other] = [strong, weak].map(({ dtype }) => kind(dtype));
  const name = FORMS[weak.form];
  if (later(weak.dtype, strong.dtype) <= 0) {
    const order = own === other ? `both are ${several(own)}` : `${other} does not come later than ${own}`;
    return `The ${FORMS[strong.form]} decides: ${order}, so the ${name} does not count.`;
  }
  const counts = `${other} comes later than ${own}, so the ${name} counts`;
  if (own === "float") return `${counts}, but only for its kind. The size follows ${strong.dtype}.`;
  return weak.form === "number"
    ? `${counts}, with the default dtype of its kind, ${result}.`
    : `${counts}, and decides.`;
}

function betweenEquals(form, a, b, result) {
  if (a === result && b === result) return "Both have this dtype.";
  if (a === b) return `Both are ${a}, and numbers have the default dtype of their kind.`;
  const [first, last] = later(a, b) < 0 ? [a, b] : [b, a];
  if (kind(a) === kind(b)) return `Both are ${several(kind(a))}, and ${result} has room for both.`;
  const decides = `${kind(last)} comes later than ${kind(first)} and decides`;
  if (last === result) return `${decides}.`;
  return `${decides}, with ${form === "number" ? "the default dtype of its kind" : `room for ${first}`}.`;
}
