/** What torch raises: the name of the exception, and the first line of what it says. */
export class TorchError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}
