using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// Runs statements of other tabs while this one leads: on a connection that the app never gets, so that nothing of its own state decides
/// what they do, nor is changed by them.
/// </summary>
/// <param name="name">The database's name.</param>
/// <param name="storage">Its bytes.</param>
/// <param name="configure">What the app sets connections up with.</param>
/// <param name="mayMiss">Whether some of the database may not be in memory.</param>
internal sealed class StatementHost(string name, BlockStorage storage, Action<SqliteConnection>? configure, bool mayMiss) : IDisposable
{
    // Texts of their own: the prepared ones must not be found by a statement that came.
    private const string Begin = "BEGIN IMMEDIATE /* statements of another tab */", Commit = "COMMIT /* statements of another tab */";

    /// <summary>Of SQLite's virtual machine; some ten milliseconds where it is slow. What takes longer would hold up this tab's page for another's sake.</summary>
    private const int MaxInstructions = 200_000, InstructionStep = 10_000;

    /// <summary>What the last row id is set to before a run; a row that has it counts as none.</summary>
    private const long NoRow = long.MinValue;

    private static readonly string[] ConnectionState = ["last_insert_rowid", "changes", "total_changes", "load_extension"];

    private CachedConnection? _connection;
    private ConnectionTraits? _traits;
    private bool _isOwn, _wasDenied, _isGuarded;
    private int _instructions;

    /// <summary>How many were run to their end.</summary>
    public int Runs { get; private set; }

    /// <inheritdoc cref="StatementRunner"/>
    public StatementRun Run(byte[] body)
    {
        try
        {
            var (traits, statements) = StatementBody.Decode(body);
            var connection = _connection ??= Open();
            if (!_isGuarded || traits != _traits!.Hash) return new(StatementEnd.Unfit);
            (_wasDenied, _instructions) = (false, 0);
            try
            {
                var result = Run(connection, statements);
                Runs++;
                return new(StatementEnd.Committed, result);
            }
            catch (Exception error) when (error is SqliteException or InvalidOperationException or ArgumentException)
            {
                AsOwn(() => connection.Connection.RollBack());
                return new(_wasDenied || _instructions > MaxInstructions ? StatementEnd.Unfit : StatementEnd.Failed);
            }
        }
#pragma warning disable CA1031 // Whatever it is, their own tab runs them and meets it there.
        catch (Exception)
#pragma warning restore CA1031
        {
            return new(StatementEnd.Unfit);
        }
    }

    public void Dispose() => _connection?.Dispose();

    private StatementResult Run(CachedConnection connection, List<TravellingStatement> statements)
    {
        connection.LastInsertRowId = NoRow;
        var before = connection.TotalChanges;
        connection.CheckSchema(storage);
        var misses = BlockStorage.MissesHere;

        // One statement is a transaction of its own. What it commits although it fails (OR FAIL) is not kept: its tab is told that it failed.
        if (!mayMiss && statements is [{ IsMany: false } only] && !connection.HasSeveral(only.Sql))
        {
            connection.Execute(only.Sql, only.Parameters);
            if (connection.Connection.InTransaction()) throw new InvalidOperationException("It began a transaction (SAVEPOINT) and does not end it.");
        }
        else
        {
            AsOwn(() => connection.Execute(Begin));
            foreach (var (sql, parameters, isMany) in statements)
            {
                if (isMany) connection.ExecuteMany(sql, (object?[])parameters!);
                else connection.Execute(sql, parameters);
            }

            if (!connection.Connection.InTransaction()) throw new InvalidOperationException("They ended their transaction.");

            // There are statements that take what they cannot read for a finding (pragma_integrity_check).
            if (BlockStorage.MissesHere != misses) throw new InvalidOperationException("They need what is not in memory here.");
            AsOwn(() => connection.Execute(Commit));
        }

        var row = connection.LastInsertRowId;
        return new(connection.TotalChanges - before, row == NoRow ? null : row);
    }

    private void AsOwn(Action work)
    {
        _isOwn = true;
        try
        {
            work();
        }
        finally
        {
            _isOwn = false;
        }
    }

    private CachedConnection Open()
    {
        CachedConnection? connection = null;
        AsOwn(() =>
        {
            connection = new CachedConnection(name, SetUp);
            _traits = ConnectionTraits.Of(connection, configure);

            // What the app sets connections up with may bring an authorizer of its own; then nothing is run here.
            _isGuarded = false;
            connection.Execute("SELECT 1 /* asks the authorizer */");
        });
        return connection!;
    }

    private void SetUp(SqliteConnection connection)
    {
        raw.sqlite3_set_authorizer(connection.Handle, (strdelegate_authorizer)Authorize, null);
        raw.sqlite3_progress_handler(connection.Handle, InstructionStep, CountInstructions, null);
        configure?.Invoke(connection);
    }

    private int CountInstructions(object state) => (_instructions += InstructionStep) > MaxInstructions ? 1 : 0;

    private int Authorize(object state, int action, string? first, string? second, string? database, string? trigger)
    {
        _isGuarded = true;
        if (_isOwn || MeansTheSame(action, first, second)) return raw.SQLITE_OK;
        _wasDenied = true;
        return raw.SQLITE_DENY;
    }

    // What reads a setting is alike, since the settings are; full-text search does so, too.
    private static bool MeansTheSame(int action, string? first, string? second) => action switch
    {
        raw.SQLITE_ATTACH or raw.SQLITE_DETACH or raw.SQLITE_TRANSACTION => false,
        raw.SQLITE_CREATE_TEMP_INDEX or raw.SQLITE_CREATE_TEMP_TABLE or raw.SQLITE_CREATE_TEMP_TRIGGER or raw.SQLITE_CREATE_TEMP_VIEW => false,
        raw.SQLITE_PRAGMA => second is null,
        raw.SQLITE_FUNCTION => !ConnectionState.Contains(second, StringComparer.OrdinalIgnoreCase),
        _ => true,
    };
}
