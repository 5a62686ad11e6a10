/** What the users of `bench/connections.ts` ask for: rows, a list, and a page of their own. */
import type { Scenario } from '../../packages/vazao/src/lab/scenario/scenario.ts';

/** As many as the application's migration makes. */
const ITEMS = 1_000;

const connections: Scenario = {
  name: 'connections',
  steps: [
    { name: 'row', weight: 6, request: ({ random }) => ({ path: `/itens/${1 + random.integer(ITEMS)}` }) },
    { name: 'list', weight: 3, request: { path: '/lista', headers: { 'accept-encoding': 'gzip' } } },
    {
      name: 'own',
      weight: 1,
      request: ({ user }) => ({ path: '/eu', headers: { authorization: `Bearer ${user.index % 100}` } }),
    },
  ],
};

export default connections;
