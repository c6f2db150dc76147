import protobuf from 'protobufjs';

/** The message of the naive pipeline: frames with a signature each, as a team without a wire of its own would do. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message SignedFrame { string device = 1; uint64 sequence = 2; bytes frame = 3; bytes signature = 4; }
  message Message { repeated SignedFrame frames = 1; bytes signature = 2; }
`);

export const NaiveMessage = root.lookupType('Message');

export interface NaiveSignedFrame {
  readonly device: string;
  readonly sequence: number;
  readonly frame: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Who signs: each frame, or each message once over its frames' bytes. The second is the stronger baseline, since it
 * already is half of an envelope.
 */
export type NaiveSigning = 'frame' | 'message';
