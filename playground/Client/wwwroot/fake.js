import init from './_content/DataSync.Vfs/sqlite/index.mjs';
let db;
export async function open() { const s = await init(); db = new s.oo1.DB(':memory:'); }
export function run(sql, json) {
  try {
    const p = JSON.parse(json), columns = [], rows = [];
    db.exec({ sql, bind: p && Object.keys(p).length ? p : undefined, rowMode: 'array', columnNames: columns, resultRows: rows });
    return JSON.stringify({ columns, rows, changes: db.changes(), rowid: Number(db.selectValue('select last_insert_rowid()')) });
  } catch (e) { return JSON.stringify({ error: e.message }); }
}
