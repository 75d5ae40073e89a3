using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Vfs.Browser;

/// <summary>
/// What C# calls in the browser: SQLite's own exports ("raw."), and the functions of <c>vfs.js</c> that move bytes. Pointers
/// are ints: "net" ones lie in .NET's memory, the others in SQLite's.
/// </summary>
internal static partial class SqliteImports
{
    public const string Module = "DataSync.Vfs";

    private const string Raw = "raw.sqlite3_", Wasm = "raw.sqlite3__wasm_";

    [JSImport("initialize", Module)] public static partial Task Initialize(string vfsName);
    [JSImport("pointerOf", Module)] public static partial int PointerOf(string callback);
    [JSImport("yieldToPage", Module)] public static partial Task YieldToPage();
    [JSImport("heapSize", Module)] public static partial double HeapSize();
    [JSImport("copyIn", Module)] public static partial int CopyIn(int netAt, int size);
    [JSImport("copyOut", Module)] public static partial void CopyOut(int at, int netAt, int size);
    [JSImport("textLength", Module)] public static partial int TextLength(int at);
    [JSImport("readInt", Module)] public static partial int ReadInt(int at);
    [JSImport("prepare", Module)] public static partial int Prepare(int db, int netSql, int size, int flags, int netOut);
    [JSImport("step", Module)] public static partial int Step(int statement, int limit, int netAt, int room);
    [JSImport("run", Module)] public static partial int Run(int statement, int parameters, int runs, int netAt, int size);
    [JSImport(Raw + "step", Module)] public static partial int StepOnce(int statement);
    [JSImport("parameterIndex", Module)] public static partial int ParameterIndex(int statement, int netName);
    [JSImport("bindText", Module)] public static partial int BindText(int statement, int index, int netAt, int size);
    [JSImport("bindBlob", Module)] public static partial int BindBlob(int statement, int index, int netAt, int size);
    [JSImport("resultBytes", Module)] public static partial void ResultBytes(int context, int kind, int netAt, int size);
    [JSImport("columnText", Module)] public static partial int ColumnText(int statement, int index, int netAt, int room);
    [JSImport("columnBlob", Module)] public static partial int ColumnBlob(int statement, int index, int netAt, int room);
    [JSImport("valueText", Module)] public static partial int ValueText(int value, int netAt, int room);
    [JSImport("valueBlob", Module)] public static partial int ValueBlob(int value, int netAt, int room);

    // Memory and library.
    [JSImport(Raw + "malloc", Module)] public static partial int Malloc(int size);
    [JSImport(Raw + "free", Module)] public static partial void Free(int at);
    [JSImport(Raw + "sourceid", Module)] public static partial int SourceId();
    [JSImport(Raw + "errstr", Module)] public static partial int ErrStr(int code);
    [JSImport(Raw + "status", Module)] public static partial int Status(int op, int current, int highest, int reset);
    [JSImport(Raw + "compileoption_used", Module)] public static partial int CompileOptionUsed(int name);
    [JSImport(Raw + "compileoption_get", Module)] public static partial int CompileOptionGet(int index);
    [JSImport(Raw + "complete", Module)] public static partial int Complete(int sql);
    [JSImport(Raw + "keyword_count", Module)] public static partial int KeywordCount();
    [JSImport(Raw + "keyword_name", Module)] public static partial int KeywordName(int index, int outName, int outSize);
    [JSImport(Raw + "initialize", Module)] public static partial int InitializeLibrary();
    [JSImport(Wasm + "config_ii", Module)] public static partial int ConfigPointers(int op, int a, int b);

    // Connections.
    [JSImport(Raw + "open_v2", Module)] public static partial int Open(int name, int outDb, int flags, int vfs);
    [JSImport(Raw + "close_v2", Module)] public static partial int Close(int db);
    [JSImport(Raw + "interrupt", Module)] public static partial void Interrupt(int db);
    [JSImport(Raw + "db_readonly", Module)] public static partial int DbReadOnly(int db, int name);
    [JSImport(Raw + "db_filename", Module)] public static partial int DbFileName(int db, int name);
    [JSImport(Raw + "errmsg", Module)] public static partial int ErrMsg(int db);
    [JSImport(Raw + "errcode", Module)] public static partial int ErrCode(int db);
    [JSImport(Raw + "set_errmsg", Module)] public static partial int SetErrMsg(int db, int code, int message);
    [JSImport(Raw + "extended_errcode", Module)] public static partial int ExtendedErrCode(int db);
    [JSImport(Raw + "extended_result_codes", Module)] public static partial int ExtendedResultCodes(int db, int on);
    [JSImport(Raw + "last_insert_rowid", Module)] [return: JSMarshalAs<JSType.BigInt>] public static partial long LastInsertRowId(int db);
    [JSImport(Raw + "changes", Module)] public static partial int Changes(int db);
    [JSImport(Raw + "total_changes", Module)] public static partial int TotalChanges(int db);
    [JSImport(Raw + "get_autocommit", Module)] public static partial int GetAutocommit(int db);
    [JSImport(Raw + "busy_timeout", Module)] public static partial int BusyTimeout(int db, int ms);
    [JSImport(Raw + "limit", Module)] public static partial int Limit(int db, int id, int value);
    [JSImport(Raw + "db_status", Module)] public static partial int DbStatus(int db, int op, int current, int highest, int reset);
    [JSImport(Raw + "table_column_metadata", Module)] public static partial int TableColumnMetadata(int db, int name, int table, int column, int type, int collation, int notNull, int primaryKey, int autoIncrement);
    [JSImport(Wasm + "db_config_ip", Module)] public static partial int DbConfigInt(int db, int op, int value, int outResult);
    [JSImport(Wasm + "db_config_pii", Module)] public static partial int DbConfigPointer(int db, int op, int pointer, int a, int b);
    [JSImport(Wasm + "db_config_s", Module)] public static partial int DbConfigText(int db, int op, int text);
    [JSImport(Raw + "serialize", Module)] public static partial int Serialize(int db, int schema, int outSize, int flags);
    [JSImport(Raw + "deserialize", Module)] public static partial int Deserialize(int db, int schema, int data, [JSMarshalAs<JSType.BigInt>] long size, [JSMarshalAs<JSType.BigInt>] long room, int flags);
    [JSImport(Raw + "backup_init", Module)] public static partial int BackupInit(int target, int targetName, int source, int sourceName);
    [JSImport(Raw + "backup_step", Module)] public static partial int BackupStep(int backup, int pages);
    [JSImport(Raw + "backup_remaining", Module)] public static partial int BackupRemaining(int backup);
    [JSImport(Raw + "backup_pagecount", Module)] public static partial int BackupPageCount(int backup);
    [JSImport(Raw + "backup_finish", Module)] public static partial int BackupFinish(int backup);

    // Statements.
    [JSImport(Raw + "reset", Module)] public static partial int Reset(int statement);
    [JSImport(Raw + "finalize", Module)] public static partial int Finalize(int statement);
    [JSImport(Raw + "clear_bindings", Module)] public static partial int ClearBindings(int statement);
    [JSImport(Raw + "stmt_status", Module)] public static partial int StmtStatus(int statement, int op, int reset);
    [JSImport(Raw + "stmt_busy", Module)] public static partial int StmtBusy(int statement);
    [JSImport(Raw + "stmt_readonly", Module)] public static partial int StmtReadOnly(int statement);
    [JSImport(Raw + "stmt_isexplain", Module)] public static partial int StmtIsExplain(int statement);
    [JSImport(Raw + "sql", Module)] public static partial int Sql(int statement);
    [JSImport(Raw + "db_handle", Module)] public static partial int DbHandle(int statement);
    [JSImport(Raw + "next_stmt", Module)] public static partial int NextStmt(int db, int statement);
    [JSImport(Raw + "bind_int", Module)] public static partial int BindInt(int statement, int index, int value);
    [JSImport(Raw + "bind_int64", Module)] public static partial int BindInt64(int statement, int index, [JSMarshalAs<JSType.BigInt>] long value);
    [JSImport(Raw + "bind_double", Module)] public static partial int BindDouble(int statement, int index, double value);
    [JSImport(Raw + "bind_null", Module)] public static partial int BindNull(int statement, int index);
    [JSImport(Raw + "bind_zeroblob", Module)] public static partial int BindZeroBlob(int statement, int index, int size);
    [JSImport(Raw + "bind_parameter_count", Module)] public static partial int BindParameterCount(int statement);
    [JSImport(Raw + "bind_parameter_name", Module)] public static partial int BindParameterName(int statement, int index);
    [JSImport(Raw + "column_count", Module)] public static partial int ColumnCount(int statement);
    [JSImport(Raw + "data_count", Module)] public static partial int DataCount(int statement);
    [JSImport(Raw + "column_type", Module)] public static partial int ColumnType(int statement, int index);
    [JSImport(Raw + "column_int", Module)] public static partial int ColumnInt(int statement, int index);
    [JSImport(Raw + "column_int64", Module)] [return: JSMarshalAs<JSType.BigInt>] public static partial long ColumnInt64(int statement, int index);
    [JSImport(Raw + "column_double", Module)] public static partial double ColumnDouble(int statement, int index);
    [JSImport(Raw + "column_bytes", Module)] public static partial int ColumnBytes(int statement, int index);
    [JSImport(Raw + "column_name", Module)] public static partial int ColumnName(int statement, int index);
    [JSImport(Raw + "column_decltype", Module)] public static partial int ColumnDeclType(int statement, int index);
    [JSImport(Raw + "column_database_name", Module)] public static partial int ColumnDatabaseName(int statement, int index);
    [JSImport(Raw + "column_table_name", Module)] public static partial int ColumnTableName(int statement, int index);
    [JSImport(Raw + "column_origin_name", Module)] public static partial int ColumnOriginName(int statement, int index);

    // Functions, values, hooks.
    [JSImport("createFunction", Module)] public static partial int CreateFunction(int db, int netName, int count, int flags, int id, bool isAggregate);
    [JSImport(Raw + "create_collation_v2", Module)] public static partial int CreateCollation(int db, int name, int flags, int id, int compare, int destroy);
    [JSImport(Raw + "value_type", Module)] public static partial int ValueType(int value);
    [JSImport(Raw + "value_int", Module)] public static partial int ValueInt(int value);
    [JSImport(Raw + "value_int64", Module)] [return: JSMarshalAs<JSType.BigInt>] public static partial long ValueInt64(int value);
    [JSImport(Raw + "value_double", Module)] public static partial double ValueDouble(int value);
    [JSImport(Raw + "value_bytes", Module)] public static partial int ValueBytes(int value);
    [JSImport(Raw + "result_int", Module)] public static partial void ResultInt(int context, int value);
    [JSImport(Raw + "result_int64", Module)] public static partial void ResultInt64(int context, [JSMarshalAs<JSType.BigInt>] long value);
    [JSImport(Raw + "result_double", Module)] public static partial void ResultDouble(int context, double value);
    [JSImport(Raw + "result_null", Module)] public static partial void ResultNull(int context);
    [JSImport(Raw + "result_zeroblob", Module)] public static partial void ResultZeroBlob(int context, int size);
    [JSImport(Raw + "result_error_code", Module)] public static partial void ResultErrorCode(int context, int code);
    [JSImport(Raw + "result_error_nomem", Module)] public static partial void ResultErrorNoMem(int context);
    [JSImport(Raw + "result_error_toobig", Module)] public static partial void ResultErrorTooBig(int context);
    [JSImport(Raw + "commit_hook", Module)] public static partial int CommitHook(int db, int callback, int id);
    [JSImport(Raw + "rollback_hook", Module)] public static partial int RollbackHook(int db, int callback, int id);
    [JSImport(Raw + "update_hook", Module)] public static partial int UpdateHook(int db, int callback, int id);
    [JSImport(Raw + "progress_handler", Module)] public static partial void ProgressHandler(int db, int instructions, int callback, int id);
    [JSImport(Raw + "set_last_insert_rowid", Module)] public static partial void SetLastInsertRowId(int db, [JSMarshalAs<JSType.BigInt>] long id);
    [JSImport(Raw + "set_authorizer", Module)] public static partial int SetAuthorizer(int db, int callback, int id);
    [JSImport(Raw + "trace_v2", Module)] public static partial int Trace(int db, int mask, int callback, int id);
}
