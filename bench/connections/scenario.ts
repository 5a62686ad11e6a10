/** What the users of `bench/connections.ts` ask for: rows, a list, and a page of their own. */
import type { Scenario } from '../../packages/vazao/src/lab/scenario/scenario.ts';

/** As many as the application's migration makes. */
const ITEMS = 1_000;
/** Each is asked for under so many addresses, each of which has an entry: with 40, the caches are full. */
const ADDRESSES = Number(process.env.BENCH_ADDRESSES ?? 1);

const connections: Scenario = {
  name: 'connections',
  steps: [
    {
      name: 'row',
      weight: 6,
      request: ({ random }) => ({
        path: `/itens/${1 + random.integer(ITEMS)}${ADDRESSES > 1 ? `?n=${random.integer(ADDRESSES)}` : ''}`,
      }),
    },
    { name: 'list', weight: 3, request: { path: '/lista', headers: { 'accept-encoding': 'gzip' } } },
    {
      name: 'own',
      weight: 1,
      request: ({ user }) => ({ path: '/eu', headers: { authorization: `Bearer ${user.index % 100}` } }),
    },
  ],
};

export default connections;
