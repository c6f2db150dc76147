import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from './bytes.js';
import {
  consistencyProof,
  leafHash,
  leafHashInto,
  MerkleTree,
  nodeHash,
  rootFromInclusionProof,
  TreePeaks,
  treeRoot,
  treeRootOfData,
  verifyConsistency,
  verifyInclusion,
} from './tree.js';

const leavesOf = (size: number, label = 'leaf'): Uint8Array[] =>
  Array.from({ length: size }, (_, k) => leafHash(Buffer.from(`${label} ${k}`)));

/** MTH(D[n]) of RFC 9162 §2.1.1 as it stands there: split at the largest power of two below n. */
function recursiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0] as Uint8Array;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(recursiveRoot(leaves.slice(0, split)), recursiveRoot(leaves.slice(split)));
}

/** PATH(m, D[n]) of RFC 9162 §2.1.3.1. */
function recursivePath(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return [];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return index < split
    ? [...recursivePath(index, left), recursiveRoot(right)]
    : [...recursivePath(index - split, right), recursiveRoot(left)];
}

/** SUBPROOF(m, D[n], b) of RFC 9162 §2.1.4.1. */
function recursiveConsistency(
  oldSize: number,
  leaves: readonly Uint8Array[],
  isWhole = true,
): Uint8Array[] {
  if (oldSize === leaves.length) return isWhole ? [] : [recursiveRoot(leaves)];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return oldSize <= split
    ? [...recursiveConsistency(oldSize, left, isWhole), recursiveRoot(right)]
    : [...recursiveConsistency(oldSize - split, right, false), recursiveRoot(left)];
}

function flipByte(hash: Uint8Array, at: number): Uint8Array {
  const changed = hash.slice();
  changed[at] = (changed[at] as number) ^ 0x01;
  return changed;
}

describe('the probes of transparency-dev/merkle', () => {
  interface Probe {
    desc: string;
    wantErr: boolean;
    proof: string[] | null;
    root: string;
    leafHash: string;
    leafIdx: number;
    treeSize: number;
    root1: string;
    root2: string;
    size1: number;
    size2: number;
  }
  const folder = new URL('./test-data/vectors/merkle-rfc6962/', import.meta.url);
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text ?? '', 'base64'));
  const pathOf = (probe: Probe): Uint8Array[] => (probe.proof ?? []).map(bytes);

  function probesOf(kind: 'inclusion' | 'consistency'): Probe[] {
    return readdirSync(new URL(kind, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.json'))
      .map((name) => {
        // `new URL` would read the "@" and "[" of these names as they are, but not their "%" and "#".
        const text = readFileSync(new URL(`${kind}/${encodeURI(name)}`, folder), 'utf8');
        return { ...(JSON.parse(text) as Probe), desc: `${name}: ${JSON.parse(text).desc}` };
      });
  }

  it('gives the wanted verdict on every inclusion probe', () => {
    const probes = probesOf('inclusion');
    const accepted = probes.filter((probe) =>
      verifyInclusion(
        bytes(probe.leafHash),
        probe.leafIdx,
        probe.treeSize,
        pathOf(probe),
        bytes(probe.root),
      ),
    );
    expect(probes).toHaveLength(53);
    expect(probes.filter((probe) => !probe.wantErr)).toHaveLength(4);
    expect(accepted).toEqual(probes.filter((probe) => !probe.wantErr));
  });

  it('gives the wanted verdict on every consistency probe', () => {
    const probes = probesOf('consistency');
    const accepted = probes.filter((probe) =>
      verifyConsistency(
        probe.size1,
        probe.size2,
        pathOf(probe),
        bytes(probe.root1),
        bytes(probe.root2),
      ),
    );
    expect(probes).toHaveLength(43);
    expect(probes.filter((probe) => !probe.wantErr)).toHaveLength(3);
    expect(accepted).toEqual(probes.filter((probe) => !probe.wantErr));
  });
});

describe('MerkleTree', () => {
  it('has the root and the paths of the recursive definition for 1 to 130 leaves', () => {
    for (let size = 1; size <= 130; size++) {
      const leaves = leavesOf(size);
      const tree = new MerkleTree(leaves);
      expect(tree.size).toBe(size);
      expect(toHex(tree.root)).toBe(toHex(recursiveRoot(leaves)));
      expect(toHex(treeRoot(leaves))).toBe(toHex(tree.root));
      const sampled = size <= 40 ? leaves.keys() : [0, 1, size >> 1, size - 2, size - 1];
      for (const index of sampled) {
        const path = tree.inclusionProof(index).map(toHex);
        expect(path).toEqual(recursivePath(index, leaves).map(toHex));
      }
    }
  });

  it('is the same tree from leaves in one piece as from a list', () => {
    for (let size = 1; size <= 130; size++) {
      const leaves = leavesOf(size);
      // From the middle of a larger buffer, as a ledger hands them over.
      const around = Buffer.concat([Buffer.alloc(5, 0xaa), ...leaves, Buffer.alloc(7, 0xbb)]);
      const tree = new MerkleTree(around.subarray(5, 5 + size * 32));
      expect(tree.size).toBe(size);
      expect(toHex(tree.root)).toBe(toHex(recursiveRoot(leaves)));
      for (const [index, leaf] of leaves.entries()) {
        if (toHex(tree.leaf(index)) !== toHex(leaf)) expect.fail(`leaf ${index} of ${size}`);
      }
    }
  });

  it('leaves the piece that it was made from as it was', () => {
    const piece = Buffer.concat(leavesOf(21));
    const before = toHex(piece);
    new MerkleTree(piece);
    expect(toHex(piece)).toBe(before);
  });

  it('refuses a piece that is no whole number of hashes', () => {
    for (const length of [0, 1, 31, 33, 63, 65]) {
      expect(() => new MerkleTree(new Uint8Array(length))).toThrow(RangeError);
    }
    expect(new MerkleTree(new Uint8Array(32)).size).toBe(1);
  });

  it('writes the hashes of each proof one after the other, as many as it says, and nothing else', () => {
    const sizes = fc.oneof(
      fc.integer({ min: 1, max: 300 }),
      // Around the powers of two, where the number of levels changes.
      fc
        .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: -1, max: 1 }))
        .map(([power, by]) => Math.max(1, 2 ** power + by)),
    );
    fc.assert(
      fc.property(sizes, fc.nat(40), (size, offset) => {
        const leaves = leavesOf(size);
        const tree = new MerkleTree(leaves);
        for (let index = 0; index < size; index++) {
          const proof = tree.inclusionProof(index);
          const written = Buffer.alloc(offset + 32 * proof.length + 9, 0xcc);
          const end = tree.writeProof(index, written, offset);
          const wanted = Buffer.alloc(written.length, 0xcc);
          wanted.set(Buffer.concat(proof), offset);
          const isEqual = Buffer.compare(written, wanted) === 0;
          // Beside the proof of any other leaf, or its own.
          const other = (index * 7 + offset) % size;
          const near = Buffer.alloc(written.length + 32 * 10, 0xcc);
          const otherEnd = tree.writeProof(other, near, 5);
          const known = { index: other, at: 5, end: otherEnd };
          const nearEnd = tree.writeProof(index, near, otherEnd + 3, known);
          const isSame = near.subarray(otherEnd + 3, nearEnd).equals(Buffer.concat(proof));
          const isKept = near.subarray(nearEnd).every((byte) => byte === 0xcc);
          if (
            !isSame ||
            !isKept ||
            !isEqual ||
            end !== offset + 32 * proof.length ||
            tree.proofLength(index) !== proof.length
          ) {
            expect.fail(`proof of leaf ${index} of ${size} at ${offset} is written otherwise`);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('proves every leaf of every size from 1 to 130, and only at its place', () => {
    // Collected and compared once: 26,000 calls of `expect` cost more than the hashing.
    const wrong: string[] = [];
    let proofs = 0;
    for (let size = 1; size <= 130; size++) {
      const leaves = leavesOf(size);
      const tree = new MerkleTree(leaves);
      for (const [index, leaf] of leaves.entries()) {
        const path = tree.inclusionProof(index);
        const verifies = (at: number): boolean => verifyInclusion(leaf, at, size, path, tree.root);
        if (!verifies(index)) wrong.push(`leaf ${index} of ${size} is not proved`);
        // In the same tree no other index works; other sizes are another matter, see below.
        for (const other of [(index + 1) % size, index ^ 1]) {
          if (other !== index && verifies(other)) wrong.push(`${index} of ${size} is ${other} too`);
        }
        proofs += 1;
      }
    }
    expect(wrong).toEqual([]);
    expect(proofs).toBe((130 * 131) / 2);
  });

  it('refuses a proof after a change of any byte of leaf, path or root', () => {
    for (const size of [1, 2, 3, 7, 8, 21]) {
      const leaves = leavesOf(size);
      const tree = new MerkleTree(leaves);
      for (const [index, leaf] of leaves.entries()) {
        const path = tree.inclusionProof(index);
        for (let at = 0; at < 32; at++) {
          expect(verifyInclusion(flipByte(leaf, at), index, size, path, tree.root)).toBe(false);
          expect(verifyInclusion(leaf, index, size, path, flipByte(tree.root, at))).toBe(false);
          for (const k of path.keys()) {
            const changed = path.with(k, flipByte(path[k] as Uint8Array, at));
            expect(verifyInclusion(leaf, index, size, changed, tree.root)).toBe(false);
          }
        }
      }
    }
  });

  it('refuses a proof with a hash left out, added, swapped or of another length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 200 }), fc.nat(), fc.nat(), (size, a, b) => {
        const leaves = leavesOf(size);
        const tree = new MerkleTree(leaves);
        const index = a % size;
        const leaf = leaves[index] as Uint8Array;
        const path = tree.inclusionProof(index);
        const at = b % path.length;
        const refused = [
          path.toSpliced(at, 1),
          path.toSpliced(at, 0, leaf),
          [...path, tree.root],
          [tree.root, ...path],
          path.with(at, (path[at] as Uint8Array).subarray(1)),
          path.with(at, new Uint8Array(33)),
          ...(path.length > 1 ? [path.toReversed()] : []),
        ];
        for (const other of refused) {
          expect(verifyInclusion(leaf, index, size, other, tree.root)).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives null for places that are in no tree, and for hashes that are none', () => {
    const leaf = leafHash(new Uint8Array(0));
    for (const [index, size] of [
      [-1, 1],
      [1, 1],
      [0, 0],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, Number.POSITIVE_INFINITY],
      [2 ** 53, 2 ** 54],
    ] as const) {
      expect(rootFromInclusionProof(leaf, index, size, [])).toBeNull();
    }
    expect(rootFromInclusionProof(leaf.subarray(1), 0, 1, [])).toBeNull();
    expect(rootFromInclusionProof(leaf, 0, 1, [])).toEqual(leaf);
  });

  it('refuses an empty tree and a leaf outside', () => {
    expect(() => new MerkleTree([])).toThrow(RangeError);
    expect(() => treeRoot([])).toThrow(RangeError);
    const tree = new MerkleTree(leavesOf(3));
    for (const index of [-1, 3, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => tree.inclusionProof(index)).toThrow(RangeError);
      expect(() => tree.writeProof(index, new Uint8Array(99), 0)).toThrow(RangeError);
      expect(() => tree.proofLength(index)).toThrow(RangeError);
      expect(() => tree.leaf(index)).toThrow(RangeError);
    }
  });

  it('handles indices beyond 2^32 in proofs', () => {
    // A path of 52 siblings: index 2^52 - 2 of 2^52 leaves. Bitwise operators would cut it to 32 bits.
    const size = 2 ** 52;
    const index = size - 2;
    const path = leavesOf(52, 'sibling');
    const leaf = leafHash(Buffer.from('far'));
    let hash = leaf;
    let place = BigInt(index);
    for (const sibling of path) {
      hash = place % 2n === 1n ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
      place /= 2n;
    }
    expect(toHex(rootFromInclusionProof(leaf, index, size, path) as Uint8Array)).toBe(toHex(hash));
    expect(verifyInclusion(leaf, index - 2 ** 32, size, path, hash)).toBe(false);
  });

  it('cannot tell some places apart by the path alone, so size and index come from the record', () => {
    const leaves = leavesOf(3);
    const tree = new MerkleTree(leaves);
    const leaf = leaves[2] as Uint8Array;
    const path = tree.inclusionProof(2);
    expect(verifyInclusion(leaf, 2, 3, path, tree.root)).toBe(true);
    expect(verifyInclusion(leaf, 1, 2, path, tree.root)).toBe(true);
    expect(verifyInclusion(leaf, 4, 5, path, tree.root)).toBe(true);
    // The same for an inner node in place of a leaf, which is why a root's kind comes from the record too.
    const inner = nodeHash(leaves[0] as Uint8Array, leaves[1] as Uint8Array);
    expect(verifyInclusion(inner, 0, 2, [leaf], tree.root)).toBe(true);
  });

  it('keeps leaves and nodes apart', () => {
    const [a, b] = leavesOf(2) as [Uint8Array, Uint8Array];
    expect(toHex(leafHash(Buffer.concat([a, b])))).not.toBe(toHex(nodeHash(a, b)));
  });
});

describe('leaves', () => {
  const data = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.constantFrom(4094, 4095, 4096, 4097, 10_000), fc.nat(255))
      .map(([length, value]) => new Uint8Array(length).fill(value)),
  );

  it('are hashed to a place as they are by themselves, and nothing beside it changes', () => {
    fc.assert(
      fc.property(data, fc.nat(50), (leaf, offset) => {
        const target = new Uint8Array(offset + 40).fill(0xcc);
        leafHashInto(leaf, target, offset);
        const wanted = new Uint8Array(offset + 40).fill(0xcc);
        const prefixed = Buffer.concat([Uint8Array.of(0), leaf]);
        wanted.set(createHash('sha256').update(prefixed).digest(), offset);
        expect(toHex(target)).toBe(toHex(wanted));
      }),
    );
  });

  it('given as data have the root of the recursive definition, one alone included', () => {
    fc.assert(
      fc.property(fc.array(data, { minLength: 1, maxLength: 40 }), (list) => {
        expect(toHex(treeRootOfData(list))).toBe(toHex(recursiveRoot(list.map(leafHash))));
        const first = list.slice(0, 1);
        expect(toHex(treeRootOfData(first))).toBe(toHex(leafHash(first[0] as Uint8Array)));
      }),
    );
    expect(() => treeRootOfData([])).toThrow(RangeError);
  });
});

describe('TreePeaks', () => {
  it('has the root of MerkleTree after each append, and goes on from its stored hashes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), (size, a) => {
        const leaves = leavesOf(size);
        const stop = a % size;
        const first = new TreePeaks();
        for (const leaf of leaves.slice(0, stop)) first.append(leaf);
        const resumed = new TreePeaks(first.size, first.hashes);
        for (const leaf of leaves.slice(stop)) resumed.append(leaf);
        expect(resumed.size).toBe(size);
        expect(toHex(resumed.root())).toBe(toHex(treeRoot(leaves)));
        // The first half is untouched by what the second did.
        expect(first.size).toBe(stop);
        if (stop > 0) expect(toHex(first.root())).toBe(toHex(treeRoot(leaves.slice(0, stop))));
      }),
    );
  });

  it('agrees with the recursive definition for 1 to 130 leaves', () => {
    const peaks = new TreePeaks();
    const leaves = leavesOf(130);
    for (const [k, leaf] of leaves.entries()) {
      peaks.append(leaf);
      expect(toHex(peaks.root())).toBe(toHex(recursiveRoot(leaves.slice(0, k + 1))));
      expect(peaks.hashes).toHaveLength(
        [...(k + 1).toString(2)].filter((bit) => bit === '1').length,
      );
    }
  });

  it('refuses hashes that do not fit the size, and has no root while it is empty', () => {
    const hash = leafHash(new Uint8Array(0));
    expect(() => new TreePeaks(3, [hash])).toThrow(RangeError);
    expect(() => new TreePeaks(-1, [])).toThrow(RangeError);
    expect(() => new TreePeaks(1.5, [hash])).toThrow(RangeError);
    expect(() => new TreePeaks(2 ** 53, [hash])).toThrow(RangeError);
    expect(() => new TreePeaks().root()).toThrow(RangeError);
  });
});

describe('consistency proofs', () => {
  it('are those of the RFC and verify, for all pairs up to 40', () => {
    for (let newSize = 1; newSize <= 40; newSize++) {
      const leaves = leavesOf(newSize);
      const newRoot = treeRoot(leaves);
      for (let oldSize = 1; oldSize <= newSize; oldSize++) {
        const proof = consistencyProof(leaves, oldSize);
        const oldRoot = treeRoot(leaves.slice(0, oldSize));
        expect(proof.map(toHex)).toEqual(recursiveConsistency(oldSize, leaves).map(toHex));
        expect(verifyConsistency(oldSize, newSize, proof, oldRoot, newRoot)).toBe(true);
      }
    }
  });

  it('fail when a byte, a size or a root is another', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 100 }),
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 0, max: 31 }),
        (newSize, a, b, at) => {
          const leaves = leavesOf(newSize);
          const oldSize = 1 + (a % (newSize - 1));
          const proof = consistencyProof(leaves, oldSize);
          const oldRoot = treeRoot(leaves.slice(0, oldSize));
          const newRoot = treeRoot(leaves);
          const k = b % proof.length;
          const changed = proof.with(k, flipByte(proof[k] as Uint8Array, at));
          const check = (
            path: readonly Uint8Array[],
            first = oldRoot,
            second = newRoot,
            from = oldSize,
            to = newSize,
          ): boolean => verifyConsistency(from, to, path, first, second);
          expect(check(proof)).toBe(true);
          expect(check(changed)).toBe(false);
          expect(check(proof, flipByte(oldRoot, at))).toBe(false);
          expect(check(proof, oldRoot, flipByte(newRoot, at))).toBe(false);
          expect(check(proof, newRoot, oldRoot)).toBe(false);
          expect(check(proof, oldRoot, newRoot, newSize, oldSize)).toBe(false);
          expect(check(proof.slice(1))).toBe(false);
          expect(check(proof.slice(0, -1))).toBe(false);
          expect(check([...proof, newRoot])).toBe(false);
          expect(check([])).toBe(false);
          expect(check(proof, oldRoot, newRoot, newSize, newSize)).toBe(false);
        },
      ),
    );
  });

  it('fail for a log that was rewritten', () => {
    const old = leavesOf(11);
    const forked = [...leavesOf(10), ...leavesOf(10, 'fork')];
    const proof = consistencyProof(forked, 11);
    expect(verifyConsistency(11, 20, proof, treeRoot(old), treeRoot(forked))).toBe(false);
    expect(verifyConsistency(11, 20, proof, treeRoot(forked.slice(0, 11)), treeRoot(forked))).toBe(
      true,
    );
  });

  it('between equal sizes are empty and need equal roots', () => {
    const [a, b] = leavesOf(2) as [Uint8Array, Uint8Array];
    expect(consistencyProof([a, b], 2)).toEqual([]);
    expect(verifyConsistency(2, 2, [], a, a)).toBe(true);
    expect(verifyConsistency(2, 2, [], a, b)).toBe(false);
    expect(verifyConsistency(2, 2, [a], a, a)).toBe(false);
  });

  it('refuse sizes that are in no log', () => {
    const leaves = leavesOf(5);
    for (const size of [0, -1, 6, 1.5, Number.NaN]) {
      expect(() => consistencyProof(leaves, size)).toThrow(RangeError);
      expect(verifyConsistency(size, 5, [], treeRoot(leaves), treeRoot(leaves))).toBe(false);
    }
    expect(() => consistencyProof([], 1)).toThrow(RangeError);
  });
});
