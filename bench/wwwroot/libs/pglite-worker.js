// The worker of pglite's multi-tab mode, as its documentation has it: one tab's worker runs the database, the others ask it.
import { PGlite } from '/npm/@electric-sql/pglite/dist/index.js';
import { worker } from '/npm/@electric-sql/pglite/dist/worker/index.js';

worker({ init: async ({ dataDir }) => PGlite.create({ dataDir }) });
