using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Threading.Channels;
using DataSync.Coordination;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>
/// Messages among the processes that have one database open, as notifications. What is too large for one lies in a table for a minute, and the notification says
/// where. What is in the same process (a server's own tab, and those for which it speaks) hears them at once, and not by a notification. A hint, as every channel: what gets lost is repeated by
/// whoever needs it.
/// </summary>
/// <param name="source">The server.</param>
/// <param name="link">The session that listens.</param>
/// <param name="name">The database's name.</param>
/// <param name="isOwn">Whether this is a tab of the process itself. One that a server speaks for may have come back to another server, unnoticed here.</param>
internal sealed class PostgresCommitChannel(PostgresSource source, PostgresLink link, string name, bool isOwn = true) : ICommitChannel, IPostgresLinkMember
{
    /// <summary>How many bytes fit into a notification, four characters for three of them.</summary>
    internal const int MaxInline = PostgresNote.MaxBody / 4 * 3;

    /// <summary>What goes out together, at most.</summary>
    private const int MaxMessages = 100, MaxBytes = 16 << 20;

    /// <summary>What waits for a server that does not answer; the oldest is lost first, and repeated by whoever needs it.</summary>
    private const int MaxWaiting = 10_000;

    private static readonly TimeSpan KeepFor = TimeSpan.FromMinutes(1), SweepEvery = TimeSpan.FromSeconds(10);

    private readonly Channel<Outgoing> _out = MakeQueue<Outgoing>();
    private readonly Channel<Incoming> _in = MakeQueue<Incoming>();
    private readonly CancellationTokenSource _closing = new();
    private readonly MessageFragments _fragments = new();
    private TabId _self;
    private string[] _topics = [];
    private Task _running = Task.CompletedTask;
    private long? _sweptAt;

    /// <inheritdoc/>
    public event Action<byte[]>? Received;

    IReadOnlyList<string> IPostgresLinkMember.Topics => _topics;

    /// <inheritdoc/>
    public async ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
        (_self, _topics) = (self, [TopicOf(default), TopicOf(self)]);
        try
        {
            await source.EnsureSchemaAsync(cancellationToken).ConfigureAwait(false);
            await link.JoinAsync(this, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
        {
            throw PostgresErrors.ToOpening(error);
        }

        _running = Task.WhenAll(Task.Run(SendAsync, CancellationToken.None), Task.Run(ReceiveAsync, CancellationToken.None));
    }

    /// <inheritdoc/>
    public void Post(byte[] message, TabId addressee)
    {
        if (_closing.IsCancellationRequested || _self == default || TellHere(message, addressee)) return;
        foreach (var part in MessageFragments.Split(message))
        {
            // As text at once where it fits, which is a copy as well.
            var isInline = part.Length <= MaxInline;
            _out.Writer.TryWrite(isInline ? new(addressee, Convert.ToBase64String(part), null) : new(addressee, null, ReferenceEquals(part, message) ? part.AsSpan().ToArray() : part));
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_closing.IsCancellationRequested) return;
        _out.Writer.TryComplete(); // what was posted is sent
        _in.Writer.TryComplete();
        await _running.WaitAsync(SweepEvery, source.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _closing.CancelAsync().ConfigureAwait(false);
        await link.LeaveAsync(this).ConfigureAwait(false);
    }

    ValueTask IPostgresLinkMember.EnterAsync(NpgsqlConnection connection) => default;

    async ValueTask IPostgresLinkMember.ExitAsync(NpgsqlConnection connection)
    {
        var command = source.Command(connection, $"UNLISTEN {TopicOf(_self)}");
        await using var end = command.ConfigureAwait(false);
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    void IPostgresLinkMember.OnNotified(PostgresNote note)
    {
        if (note.Sender != link.Id && note.Kind is PostgresNoteKind.Message or PostgresNoteKind.Reference) _in.Writer.TryWrite(new(note, null));
    }

    void IPostgresLinkMember.OnLost()
    {
        // What is missed now is asked for again.
    }

    void IPostgresLinkMember.OnRestored()
    {
        // The coordinator says so to everybody.
    }

    /// <summary>Tells the others of this process.</summary>
    /// <returns>Whether nobody else need hear of it.</returns>
    private bool TellHere(byte[] message, TabId addressee)
    {
        byte[]? copy = null;
        var isHere = false;
        foreach (var member in link.Members)
        {
            if (member is not PostgresCommitChannel other || other == this || (addressee != default && other._self != addressee)) continue;
            isHere |= other.Take(copy ??= message.AsSpan().ToArray());
        }

        return isHere && addressee != default;
    }

    /// <summary>A message of this process.</summary>
    /// <returns>Whether it is nowhere else.</returns>
    private bool Take(byte[] message) => _in.Writer.TryWrite(new(default, message)) && isOwn;

    private string TopicOf(TabId addressee) =>
        AdvisoryKey.Topic(source.Options.Schema, name, addressee == default ? "" : string.Create(CultureInfo.InvariantCulture, $"_{addressee.ToGuid():N}"));

    private static Channel<T> MakeQueue<T>() =>
        Channel.CreateBounded<T>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true, FullMode = BoundedChannelFullMode.DropOldest });

    private async Task SendAsync()
    {
        while (await _out.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            var group = new List<Outgoing>();
            for (var bytes = 0L; group.Count < MaxMessages && bytes < MaxBytes && _out.Reader.TryRead(out var next); bytes += next.Length) group.Add(next);
            try
            {
                await SendAsync(group).ConfigureAwait(false);
            }
            catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
            {
                if (PostgresErrors.IsLost(error)) source.OnLost(error);
                Log.NotSent(source.Logger, name, group.Count, error.Message);
            }
        }
    }

    /// <summary>In one transaction: they arrive together, in their order.</summary>
    private async Task SendAsync(List<Outgoing> group)
    {
        var connection = await source.OpenAsync(_closing.Token).ConfigureAwait(false);
        await using var end = connection.ConfigureAwait(false);
        var batch = source.Batch(connection);
        await using var batchEnd = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Passing);
        foreach (var message in group)
        {
            var topic = TopicOf(message.To);
            if (message.Bytes is null)
                batch.Add("SELECT pg_notify($1, $2)", topic, PostgresNote.Prefix(PostgresNoteKind.Message, link.Id) + message.Text);
            else
                batch.Add(
                    $"WITH kept AS (INSERT INTO {source.Schema}.messages (bytes) VALUES ($3) RETURNING id) SELECT pg_notify($1, $2 || id) FROM kept",
                    topic, PostgresNote.Prefix(PostgresNoteKind.Reference, link.Id), message.Bytes);
        }

        if (group.Exists(message => message.Bytes is not null) && (_sweptAt is not { } at || source.Time.GetElapsedTime(at) > SweepEvery))
        {
            _sweptAt = source.Time.GetTimestamp();
            batch.Add($"DELETE FROM {source.Schema}.messages WHERE made < clock_timestamp() - $1", KeepFor);
        }

        batch.Add(PostgresSource.Commit);
        await batch.ExecuteNonQueryAsync(_closing.Token).ConfigureAwait(false);
    }

    private async Task ReceiveAsync()
    {
        await foreach (var (note, whole) in _in.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            try
            {
                if (whole is not null) Received?.Invoke(whole.AsSpan().ToArray()); // each receiver owns its bytes
                else if (await ReadAsync(note).ConfigureAwait(false) is { } bytes && _fragments.Add(bytes) is { } message) Received?.Invoke(message);
            }
            catch (Exception error) when (PostgresErrors.IsDatabaseError(error) || error is OperationCanceledException)
            {
                if (PostgresErrors.IsLost(error)) source.OnLost(error);
                Log.NotReceived(source.Logger, name, error.Message);
            }
#pragma warning disable CA1031 // A handler that fails must not end the channel.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Log.HandlerFailed(source.Logger, error, name);
            }
        }
    }

    private async Task<byte[]?> ReadAsync(PostgresNote note)
    {
        if (note.Kind == PostgresNoteKind.Message)
        {
            var text = Encoding.ASCII.GetBytes(note.Body);
            return Base64.DecodeFromUtf8InPlace(text, out var written) == System.Buffers.OperationStatus.Done ? text[..written] : null;
        }

        if (!note.TryReadNumber(out var id)) return null;
        var connection = await source.OpenAsync(_closing.Token).ConfigureAwait(false);
        await using var end = connection.ConfigureAwait(false);
        var command = source.Command(connection, $"SELECT bytes FROM {source.Schema}.messages WHERE id = $1", id);
        await using var commandEnd = command.ConfigureAwait(false);
        return await command.ExecuteScalarAsync(_closing.Token).ConfigureAwait(false) as byte[];
    }

    /// <summary>A notification, or a whole message of this process.</summary>
    private readonly record struct Incoming(PostgresNote Note, byte[]? Whole);

    private sealed record Outgoing(TabId To, string? Text, byte[]? Bytes)
    {
        public long Length => Text?.Length ?? Bytes!.Length;
    }
}
