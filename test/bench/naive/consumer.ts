import { createHash, createPrivateKey, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { join } from 'node:path';
import { StandardMerkleTree } from '@openzeppelin/merkle-tree';
import { concatBytes } from '@waystone/proto';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import protobuf from 'protobufjs';
import { ROOT } from '../machine.js';
import { answerCalls } from '../process-answers.js';
import { NaiveMessage, type NaiveSignedFrame, type NaiveSigning } from './message.js';

/**
 * What a good team would glue together: MQTT.js, protobufjs, `node:crypto`, one SQLite insert a message, and
 * OpenZeppelin's tree over each 10,000 frames.
 */
const TREE_FRAMES = 10_000;
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

const Frame = new protobuf.Root({ keepCase: false } as never)
  .loadSync(join(ROOT, 'proto/waystone/v1/frame.proto'))
  .lookupType('waystone.v1.Frame');

let frames = 0;
let trees = 0;
let client: mqtt.MqttClient;

const calls = {
  start: async (options: {
    port: number;
    file: string;
    keys: readonly { device: string; privateKey: Uint8Array }[];
    signing: NaiveSigning;
    withTree: boolean;
  }): Promise<void> => {
    const keys = new Map<string, KeyObject>(
      options.keys.map(({ device, privateKey }) => [
        device,
        createPublicKey(
          createPrivateKey({
            key: Buffer.concat([PKCS8, privateKey]),
            format: 'der',
            type: 'pkcs8',
          }),
        ),
      ]),
    );
    const db = new Database(options.file);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec(
      `CREATE TABLE messages (device TEXT NOT NULL, sequence INTEGER NOT NULL, payload BLOB NOT NULL);
       CREATE UNIQUE INDEX messages_by_sequence ON messages (device, sequence)`,
    );
    const insert = db.prepare('INSERT INTO messages VALUES (?, ?, ?)');
    let leaves: [string, number, string][] = [];
    client = mqtt.connect(`mqtt://127.0.0.1:${options.port}`, { clientId: 'consumer' });
    client.on('message', (_topic, payload) => {
      const message = NaiveMessage.decode(payload) as unknown as {
        frames: NaiveSignedFrame[];
        signature: Uint8Array;
      };
      const [first] = message.frames;
      if (first === undefined) return;
      const key = keys.get(first.device) as KeyObject;
      for (const one of message.frames) {
        Frame.decode(one.frame);
        if (options.signing === 'frame' && !verify(null, one.frame, key, one.signature)) return;
      }
      if (options.signing === 'message') {
        const signed = concatBytes(...message.frames.map(({ frame }) => frame));
        if (!verify(null, signed, key, message.signature)) return;
      }
      insert.run(first.device, Number(first.sequence), payload);
      frames += message.frames.length;
      if (!options.withTree) return;
      for (const one of message.frames) {
        const hash = createHash('sha256').update(one.frame).digest('hex');
        leaves.push([one.device, Number(one.sequence), `0x${hash}`]);
      }
      if (leaves.length < TREE_FRAMES) return;
      StandardMerkleTree.of(leaves, ['string', 'uint64', 'bytes32']);
      leaves = [];
      trees += 1;
    });
    await new Promise((resolve) => client.once('connect', resolve));
    await client.subscribeAsync('frames/#', { qos: 1 });
  },

  count: (): { frames: number; trees: number; atMs: number } => ({
    frames,
    trees,
    atMs: performance.now(),
  }),
};

export type NaiveConsumerCalls = typeof calls;

answerCalls(calls);
