/** The Mersenne Twister, which a `torch.Generator` of the CPU draws from. */

const SIZE = 624;
const AHEAD = 397;

export class MersenneTwister {
  #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** Seeds from 0 to 2 ** 32 - 1. */
  constructor(seed) {
    const state = this.#state;
    state[0] = seed;
    for (let n = 1; n < SIZE; n++) state[n] = Math.imul(1812433253, state[n - 1] ^ (state[n - 1] >>> 30)) + n;
  }

  /** A whole number of 32 bits. */
  random() {
    if (this.#next === SIZE) this.#twist();
    let drawn = this.#state[this.#next++];
    drawn ^= drawn >>> 11;
    drawn ^= (drawn << 7) & 0x9d2c5680;
    drawn ^= (drawn << 15) & 0xefc60000;
    return (drawn ^ (drawn >>> 18)) >>> 0;
  }

  #twist() {
    const state = this.#state;
    for (let n = 0; n < SIZE; n++) {
      const bits = (state[n] & 0x80000000) | (state[(n + 1) % SIZE] & 0x7fffffff);
      state[n] = state[(n + AHEAD) % SIZE] ^ (bits >>> 1) ^ (bits & 1 && 0x9908b0df);
    }
    this.#next = 0;
  }
}
