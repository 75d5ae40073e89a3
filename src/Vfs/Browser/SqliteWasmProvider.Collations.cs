using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Collations. SQLite lets none say that it failed, so one that threw is noticed behind the call in which it did.
internal sealed unsafe partial class SqliteWasmProvider
{
    int ISQLite3Provider.sqlite3_create_collation(sqlite3 db, byte[] name, object v, delegate_collation func) =>
        Register(Handle(db), name, CollationArity, Utf8, func is null ? null : new Collation(Handle(db), func, v), id =>
        {
            using var nameText = new Argument(name);
            var code = SqliteImports.CreateCollation(
                Handle(db), nameText.At, Utf8, id, id == 0 ? 0 : SqliteImports.PointerOf("collate"), id == 0 ? 0 : SqliteImports.PointerOf("destroy"));

            // Unlike a function's, a collation's destructor is not called when it could not be made.
            if (code != SqliteResult.Ok) SqliteExports.Release(id);
            return code;
        });

    /// <summary>
    /// The code of a call that ran a statement: an error if a collation threw meanwhile, as what was read or written then rests on no
    /// order. What it wrote is taken back, with the transaction that it was part of.
    /// </summary>
    internal static int CheckCollations(int statement, int code)
    {
        if (SqliteExports.CollationFailures.Count == 0) return code;
        var db = SqliteImports.DbHandle(statement);
        if (!SqliteExports.CollationFailures.Remove(db, out var failure)) return code;
        _ = SqliteImports.Reset(statement);
        if (SqliteImports.StmtReadOnly(statement) == 0 && SqliteImports.GetAutocommit(db) == 0) RollBack(db);
        using (var text = new Argument($"a collation threw: {failure.Message}")) SqliteImports.SetErrMsg(db, SqliteResult.Error, text.At);
        return SqliteResult.Error;
    }

    private static void RollBack(int db)
    {
        var results = stackalloc int[2];
        fixed (byte* at = "ROLLBACK"u8) _ = SqliteImports.Prepare(db, (int)at, "ROLLBACK"u8.Length, 0, (int)results);
        _ = SqliteImports.StepOnce(results[0]);
        _ = SqliteImports.Finalize(results[0]);
    }
}
