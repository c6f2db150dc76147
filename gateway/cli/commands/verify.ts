import { WaystoneError } from '../../core/errors.js';
import type { AddCommand } from '../cli.js';

interface VerifyFlags {
  readonly gateway?: string;
  readonly rpc?: string;
  readonly forge?: string;
}

export const addVerify: AddCommand = (program, act) => {
  const command = program
    .command('verify')
    .argument('<path>', 'dataset folder or proof file')
    .description('check a dataset or a proof; needs no gateway')
    .option('--gateway <did>', 'did:key of the gateway that must have signed it')
    .option('--rpc <url>', 'node of the chain, to compare with what is anchored there')
    .option('--forge <address>', 'DatasetForge contract on that chain')
    .addHelpText(
      'after',
      `
Ends with 0 when all holds and the signer is the expected one, 1 when something does not hold,
2 when the path cannot be read, 3 when all holds but neither --gateway nor --rpc pins the signer.

Example:
  waystone verify ~/.waystone/data/datasets/3f9a… --gateway did:key:zQ3sh…`,
    );
  act<VerifyFlags>(command, async (call, path = '') => {
    const { gateway, rpc, forge } = call.options;
    if ((rpc === undefined) !== (forge === undefined)) {
      throw new WaystoneError('USAGE', '--rpc and --forge belong together: give both or neither');
    }
    if (rpc !== undefined && !URL.canParse(rpc)) {
      throw new WaystoneError('USAGE', `--rpc must be a URL, got ${JSON.stringify(rpc)}`);
    }
    if (forge !== undefined && !/^0x[0-9a-fA-F]{40}$/.test(forge)) {
      throw new WaystoneError('USAGE', `--forge must be 0x and 40 hex digits, got ${forge}`);
    }
    // Loaded when it is needed: the other commands start faster without it.
    const { verifyPath } = await import('../../audit/verify.js');
    const { renderVerification } = await import('../../audit/render.js');
    const chain =
      rpc === undefined || forge === undefined
        ? null
        : await call.parts.openChain({ rpcUrl: rpc, forge });
    try {
      const verification = await verifyPath(path, {
        ...(gateway !== undefined && { gatewayDid: gateway }),
        ...(chain !== null && { chain }),
      });
      call.print(verification, () => `${renderVerification(verification)}\n`);
      return verification.exitCode;
    } finally {
      chain?.close();
    }
  });
};
