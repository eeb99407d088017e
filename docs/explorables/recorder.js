/** Reads lines of Python that compute with leaves, and records the tape as torch does. */

import { evaluate } from "./grammar.js";
import * as operations from "./operations.js";
import { Unread } from "./read.js";
import { TorchError } from "./torch-error.js";

const { FUNCTIONS } = operations;
const UNDERSTOOD = `Understood are + - * / ** with parentheses, numbers, ${Object.keys(FUNCTIONS).join(", ")}, detach and item.`;
const TOKEN =
  /\s*(?:((?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))|(\*\*|[-+*/()])|\.\s*([a-z]+)\s*\(\s*\)|(?:torch\.)?([a-z]+)\s*(?=\()|([A-Za-z_]\w*))\s*/y;
const LINE = /^\s*([A-Za-z_]\w*)\s*=(?!=)(.*)$/s;
/** Names that a program cannot give, or that it needs for something else. */
const TAKEN = new RegExp(
  `^(torch|${Object.keys(FUNCTIONS).join("|")}|False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)$`,
);
const LARGEST = 1e15;
const LIMITS = { leaves: 6, lines: 8, operations: 24 };
/** How Python ranks what a text is made of: what is ranked lower stands in parentheses. */
const RANKS = { "+": 0, "-": 0, "*": 1, "/": 1, sign: 2, "**": 3, atom: 4 };

/** A number of Python, or a tensor of rank 0. What requires a gradient has a node. */
const number = (value, text, rank = RANKS.atom) => ({ value, text, rank });
const tensor = (value, text, rank = RANKS.atom) => ({ value, text, rank, isTensor: true });

const within = ({ text, rank }, lowest) => (rank < lowest ? `(${text})` : text);

function folded(value, text, rank) {
  if (Math.abs(value) <= LARGEST) return number(value, text, rank);
  throw new Unread(text, "Numbers are real, and none is larger than 1e15.", "Not drawn");
}

const onNumbers = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "**": (a, b) => a ** b,
};

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const [token, digits, operator, method, call, name] = TOKEN.exec(text) ?? [];
    if (token === undefined) throw new Unread(text.slice(start), UNDERSTOOD);
    found.push({ digits, operator, method, call, name });
  }
  return found;
}

/** Splits `name = …`. A name is given once, so that it tells a node from all others. */
function split(text, names) {
  const [, name, expression] = LINE.exec(text) ?? [];
  if (!name || !expression.trim()) throw new Unread(text.trim(), "A line is written as name = expression.");
  if (TAKEN.test(name)) throw new Unread(name, "This name is taken.");
  if (names.includes(name)) throw new Unread(name, "Each name is given once.");
  return { name, expression: expression.trim() };
}

function few(all, kind) {
  if (all.length > LIMITS[kind]) throw new Unread("", `Drawn are up to ${LIMITS[kind]} ${kind}.`, "Not drawn");
  return all;
}

/** What stands before each name: `[{name, expression}]` for `a = 2, b = 3`, or a line each. */
export function readLeaves(text) {
  const leaves = few(
    text.split(/[,\n]/).filter((part) => part.trim()),
    "leaves",
  );
  return leaves.reduce(
    (all, part) => [
      ...all,
      split(
        part,
        all.map(({ name }) => name),
      ),
    ],
    [],
  );
}

/** The same of lines below each other, which come after leaves of these names. */
export function readLines(text, leaves) {
  const lines = few(
    text
      .split("\n")
      .map((line) => line.replace(/#.*/, ""))
      .filter((line) => line.trim()),
    "lines",
  );
  if (!lines.length) throw new Unread("", "There is no line to compute.");
  return lines.reduce((all, line) => [...all, split(line, [...leaves, ...all.map(({ name }) => name)])], []);
}

/** Computes as torch does, and makes a node for each result that requires a gradient. */
export class Recorder {
  #values = new Map();
  #made = 0;
  #isRecording = true;

  /** Makes a leaf. What requires a gradient has an `AccumulateGrad`, which comes before all nodes that are ready. */
  leaf({ name, expression }, requiresGrad) {
    const { value, isTensor } = this.#evaluate(expression);
    if (isTensor) throw new Unread(expression, "A leaf is a number.");
    const leaf = tensor(value, name);
    if (requiresGrad) leaf.node = { name: "AccumulateGrad", sequence: Infinity, ends: [], inputs: [], saved: {}, leaf };
    this.#values.set(name, leaf);
    return leaf;
  }

  /** Runs a line. `mode` is "detach()", "no_grad()" or neither. */
  line({ name, expression }, mode) {
    this.#isRecording = mode !== "no_grad()";
    const value = this.#evaluate(expression);
    this.#isRecording = true;
    if (!value.isTensor) throw new Unread(`${name} = ${expression}`, "No tensor goes into this line.");
    const result = mode === "detach()" ? this.#method("detach", value, `${within(value, RANKS.atom)}.detach()`) : value;
    const isNamed = [...this.#values.values()].includes(result);
    if (!isNamed) Object.assign(result, { formula: result.text, text: name, rank: RANKS.atom });
    this.#values.set(name, result);
    return result;
  }

  #evaluate(expression) {
    return evaluate(tokens(expression), {
      read: (token) => this.#read(token),
      operate: (operator, a, b) => this.#operate(operator, a, b),
      sign: (operator, a) => this.#sign(operator, a),
      call: (name, a) => this.#call(name, a, `${name}(${a.text})`),
      method: (name, a) => this.#method(name, a, `${within(a, RANKS.atom)}.${name}()`),
      refuse: () => {
        throw new Unread(expression, UNDERSTOOD);
      },
    });
  }

  #read({ digits, name }) {
    if (digits) return folded(Number(digits), digits);
    if (this.#values.has(name)) return this.#values.get(name);
    throw new TorchError("NameError", `name '${name}' is not defined`);
  }

  #sign(operator, a) {
    if (operator === "+") return a;
    const text = `-${within(a, RANKS.sign)}`;
    return a.isTensor ? this.#apply(operations.negate, [a], text, RANKS.sign) : number(-a.value, text, RANKS.sign);
  }

  #call(name, a, text) {
    if (!Object.hasOwn(FUNCTIONS, name)) throw new Unread(text, UNDERSTOOD);
    if (!a.isTensor) throw new Unread(text, `${a.text} is a number, and no tensor.`);
    return this.#apply(FUNCTIONS[name], [a], text, RANKS.atom);
  }

  #method(name, a, text) {
    if (!a.isTensor || !["detach", "item"].includes(name)) return this.#call(name, a, text);
    return (name === "detach" ? tensor : number)(a.value, text);
  }

  #operate(operator, a, b) {
    const rank = RANKS[operator];
    const [left, right] = operator === "**" ? [RANKS.atom, RANKS.sign] : [rank, rank + 1];
    const text = `${within(a, left)} ${operator} ${within(b, right)}`;
    if (!a.isTensor && !b.isTensor) return folded(onNumbers[operator](a.value, b.value), text, rank);
    const apply = (operation, inputs) => this.#apply(operation, inputs, text, rank);
    if (operator === "**") {
      if (!b.isTensor) return apply(operations.raiseTo(b.value), [a]);
      return a.isTensor ? apply(operations.raise, [a, b]) : apply(operations.powerOf(a.value), [b]);
    }
    if (operator === "-") {
      return a.isTensor ? apply(operations.subtract, [a, b]) : apply(operations.subtractFrom(a.value), [b]);
    }
    if (operator === "/") {
      if (a.isTensor) return apply(operations.divide, [a, b]);
      // Torch multiplies the reciprocal by the number.
      const reciprocal = this.#apply(operations.reciprocal, [b], `1 / ${within(b, right)}`, rank);
      return apply(operations.multiply, [reciprocal, a]);
    }
    const operation = operator === "+" ? operations.add : operations.multiply;
    return apply(operation, a.isTensor ? [a, b] : [b, a]); // a tensor comes first
  }

  #apply(operation, inputs, text, rank) {
    const values = inputs.map(({ value }) => value);
    const result = tensor(operation.value(...values), text, rank);
    this.#made += 1;
    if (this.#made > LIMITS.operations) few(Array(this.#made), "operations");
    const ends = inputs.map(({ node }) => node);
    if (!this.#isRecording || !ends.some(Boolean)) return result;
    const named = { self: values[0], other: values[1], exponent: values.at(-1), result: result.value };
    const saved = Object.fromEntries(operation.saves(...ends).map((name) => [name, named[name]]));
    const gradients = (g) => operation.gradients(g, result.value, ...values);
    result.node = { name: operation.node, sequence: this.#made, ends, inputs, saved, gradients, result };
    return result;
  }
}
