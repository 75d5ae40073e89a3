using System.Buffers;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <content>The transaction that reads: one moment, row by row, in one round trip.</content>
internal sealed partial class PostgresBlockStore
{
    /// <inheritdoc/>
    public async ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        await RunAsync(async (connection, id) =>
        {
            var (schema, before) = (_source.Schema, Seen);
            var batch = _source.Batch(connection);
            await using var batchEnd = batch.ConfigureAwait(false);
            batch.Add(PostgresSource.BeginRead);
            batch.Add(
                $"""
                SELECT h.bytes, c.bytes, (SELECT count(*) FROM {schema}.extents WHERE database = d.id AND $3 <> 0),
                    (SELECT count(*) FROM {schema}.log WHERE database = d.id AND marker > $2 AND part = 0),
                    greatest(d.checkpoint, (SELECT max(marker) FROM {schema}.log WHERE database = d.id))
                FROM {schema}.databases d LEFT JOIN {schema}.heads h ON h.database = d.id LEFT JOIN {schema}.head_copies c ON c.database = d.id WHERE d.id = $1
                """,
                id, request.AfterMarker, request is { IncludeExtents: true, Only: null } ? 1 : 0);
            if (request.ListExtents) batch.Add($"SELECT index FROM {schema}.extents WHERE database = $1 ORDER BY index", id);
            if (request is { IncludeExtents: true, Only: { } only }) batch.Add($"SELECT index, bytes FROM {schema}.extents WHERE database = $1 AND index = ANY ($2) ORDER BY index", id, only.ToArray());
            else if (request.IncludeExtents) batch.Add($"SELECT index, bytes FROM {schema}.extents WHERE database = $1 ORDER BY index", id);
            batch.Add($"SELECT marker, bytes FROM {schema}.log WHERE database = $1 AND marker > $2 ORDER BY marker, part", id, request.AfterMarker);
            batch.Add(PostgresSource.Commit);
            var reader = await batch.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using var readerEnd = reader.ConfigureAwait(false);
            await HandOverAsync(reader, before, request, cancellationToken).ConfigureAwait(false);
            return true;
        }, cancellationToken).ConfigureAwait(false);
    }

    private async Task HandOverAsync(NpgsqlDataReader reader, SeenHistory before, StoreRead request, CancellationToken cancellationToken)
    {
        if (!await reader.ReadAsync(cancellationToken).ConfigureAwait(false)) throw Gone();
        var head = ReadHead(BytesOf(reader, 0), BytesOf(reader, 1));
        See(before, head, reader.GetInt64(4));
        request.Sink.OnHead(head, request.Only?.Count ?? (int)reader.GetInt64(2), (int)reader.GetInt64(3));
        if (request.ListExtents)
        {
            await reader.NextResultAsync(cancellationToken).ConfigureAwait(false);
            await HandOverListAsync(reader, request.Sink, cancellationToken).ConfigureAwait(false);
        }

        if (request.IncludeExtents)
        {
            await reader.NextResultAsync(cancellationToken).ConfigureAwait(false);
            await HandOverExtentsAsync(reader, request.Sink, cancellationToken).ConfigureAwait(false);
        }

        await reader.NextResultAsync(cancellationToken).ConfigureAwait(false);
        await HandOverLogAsync(reader, request.Sink, cancellationToken).ConfigureAwait(false);
    }

    private static async Task HandOverListAsync(NpgsqlDataReader reader, IStoreReadSink sink, CancellationToken cancellationToken)
    {
        var indices = new List<int>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false)) indices.Add(reader.GetInt32(0));
        sink.OnExtentList(indices);
    }

    private static async Task HandOverExtentsAsync(NpgsqlDataReader reader, IStoreReadSink sink, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(Extent.MaxRecordSize);
        try
        {
            while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
            {
                var size = (int)reader.GetBytes(1, 0, null, 0, 0);
                var present = (int)reader.GetBytes(1, 0, buffer, 0, Math.Min(size, Extent.MaxRecordSize));
                var extent = new Extent(reader.GetInt32(0));
                buffer.AsSpan(0, present).CopyTo(extent.RecordBytes);
                sink.OnExtent(extent, size);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task HandOverLogAsync(NpgsqlDataReader reader, IStoreReadSink sink, CancellationToken cancellationToken)
    {
        var (marker, parts) = (0L, new List<byte[]>());
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            var next = reader.GetInt64(0);
            if (next != marker) HandOver();
            marker = next;
            parts.Add(reader.GetFieldValue<byte[]>(1));
        }

        HandOver();

        // A transaction is there or not: an incomplete record is damage to one that was acknowledged.
        void HandOver()
        {
            if (parts.Count > 0) sink.OnLog(marker, Join(parts), mayBeTorn: false);
            parts.Clear();
        }
    }

    private static byte[] Join(List<byte[]> parts)
    {
        if (parts.Count == 1) return parts[0];
        var whole = GC.AllocateUninitializedArray<byte>(parts.Sum(part => part.Length));
        var at = 0;
        foreach (var part in parts)
        {
            part.CopyTo(whole, at);
            at += part.Length;
        }

        return whole;
    }
}
