import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Interface } from 'ethers';
import { describe, expect, it } from 'vitest';
import {
  DATA_ANCHORING_TOKEN,
  DATA_REGISTRY,
  LAZAI_ERRORS,
  VERIFIED_COMPUTING,
} from './lazai-abi.js';
import { readArtifact } from './testing.js';

const ours = { DATA_REGISTRY, VERIFIED_COMPUTING, DATA_ANCHORING_TOKEN };
const standIns = {
  DataRegistry: new Interface(readArtifact('DataRegistry').abi),
  VerifiedComputing: new Interface(readArtifact('VerifiedComputing').abi),
  DataAnchoringToken: new Interface(readArtifact('DataAnchoringToken').abi),
  OldDataAnchoringToken: new Interface(readArtifact('OldDataAnchoringToken').abi),
};

// Selectors and topics of the contracts that LazAI published; a wrong word anywhere gives another hash.
describe('ABI of the target', () => {
  it.each([
    ['DATA_REGISTRY', 'addFileWithPermissions', '0xb4bcb9b1'],
    ['DATA_REGISTRY', 'addProof', '0xeb8b78db'],
    ['DATA_REGISTRY', 'requestReward', '0x5062bc5a'],
    ['DATA_REGISTRY', 'getFile', '0x2bfda313'],
    ['DATA_REGISTRY', 'getFileIdByUrl', '0x0f1ef4f0'],
    ['DATA_REGISTRY', 'getFileProof', '0x631ee051'],
    ['DATA_REGISTRY', 'getFilePermission', '0x44383e45'],
    ['DATA_REGISTRY', 'filesCount', '0xdfb5e9ba'],
    ['DATA_REGISTRY', 'publicKey', '0x63ffab31'],
    ['VERIFIED_COMPUTING', 'requestProof', '0x091e419e'],
    ['VERIFIED_COMPUTING', 'completeJob', '0xa1c0d32f'],
    ['VERIFIED_COMPUTING', 'claim', '0x4e71d92d'],
    ['VERIFIED_COMPUTING', 'isNode', '0x01750152'],
    ['VERIFIED_COMPUTING', 'getNode', '0x9d209048'],
    ['VERIFIED_COMPUTING', 'getJob', '0xbf22c457'],
    ['VERIFIED_COMPUTING', 'fileJobIds', '0x4c0eb9c9'],
    ['DATA_ANCHORING_TOKEN', 'fileUrl', '0x472380b9'],
    ['DATA_ANCHORING_TOKEN', 'verified', '0x1a9425c1'],
    ['DATA_ANCHORING_TOKEN', 'currentTokenId', '0x009a9b7b'],
  ] as const)('%s.%s has selector %s', (abi, name, selector) => {
    expect(ours[abi].getFunction(name)?.selector).toBe(selector);
  });

  it.each([
    ['DATA_REGISTRY', 'FileAdded', '0x2980b130', 'd1a0dc'],
    ['DATA_REGISTRY', 'ProofAdded', '0xb5e12146', '73feff'],
    ['DATA_REGISTRY', 'PermissionGranted', '0x6e0403ef', '05929b'],
    ['DATA_REGISTRY', 'RewardRequested', '0xc79b2d41', 'fdd9fe'],
    ['VERIFIED_COMPUTING', 'JobSubmitted', '0x489e923a', '3aa67e'],
    ['VERIFIED_COMPUTING', 'JobComplete', '0x7b017cac', 'e03931'],
    ['DATA_ANCHORING_TOKEN', 'TokenMinted', '0xdf92894d', '5703bb'],
  ] as const)('%s.%s has topic %s…%s', (abi, name, head, tail) => {
    const topic = ours[abi].getEvent(name)?.topicHash ?? '';
    expect([topic.slice(0, 10), topic.slice(-6)]).toEqual([head, tail]);
  });

  it.each([
    ['NotFileOwner', '0xabea3229'],
    ['FileUrlAlreadyUsed', '0x86114455'],
    ['FileNotFound', '0xed20d764'],
    ['FileAlreadyRewarded', '0x273e363e'],
    ['InvalidAttestator', '0x4d178544'],
  ] as const)('error %s has selector %s', (name, selector) => {
    expect(LAZAI_ERRORS.getError(name)?.selector).toBe(selector);
  });
});

describe('the stand-ins', () => {
  it('are what their sources give', () => {
    const script = fileURLToPath(
      new URL('../../contracts/test-lazai/compile.mjs', import.meta.url),
    );
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it.each([
    ['DataRegistry', 'addFile', '0x248bfc3b'],
    ['DataRegistry', 'addPermissionForFile', '0xeb82e154'],
    ['VerifiedComputing', 'submitJob', '0xe7aa0194'],
    ['DataAnchoringToken', 'mint', '0x0da209c3'],
    ['DataAnchoringToken', 'batchMint', '0xa331157b'],
    ['DataAnchoringToken', 'setTokenVerified', '0x49aa155e'],
    ['OldDataAnchoringToken', 'mint', '0x0da209c3'],
  ] as const)('%s.%s has selector %s', (name, call, selector) => {
    expect(standIns[name].getFunction(call)?.selector).toBe(selector);
  });

  it.each([
    ['DATA_REGISTRY', 'DataRegistry'],
    ['VERIFIED_COMPUTING', 'VerifiedComputing'],
    ['DATA_ANCHORING_TOKEN', 'DataAnchoringToken'],
  ] as const)('have everything of %s, with the same results and marks', (abi, name) => {
    // Names of arguments left out: they are no part of an ABI.
    const lines = (abiOf: Interface): string[] =>
      abiOf.fragments
        .filter((fragment) => fragment.type !== 'constructor')
        .map((fragment) => fragment.format('minimal'));
    const has = lines(standIns[name]);
    expect(lines(ours[abi]).filter((line) => !has.includes(line))).toEqual([]);
  });

  it('of the first token have uri and no fileUrl', () => {
    expect(standIns.OldDataAnchoringToken.getFunction('fileUrl')).toBeNull();
    expect(standIns.OldDataAnchoringToken.getFunction('uri')).not.toBeNull();
  });
});
