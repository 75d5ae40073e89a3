using DataSync.Coordination;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <content>The transactions that write.</content>
internal sealed partial class PostgresBlockStore
{
    /// <summary>How many bytes go to the server in one piece: it holds a piece in memory, several times, and takes below 1 GB in one value.</summary>
    internal const int MaxPiece = 16 << 20;

    /// <inheritdoc/>
    public async ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) =>
        await RunAsync(async (connection, id) =>
        {
            var present = await BeginAsync(connection, id).ConfigureAwait(false);
            var head = StoreRules.Raise(present, incarnation, proposed, holder);
            var batch = _source.Batch(connection);
            await using var batchEnd = batch.ConfigureAwait(false);
            if (head != present) AddHead(batch, id, head, present);
            batch.Add(PostgresSource.Commit);
            await batch.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
            lock (_lock) _seen = _seen.With(head);
            return head;
        }, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken)
    {
        StoreRules.CheckCommits(fence, commits);
        var isSmall = commits.Sum(commit => (long)commit.Bytes.Length) <= MaxPiece;
        var isDone = isSmall && await RunAsync((connection, id) => TryAppendAsync(connection, id, fence, commits), cancellationToken).ConfigureAwait(false);
        if (!isDone) await RunAsync((connection, id) => AppendAsync(connection, id, fence, commits), cancellationToken).ConfigureAwait(false);
        lock (_lock) _seen = _seen.WithAppended(fence, commits[^1].Marker);
    }

    /// <inheritdoc/>
    public async ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken)
    {
        StoreRules.CheckCheckpoint(fence, checkpoint);
        await RunAsync(async (connection, id) =>
        {
            var head = await BeginAsync(connection, id).ConfigureAwait(false);
            StoreRules.CheckFence(head, fence);
            var marker = checkpoint.Head.Checkpoint.Marker;
            if (marker < head.Checkpoint.Marker || (marker > head.Checkpoint.Marker && !(await ReadTakenAsync(connection, id, marker, marker).ConfigureAwait(false)).ContainsKey(marker)))
                throw new MarkerConflictException(marker);
            await WriteExtentsAsync(connection, id, checkpoint).ConfigureAwait(false);
            await EndCheckpointAsync(connection, id, checkpoint, head).ConfigureAwait(false);
            return true;
        }, cancellationToken).ConfigureAwait(false);
        if (checkpoint.DropFrom is { } dropped) lock (_lock) _seen = _seen with { Appended = Math.Min(_seen.Appended, dropped - 1) };
    }

    /// <summary>
    /// The ordinary append: behind what is there, under the fence that is there. One round trip, in which the server compares all of it; where anything is not
    /// as it should be it writes nothing, and <see cref="AppendAsync(NpgsqlConnection, long, Fence, IReadOnlyList{CommitRecord})"/> finds out what.
    /// </summary>
    private async Task<bool> TryAppendAsync(NpgsqlConnection connection, long id, Fence fence, IReadOnlyList<CommitRecord> commits)
    {
        var batch = _source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Durable);
        var insert = batch.Add(
            $"""
            WITH fence AS MATERIALIZED (
                SELECT checkpoint FROM {_source.Schema}.databases WHERE id = $1 AND incarnation = $2 AND epoch = $3 FOR NO KEY UPDATE)
            INSERT INTO {_source.Schema}.log (database, marker, part, id, bytes)
            SELECT $1, $4 + c.place - 1, 0, c.id, c.bytes FROM fence, unnest($5, $6) WITH ORDINALITY AS c (id, bytes, place)
            WHERE fence.checkpoint = $4 - 1
                OR (fence.checkpoint < $4 AND EXISTS (SELECT FROM {_source.Schema}.log WHERE database = $1 AND marker = $4 - 1 AND part = 0))
            """,
            id, fence.Incarnation, fence.Epoch.Value, commits[0].Marker, commits.Select(commit => commit.Id.Value).ToArray(), commits.Select(BytesOf).ToArray());
        batch.Add(PostgresSource.Commit);
        try
        {
            await _source.UnblockedAsync(connection, _name, batch.ExecuteNonQueryAsync(CancellationToken.None)).ConfigureAwait(false);
            return insert.Rows == (ulong)commits.Count;
        }
        catch (PostgresException error) when (PostgresErrors.IsTaken(error))
        {
            return false;
        }
    }

    /// <summary>An append in several steps, for what is large, and for what the ordinary one did not take.</summary>
    private async Task<bool> AppendAsync(NpgsqlConnection connection, long id, Fence fence, IReadOnlyList<CommitRecord> commits)
    {
        var head = await BeginAsync(connection, id).ConfigureAwait(false);
        StoreRules.CheckFence(head, fence);
        var first = commits[0].Marker;
        var taken = await ReadTakenAsync(connection, id, first - 1, commits[^1].Marker).ConfigureAwait(false);

        // A marker that the checkpoint has passed is free in the log, and must not be taken again.
        if (first <= head.Checkpoint.Marker || (first - 1 != head.Checkpoint.Marker && !taken.ContainsKey(first - 1))) throw new MarkerConflictException(first);
        foreach (var commit in commits)
        {
            if (taken.TryGetValue(commit.Marker, out var other) && other != commit.Id) throw new MarkerConflictException(commit.Marker);
        }

        foreach (var commit in commits.Where(commit => !taken.ContainsKey(commit.Marker)))
        {
            for (var at = 0; at < commit.Bytes.Length; at += MaxPiece)
            {
                var piece = commit.Bytes.Slice(at, Math.Min(MaxPiece, commit.Bytes.Length - at));
                var insert = _source.Command(
                    connection, $"INSERT INTO {_source.Schema}.log (database, marker, part, id, bytes) VALUES ($1, $2, $3, $4, $5)",
                    id, commit.Marker, at / MaxPiece, commit.Id.Value, piece);
                await using var insertEnd = insert.ConfigureAwait(false);
                await insert.ExecuteNonQueryAsync().ConfigureAwait(false);
            }
        }

        await CommitAsync(connection).ConfigureAwait(false);
        return true;
    }

    /// <summary>Begins a transaction, locks the database's row, and reads the head behind the lock.</summary>
    private Task<Head> BeginAsync(NpgsqlConnection connection, long id) => _source.UnblockedAsync(connection, _name, BeginNowAsync(connection, id));

    private async Task<Head> BeginNowAsync(NpgsqlConnection connection, long id)
    {
        var (schema, before) = (_source.Schema, Seen);
        var batch = _source.Batch(connection);
        await using var batchEnd = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Durable);
        batch.Add($"SELECT 1 FROM {schema}.databases WHERE id = $1 FOR NO KEY UPDATE", id);
        batch.Add(
            $"""
            SELECT h.bytes, c.bytes, greatest(d.checkpoint, (SELECT max(marker) FROM {schema}.log WHERE database = d.id))
            FROM {schema}.databases d LEFT JOIN {schema}.heads h ON h.database = d.id LEFT JOIN {schema}.head_copies c ON c.database = d.id WHERE d.id = $1
            """,
            id);
        var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        for (var skipped = 0; skipped < 2; skipped++) await reader.NextResultAsync().ConfigureAwait(false);
        if (!await reader.ReadAsync().ConfigureAwait(false)) throw Gone();
        var head = ReadHead(BytesOf(reader, 0), BytesOf(reader, 1));
        See(before, head, reader.GetInt64(2));
        return head;
    }

    private async Task CommitAsync(NpgsqlConnection connection)
    {
        var commit = _source.Command(connection, PostgresSource.Commit);
        await using var end = commit.ConfigureAwait(false);
        await commit.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private async Task<Dictionary<long, CommitId>> ReadTakenAsync(NpgsqlConnection connection, long id, long first, long last)
    {
        var command = _source.Command(
            connection, $"SELECT marker, id FROM {_source.Schema}.log WHERE database = $1 AND part = 0 AND marker BETWEEN $2 AND $3", id, first, last);
        await using var end = command.ConfigureAwait(false);
        var reader = await command.ExecuteReaderAsync().ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        var taken = new Dictionary<long, CommitId>();
        while (await reader.ReadAsync().ConfigureAwait(false)) taken.Add(reader.GetInt64(0), new(reader.GetGuid(1)));
        return taken;
    }

    private async Task WriteExtentsAsync(NpgsqlConnection connection, long id, Checkpoint checkpoint)
    {
        foreach (var group in checkpoint.Extents.Chunk(MaxPiece / Extent.MaxRecordSize))
        {
            var batch = _source.Batch(connection);
            await using var end = batch.ConfigureAwait(false);
            if (checkpoint.Damaged is { } damaged)
            {
                int[] kept = [.. group.Select(extent => extent.Index).Where(damaged.Contains)];
                foreach (var index in kept) Log.KeptAside(_source.Logger, _name, "extent", index);
                batch.Add(
                    $"INSERT INTO {_source.Schema}.quarantine (database, kind, key, part, bytes) SELECT database, 'extent', index, 0, bytes FROM {_source.Schema}.extents WHERE database = $1 AND index = ANY ($2)",
                    id, kept);
            }

            batch.Add($"DELETE FROM {_source.Schema}.extents WHERE database = $1 AND index = ANY ($2)", id, group.Where(extent => extent.RecordSize == 0).Select(extent => extent.Index).ToArray());
            var written = group.Where(extent => extent.RecordSize > 0).ToArray();
            batch.Add(
                $"INSERT INTO {_source.Schema}.extents SELECT $1, index, bytes FROM unnest($2, $3) AS e (index, bytes) ON CONFLICT (database, index) DO UPDATE SET bytes = EXCLUDED.bytes",
                id, written.Select(extent => extent.Index).ToArray(), written.Select(extent => extent.RecordBytes[..extent.RecordSize].ToArray()).ToArray());
            await batch.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private async Task EndCheckpointAsync(NpgsqlConnection connection, long id, Checkpoint checkpoint, Head present)
    {
        var batch = _source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        AddHead(batch, id, checkpoint.Head, present);
        var marker = checkpoint.Head.Checkpoint.Marker;
        if (checkpoint is { DropFrom: { } bad, Damaged: not null })
        {
            Log.KeptAside(_source.Logger, _name, "log", bad);
            batch.Add(
                $"INSERT INTO {_source.Schema}.quarantine (database, kind, key, part, bytes) SELECT database, 'log', marker, part, bytes FROM {_source.Schema}.log WHERE database = $1 AND marker >= $2",
                id, bad);
        }

        batch.Add($"DELETE FROM {_source.Schema}.log WHERE database = $1 AND (marker <= $2 OR marker >= $3)", id, marker, checkpoint.DropFrom ?? long.MaxValue);
        batch.Add(PostgresSource.Commit);
        await batch.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private void AddHead(NpgsqlBatch batch, long id, Head head, Head present)
    {
        var schema = _source.Schema;
        if (present.Damage is not null)
        {
            Log.KeptAside(_source.Logger, _name, "head", 0);
            batch.Add($"INSERT INTO {schema}.quarantine (database, kind, key, part, bytes) SELECT database, 'head', 0, 0, bytes FROM {schema}.heads WHERE database = $1", id);
        }

        var bytes = HeadCodec.Encode(head);
        foreach (var table in (string[])["head_copies", "heads"])
            batch.Add($"INSERT INTO {schema}.{table} VALUES ($1, $2) ON CONFLICT (database) DO UPDATE SET bytes = EXCLUDED.bytes", id, bytes);
        batch.Add(
            $"UPDATE {schema}.databases SET incarnation = $2, epoch = $3, checkpoint = $4 WHERE id = $1",
            id, head.Incarnation, head.Epoch.Value, head.Checkpoint.Marker);
    }

    private static byte[] BytesOf(CommitRecord commit) => commit.Segment.Array!;
}
