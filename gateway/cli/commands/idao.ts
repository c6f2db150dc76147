import type { Config } from '../../core/config.js';
import { WaystoneError } from '../../core/errors.js';
import type { SentTransaction } from '../../forge/chain-sender.js';
import type { IdaoClient, IdaoView } from '../../forge/idao-client.js';
import { coinOf, weiOf } from '../amounts.js';
import type { Call } from '../call.js';
import { chainOf, type KeyFlags, sent, withKey } from '../chain-options.js';
import type { AddCommand } from '../cli.js';
import { date, pairs, plain } from '../format.js';

interface CreateFlags extends KeyFlags {
  readonly name?: string;
  readonly description?: string;
}

const NOBODY = `0x${'0'.repeat(40)}`;

export const addIdao: AddCommand = (program, act) => {
  const idao = program
    .command('idao')
    .description('the iDAO that owns devices and tokens: operators, treasury, bond')
    .addHelpText(
      'after',
      `
On the local chain the gateway must run, and makes its iDAO by itself. Elsewhere --keystore names the owner's key, which is
no business of a gateway: use it on another machine with the same waystone.toml.

Example:
  waystone idao show`,
    );

  const show = withKey(idao.command('show'))
    .description('owner, operators, treasury, tokens and bond')
    .addHelpText('after', '\nExample:\n  waystone idao show --json');
  act<KeyFlags>(show, async (call) => {
    await withIdao(call, async (client) => {
      const view = await client.view();
      call.print(view, () => describe(view));
    });
    return undefined;
  });

  const create = withKey(idao.command('create'))
    .option('--name <text>', 'its name (default: idao.name)')
    .option('--description <text>', 'what it is (default: idao.description)')
    .description('create the iDAO of the key that signs')
    .addHelpText(
      'after',
      '\nExample:\n  waystone idao create --keystore owner.json --password-file p',
    );
  act<CreateFlags>(create, async (call) => {
    await withIdao(call, async (client, config) => {
      const { name = config.idao.name, description = config.idao.description } = call.options;
      const done = await client.create({ name, description });
      call.print(done, () => `iDAO ${done.idao}; set chain.idaoAddress to it${sent(done)}`);
    });
    return undefined;
  });

  const metadata = withKey(idao.command('metadata'))
    .argument('[url]', 'where they are (default: http.publicUrl and /metadata/)')
    .description("say where the metadata of its datasets' tokens is")
    .addHelpText(
      'after',
      `
One address for all: a token's id and ".json" follow it. The gateway puts them there, or into http.publishFolder.

Example:
  waystone idao metadata https://gateway.example/metadata/`,
    );
  act<KeyFlags>(metadata, async (call, given = '') => {
    await withIdao(call, async (client, config) => {
      const base = given || defaultBase(config);
      const done = await client.setMetadataBase(base);
      call.print({ ...done, base }, () => `metadata is below ${plain(base)}${sent(done)}`);
    });
    return undefined;
  });

  const operators = idao
    .command('operators')
    .description("gateways' hot keys: they may register devices, commit and finalise")
    .addHelpText('after', '\nExample:\n  waystone idao operators add 0x…');
  for (const [name, isAllowed] of [
    ['add', true],
    ['remove', false],
  ] as const) {
    const command = withKey(operators.command(name))
      .argument('<address>', "address of the gateway's key")
      .description(isAllowed ? 'let a key act for the iDAO' : 'take its rights away')
      .addHelpText('after', `\nExample:\n  waystone idao operators ${name} 0x…`);
    act<KeyFlags>(command, (call, address = '') =>
      send(call, `${isAllowed ? 'operator' : 'no longer operator'}: ${address}`, (client) =>
        client.setOperator(address, isAllowed),
      ),
    );
  }

  const bond = idao
    .command('bond')
    .description('the coin that answers for faults of its datasets')
    .addHelpText('after', '\nExample:\n  waystone idao bond deposit 100');
  const deposit = withKey(bond.command('deposit'))
    .argument('<coin>', 'how much, as 0.25')
    .description('add to the bond; anyone may, and only its owner gets it back')
    .addHelpText('after', '\nExample:\n  waystone idao bond deposit 100');
  act<KeyFlags>(deposit, (call, coin = '') => {
    const wei = weiOf('the bond', coin);
    return send(call, `deposited ${coin} coin`, (client) => client.depositBond(wei));
  });
  const request = withKey(bond.command('request'))
    .argument('<coin>', 'how much; 0 ends an earlier request')
    .description('ask back a part of the bond; it answers for faults until it is taken')
    .addHelpText('after', '\nExample:\n  waystone idao bond request 50');
  act<KeyFlags>(request, (call, coin = '') => {
    const wei = weiOf('the bond', coin);
    return send(call, `asked back ${coin} coin`, (client) => client.requestBond(wei));
  });
  const take = withKey(bond.command('take'))
    .description('take what was asked back, once its time is over, into the treasury')
    .addHelpText('after', '\nExample:\n  waystone idao bond take');
  act<KeyFlags>(take, (call) => send(call, 'taken', (client) => client.takeBond()));
};

function describe(view: IdaoView): string {
  const { bond } = view;
  return pairs([
    ['iDAO', view.idao],
    ['name', plain(view.name) || '-'],
    ['description', plain(view.description) || '-'],
    ['owner', view.owner],
    ...(view.pendingOwner === NOBODY ? [] : [['next owner', view.pendingOwner] as const]),
    ['operators', view.operators.join(', ') || 'none'],
    ['treasury', `${coinOf(view.treasury)} coin`],
    ['tokens', String(view.tokens)],
    ['metadata', plain(view.metadataBase) || '-'],
    ['bond', `${coinOf(bond.amount)} coin, at least ${coinOf(bond.minimum)} to commit`],
    ...(bond.requested === '0'
      ? []
      : [
          [
            'asked back',
            `${coinOf(bond.requested)} coin, from ${date(bond.takeableAt * 1e6)} on`,
          ] as const,
        ]),
  ]);
}

function defaultBase({ http: { publicUrl } }: Config): string {
  if (publicUrl !== '') return `${publicUrl}/metadata/`;
  throw new WaystoneError('USAGE', 'name the address, or set http.publicUrl');
}

async function send(
  call: Call<KeyFlags>,
  what: string,
  run: (client: IdaoClient) => Promise<SentTransaction>,
): Promise<undefined> {
  await withIdao(call, async (client) => {
    const done = await run(client);
    call.print(done, () => `${plain(what)}${sent(done)}`);
  });
  return undefined;
}

async function withIdao(
  call: Call<KeyFlags>,
  run: (client: IdaoClient, config: Config) => Promise<void>,
): Promise<void> {
  const { config, options } = await chainOf(call);
  const client = await call.parts.openIdao(config, options);
  try {
    await run(client, config);
  } finally {
    client.close();
  }
}
