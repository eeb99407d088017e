/**
 * Material's own worker, with a mistake of Lunr's mended.
 *
 * Lunr shares the endings of words: two nodes of its tree with the same edges become one. It compares them by a text
 * in which an edge's letter and the number of its node stand side by side, so the edge 1 to node 23 and the edge 12 to
 * node 3 look the same. A book full of numbers then holds words that it does not have, and a search that meets one of
 * them finds nothing (https://github.com/olivernn/lunr.js/issues/503).
 */
importScripts(new URL(location.href).searchParams.get("worker"));

lunr.TokenSet.prototype.toString = function () {
  const edges = Object.keys(this.edges).sort();
  return [this.final, ...edges.map((letter) => `${letter}${this.edges[letter].id}`)].join();
};
