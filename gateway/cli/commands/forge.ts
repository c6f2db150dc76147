import type { ForgeView } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { pairs, table } from '../format.js';

/** Hex digits of a log's id in the list. */
const LOG_CHARS_SHOWN = 8;

export const addForge: AddCommand = (program, act) => {
  const forge = program
    .command('forge')
    .description('how datasets go on chain')
    .addHelpText('after', '\nExample:\n  waystone forge status');

  const status = forge
    .command('status')
    .description('what is under way, and what it waits for')
    .addHelpText('after', '\nExample:\n  waystone forge status --json');
  act(status, async (call) => {
    const view = await (await call.api()).get<ForgeView>('/v1/forge');
    call.print(view, () => describe(view));
    return undefined;
  });

  for (const [name, what] of [
    ['retry', 'try again now, whatever the wait was'],
    ['pause', 'send no new dataset; what is on chain is finished. Kept over restarts'],
    ['resume', 'end a pause'],
  ] as const) {
    const command = forge
      .command(name)
      .description(what)
      .addHelpText('after', `\nExample:\n  waystone forge ${name}`);
    act(command, async (call) => {
      const { body } = await (await call.api()).ask<ForgeView>('POST', `/v1/forge/${name}`, {});
      call.print(body, () => describe(body));
      return undefined;
    });
  }
};

function describe(view: ForgeView): string {
  const rows = pairs([
    ['network', view.chainId === 0 ? view.network : `${view.network}, chain ${view.chainId}`],
    ['state', view.isPaused ? 'paused' : view.state],
    ['waits for', view.why || 'nothing'],
    ['node', view.reachable ? `answers, block ${view.headBlock ?? '?'}` : 'does not answer'],
    ['last error', view.lastError === null ? 'none' : view.lastError.code],
  ]);
  const datasets = table(
    ['LOG', '>PLACE', 'STATE', 'WAITS FOR'],
    view.datasets.map(({ logId, index, state, waitsFor }) => [
      logId.slice(0, LOG_CHARS_SHOWN),
      String(index),
      state,
      waitsFor,
    ]),
    'no dataset is under way',
  );
  return `${rows}\n${datasets}`;
}
