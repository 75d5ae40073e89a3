// Runs in each page of a chaos run before its own scripts: writes and reads for the test, and what the page went through.
(() => {
  if (location.pathname !== '/' || window !== top) return;
  const answers = new Map();
  const schema = [
    'CREATE TABLE IF NOT EXISTS meta(generation TEXT NOT NULL)',
    'CREATE TABLE IF NOT EXISTS history(id INTEGER PRIMARY KEY, generation TEXT NOT NULL, writer TEXT NOT NULL, n INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, before INTEGER NOT NULL, filler BLOB)',
    'CREATE INDEX IF NOT EXISTS history_writer ON history(writer, n)',
    'CREATE TABLE IF NOT EXISTS counter(n INTEGER NOT NULL)',
    'CREATE TRIGGER IF NOT EXISTS count_rows AFTER INSERT ON history BEGIN UPDATE counter SET n = n + 1; END',
    'INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT * FROM counter)',
    'INSERT INTO meta SELECT lower(hex(randomblob(6))) WHERE NOT EXISTS (SELECT * FROM meta)',
  ].map(sql => ({ sql }));
  // No constraint on (writer, n, part): a row that was written twice must be seen, not refused.
  const insert = 'INSERT INTO history(generation, writer, n, part, parts, before, filler) SELECT (SELECT generation FROM meta), $writer, $n, $part, $parts, (SELECT count(*) FROM history), randomblob($bytes)';
  const generation = () => datasync.query('SELECT generation FROM meta').then(rows => rows[0]?.generation ?? null, () => null);

  const chaos = globalThis.chaos = {
    page: crypto.randomUUID(), ticks: 0, freezes: 0, resumes: 0, persisted: 0,

    /** Waits for the database, makes the tables if nobody has, and says which history this is. */
    async open() {
      try {
        // A page that the browser loads by itself is asked before its modules have run.
        while (!globalThis.datasync) await new Promise(done => setTimeout(done, 50));
        await datasync.ready;
        if (await generation() === null) {
          await datasync.transaction(schema);
          if (await generation() === null) return { error: 'Invisible', message: 'the tables that this page made, or found when it was about to make them, are not there' };
        }
        chaos.live ??= await datasync.live('SELECT count(*) AS total, max(id) AS last FROM history', {}, (rows, error) => { chaos.shown = rows?.[0] ?? String(error); });
        return { page: chaos.page, generation: await generation(), id: (await datasync.status()).id };
      } catch (error) {
        return { error: error.name, message: error.message };
      }
    },

    /** Starts a write, once, and answers what came of it. */
    write(page, writer, n, parts, bytes) {
      if (page !== chaos.page) return { gone: true };
      const rows = Array.from({ length: parts }, (_, i) => ({ sql: insert, params: { writer, n, part: i + 1, parts, bytes } }));
      const work = parts === 1 ? datasync.execute(insert, rows[0].params) : datasync.transaction(rows);
      answers.set(n, work.then(({ marker, lastInsertRowId }) => ({ marker, id: lastInsertRowId }), error => ({ error: error.name, message: error.message })));
      return answers.get(n);
    },

    /** What came of a write that was asked for before. */
    answer: (page, n) => (page !== chaos.page ? { gone: true } : answers.get(n) ?? { never: true }),

    /** The rows from a number on, and the marker before. */
    async read(page, from) {
      if (page !== chaos.page) return { gone: true };
      try {
        const { marker } = await datasync.status();
        const rows = await datasync.query('SELECT id, writer, n, part, parts, before, generation FROM history WHERE id > $from ORDER BY id', { from });
        return { marker, rows: rows.map(row => Object.values(row)) };
      } catch (error) {
        return { error: error.name, message: error.message };
      }
    },

    /** Where a page stands that does not get on. */
    state: () => `${document.readyState}, ${document.visibilityState}, froze ${chaos.freezes} times, ${chaos.ticks} ticks, ${globalThis.datasync ? 'script' : 'no script'}, ${[...answers].length} writes: ${document.body?.innerText.slice(0, 300)}`,

    /** Whether the database is whole: its own check, the index, the trigger's count; and what a live query shows of it. */
    async check() {
      const [{ integrity_check }] = await datasync.query('PRAGMA integrity_check');
      const [counts] = await datasync.query('SELECT (SELECT n FROM counter) AS counter, (SELECT count(*) FROM history) AS total, (SELECT max(id) FROM history) AS last, (SELECT count(*) FROM meta) AS metas');
      // What a live query shows may be a frame older than the database, not more.
      for (let i = 0; i < 100 && chaos.shown?.total !== counts.total; i++) await new Promise(done => setTimeout(done, 50));
      const isLive = chaos.shown?.total === counts.total && chaos.shown?.last === counts.last;
      return { integrity: integrity_check, ...counts, live: isLive || chaos.shown };
    },
  };
  setInterval(() => chaos.ticks++, 100);
  document.addEventListener('freeze', () => chaos.freezes++);
  document.addEventListener('resume', () => chaos.resumes++);
  addEventListener('pageshow', event => { if (event.persisted) chaos.persisted++; });
})();
