import { writeFile } from 'node:fs/promises';
import { messageOf, WaystoneError } from '../../core/errors.js';
import type { ProofAnswer } from '../../core/view.js';
import type { AddCommand } from '../cli.js';

export const addProve: AddCommand = (program, act) => {
  const command = program
    .command('prove')
    .argument('<device>', 'did:key of the device')
    .argument('<session>', '32 hex digits')
    .argument('<stream>', 'number of the stream')
    .argument('<sequence>', 'number of the frame')
    .description('get the proof that a frame is in a dataset')
    .option('--out <file>', 'write it to a file, for waystone verify')
    .addHelpText(
      'after',
      '\nExample:\n  waystone prove did:key:zQ3sh… 0f3b…a2 1 41 --out proof.json',
    );
  act<{ out?: string }>(command, async (call, ...place) => {
    const path = `/v1/proofs/${place.map(encodeURIComponent).join('/')}`;
    const { status, body } = await (await call.api()).ask<object>('GET', path);
    if (status === 202) {
      const { batch, waitsFor } = body as Extract<ProofAnswer, { state: 'waiting' }>;
      throw new WaystoneError(
        'FRAME_WAITING',
        `the frame is stored in batch ${batch}, which is not sealed yet: it waits for ${waitsFor}`,
      );
    }
    const proof = `${JSON.stringify(body, null, 2)}\n`;
    const { out } = call.options;
    if (out === undefined) {
      call.terminal.out(proof);
      return undefined;
    }
    try {
      await writeFile(out, proof);
    } catch (error) {
      throw new WaystoneError('PATH_UNWRITABLE', `${out} cannot be written: ${messageOf(error)}`, {
        cause: error,
      });
    }
    call.print({ file: out }, () => `wrote ${out}; check it with waystone verify ${out}\n`);
    return undefined;
  });
};
