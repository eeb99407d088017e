/** Evaluates an expression as Python ranks its operators: sums of products of signed powers. */

/**
 * A token is `{operator}`, one of + - * / ** ( ), `{call}`, the name of a function before its parenthesis, `{method}`, a
 * call that ends in `()`, or anything else, of which `read` makes a value. `operate(operator, a, b)`, `sign(operator, a)`,
 * `call(name, a)` and `method(name, a)` combine values, in the order in which Python does. `refuse` throws.
 */
export function evaluate(tokens, { read, operate, sign, call, method, refuse }) {
  const rest = [...tokens];
  const next = (...operators) => operators.includes(rest[0]?.operator) && rest.shift().operator;

  function chain(operators, part) {
    let left = part();
    for (let operator = next(...operators); operator; operator = next(...operators)) {
      left = operate(operator, left, part());
    }
    return left;
  }
  const sum = () => chain(["+", "-"], product);
  const product = () => chain(["*", "/"], signed);

  function signed() {
    const operator = next("+", "-");
    return operator ? sign(operator, signed()) : raised();
  }

  function raised() {
    const base = called();
    return next("**") ? operate("**", base, signed()) : base;
  }

  function called() {
    let value = atom();
    while (rest[0]?.method) value = method(rest.shift().method, value);
    return value;
  }

  function atom() {
    if (rest[0]?.call) return call(rest.shift().call, closed());
    if (rest[0]?.operator === "(") return closed();
    return rest.length && !rest[0].operator && !rest[0].method ? read(rest.shift()) : refuse();
  }

  function closed() {
    const inside = next("(") ? sum() : refuse();
    return next(")") ? inside : refuse();
  }

  const value = sum();
  return rest.length ? refuse() : value;
}
